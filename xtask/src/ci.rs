//! What CI runs before the tests, and what you run before pushing: the cheap checks first.

use std::time::Instant;

use crate::shell::{cargo, npm, say};
use crate::{layers, licenses, tidy, web};

/// A step's name, and how to do it.
type Step = (&'static str, fn() -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("formatting", || cargo(["fmt", "--all", "--check"]).run()),
    ("tidy", tidy::run),
    ("layers", layers::run),
    ("web packages", web::install),
    ("licenses", licenses::run),
    ("web types", || npm(["run", "--silent", "check"]).run()),
    // Before clippy, because the service embeds what the build leaves.
    ("web build", web::build),
    ("clippy", || {
        cargo(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
    }),
];

pub(crate) fn check() -> anyhow::Result<()> {
    let started = Instant::now();
    let mut times = Vec::new();
    for (name, step) in STEPS {
        say(name);
        let began = Instant::now();
        step()?;
        times.push((name, began.elapsed().as_secs()));
    }
    eprintln!();
    for (name, seconds) in times {
        eprintln!("{name:<14} {seconds:>5} s");
    }
    eprintln!("all of it      {:>5} s", started.elapsed().as_secs());
    Ok(())
}

//! From a fresh clone to a page in the browser, one step at a time, each skipped when done before.

use crate::shell::{Shell, cargo, say, target};
use crate::web;

pub(crate) fn run(options: &[String]) -> anyhow::Result<()> {
    web::build()?;
    say("building carnet (release; some minutes the first time, nothing when nothing changed)");
    cargo(["build", "--locked", "--release", "--package", "carnet"]).run()?;
    say("starting the demo");
    let binary = target().join("release").join(format!("carnet{}", std::env::consts::EXE_SUFFIX));
    // As one writes it behind other tools: `cargo xtask demo -- --listen …`.
    let options = options.strip_prefix(&["--".to_owned()]).unwrap_or(options);
    Shell::new(binary).args(["demo"]).args(options).become_it()
}

//! Benchmarks: each is a program in `bench/src/bin` that measures itself beside its yardstick.

use anyhow::{Context as _, ensure};

use crate::shell::{cargo, root, say};

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let known = names()?;
    let (options, wanted): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| argument.starts_with('-'));
    for name in &wanted {
        ensure!(known.contains(name), "no benchmark is called `{name}`: there are {known:?}");
    }
    let wanted = if wanted.is_empty() { known } else { wanted };
    say("building the benchmarks in release mode");
    cargo(["build", "--locked", "--release", "--package", "bench", "--bins"]).run()?;
    for name in wanted {
        say(&format!("bench {name}"));
        cargo([
            "run",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "bench",
            "--bin",
            &name,
            "--",
        ])
        .args(&options)
        .run()?;
    }
    Ok(())
}

fn names() -> anyhow::Result<Vec<String>> {
    let folder = root().join("bench/src/bin");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).context("reading `bench/src/bin`")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

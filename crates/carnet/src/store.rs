//! `carnet store …`: looks at a store from outside, while nobody has it open; or makes it remember more.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use anyhow::{Context as _, ensure};
use domain::Duration;
use store_embedded::{EmbeddedStore, Options, Verification};

const PROGRESS_EVERY: StdDuration = StdDuration::from_secs(2);

pub(crate) fn verify(directory: &Path) -> anyhow::Result<()> {
    // Opening a directory that is not there would make it, and find nothing wrong with it.
    ensure!(directory.is_dir(), "`{}` is not a directory", directory.display());
    let found = store_embedded::verify(directory)?;
    for problem in &found.problems {
        println!("{problem}");
    }
    let Verification { events, streams, problems } = &found;
    ensure!(
        problems.is_empty(),
        "{} problems in `{}`; nothing was changed: restore it from a backup",
        problems.len(),
        directory.display()
    );
    println!("`{}` is whole: {events} events in {streams} streams", directory.display());
    Ok(())
}

pub(crate) fn accept(directory: &Path) -> anyhow::Result<()> {
    ensure!(directory.is_dir(), "`{}` is not a directory", directory.display());
    let Verification { events, streams, .. } = store_embedded::accept(directory)?;
    println!("`{}` is accepted: {events} events in {streams} streams", directory.display());
    Ok(())
}

pub(crate) fn raise_horizon(directory: &Path, to: Duration) -> anyhow::Result<()> {
    ensure!(directory.is_dir(), "`{}` is not a directory", directory.display());
    let store = EmbeddedStore::open(directory, &Options::default())
        .with_context(|| format!("the store `{}` was not opened", directory.display()))?;
    let before = engine::raise_horizon(&store, to)?;
    println!("`{}` remembers {to}; it was {before}", directory.display());
    let mut told = Instant::now();
    let mut progress = |members| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("folded {members} members");
        }
    };
    // What is not folded now is folded when it is asked for.
    let members = engine::fold_anew(&(Arc::new(store) as _), &mut progress)?;
    println!("{members} members are folded anew");
    Ok(())
}

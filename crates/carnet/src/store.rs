//! `carnet store …`: looks at a store from outside, while nobody has it open; or makes it remember more.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use domain::Duration;
use engine::EngineError;
use store_embedded::{EmbeddedStore, Options, Verification};

const PROGRESS_EVERY: StdDuration = StdDuration::from_secs(2);

/// Opening a directory that is not there would make it, and find nothing wrong with it.
fn is_store(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    ensure!(directory.is_dir(), "`{shown}` is not a directory");
    let holds_stores = directory.join("ledger").is_dir() && !directory.join("log.db").exists();
    ensure!(!holds_stores, "`{shown}` holds two stores: name `ledger` or `viewing` in it");
    Ok(())
}

pub(crate) fn verify(directory: &Path) -> anyhow::Result<()> {
    is_store(directory)?;
    let found = store_embedded::verify(directory)?;
    for problem in &found.problems {
        say!("{problem}");
    }
    let Verification { events, streams, problems } = &found;
    ensure!(
        problems.is_empty(),
        "{} problems in `{}`; nothing was changed: restore it from a backup",
        problems.len(),
        directory.display()
    );
    say!("`{}` is whole: {events} events in {streams} streams", directory.display());
    Ok(())
}

pub(crate) fn accept(directory: &Path) -> anyhow::Result<()> {
    is_store(directory)?;
    let accepted_before = directory.join("watermark").exists();
    ensure!(
        !accepted_before,
        "`{}` has a watermark, so there is nothing to accept: `carnet store verify` says whether it \
         is whole",
        directory.display()
    );
    let Verification { events, streams, .. } = store_embedded::accept(directory)?;
    say!("`{}` is accepted: {events} events in {streams} streams", directory.display());
    Ok(())
}

pub(crate) fn raise_horizon(directory: &Path, to: Duration) -> anyhow::Result<()> {
    is_store(directory)?;
    let store = EmbeddedStore::open(directory, &Options::default())
        .with_context(|| format!("the store `{}` was not opened", directory.display()))?;
    let before = engine::raise_horizon(&store, to).map_err(|error| match error {
        EngineError::Invalid(why) => anyhow!(why),
        other => other.into(),
    })?;
    say!("`{}` remembers {to}; it was {before}", directory.display());
    let mut told = Instant::now();
    let mut progress = |members| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("folded {members} members");
        }
    };
    // What is not folded now is folded when it is asked for.
    let members = engine::fold_anew(&(Arc::new(store) as _), &mut progress)?;
    say!("{members} members are folded anew");
    Ok(())
}

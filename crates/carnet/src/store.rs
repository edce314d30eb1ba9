//! `carnet store …`: looks at a store from outside, while nobody has it open.

use std::path::Path;

use anyhow::ensure;
use store_embedded::Verification;

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

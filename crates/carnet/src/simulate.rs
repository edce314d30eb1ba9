//! `carnet simulate`: one seed of the deterministic world, and what happened in it.

use crate::arguments::Simulate;

pub(crate) fn run(typed: &Simulate) -> anyhow::Result<()> {
    // Small enough to be typed again from a screen.
    let seed = typed.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say!("seed {seed}, {} steps", typed.steps);
    let report = simulation::run(seed, typed.steps)?;
    say!("{report:#?}");
    Ok(())
}

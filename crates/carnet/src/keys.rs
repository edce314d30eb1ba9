//! `carnet keys …`: a master key, and content keys sealed with it. Plain keys are never written.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use drm::content_keys::{MasterKey, seal as sealed_text, write_sealed};

pub(crate) fn master() -> anyhow::Result<()> {
    say!("{}", MasterKey::generate()?.as_str());
    Ok(())
}

pub(crate) fn seal(input: &Path, output: &Path) -> anyhow::Result<()> {
    let master = MasterKey::from_environment()?;
    let mut plain = String::new();
    if input == Path::new("-") {
        std::io::stdin().read_to_string(&mut plain).context("reading standard input")?;
    } else {
        plain = std::fs::read_to_string(input)
            .with_context(|| format!("cannot read `{}`", input.display()))?;
    }
    let sealed = sealed_text(&plain, &master)
        .with_context(|| format!("cannot seal `{}`", input.display()))?;
    write_sealed(output, &sealed).with_context(|| {
        format!("cannot write `{}`; an existing file is never replaced", output.display())
    })?;
    say!("sealed into `{}`", output.display());
    Ok(())
}

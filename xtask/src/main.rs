//! Every chore of the project behind one door: `cargo xtask help` lists them.
//!
//! It does not know how Carnet works: it starts the tools that do, in an order that fails early,
//! and says what it is doing.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to whoever started it"
)]

use std::process::ExitCode;

use anyhow::{Context as _, bail};

mod bench;
mod ci;
mod debian;
mod demo;
mod layers;
mod licenses;
mod media;
mod shell;
mod sources;
mod test;
mod tidy;
mod web;

const HELP: &str = "\
cargo xtask <chore>

  demo [options]          build everything and run the demo (options go to `carnet demo`)
  test                    every test: Rust, web, and the browser against the real binary
  check                   formatting, tidy, layers, licenses, types, clippy: all but the tests
  ci                      what CI runs: check, then test
  bench [name] [--quick]  benchmarks in release mode, each beside its yardstick
  sim --seed N --steps M  replay one seed of the simulation (options go to `carnet simulate`)
  media                   draw and package the sample films again (needs ffmpeg; minutes)
  openapi                 write docs/api/openapi.json from the code, and the web's types from that
  fixtures                write the fixtures of stored shapes that do not exist yet
  tidy                    house rules that no compiler checks
  layers                  who may use whom
  licenses                every dependency's license is on the allow-list
  web                     build the web player, when its sources changed
  help                    this list";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some((chore, rest)) = arguments.split_first() else {
        println!("{HELP}");
        return Ok(());
    };
    match (chore.as_str(), rest) {
        ("demo", options) => demo::run(options),
        ("bench", options) => bench::run(options),
        ("sim", options) => sim(options),
        ("test", []) => test::run(),
        ("check", []) => ci::check(),
        ("ci", []) => ci::check().and_then(|()| test::run()),
        ("openapi", []) => openapi(),
        ("fixtures", []) => fixtures(),
        ("tidy", []) => tidy::run(),
        ("layers", []) => layers::run(),
        ("licenses", []) => licenses::run(),
        ("media", []) => media::run(),
        ("web", []) => web::build(),
        ("help" | "--help" | "-h", _) => {
            println!("{HELP}");
            Ok(())
        }
        (known, [extra, ..]) if HELP.contains(&format!("\n  {known} ")) => {
            bail!("`cargo xtask {known}` takes no `{extra}`")
        }
        (unknown, _) => bail!("no chore is called `{unknown}`: `cargo xtask help` lists them"),
    }
}

fn sim(options: &[String]) -> anyhow::Result<()> {
    shell::cargo(["run", "--locked", "--release", "--package", "carnet", "--", "simulate"])
        .args(options)
        .run()
}

fn openapi() -> anyhow::Result<()> {
    let document = shell::cargo(["run", "--locked", "--package", "carnet", "--", "openapi"])
        .output()
        .context("the document comes from the code, which has to build first")?;
    let path = shell::root().join("docs/api/openapi.json");
    std::fs::write(&path, document).with_context(|| format!("writing `{}`", path.display()))?;
    println!("wrote docs/api/openapi.json");
    web::install()?;
    shell::npm(["run", "--silent", "generate"]).run()
}

/// Adds what is missing and leaves what is there alone: a stored version never changes.
fn fixtures() -> anyhow::Result<()> {
    shell::cargo(["test", "--locked", "--package", "codec", "fixtures"])
        .env("CARNET_FIXTURES", "write")
        .run()
}

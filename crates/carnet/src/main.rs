//! The binary: every role of Carnet in one process, the demo, and what an operator does by hand.
//!
//! It puts the parts together and knows none of their rules.

#![expect(clippy::print_stderr, reason = "a command line tool talks to whoever called it")]

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, Keys, Policy, Store};
use crate::logging::Style;

#[macro_use]
mod say;

mod arguments;
mod config;
mod demo;
mod keys;
mod limits;
mod logging;
mod node;
mod plan;
mod policy;
mod reload;
mod simulate;
mod store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Clap answers what makes no sense, with exit code 2.
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Serve(typed) => {
            logging::start(Style::Json);
            node::run(config::load(&typed.config)?, |address| {
                tracing::info!(%address, "ready");
            })
        }
        Command::Demo(typed) => {
            logging::start(Style::ForPeople);
            let data = typed.data_dir.clone();
            node::run(demo::plan(typed)?, |address| demo::announce(address, &data))
        }
        Command::Policy(Policy::Check { path, strict, horizon }) => {
            policy::check(&path, strict, horizon)
        }
        Command::Policy(Policy::Explain(typed)) => policy::explain(*typed),
        Command::Policy(Policy::Diff { old, new, json }) => return policy::diff(&old, &new, json),
        Command::Policy(Policy::Replay(typed)) => policy::replay(&typed),
        Command::Policy(Policy::Test { path, policy }) => policy::test(&path, policy.as_deref()),
        Command::Keys(Keys::Master) => keys::master(),
        Command::Keys(Keys::Seal { input, output }) => keys::seal(&input, &output),
        Command::Store(Store::Verify { directory }) => store::verify(&directory),
        Command::Store(Store::Accept { directory }) => store::accept(&directory),
        Command::Store(Store::RaiseHorizon { directory, horizon }) => {
            store::raise_horizon(&directory, horizon)
        }
        Command::Simulate(typed) => simulate::run(&typed),
        Command::Openapi => {
            say!("{}", service::openapi_json().trim_end());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

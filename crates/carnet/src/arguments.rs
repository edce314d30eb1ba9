//! What was typed. What it means is worked out by whoever runs the command.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use domain::{
    Account, DeviceClass, Duration, PartnerId, Plan, ProfileId, SecurityLevel, SeriesId, Tag,
    Territory, Timestamp, TitleId,
};

/// Carnet licenses downloads: it lets members take titles offline and holds every copy to the
/// rules.
///
/// Exit codes: 0 when all is well, 1 when something was refused or failed, 2 when the command line
/// makes no sense. `policy diff` has one more: 3 when something changes.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every role in one process on the embedded store, as a configuration file says
    Serve(Serve),
    /// Run everything on this machine with sample titles, sample rules and two members
    Demo(Demo),
    /// Check, try, explain and compare policies
    #[command(subcommand)]
    Policy(Policy),
    /// Make and seal keys
    #[command(subcommand)]
    Keys(Keys),
    /// Look at a store that no process has open, or make it remember more
    #[command(subcommand)]
    Store(Store),
    /// Drive the real engine through a world of members, devices and faults, and audit it
    Simulate(Simulate),
    /// Print the OpenAPI document of the HTTP APIs
    Openapi,
}

/// What `docs/operations.md` explains; a test holds it to what is read.
const CONFIGURATION: &str = "\
Settings of the file (docs/operations.md explains them, with an example):
  issuer, listen, public_url, data, policy, catalogue, media, signing_keys, content_keys, proofs,
  cors_origins, [[issuers]], [[api_keys]]
  [engine]  cached_bytes_max (67108864), in_flight_max (2048)
  [limits]  request_timeout_seconds (15), headers_timeout_seconds (60), unready_seconds (2),
            drain_seconds_max (30), proof_window_seconds (60), proofs_remembered_max (500000),
            grants_remembered_max (125000), tokens_remembered_max (100000),
            keys_refresh_seconds (600), store_queue_max (65536), store_bytes_max (none)

CARNET_MASTER_KEY holds the key that content keys are sealed with; RUST_LOG chooses what is logged.";

#[derive(Debug, Args)]
#[command(after_long_help = CONFIGURATION)]
pub(crate) struct Serve {
    /// The configuration file; paths in it are relative to it
    #[arg(long, value_name = "FILE", default_value = "carnet.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the store and the keys are kept between runs; remove it to start anew
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub(crate) data_dir: PathBuf,
    /// The address to answer on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// A policy directory instead of the built-in sample; reloaded when it changes
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// A catalogue file instead of the built-in sample; reloaded when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) catalogue: Option<PathBuf>,
    /// A directory served at `/media/` instead of the built-in sample films
    #[arg(long, value_name = "DIR")]
    pub(crate) media: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Check a policy and name everything that is wrong with it, has no effect, or is left unsaid
    ///
    /// Exit codes: 0 when it can be used, 1 when it cannot, or has warnings and `--strict` is given.
    Check {
        /// A policy directory, or a policy of one file
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// Fail on warnings as well: rules that have no effect, or cannot have been meant
        #[arg(long)]
        strict: bool,
        /// How far back the store remembers that it is for, where `carnet store raise-horizon` was used
        #[arg(long, value_name = "LENGTH", default_value_t = domain::policy::HORIZON)]
        horizon: Duration,
    },
    /// Tell which terms, gates and caps hold for a request, and where each comes from
    Explain(Box<Explain>),
    /// Tell what changes for whom when one policy takes the place of another
    ///
    /// Exit codes: 0 when nothing changes, 3 when something does, 1 when a policy cannot be used.
    Diff {
        /// A policy directory, or a policy of one file
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// Likewise
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask recorded history again under a draft: who would have been answered differently?
    ///
    /// Reads a store that no process has open, and changes nothing in it but what opening does. Of a
    /// running service ask the operator API, `POST /v1/operator/replays`.
    Replay(Replay),
    /// Try the scenarios that are kept beside a policy, `*.scenario.toml`
    ///
    /// Exit codes: 0 when all pass, 1 when one does not or a file is wrong.
    Test {
        /// A policy directory, or one file of scenarios
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// Try them with the policy of this directory instead
        #[arg(long, value_name = "DIR")]
        policy: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The policy directory of the draft
    #[arg(long, value_name = "DIR")]
    pub(crate) draft: PathBuf,
    /// The store of the ledger: `ledger` in the data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) store: PathBuf,
    /// Requests from then on are asked again; all of them when absent
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<domain::Timestamp>,
    /// Requests before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<domain::Timestamp>,
    /// Only requests about titles of this partner are compared
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<domain::PartnerId>,
    /// Write the report as JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write every request that would have been answered differently as CSV to this file; `-` is
    /// standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

/// What is not given is not known: a rule that goes by it says what that means.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A policy directory, or a policy of one file
    #[arg(value_name = "DIR|FILE")]
    pub(crate) path: PathBuf,
    /// By default one of which the policy says nothing
    #[arg(long, value_name = "ID", default_value = "-")]
    pub(crate) title: TitleId,
    /// By default one of which the policy says nothing
    #[arg(long, value_name = "ID", default_value = "-")]
    pub(crate) partner: PartnerId,
    /// The title's
    #[arg(long, value_name = "ID")]
    pub(crate) series: Option<SeriesId>,
    /// A tag of the title; may be given more than once
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<Tag>,
    /// What the catalogue says of the title
    #[arg(long, value_name = "NUMBER")]
    pub(crate) maturity_rating: Option<u16>,
    /// The catalogue keeps the title for streaming
    #[arg(long)]
    pub(crate) not_downloadable: bool,
    /// From when on the title is available
    #[arg(long, value_name = "INSTANT")]
    pub(crate) available_from: Option<Timestamp>,
    /// When the title leaves the catalogue
    #[arg(long, value_name = "INSTANT")]
    pub(crate) available_until: Option<Timestamp>,
    /// The device: `phone`, `tablet`, `tv`, `desktop` or `web`
    #[arg(long, value_name = "CLASS", default_value = "phone", value_parser = device_class)]
    pub(crate) class: DeviceClass,
    /// The member's
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<Plan>,
    /// Where the member is
    #[arg(long, value_name = "TERRITORY")]
    pub(crate) territory: Option<Territory>,
    /// Who asks, of a household
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<ProfileId>,
    /// How well the device protects content, like `L1`
    #[arg(long, value_name = "LEVEL")]
    pub(crate) security_level: Option<SecurityLevel>,
    /// The kind of account
    #[arg(long, value_name = "KIND")]
    pub(crate) account: Option<Account>,
    /// The highest rating that the profile may see
    #[arg(long, value_name = "NUMBER")]
    pub(crate) maturity_limit: Option<u16>,
    /// When the membership began
    #[arg(long, value_name = "INSTANT")]
    pub(crate) member_since: Option<Timestamp>,
    /// How many streams run beside the request
    #[arg(long, value_name = "NUMBER")]
    pub(crate) concurrent_streams: Option<u32>,
    /// When the device last was with another member
    #[arg(long, value_name = "INSTANT")]
    pub(crate) elsewhere_at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn device_class(text: &str) -> Result<DeviceClass, String> {
    let known = DeviceClass::ALL.map(DeviceClass::name).join("`, `");
    DeviceClass::named(text).ok_or_else(|| format!("known are `{known}`"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Print a new master key, for the variable `CARNET_MASTER_KEY`
    Master,
    /// Encrypt content keys with the master key in `CARNET_MASTER_KEY`
    Seal {
        /// Plain keys, `{"keys":[{"kid":"<32 hex>","key":"<32 hex>","label":"…"}]}`; `-` is
        /// standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        input: PathBuf,
        /// The sealed file to write; an existing one is left alone
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Check every event, link and position of a store; changes nothing
    Verify {
        /// `ledger` or `viewing` in the data directory, or a copy
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Take a restored backup, which has no watermark, as complete after checking all of it
    Accept {
        /// `ledger` or `viewing` in the data directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Make members' states remember more, so that windows of a policy may be longer
    ///
    /// States are folded again from the events, which are all kept. It is never lowered.
    RaiseHorizon {
        /// The store of the ledger: `ledger` in the data directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// How far back, as a policy writes it: `800d`; at most 3660 days
        #[arg(value_name = "LENGTH")]
        horizon: Duration,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The seed that decides everything; without it, a fresh one that is printed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many steps the world takes
    #[arg(long, value_name = "N", default_value_t = simulation::STEPS)]
    pub(crate) steps: u64,
}

#[cfg(test)]
mod tests;

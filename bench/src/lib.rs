//! What every benchmark has in common: it says where it ran, on what code, and what "durable"
//! meant, and it prints a ratio against a yardstick that was measured in the same run.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

pub mod ledger;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Prints machine, commit and durability. Refuses to measure a debug build.
///
/// # Errors
/// When built without optimization.
pub fn print_setting(what: &str, durability: &str) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("built without optimization: run with `--release`");
    }
    println!("{what}");
    println!("  machine     {}", machine());
    println!("  commit      {}", commit());
    println!("  durability  {durability}");
    Ok(())
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} × {model}, memory {memory}, kernel {}", kernel.trim())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "none yet".to_owned();
    };
    let clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    if clean { commit } else { format!("{commit} and changes") }
}

/// Whether `--quick` was given: less measuring, and figures that say less.
pub fn quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// A number given on the command line as `--name value`, else the default.
///
/// # Errors
/// When the value is missing or no number.
pub fn argument(name: &str, default: u64) -> Result<u64> {
    match text_argument(name)? {
        None => Ok(default),
        Some(value) => {
            value.parse().with_context(|| format!("`--{name} {value}`: give a whole number"))
        }
    }
}

/// A directory given as `--dir`, else the system's for temporary files. What is measured there is
/// that file system.
///
/// # Errors
/// When the value is missing.
pub fn directory() -> Result<PathBuf> {
    Ok(text_argument("dir")?.map_or_else(std::env::temp_dir, PathBuf::from))
}

/// A text given on the command line as `--name value`.
///
/// # Errors
/// When the value is missing.
pub fn text_argument(name: &str) -> Result<Option<String>> {
    let mut arguments = std::env::args().skip_while(|it| it.strip_prefix("--") != Some(name));
    match (arguments.next(), arguments.next()) {
        (None, _) => Ok(None),
        (Some(_), None) => bail!("`--{name}` needs a value"),
        (Some(_), value) => Ok(value),
    }
}

/// Processor time of this process so far, the kernel's work for it included.
///
/// # Errors
/// Where there is no `/proc/self/stat` to read.
pub fn cpu_time() -> Result<Duration> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may have blanks.
    let (_, fields) = stat.rsplit_once(')').context("`/proc/self/stat` has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// `count` in `time`, per second.
pub fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The middle one.
///
/// # Panics
/// When there is none.
#[expect(clippy::indexing_slicing, reason = "documented to panic")]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! Starting other programs, from the root of the repository, with errors that name the command.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, bail};

/// Asked of cargo when run rather than when built: two checkouts may share a target directory, and
/// with it this program.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = std::env::var_os("CARGO_MANIFEST_DIR");
        let here = here.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        here.parent().map_or_else(|| ".".into(), Path::to_owned)
    });
    &ROOT
}

/// What a chore says before a step that takes a while.
pub(crate) fn say(step: &str) {
    eprintln!("\n==> {step}");
}

/// Is a program of this name on the path?
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Where cargo leaves what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir))
}

pub(crate) fn cargo<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Shell {
    let mut shell = Shell::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` describes *this* package to us in variables. Some build scripts (ring's) watch
    // them, and would be built again each time that cargo is called from here and then by hand.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || ["CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
                .contains(&text.as_ref())
        {
            shell.command.env_remove(&name);
        }
    }
    shell.args(arguments)
}

pub(crate) fn npm<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Shell {
    let mut shell = Shell::new("npm").args(arguments);
    shell.command.current_dir(root().join("web"));
    // Messages about newer versions of npm and about donations are not about this project.
    shell.env("NPM_CONFIG_UPDATE_NOTIFIER", "false").env("NPM_CONFIG_FUND", "false")
}

pub(crate) struct Shell {
    command: Command,
}

impl Shell {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        let mut command = Command::new(program.into());
        command.current_dir(root());
        Self { command }
    }

    pub(crate) fn args<I: AsRef<OsStr>>(mut self, more: impl IntoIterator<Item = I>) -> Self {
        self.command.args(more);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let status = self.command.status().with_context(|| self.could_not_start())?;
        if status.success() { Ok(()) } else { bail!("{} failed ({status})", self.name()) }
    }

    /// Replaces this process where that is possible, so that signals reach the program itself.
    pub(crate) fn become_it(mut self) -> anyhow::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            let error = self.command.exec();
            Err(error).with_context(|| self.could_not_start())
        }
        #[cfg(not(unix))]
        self.run()
    }

    pub(crate) fn output(mut self) -> anyhow::Result<Vec<u8>> {
        self.command.stderr(Stdio::inherit());
        let output = self.command.output().with_context(|| self.could_not_start())?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            bail!("{} failed ({})", self.name(), output.status)
        }
    }

    /// Passes standard output on as it comes, showing each line to `see` as well.
    /// The answer is whether the program was content.
    pub(crate) fn watch(mut self, mut see: impl FnMut(&str)) -> anyhow::Result<bool> {
        self.command.stdout(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| self.could_not_start())?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            see(text.trim_end());
            line.clear();
        }
        Ok(child.wait()?.success())
    }

    fn could_not_start(&self) -> String {
        format!("could not start {}", self.name())
    }

    fn name(&self) -> String {
        let mut words = vec![
            Path::new(self.command.get_program()).file_stem().unwrap_or_default().to_string_lossy(),
        ];
        words.extend(self.command.get_args().map(OsStr::to_string_lossy));
        format!("`{}`", words.join(" "))
    }
}

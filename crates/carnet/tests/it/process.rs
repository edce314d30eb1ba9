//! A running `carnet`, stopped when it goes out of scope.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Generous, because it only ends tests that have failed already.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Carnet {
    child: Child,
    lines: Receiver<String>,
    /// What it said so far, on either stream.
    said: Vec<String>,
    /// `127.0.0.1:<port>`
    pub(crate) address: String,
}

impl Carnet {
    pub(crate) fn demo(data: &Path, options: &[&str]) -> Self {
        let mut command = command();
        command.args(["demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).args(options);
        Self::start(&mut command)
    }

    /// Returns when it answers.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        for stream in [stdout, stderr] {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        // Or its end would not be noticed.
        drop(sender);
        let mut carnet = Self { child, lines, said: vec![], address: String::new() };
        carnet.address = carnet.wait_for(address);
        carnet
    }

    /// Reads on until a line has what `find` looks for.
    pub(crate) fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = find(&line);
                    self.said.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not said in time:\n{}", self.all_said()),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended:\n{}", self.all_said()),
            }
        }
    }

    pub(crate) fn wait_for_words(&mut self, words: &str) -> String {
        self.wait_for(|line| line.contains(words).then(|| line.to_owned()))
    }

    pub(crate) fn all_said(&self) -> String {
        self.said.join("\n")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `kill -9`: nothing of it runs on.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end");
    }
}

impl Drop for Carnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.env_remove("RUST_LOG").env_remove("CARNET_MASTER_KEY");
    command
}

/// Runs it to its end, which must come by itself.
pub(crate) fn output(arguments: &[&str]) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The line that says where it answers: of the demo for people, of a service as JSON.
fn address(line: &str) -> Option<String> {
    if let Some(url) = line.strip_prefix("player: http://") {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let log: serde_json::Value = serde_json::from_str(line).ok()?;
    (log["message"] == "ready").then(|| log["address"].as_str().unwrap().to_owned())
}

//! Every test there is: Rust, web, and the browser against the real binary.
//!
//! One build serves all: the browser tests drive the very binary that the Rust tests were built
//! with. A failing suite does not keep the next from running; the last line counts them all.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::shell::{Shell, cargo, npm, on_path, root, say, target};
use crate::{debian, web};

#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

struct Suite {
    name: &'static str,
    count: Count,
    content: bool,
    seconds: u64,
}

pub(crate) fn run() -> anyhow::Result<()> {
    // What may be missing is asked for before anything slow, not after it.
    web::node()?;
    let chromium = chromium()?;
    let firefox = firefox();
    web::build()?;
    let mut suites = Vec::new();
    say("building carnet and its tests");
    cargo(["test", "--locked", "--workspace", "--no-run"]).run()?;
    say("Rust tests");
    suites.push(suite(
        "Rust",
        cargo(["test", "--quiet", "--locked", "--workspace", "--no-fail-fast"]),
        cargo_count,
    )?);
    say("web unit tests");
    suites.push(suite("web", npm(["test", "--silent"]), web_count)?);
    say("browser tests: headless Chromium and Firefox, the real binary, the real page");
    // Built for its own tests. Building it by itself would build half of its dependencies again,
    // with fewer of their features.
    let binary = target().join("debug").join(format!("carnet{}", std::env::consts::EXE_SUFFIX));
    ensure!(binary.is_file(), "the Rust tests left no `{}`", binary.display());
    let artifacts = root().join("artifacts");
    std::fs::create_dir_all(&artifacts)?;
    let mut browser = npm(["run", "--silent", "e2e"])
        .env("CARNET_BIN", binary)
        .env("CARNET_CHROMIUM", chromium)
        .env("CARNET_ARTIFACTS", artifacts);
    if let Some(firefox) = firefox {
        browser = browser.env("CARNET_FIREFOX", firefox);
    }
    suites.push(suite("browser", browser, web_count)?);
    summary(&suites)
}

fn suite(name: &'static str, shell: Shell, read: fn(&str, &mut Count)) -> anyhow::Result<Suite> {
    let started = Instant::now();
    let mut count = Count::default();
    let content = shell.watch(|line| read(&without_colors(line), &mut count))?;
    // A suite that ran nothing has not passed: it was not found, or its output has changed.
    let content = content && count.passed > 0;
    Ok(Suite { name, count, content, seconds: started.elapsed().as_secs() })
}

fn summary(suites: &[Suite]) -> anyhow::Result<()> {
    eprintln!();
    for Suite { name, count, content, seconds } in suites {
        let verdict = if *content { "ok" } else { "FAILED" };
        let Count { passed, failed, ignored } = count;
        eprintln!(
            "{name:<8} {verdict:<6} {passed} passed, {failed} failed, {ignored} ignored ({seconds} s)"
        );
    }
    let sum = |of: fn(&Count) -> u64| suites.iter().map(|suite| of(&suite.count)).sum::<u64>();
    let (passed, failed) = (sum(|count| count.passed), sum(|count| count.failed));
    println!("{passed} passed, {failed} failed");
    let sad: Vec<_> =
        suites.iter().filter(|suite| !suite.content).map(|suite| suite.name).collect();
    if sad.is_empty() { Ok(()) } else { bail!("failed: {}", sad.join(", ")) }
}

/// Leaves out what terminals take for colors: from an escape to the next `m`.
fn without_colors(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| plain += part.split_once('m').map_or("", |(_color, text)| text));
    plain
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn cargo_count(line: &str, count: &mut Count) {
    let Some((_, numbers)) =
        line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
    else {
        return;
    };
    for part in numbers.split("; ") {
        match part.split_once(' ').map(|(number, what)| (number.parse().unwrap_or(0), what)) {
            Some((number, "passed")) => count.passed += number,
            Some((number, "failed")) => count.failed += number,
            Some((number, "ignored")) => count.ignored += number,
            _ => {}
        }
    }
}

/// vitest: `Tests  1 failed | 12 passed | 2 skipped (15)`; node: `# pass 12`, or `ℹ pass 12`.
fn web_count(line: &str, count: &mut Count) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["#" | "ℹ", what, number] => add(what, number, count),
        ["Tests", rest @ ..] => {
            for pair in rest.windows(2) {
                if let [number, what] = pair {
                    add(what, number, count);
                }
            }
        }
        _ => {}
    }
}

fn add(what: &str, number: &str, count: &mut Count) {
    let number: u64 = number.parse().unwrap_or(0);
    match what {
        "pass" | "passed" => count.passed += number,
        "fail" | "failed" => count.failed += number,
        "skipped" | "todo" => count.ignored += number,
        _ => {}
    }
}

const CHROMIUM: &[&str] = &["chromium"];
const FIREFOX: &[&str] = &["firefox-esr"];

fn chromium() -> anyhow::Result<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    browser("CARNET_CHROMIUM", &names, CHROMIUM)?.with_context(|| {
        format!(
            "the browser tests need Chromium: run `{}` (Debian), \
             or set `CARNET_CHROMIUM` to the path of a Chromium or Chrome",
            debian::command(CHROMIUM)
        )
    })
}

/// Without one its test is skipped, and says so.
fn firefox() -> Option<PathBuf> {
    browser("CARNET_FIREFOX", &["firefox-esr", "firefox"], FIREFOX).unwrap_or_else(|error| {
        say(&format!("no Firefox for the browser tests: {error:#}"));
        None
    })
}

/// A browser for the tests: named, found, or installed when we may.
fn browser(variable: &str, names: &[&str], packages: &[&str]) -> anyhow::Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "`{variable}` names `{}`, which is no file", named.display());
        return Ok(Some(named));
    }
    let find = || names.iter().find_map(|name| on_path(name));
    if let Some(found) = find() {
        return Ok(Some(found));
    }
    Ok(if debian::install(packages)? { find() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_three_runners_are_counted() {
        let counted = |read: fn(&str, &mut Count), lines: &[&str]| {
            let mut count = Count::default();
            lines.iter().for_each(|line| read(&without_colors(line), &mut count));
            (count.passed, count.failed, count.ignored)
        };
        let cargo = [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        assert_eq!(counted(cargo_count, &cargo), (15, 2, 1));
        let vitest =
            [" Test Files  2 passed (2)", "      Tests  1 failed | 12 passed | 2 skipped (15)"];
        assert_eq!(counted(web_count, &vitest), (12, 1, 2));
        let colored =
            ["\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m116 passed\u{1b}[39m (116)"];
        assert_eq!(counted(web_count, &colored), (116, 0, 0));
        assert_eq!(counted(web_count, &["# pass 7", "# fail 1", "# cancelled 0"]), (7, 1, 0));
        assert_eq!(counted(web_count, &["ℹ pass 7", "ℹ fail 0", "ℹ skipped 2"]), (7, 0, 2));
    }
}

//! House rules that no compiler checks. A complaint names the way out.

use anyhow::bail;

use crate::sources;

/// Text that nobody else's machine should see, in two halves so that this file may hold it.
const FOREIGN: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Use", "rs/")];

const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut complaints = Vec::new();
    for path in sources::below("")? {
        let size = std::fs::metadata(crate::shell::root().join(&path))?.len();
        if size > FILE_BYTES_MAX as u64 {
            complaints.push(format!("{path}: over {FILE_BYTES_MAX} bytes: generate it instead"));
        }
        if let Some(text) = sources::text(&path)? {
            complaints.extend(file(&path, &text).into_iter().map(|what| format!("{path}{what}")));
        }
    }
    if !complaints.is_empty() {
        bail!("tidy:\n  {}", complaints.join("\n  "));
    }
    println!("tidy: house rules hold");
    Ok(())
}

/// Complaints, each starting with `:line: ` or `: `.
fn file(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let generated =
        path.starts_with("media/") || path.contains("fixtures/") || path.ends_with(".svg");
    for (number, line) in text.lines().enumerate() {
        let mut complain = |what: &str| found.push(format!(":{}: {what}", number + 1));
        if FOREIGN.iter().any(|(a, b)| line.contains(&format!("{a}{b}"))) {
            complain("a path of one machine: use one relative to the repository");
        }
        if generated {
            continue;
        }
        if line.ends_with([' ', '\t']) && !path.ends_with(".md") {
            complain("blanks at the end of the line: remove them");
        }
        if path.ends_with(".rs") {
            rust_line(line, &mut complain);
        }
        if path.ends_with("package-lock.json") && line.contains("\"resolved\": \"http") {
            complain(
                "a download address: install with the `.npmrc` of `web/`, which leaves it out",
            );
        }
        if path == "Cargo.lock" && line.starts_with("source = ") && !line.contains(CRATES_IO) {
            complain("not from crates.io: depend on a published version");
        }
    }
    if path.ends_with(".rs") && !path.contains("/tests") && !text.starts_with("//!") {
        found.push(": no header: say in `//!` what this is, and what it does not know".into());
    }
    if !generated && !text.is_empty() && !text.ends_with('\n') {
        found.push(": no newline at the end: add it".into());
    }
    found
}

const CRATES_IO: &str = "\"registry+https://github.com/rust-lang/crates.io-index\"";

fn rust_line(line: &str, complain: &mut impl FnMut(&str)) {
    let code = line.trim_start();
    if code.starts_with("//") {
        return;
    }
    if line.contains(concat!("to", "do!(")) || line.contains(concat!("unimplem", "ented!(")) {
        complain("a stub: write it, or leave the function out");
    }
    if code.starts_with("matches!(") && code.ends_with(");") {
        complain("`matches!` as a statement checks nothing: wrap it in `assert!`");
    }
    if code.starts_with("#[ignore") && !code.contains('=') {
        complain("an ignored test: say why, `#[ignore = \"…\"]`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_complains_once_and_only_where_it_should() {
        let clean = "//! Header.\nfn main() {}\n";
        assert_eq!(file("a.rs", clean), Vec::<String>::new());
        let one = |path: &str, text: &str| {
            let found = file(path, text);
            assert_eq!(found.len(), 1, "{path} {text:?}: {found:?}");
        };
        one("a.rs", "fn main() {}\n");
        one("a.rs", &format!("{clean}    {}\n", concat!("to", "do!()")));
        one("a.rs", &format!("{clean}matches!(a, B);\n"));
        one("a.rs", &format!("{clean}#[ignore]\n"));
        one("a.rs", &format!("{clean}fn f() {{}} \n"));
        one("a.rs", "//! Header.");
        one("a.toml", &format!("path = \"{}{}carnet\"\n", "/ho", "me/"));
        one("web/package-lock.json", "\"resolved\": \"https://somewhere/x.tgz\"\n");
        one("Cargo.lock", "source = \"git+https://somewhere\"\n");
        assert_eq!(file("Cargo.lock", &format!("source = {CRATES_IO}\n")), Vec::<String>::new());
        assert_eq!(file("member/tests.rs", "use super::*;\n"), Vec::<String>::new());
        assert_eq!(file("web/package-lock.json", "\"resolved\": \"sdk\",\n"), Vec::<String>::new());
    }
}

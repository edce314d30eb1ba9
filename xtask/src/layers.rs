//! Who may use whom. Each row of these tables holds an absence that `docs/ARCHITECTURE.md` states.
//!
//! Dependencies for tests are free: a test may bring together what the code keeps apart.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::shell::cargo;
use crate::sources;

/// Our crates, and which of ours each may use.
const OURS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("codec", &["domain"]),
    ("store", &[]),
    ("store-embedded", &["store"]),
    ("engine", &["codec", "domain", "store"]),
    ("drm", &[]),
    ("playback", &["domain"]),
    // Not `store-embedded`: nothing above the engine knows how events are stored.
    ("service", &["codec", "domain", "drm", "engine", "playback", "store"]),
    ("simulation", &["codec", "domain", "engine", "store"]),
    (
        "carnet",
        &[
            "codec",
            "domain",
            "drm",
            "engine",
            "playback",
            "service",
            "simulation",
            "store",
            "store-embedded",
        ],
    ),
    (
        "bench",
        &["codec", "domain", "drm", "engine", "playback", "service", "store", "store-embedded"],
    ),
    ("xtask", &[]),
];

/// Libraries of others that only some of us may know, and what that guards.
const THEIRS: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store-embedded", "bench"], "how events are stored"),
    ("minicbor", &["codec", "bench"], "what a stored event looks like"),
    ("axum", &["service", "carnet", "bench"], "HTTP"),
    ("hyper", &["service", "carnet", "bench"], "HTTP"),
    ("ureq", &["service", "carnet", "bench"], "HTTP"),
    ("tokio", &["engine", "simulation", "service", "carnet", "bench"], "the runtime"),
    (
        "serde",
        &["drm", "playback", "service", "carnet", "bench"],
        "wire shapes: stored shapes are `codec`'s own, the domain has none",
    ),
    ("rand", &["store-embedded", "simulation", "service", "carnet", "bench"], "randomness"),
];

/// Words that must not appear below a path, and the way out.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "crates/domain/src",
        &["SystemTime", "Instant::now", "Timestamp::now", "Zoned::now"],
        "take `at` from the command",
    ),
    ("crates/domain/src", &["std::env", "std::fs", "std::net", "std::thread"], "take it as a fact"),
    (
        "crates/domain/src",
        &["async fn", "async move", ".await"],
        "facts are fetched before deciding",
    ),
    (
        "crates/domain/src",
        &["HashMap", "HashSet"],
        "use a `BTreeMap`: its order is always the same",
    ),
    (
        "crates/engine/src",
        &[
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "thread_rng",
            "tokio::spawn(",
            "task::spawn",
            "thread::spawn(",
        ],
        "time and ids come with the request, or the simulation cannot replay a seed",
    ),
    (
        "crates/simulation/src/auditor",
        &["domain::policy", "evolve(", "decide(", "engine::"],
        "the auditor counts for itself, so that it can only agree by being right",
    ),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut complaints = dependencies()?;
    for (below, words, remedy) in WORDS {
        for path in sources::below("crates")? {
            if path.starts_with(below) && !is_test(&path) {
                complaints.extend(words_in(&path, words, remedy)?);
            }
        }
    }
    complaints.extend(web()?);
    if !complaints.is_empty() {
        bail!("layers:\n  {}", complaints.join("\n  "));
    }
    println!("layers: who may use whom holds");
    Ok(())
}

fn dependencies() -> anyhow::Result<Vec<String>> {
    let metadata =
        cargo(["metadata", "--format-version", "1", "--locked", "--no-deps"]).output()?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages in `cargo metadata`")?;
    let ours: BTreeMap<&str, &[&str]> = OURS.iter().copied().collect();
    let mut complaints = Vec::new();
    for package in packages {
        let user = package["name"].as_str().unwrap_or_default();
        let Some(may_use) = ours.get(user) else {
            complaints.push(format!("`{user}` has no row in `OURS` in xtask/src/layers.rs"));
            continue;
        };
        let used = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        for dependency in used.iter().filter(|dependency| dependency["kind"] != "dev") {
            let used = dependency["name"].as_str().unwrap_or_default();
            if ours.contains_key(used) && !may_use.contains(&used) {
                complaints.push(format!("`{user}` must not know `{used}`: it may use {may_use:?}"));
            }
            complaints.extend(
                THEIRS
                    .iter()
                    .filter(|(name, users, _)| *name == used && !users.contains(&user))
                    .map(|(_, users, what)| {
                        format!("`{user}` must not know `{used}` ({what}): that is for {users:?}")
                    }),
            );
        }
    }
    Ok(complaints)
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn words_in(path: &str, words: &[&str], remedy: &str) -> anyhow::Result<Vec<String>> {
    let text = sources::text(path)?.unwrap_or_default();
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    Ok(code
        .flat_map(|(number, line)| {
            words.iter().filter(|word| line.contains(**word)).map(move |word| (number + 1, word))
        })
        .map(|(number, word)| format!("{path}:{number}: `{word}`: {remedy}"))
        .collect())
}

/// The web talks only to endpoints that the OpenAPI document has.
fn web() -> anyhow::Result<Vec<String>> {
    let Ok(Some(document)) = sources::text("docs/api/openapi.json") else {
        return Ok(vec![
            "`docs/api/openapi.json` is missing: `cargo xtask openapi` writes it".into(),
        ]);
    };
    let document: Value =
        serde_json::from_str(&document).context("reading the OpenAPI document")?;
    let paths = document
        .get("paths")
        .and_then(Value::as_object)
        .context("the OpenAPI document has no paths")?;
    let known: Vec<Vec<&str>> = paths.keys().map(|path| path.split('/').collect()).collect();
    let mut complaints = Vec::new();
    for path in sources::below("web")? {
        let in_browser = path.starts_with("web/sdk/src/") || path.starts_with("web/player/src/");
        if !in_browser {
            continue;
        }
        let text = sources::text(&path)?.unwrap_or_default();
        for endpoint in endpoints(&text) {
            let asked: Vec<&str> = endpoint.split('/').collect();
            if !known.iter().any(|known| same(known, &asked)) {
                complaints.push(format!(
                    "{path}: `{endpoint}` is not in docs/api/openapi.json (`cargo xtask openapi` writes it)"
                ));
            }
        }
    }
    Ok(complaints)
}

/// What starts with `/v1/`, with each `${…}` as `{}`.
fn endpoints(text: &str) -> Vec<String> {
    text.match_indices("/v1/")
        .map(|(at, _)| {
            let mut endpoint = String::new();
            let mut depth = 0_u32;
            for letter in text.get(at..).unwrap_or_default().chars() {
                match letter {
                    '{' => depth += 1,
                    '}' => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            endpoint.push_str("{}");
                        }
                    }
                    _ if depth > 0 => {}
                    '$' => {}
                    '\'' | '"' | '`' | '?' | '#' | ')' | ',' | '<' => break,
                    _ if letter.is_whitespace() => break,
                    _ => endpoint.push(letter),
                }
            }
            endpoint.trim_end_matches(['.', ';', ':']).to_owned()
        })
        .collect()
}

fn same(known: &[&str], asked: &[&str]) -> bool {
    known.len() == asked.len()
        && known.iter().zip(asked).all(|(known, asked)| known.starts_with('{') || known == asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_in_templates_and_compared_by_segment() {
        let found =
            endpoints("get(`/v1/licenses/${id(a, {b: 1})}/renew?x=1`); post('/v1/devices')");
        assert_eq!(found, ["/v1/licenses/{}/renew", "/v1/devices"]);
        let split = |path: &'static str| path.split('/').collect::<Vec<_>>();
        let known = split("/v1/licenses/{license}/renew");
        assert!(same(&known, &split("/v1/licenses/{}/renew")));
        assert!(!same(&known, &split("/v1/licenses/{}/release")));
        assert!(!same(&known, &split("/v1/licenses/{}")));
    }

    #[test]
    fn every_row_names_crates_that_exist() {
        let ours: Vec<&str> = OURS.iter().map(|(name, _)| *name).collect();
        for (_, uses) in OURS {
            assert!(uses.iter().all(|used| ours.contains(used)), "{uses:?}");
        }
        for (_, users, _) in THEIRS {
            assert!(users.iter().all(|user| ours.contains(user)), "{users:?}");
        }
    }
}

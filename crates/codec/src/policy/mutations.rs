//! Policies made at random, and the examples damaged at random: whatever comes of them is a policy,
//! or errors that name a line; every tool takes what is a policy, and what the lint claims is so.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use domain::{DeviceClass, MemberFacts, PartnerId, Plan, Territory, TitleFacts, TitleId};

use super::explain::{Question, explain};
use super::{
    Loaded, MAIN_FILE, PolicyErrors, SCENARIO_ENDING, diff, lint, load_dir, parse, parse_source,
    scenario,
};

const MUTANTS: u32 = 1_500;

/// Bits from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Fresh unless `CARNET_SEED` says otherwise; printed, so that a failure can be had again.
fn seeded() -> Random {
    let fresh = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let seed = std::env::var("CARNET_SEED").map_or_else(|_| fresh(), |seed| seed.parse().unwrap());
    println!("CARNET_SEED={seed}");
    Random(seed)
}

/// Every file of the examples that ends so and is not large.
fn examples(ending: &str) -> Vec<String> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    let mut texts = Vec::new();
    for example in fs::read_dir(examples).unwrap() {
        for file in fs::read_dir(example.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().ends_with(ending) {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.sort();
    texts
}

const WORDS: [&str; 24] = [
    "0",
    "-1",
    "4294967295",
    "99999999999999999999",
    "1e9",
    "\"\"",
    "\"0s\"",
    "\"400d\"",
    "\"9223372036854775807ms\"",
    "true",
    "[]",
    "{}",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "caps",
    "[[caps]]",
    "[[partners.a.caps]]",
    "[titles.\"\".terms]",
    "=",
    "+9223372036854775807ms",
    "\u{0}",
    "\u{1F39E}",
    "..",
];

fn mutated(random: &mut Random, texts: &[String]) -> Vec<u8> {
    let mut text = random.one(texts).clone().into_bytes();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len());
        let end = (at + random.below(12)).min(text.len());
        let word = random.one(&WORDS).bytes();
        text = match random.below(6) {
            0 => [&text[..at], &random.next().to_le_bytes()[..random.below(8)], &text[end..]]
                .concat(),
            1 => [&text[..at], &text[end..]].concat(),
            2 => [&text[..at], &word.collect::<Vec<_>>(), &text[end..]].concat(),
            _ => mutated_lines(random, &text, texts, word.collect()),
        };
    }
    text
}

fn mutated_lines(random: &mut Random, text: &[u8], texts: &[String], word: Vec<u8>) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (line, other) = (random.below(lines.len()), random.below(lines.len()));
    let theirs: Vec<&str> = random.one(texts).lines().collect();
    match random.below(5) {
        0 => lines.swap(line, other),
        1 => lines.insert(other, lines[line].clone()),
        2 => drop(lines.remove(line)),
        3 => lines.insert(line, random.one(&theirs).as_bytes().to_vec()),
        // What stands behind a `=` is what is most often wrong.
        _ => {
            if let Some(value) = lines[line].iter().position(|byte| *byte == b'=') {
                lines[line].truncate(value + 1);
                lines[line].extend(word);
            }
        }
    }
    lines.join(&b'\n')
}

/// Errors name their file, and a line that is there.
fn named(errors: &PolicyErrors, name: &str, text: &str) {
    assert!(!errors.errors.is_empty());
    let lines = text.split('\n').count();
    for error in &errors.errors {
        assert_eq!(error.file, name);
        let line = error.line.unwrap_or_else(|| panic!("no line: {error}\nin\n{text}"));
        assert!((1..=lines).contains(&line), "{error}\nin\n{text}");
        assert!(!error.message.is_empty());
    }
}

/// Every tool takes it.
fn used(loaded: &Loaded, before: &Loaded, random: &mut Random) {
    assert_eq!(parse_source(&loaded.source).as_ref(), Ok(loaded));
    for warning in lint::lint(loaded) {
        assert!(warning.line.is_some(), "{warning}");
    }
    for (old, new) in [(before, loaded), (loaded, before), (loaded, loaded)] {
        let changes = diff::diff(old, new);
        assert!(old.policy != new.policy || changes.is_empty(), "{changes:#?}");
        for change in changes {
            assert!(change.old.is_some() || change.new.is_some(), "{change:#?}");
        }
    }
    let policy = &loaded.policy;
    let member = MemberFacts {
        plan: random.one(&[None, Some("ads"), Some("premium")]).map(|id| Plan::new(id).unwrap()),
        territory: random.one(&[None, Some("US")]).map(|id| Territory::new(id).unwrap()),
        ..MemberFacts::default()
    };
    let partners: Vec<_> = policy.partners.keys().cloned().collect();
    let titles: Vec<_> = policy.titles.keys().cloned().collect();
    let own = |random: &mut Random| random.below(2) == 0;
    let question = Question {
        title: match titles.is_empty() || own(random) {
            true => TitleId::new("t").unwrap(),
            false => random.one(&titles).clone(),
        },
        title_facts: TitleFacts {
            partner: match partners.is_empty() || own(random) {
                true => PartnerId::new("p").unwrap(),
                false => random.one(&partners).clone(),
            },
            series: policy.series.keys().next().cloned(),
            tags: Arc::from([]),
            maturity_rating: None,
            downloadable: own(random),
            offered: own(random),
            available_from: None,
            available_until: None,
        },
        member,
        class: *random.one(&DeviceClass::ALL),
        at: policy.effective_from,
    };
    let explanation = explain(loaded, &question);
    for rule in explanation.tightenings.iter().chain(&explanation.gates).chain(&explanation.caps) {
        assert!(rule.from.place.is_some(), "{rule:#?}");
    }
    assert!(explanation.terms.iter().all(|term| term.from.place.is_some()));
}

#[test]
fn damaged_policies_are_policies_or_errors_with_a_line() {
    let mut random = seeded();
    let texts = examples("policy.toml");
    let before = parse(&[(MAIN_FILE, &texts[0])]).unwrap();
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..MUTANTS {
        let mutant = mutated(&mut random, &texts);
        let text = String::from_utf8_lossy(&mutant);
        match parse(&[(MAIN_FILE, &text)]) {
            Ok(loaded) => {
                right += 1;
                used(&loaded, &before, &mut random);
            }
            Err(errors) => {
                wrong += 1;
                named(&errors, MAIN_FILE, &text);
            }
        }
    }
    assert!(right > 100 && wrong > 100, "{right} {wrong}");
}

/// As above, from files: whatever bytes they are of.
#[test]
fn files_of_any_bytes_are_policies_or_errors_with_a_line() {
    let mut random = seeded();
    let texts = examples("policy.toml");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(MAIN_FILE);
    for round in 0..MUTANTS / 10 {
        let bytes = if round % 2 == 0 {
            (0..random.below(300)).map(|_| random.next() as u8).collect()
        } else {
            mutated(&mut random, &texts)
        };
        fs::write(&path, &bytes).unwrap();
        if let Err(errors) = load_dir(directory.path()) {
            named(&errors, MAIN_FILE, &String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn damaged_scenarios_are_scenarios_or_errors_with_a_line() {
    let mut random = seeded();
    let mut texts = examples(SCENARIO_ENDING);
    // Thousands of downloads take seconds.
    texts.retain(|text| !text.contains("t10001") && !text.contains("t3334"));
    let policies = examples("policy.toml");
    let policies: Vec<_> =
        policies.iter().map(|text| parse(&[(MAIN_FILE, text)]).unwrap().policy).collect();
    let mut ran = 0;
    for _ in 0..MUTANTS / 3 {
        let mutant = mutated(&mut random, &texts);
        let text = String::from_utf8_lossy(&mutant);
        match scenario::parse(&[("a", &text)]) {
            Ok(scenarios) => {
                for one in scenarios.iter().take(3) {
                    ran += 1;
                    let _ = scenario::run(one, random.one(&policies));
                }
            }
            Err(errors) => named(&errors, "a", &text),
        }
    }
    assert!(ran > 20, "{ran}");
}

const GUARDS: [&str; 6] = [
    "member.plan == 'ads' && !('new' in title.tags)",
    "title.maturity_rating >= 18 || title.maturity_rating > member.maturity_limit",
    "device.class in [\"tv\", \"web\"] && (title.series == \"\" || title.partner != 'a')",
    "member.since >= timestamp('2026-01-01T00:00:00Z') // of late",
    "!(member.territory == 'US') && title.available_until < timestamp(\"2027-01-01T00:00:00Z\")",
    "member.profile in title.tags\n || -1 < title.maturity_rating",
];

const PIECES: [&str; 40] = [
    "member.plan",
    "title.tags",
    "title",
    "member",
    ".",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "((((((((((((((((((((((((((((",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    "'x'",
    "\"",
    "'",
    "\\",
    "\\u12",
    "1",
    "0x",
    "1u",
    "1.5e",
    "-(-9223372036854775808)",
    "+ 1",
    "has(",
    ".exists(a, a)",
    "timestamp(",
    "null",
    "//",
    "\n",
    "true",
];

/// What is damaged in a guard is told, or it is another guard, which reads as it is told.
#[test]
fn damaged_guards_are_guards_or_errors_with_a_line() {
    let mut random = seeded();
    let head = "format = 1\nname = \"a\"\neffective_from = 2026-01-01T00:00:00Z\n";
    let policy = |guard: &str| {
        let guard = guard.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{head}[[gates]]\nid = \"g\"\nclosed = true\nguard = \"\"\"\n{guard}\"\"\"\n")
    };
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..MUTANTS {
        let mut guard = (*random.one(&GUARDS)).to_owned();
        for _ in 0..random.below(3) {
            let at = random.below(guard.len() + 1);
            let end = (at + random.below(6) * random.below(2)).min(guard.len());
            guard.replace_range(at..end, random.one::<&str>(&PIECES));
        }
        let text = policy(&guard);
        match parse(&[(MAIN_FILE, &text)]) {
            Ok(loaded) => {
                right += 1;
                let read = |loaded: &Loaded| loaded.policy.default.gates[0].when.guard.clone();
                let words = super::guard::words(&read(&loaded).unwrap());
                let again = parse(&[(MAIN_FILE, &policy(&words))]).unwrap();
                assert_eq!(read(&again), read(&loaded), "{guard}");
                used(&loaded, &again, &mut random);
            }
            Err(errors) => {
                wrong += 1;
                named(&errors, MAIN_FILE, &text);
            }
        }
    }
    assert!(right > 100 && wrong > 100, "{right} {wrong}");
}

/// Caps over a small vocabulary, so that some make others superfluous.
fn random_caps(random: &mut Random) -> String {
    let mut text = "format = 1\nname = \"a\"\neffective_from = 2026-01-01T00:00:00Z\n".to_owned();
    let standing = ["\"active_licenses\"", "\"devices_holding\"", "\"distinct_titles\""];
    let events =
        ["\"acquisitions\"", "\"acquisitions_and_renewals\"", "[\"acquisitions\", \"plays\"]"];
    let windows = [
        "{ rolling = \"3d\" }",
        "{ rolling = \"40d\" }",
        "{ calendar = \"month\", zone = \"UTC\" }",
        "{ calendar = \"day\", zone = \"UTC\" }",
        "{ lifetime = true }",
        "{ first_use = \"3d\" }",
    ];
    for id in 0..5 {
        let is_event = random.below(2) == 0;
        let counts = if is_event { random.one(&events) } else { random.one(&standing) };
        text += &format!("[[caps]]\nid = \"c{id}\"\ncounts = {counts}\n");
        if is_event {
            text += &format!("window = {}\n", random.one(&windows));
        }
        // Neither titles per title nor devices per device.
        text += *random.one(&["", "", "per = [\"profile\"]\n", "per = [\"partner\"]\n"]);
        text += *random.one(&[
            "",
            "",
            "of = { tags = [\"new\"] }\n",
            "of = { device_classes = [\"phone\"] }\n",
        ]);
        text += *random.one(&[
            "",
            "when = { plans = [\"ads\"] }\n",
            "when = { plans = [\"ads\", \"premium\"] }\n",
            "guard = 'member.plan == \"ads\"'\n",
            "guard = 'member.plan == \"ads\" && title.partner == \"a\"'\n",
            "guard = '\"new\" in title.tags || device.class != \"phone\"'\n",
        ]);
        text += *random.one(&[
            "limit = 1\n",
            "limit = 2\n",
            "limit = 3\n",
            "limit = { ads = 1, otherwise = 2 }\n",
            "limit = { ads = 2, premium = 3 }\n",
        ]);
    }
    text
}

/// A day in which somebody does something.
fn random_day(random: &mut Random, day: usize) -> String {
    let device = random.one(&["p1", "p2", "laptop"]);
    let title = random.one(&["a1", "a2", "b1", "new1"]);
    let facts = random.one(&[
        "plan=ads",
        "plan=premium profile=ann",
        "plan=basic",
        "plan=",
        "plan=premium profile=bob",
    ]);
    let verb = random.one(&["acquires", "acquires", "acquires", "renews"]);
    format!("+{day}d {device} {verb} {title} with {facts}")
}

/// What the lint calls superfluous never refuses alone.
#[test]
fn a_cap_that_is_called_superfluous_is() {
    let mut random = seeded();
    let (mut pairs, mut refused) = (0, 0);
    for _ in 0..400 {
        let loaded =
            parse(&[(MAIN_FILE, &random_caps(&mut random))]).unwrap_or_else(|e| panic!("{e}"));
        let warnings = lint::lint(&loaded);
        let superfluous: Vec<(String, String)> = warnings
            .iter()
            .filter_map(|warning| {
                let other = warning.message.strip_prefix("never refuses anything that `")?;
                let index = warning.field.strip_prefix("caps[")?.strip_suffix(']')?;
                Some((format!("c{index}"), other.split('`').next()?.to_owned()))
            })
            .collect();
        pairs += superfluous.len();
        for _ in 0..if superfluous.is_empty() { 0 } else { 12 } {
            // What happened was allowed once, so that counts may be beyond their limits now.
            let days: Vec<_> = (0..14).map(|day| random_day(&mut random, day)).collect();
            let given: Vec<_> = days.iter().filter(|day| !day.contains("renews")).collect();
            let text = format!(
                "format = 1\ndevices = {{ p1 = \"phone\", p2 = \"phone\", laptop = \"desktop\" }}\n\
                 titles = {{ a1 = {{ partner = \"a\" }}, a2 = {{ partner = \"a\" }}, \
                 b1 = {{ partner = \"b\" }}, new1 = {{ partner = \"b\", tags = [\"new\"] }} }}\n\
                 [[scenario]]\nname = \"a\"\ngiven = {given:?}\nwhen = {:?}\nthen = \"refused\"\n",
                random_day(&mut random, 14)
            );
            let scenarios =
                scenario::parse(&[("a", &text)]).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let rules = scenario::refused_by(&scenarios[0], &loaded.policy);
            refused += usize::from(!rules.is_empty());
            for (superfluous, other) in &superfluous {
                let has = |id: &String| rules.iter().any(|rule| rule.as_str() == id);
                assert!(
                    !has(superfluous) || has(other),
                    "{superfluous} {other} {rules:?}\n{text}\n{}",
                    loaded.source
                );
            }
        }
    }
    assert!(pairs > 20 && refused > 20, "{pairs} {refused}");
}

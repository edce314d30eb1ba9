use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::policy::{Loaded, MAIN_FILE, parse};

const HEAD: &str = r#"format = 1
name = "test"
effective_from = 2026-01-01T00:00:00Z
gates = [{ id = "plans", plans = ["premium"] }]
tighten = [{ id = "tight", finish_within = "1h" }]

[[caps]]
id = "downloads-per-month"
counts = "acquisitions"
window = { calendar = "month", zone = "Europe/Berlin" }
limit = 10

[[caps]]
id = "downloads-per-year"
counts = "acquisitions"
window = { rolling = "365d" }
limit = 10

"#;

fn loaded(texts: &str) -> Loaded {
    parse(&[(MAIN_FILE, &format!("{HEAD}{texts}"))]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn wrong(texts: &str, told: Expect) {
    let errors = parse(&[(MAIN_FILE, &format!("{HEAD}{texts}"))]).unwrap_err();
    told.assert_eq(&errors.to_string());
}

fn rule(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

fn wanted(tags: &[&str]) -> Vec<Language> {
    tags.iter().map(|tag| Language::new(tag).unwrap()).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn everything(parameter: Parameter) -> Option<Value<'static>> {
    Some(match parameter {
        Parameter::FreesAt | Parameter::RetryAt | Parameter::EndsAt => {
            Value::Instant(at("2026-03-31T22:00:00Z"))
        }
        Parameter::Limit | Parameter::Used | Parameter::Left | Parameter::More => {
            Value::Number(12_345)
        }
        Parameter::Title => Value::Text("{plan} & }{"),
        _ => Value::Text("x"),
    })
}

fn but(absent: Parameter) -> impl Fn(Parameter) -> Option<Value<'static>> {
    move |parameter| (parameter != absent).then(|| everything(parameter))?
}

const GERMAN: &str = r#"
[texts.de]
zone = "Europe/Vienna"
plan_not_allowed = "Nicht im Tarif {plan}."
cap_reached = ["Ab {frees_at}: {{{used}}} von {limit}.", "{used} von {limit}."]
[texts.de.rules]
plans = "Nur mit Premium."
downloads-per-month = "Monat, ab {frees_at}."
downloads-per-year = { left = "Noch {left}." }
[texts.de-at]
plan_not_allowed = "Geht nicht: {title}."
[texts.en]
plan_not_allowed = "Upgrade."
"#;

#[test]
fn the_most_wanted_language_that_has_a_text_speaks_and_in_it_the_rule_before_the_code() {
    let texts = loaded(GERMAN).texts;
    let plan = Topic::Refused(Code::PlanNotAllowed);
    let cap = Topic::Refused(Code::CapReached);
    for (languages, topic, id, said, in_) in [
        (&["de"][..], plan, None, "Nicht im Tarif x.", "de"),
        (&["de"], plan, Some("plans"), "Nur mit Premium.", "de"),
        (&["de"], plan, Some("other"), "Nicht im Tarif x.", "de"),
        (&["fr", "de-AT", "de"], plan, None, "Geht nicht: {plan} & }{.", "de-AT"),
        (&["de-AT", "de"], cap, None, "Ab 1.4.2026, 00:00 CEST: {12.345} von 12.345.", "de"),
        (&["en", "de"], plan, Some("plans"), "Upgrade.", "en"),
        (&["en", "de"], Topic::CapLeft, Some("downloads-per-year"), "Noch 12.345.", "de"),
    ] {
        let rule = id.map(rule);
        let (text, language) =
            texts.say(&wanted(languages), topic, rule.as_ref(), everything).unwrap();
        assert_eq!((text.as_str(), language.as_str()), (said, in_));
    }
    let silent = [
        (&["fr"][..], plan, None),
        (&["de"], Topic::CapLeft, Some(rule("downloads-per-month"))),
        (&["de"], Topic::LicenseReady, None),
    ];
    for (languages, topic, rule) in silent {
        assert_eq!(texts.say(&wanted(languages), topic, rule.as_ref(), everything), None);
    }
}

#[test]
fn a_text_that_names_what_is_not_there_is_passed_over() {
    let texts = loaded(GERMAN).texts;
    let cap = Topic::Refused(Code::CapReached);
    let say = |rule: Option<&RuleId>, absent| {
        texts.say(&wanted(&["de"]), cap, rule, but(absent)).map(|(text, _)| text)
    };
    assert_eq!(say(None, Parameter::FreesAt).unwrap(), "12.345 von 12.345.");
    let month = rule("downloads-per-month");
    assert_eq!(say(Some(&month), Parameter::FreesAt).unwrap(), "12.345 von 12.345.");
    assert_eq!(say(None, Parameter::Used), None);
}

#[test]
fn instants_are_in_the_zone_of_the_cap_else_of_the_texts_else_utc() {
    let utc =
        GERMAN.replace("zone = \"Europe/Vienna\"\n", "").replace("Europe/Berlin", "Asia/Tokyo");
    let cap = Topic::Refused(Code::CapReached);
    let say = |texts: &str, id: &str| {
        let texts = loaded(texts).texts;
        texts.say(&wanted(&["de"]), cap, Some(&rule(id)), everything).unwrap().0
    };
    assert_eq!(say(GERMAN, "downloads-per-month"), "Monat, ab 1.4.2026, 00:00 CEST.");
    assert!(say(GERMAN, "downloads-per-year").starts_with("Ab 1.4.2026, 00:00 CEST:"));
    assert_eq!(say(&utc, "downloads-per-month"), "Monat, ab 1.4.2026, 00:00 CEST.");
    assert!(say(&utc, "downloads-per-year").starts_with("Ab 31.3.2026, 22:00 UTC:"));
    // Two caps of one id that go by two calendars.
    let tokyo = "\n[[partners.p.caps]]\nid = \"downloads-per-month\"\ncounts = \"renewals\"\n\
                 window = { calendar = \"day\", zone = \"Asia/Tokyo\" }\nlimit = 1\n";
    let both = format!("{utc}{tokyo}");
    assert_eq!(say(&both, "downloads-per-month"), "Monat, ab 31.3.2026, 22:00 UTC.");
}

#[test]
fn what_frees_is_told_when_it_is_free_and_what_ends_before_it_is_over() {
    let text = "[texts.en]\nplan_not_allowed = \"{frees_at}\"\nlicense_ready = \"{ends_at}\"";
    let texts = loaded(text).texts;
    let say = |tag: &str, topic, instant: &str| {
        let value = |_| Some(Value::Instant(at(instant)));
        texts.say(&[Language::new(tag).unwrap()], topic, None, value).unwrap().0
    };
    let frees = Topic::Refused(Code::PlanNotAllowed);
    assert_eq!(say("en", frees, "2026-03-01T12:00:00Z"), "1 March 2026, 12:00 UTC");
    assert_eq!(say("en", frees, "2026-03-01T12:00:00.001Z"), "1 March 2026, 12:01 UTC");
    assert_eq!(
        say("en", Topic::LicenseReady, "2026-03-01T12:00:59.999Z"),
        "1 March 2026, 12:00 UTC"
    );
}

#[test]
fn every_language_writes_numbers_and_instants() {
    let tags = ["cs", "de", "de-CH", "en-GB", "en-US", "fr", "ja", "sw", "zh-Hant-TW"];
    let zone = TimeZone::UTC;
    let written = tags.map(|tag| {
        let language = Language::new(tag).unwrap();
        let style = Style::of(&language, &zone);
        let number = style.write(Parameter::Limit, Value::Number(1_234_567));
        let instant = style.write(Parameter::EndsAt, everything(Parameter::EndsAt).unwrap());
        format!("{tag}: {} · {instant}", number.replace('\u{202f}', "_"))
    });
    expect![[r#"
        cs: 1_234_567 · 31. 3. 2026 22:00 UTC
        de: 1.234.567 · 31.3.2026, 22:00 UTC
        de-CH: 1’234’567 · 31.3.2026, 22:00 UTC
        en-GB: 1,234,567 · 31 March 2026, 22:00 UTC
        en-US: 1,234,567 · March 31, 2026, 10:00 PM UTC
        fr: 1_234_567 · 31/03/2026 22:00 UTC
        ja: 1,234,567 · 2026/3/31 22:00 UTC
        sw: 1_234_567 · 2026-03-31 22:00 UTC
        zh-Hant-TW: 1,234,567 · 2026/3/31 22:00 UTC"#]]
    .assert_eq(&written.join("\n"));
    let style = Style::of(&Language::english(), &zone);
    assert_eq!(style.write(Parameter::Limit, Value::Number(9_999)), "9999");
}

#[test]
fn tags_are_those_of_bcp_47() {
    for (tag, known) in [
        ("de", Some("de")),
        ("DE-at", Some("de-AT")),
        ("zh-hant-tw", Some("zh-Hant-TW")),
        ("gsw", Some("gsw")),
        ("es-419", Some("es-419")),
        ("de-1996", Some("de-1996")),
        ("german", None),
        ("und", None),
        ("de-", None),
        ("", None),
        ("d", None),
        ("*", None),
        ("deutsch!", None),
        ("de-u-co-phonebk", None),
    ] {
        assert_eq!(Language::new(tag).as_ref().map(Language::as_str), known, "{tag}");
    }
    let wider = Language::new("zh-Hant-TW").unwrap().wider().unwrap();
    assert_eq!(wider.as_str(), "zh-Hant");
    assert_eq!(wider.wider().unwrap().wider(), None);
}

#[test]
fn what_nobody_could_be_told_is_refused_with_what_was_meant() {
    wrong(
        r#"
        [texts.german]
        cap_reached = "x"
        [texts.de]
        zone = "Europe/Berlim"
        cap_reach = "x"
        title_unknown = "{titel}"
        title_not_offered = "{limit}"
        license_ready = "{title}"
        cap_reached = "{used of {limit}"
        cap_left = "noch {left"
        license_closed = "{} }"
        license_expired = "}"
        device_unknown = ""
        device_removed = "a\tb"
        term_unknown = 3
        remedy_release = []
        renewal_too_late = ["{title} am {retry_at}", "zu spät", "{title}"]
        [texts.de.rules]
        downloads-per-mont = "x"
        tight = "x"
        plans = { refused = "x" }
        downloads-per-month = { refused = "{limit} {left}", warn = "x" }
        downloads-per-year = ["{frees_at}", 7]
        [texts.DE]
        "#,
        expect![[r#"
            policy.toml, line 20, field `texts.german`: `german` is not the tag of a language; write one of BCP 47, like `de`, `de-AT` or `zh-Hant`
            policy.toml, line 22, field `texts.de`: a language has one table; the other of `de` is in policy.toml, line 43
            policy.toml, line 23, field `texts.de.zone`: `Europe/Berlim` is not a time zone; did you mean `Europe/Berlin`?
            policy.toml, line 24, field `texts.de.cap_reach`: `cap_reach` is not a known field; did you mean `cap_reached`?
            policy.toml, line 25, field `texts.de.title_unknown`: `{titel}` is not known here; did you mean `title`?
            policy.toml, line 26, field `texts.de.title_not_offered`: `{limit}` is not known here; known here: `{title}`, `{device}`, `{plan}`, `{territory}`, `{frees_at}`, `{retry_at}`
            policy.toml, line 27, field `texts.de.license_ready`: `{title}` is not known here; known here: `{ends_at}`
            policy.toml, line 28, field `texts.de.cap_reached`: a `{` is not closed; write `{title}`, or `{{` for the brace itself
            policy.toml, line 29, field `texts.de.cap_left`: a `{` is not closed; write `{title}`, or `{{` for the brace itself
            policy.toml, line 30, field `texts.de.license_closed`: `{}` is not known here; known here: `{title}`, `{device}`, `{plan}`, `{territory}`, `{frees_at}`, `{retry_at}`
            policy.toml, line 31, field `texts.de.license_expired`: a `}` closes nothing; write `{title}`, or `}}` for the brace itself
            policy.toml, line 32, field `texts.de.device_unknown`: a text has 1 to 500 characters
            policy.toml, line 33, field `texts.de.device_removed`: a text stands on one line, without tabs and control characters
            policy.toml, line 34, field `texts.de.term_unknown`: is an integer, and should be a text, or a list of texts
            policy.toml, line 35, field `texts.de.remedy_release`: says nothing; write a text, or remove it
            policy.toml, line 36, field `texts.de.renewal_too_late[2]`: is never said, for a text before it can be said whenever this one can; put the one that names more first
            policy.toml, line 38, field `texts.de.rules.downloads-per-mont`: `downloads-per-mont` is not the id of a rule; did you mean `downloads-per-month`?
            policy.toml, line 39, field `texts.de.rules.tight`: `tight` is a tightening, which nobody is told of; write the id of a gate or a cap
            policy.toml, line 40, field `texts.de.rules.plans`: is a table, and should be a text, or a list of texts
            policy.toml, line 41, field `texts.de.rules.downloads-per-month.refused`: `{left}` is not known here; known here: `{limit}`, `{used}`, `{title}`, `{device}`, `{plan}`, `{territory}`, `{tag}`, `{frees_at}`, `{retry_at}`
            policy.toml, line 41, field `texts.de.rules.downloads-per-month.warn`: `warn` is not a known field; known here: `left`, `refused`
            policy.toml, line 42, field `texts.de.rules.downloads-per-year[1]`: is an integer, and should be a text, or a list of texts
            policy.toml, line 43, field `texts.DE`: says nothing; write a text, or remove it"#]],
    );
}

#[test]
fn a_language_stands_in_one_file_and_names_the_rules_of_all() {
    let head = format!("{HEAD}[texts.de]\nzone = \"Europe/Berlin\"\n");
    let more = |texts: &str| format!("format = 1\n{texts}");
    let files = |texts| parse(&[(MAIN_FILE, &head), ("de.toml", &more(texts))]);
    let french = files("[texts.fr.rules]\nplans = \"Avec Premium.\"").unwrap().texts;
    let plan = Topic::Refused(Code::PlanNotAllowed);
    let said = french.say(&wanted(&["fr"]), plan, Some(&rule("plans")), |_| None).unwrap().0;
    assert_eq!(said, "Avec Premium.");
    let errors = files("[texts.de]\ncap_reached = \"x\"").unwrap_err().to_string();
    expect!["policy.toml, line 19, field `texts.de`: a language has one table; the other of `de` is in de.toml, line 2"].assert_eq(&errors);
}

#[test]
fn texts_are_part_of_the_version_and_not_of_the_policy() {
    let (silent, german) = (loaded(""), loaded(GERMAN));
    assert!(silent.texts.is_empty() && !german.texts.is_empty());
    assert_ne!(silent.policy.version, german.policy.version);
    let version = silent.policy.version.clone();
    assert_eq!(domain::Policy { version, ..german.policy }, silent.policy);
}

/// Text of the signs that mean something, and of any others.
fn text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(Parameter::ALL.map(Parameter::name).to_vec());
    let piece = prop_oneof![
        names.prop_map(|name| format!("{{{name}}}")),
        prop::sample::select(vec!["{", "}", "{{", "}}", "{}", "%", "\\", " "])
            .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Text("{title} %d }")),
        any::<u32>().prop_map(Value::Number),
        any::<i64>().prop_map(|ms| Value::Instant(Timestamp::from_millis(ms))),
    ]
}

proptest! {
    /// Whatever is written, it is read or refused; and what is read is said or passed over,
    /// whatever the values are, of whatever kind.
    #[test]
    fn no_text_of_any_policy_can_make_telling_panic(
        tag in "[a-zA-Z]{1,4}(-[a-zA-Z0-9]{1,4}){0,2}",
        topic in prop::sample::select(Topic::all().collect::<Vec<_>>()),
        texts in prop::collection::vec(text(), 1..4),
        values in prop::collection::vec(prop::option::of(value()), 12),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"]),
    ) {
        let quoted: Vec<String> = texts.iter().map(|text| toml::Value::from(text.as_str()).to_string()).collect();
        let policy = format!(
            "{HEAD}[texts.{tag}]\nzone = \"{zone}\"\n{} = [{}]\n",
            topic.name(),
            quoted.join(", ")
        );
        if let Ok(Loaded { texts, .. }) = parse(&[(MAIN_FILE, &policy)]) {
            let wanted = [Language::new(&tag).unwrap()];
            let value = |parameter| values[parameter as usize].clone();
            let named = |parameter: Parameter| values[parameter as usize].is_some();
            let said = texts.say(&wanted, topic, None, value);
            let known = texts.languages[&wanted[0]].topics[&topic].iter();
            prop_assert_eq!(said.is_some(), known.clone().any(|text| text.parameters().all(named)));
        }
    }

    /// What is no brace stands as it was written.
    #[test]
    fn a_text_without_places_is_said_as_it_stands(text in "[^{}]*") {
        let filled = Template::parse(&text).unwrap().fill(|_| None);
        prop_assert_eq!(filled, Some(text.clone()));
        let braces = format!("{{{{{text}}}}}");
        prop_assert_eq!(Template::parse(&braces).unwrap().fill(|_| None), Some(format!("{{{text}}}")));
    }
}

use domain::Member;
use domain::member::CountedKind;
use domain::policy::{Kinds, ScopeKey};
use playback::Catalogue;

use super::*;

const POLICY: &str = r#"
format = 1
name = "test"
effective_from = 2026-01-01T00:00:00Z

[[caps]]
id = "monthly"
counts = "acquisitions"
window = { calendar = "month", zone = "Europe/Berlin" }
limit = 3

[[caps]]
id = "rolling"
counts = "acquisitions"
window = { rolling = "30d" }
limit = 3

[[titles.film.caps]]
id = "of-film"
counts = "renewals"
window = { calendar = "month", zone = "America/New_York" }
limit = 3
"#;

const AT: &str = "2026-02-28T22:30:00Z";

fn said(rule: &str, counts: Counts, per: &[ScopeKey], left: u32, frees_at: Option<&str>) -> String {
    let policy = codec::policy::parse(&[("policy.toml", POLICY)]).unwrap().policy;
    let instant = |text: &str| text.parse::<Timestamp>().unwrap();
    let window = matches!(counts, Counts::Events(_)).then(|| (instant(AT), instant(AT)));
    let state = CapState {
        rule: rule.parse().unwrap(),
        counts,
        per: per.to_vec(),
        tag: None,
        limit: 3,
        raised: 0,
        used: 3 - left,
        window,
        frees_at: frees_at.map(instant),
        warns: true,
    };
    let (device, title) = ("phone".parse().unwrap(), "film".parse().unwrap());
    let facts = TitleFacts {
        partner: "aurora".parse().unwrap(),
        series: None,
        tags: [].into(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    let subject = Subject { device: &device, title: Some((&title, &facts)) };
    let names = Names { catalogue: &Catalogue::default(), member: &Member::default() };
    super::left(&state, subject, &policy, instant(AT), names)
}

fn events(kinds: &[CountedKind]) -> Counts {
    Counts::Events(Kinds::of(kinds))
}

#[test]
fn what_is_left_is_a_sentence_that_says_until_when() {
    let acquired = events(&[CountedKind::Acquired]);
    let both = events(&[CountedKind::Acquired, CountedKind::Renewed]);
    let device = &[ScopeKey::Device][..];
    let soon = Some("2026-03-03T09:00:00Z");
    for (counts, per, left, frees_at, sentence) in [
        (acquired, &[ScopeKey::Title][..], 1, soon, "1 more download of “film” before 3 March."),
        (
            acquired,
            &[],
            2,
            Some("2027-01-31T00:00:00Z"),
            "2 more downloads before 31 January 2027.",
        ),
        (acquired, &[], 0, soon, "No more downloads before 3 March."),
        (acquired, &[], 3, None, "3 more downloads."),
        (acquired, &[], 1, Some("2026-02-28T23:15:00Z"), "1 more download before 23:15 UTC."),
        (both, device, 1, soon, "1 more download or renewal on “phone” before 3 March."),
        (both, &[], 2, soon, "2 more downloads or renewals before 3 March."),
        (Counts::ActiveLicenses, device, 1, soon, "Room for 1 more download on “phone”."),
        (Counts::ActiveLicenses, &[], 0, soon, "Room for no more downloads."),
        (Counts::DistinctTitles, &[], 2, soon, "Room for 2 more titles."),
        (Counts::DevicesHolding, &[], 1, soon, "1 more device may have downloads."),
        (
            Counts::DevicesHolding,
            &[ScopeKey::Title],
            0,
            soon,
            "No more devices may have downloads of “film”.",
        ),
        (Counts::DevicesRegistered, &[], 2, None, "2 more devices may be registered."),
    ] {
        assert_eq!(said("rolling", counts, per, left, frees_at), sentence);
    }
}

/// The first of March in Berlin begins on the last of February in UTC.
#[test]
fn dates_are_those_of_the_caps_own_calendar() {
    let acquired = events(&[CountedKind::Acquired]);
    let told = |rule, counts, frees_at| said(rule, counts, &[], 1, Some(frees_at));
    let month_end = "2026-03-31T22:00:00Z";
    assert_eq!(told("monthly", acquired, month_end), "1 more download before 1 April.");
    assert_eq!(told("rolling", acquired, month_end), "1 more download before 31 March.");
    let renewed = events(&[CountedKind::Renewed]);
    let month_end = "2026-04-01T04:00:00Z";
    assert_eq!(told("of-film", renewed, month_end), "1 more renewal before 1 April.");
    let tonight = "2026-03-01T04:15:00Z";
    assert_eq!(told("of-film", renewed, tonight), "1 more renewal before 23:15 EST.");
}

#[test]
fn months_have_the_names_that_the_library_gives_them() {
    for number in 1..=12 {
        let date = jiff::civil::date(2026, number, 1);
        assert_eq!(month(date), date.strftime("%B").to_string());
    }
}

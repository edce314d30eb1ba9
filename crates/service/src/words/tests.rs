use domain::member::{Command, Remedy, RemedyAction};
use domain::{DeviceId, LicenseId, TitleId};

use super::*;

fn said(counts: Counts, per: &[ScopeKey], limit: u32, used: u32) -> String {
    let at = Timestamp::from_millis;
    let window = matches!(counts, Counts::Events(_)).then(|| (at(0), at(1)));
    let per = per.to_vec();
    let cap =
        CapFinding { counts, per, tag: None, limit, raised: 0, used, window, contributors: vec![] };
    let (code, rule, frees_at) = (Code::CapReached, None, None);
    let acquire = Command::Acquire {
        device: DeviceId::new("phone").unwrap(),
        title: TitleId::new("film").unwrap(),
        title_facts: None,
        license: LicenseId::new("l").unwrap(),
    };
    let names = Names { catalogue: &Catalogue::default(), member: &Member::default() };
    finding(&Finding { command: 0, code, rule, cap: Some(cap), frees_at }, Some(&acquire), names)
}

#[test]
fn a_cap_is_a_sentence_that_names_what_is_counted_and_of_what() {
    let acquisitions = Counts::Events(Kinds::of(&[CountedKind::Acquired]));
    let renewals = Counts::Events(Kinds::of(&[CountedKind::Renewed]));
    let both = Counts::Events(Kinds::of(&[CountedKind::Acquired, CountedKind::Renewed]));
    for (counts, per, limit, used, sentence) in [
        (
            Counts::DevicesHolding,
            &[][..],
            2,
            2,
            "Downloads are already on 2 devices, and 2 may have them.",
        ),
        (
            Counts::ActiveLicenses,
            &[ScopeKey::Device],
            1,
            1,
            "You keep 1 download on “phone”, and the limit is 1.",
        ),
        (
            Counts::ActiveLicenses,
            &[ScopeKey::Partner],
            0,
            0,
            "Your plan has no downloads from this studio.",
        ),
        (
            acquisitions,
            &[ScopeKey::Title],
            2,
            2,
            "2 of 2 downloads of “film” in this period are used.",
        ),
        (
            acquisitions,
            &[ScopeKey::Series, ScopeKey::Profile],
            0,
            0,
            "No new downloads are allowed of this series on this profile.",
        ),
        (
            renewals,
            &[ScopeKey::DeviceClass],
            5,
            6,
            "6 of 5 renewals on devices of this kind in this period are used.",
        ),
        (renewals, &[], 0, 1, "No renewals are allowed."),
        (both, &[], 3, 3, "3 of 3 downloads and renewals in this period are used."),
    ] {
        assert_eq!(said(counts, per, limit, used), sentence);
    }
}

#[test]
fn a_remedy_is_the_text_of_a_button() {
    let release = |title: &str| RemedyAction::Release {
        license: LicenseId::new("l").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        title: TitleId::new(title).unwrap(),
    };
    let names = Names { catalogue: &Catalogue::default(), member: &Member::default() };
    for (titles, text) in [
        (&["a"][..], "Remove “a” from “phone”"),
        (&["a", "b", "c"], "Remove “a” from “phone” and 2 more"),
    ] {
        let remedy_ = Remedy { actions: titles.iter().map(|title| release(title)).collect() };
        assert_eq!(remedy(&remedy_, names), text);
    }
}

//! Bytes of every version ever written, which must decode for ever.
//!
//! `fixtures/<kind>.<case>.v<version>.cbor` is what was stored; the `.txt` beside it is what it
//! means today. The bytes are added to and never edited; after a change of names in the domain the
//! text may be made again, by deleting it. `cargo xtask fixtures` writes what is missing and touches
//! nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use domain::member::{
    Acquired, Allowance, CapFinding, Cause, CheckInMoved, Code, Command, Contributor, CountedKind,
    DeviceDecided, Finding, Holding, Idempotency, Leaving, Play, PlayReport, Refused, Remedy,
    RemedyAction, Renewed, Target, Term, Warrant,
};
use domain::policy::{Counts, Kinds, ScopeKey};
use domain::{
    DeviceClass, DeviceId, Duration, Facts, IdempotencyKey, KeyThumbprint, LicenseId, MemberFacts,
    PolicyVersion, RuleId, Timestamp, TitleFacts, TitleId,
};

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn fixtures() -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "cbor"))
}

fn fixture(case: &str, event: &Event) -> PathBuf {
    let kind = Kind::of(event);
    folder().join(format!("{}.{case}.v{}.cbor", kind.name(), kind.version_written()))
}

/// Every file of the folder is read as what stands beside it, and no version is without one.
#[test]
fn fixtures_of_every_version_decode_for_ever() {
    write_missing();
    let mut read = BTreeSet::new();
    for path in fixtures() {
        let name = path.display();
        let event =
            decode_event(&fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let told = fs::read_to_string(path.with_extension("txt"));
        let told = told.unwrap_or_else(|e| panic!("the text of {name}: {e}"));
        assert_eq!(format!("{event:#?}\n"), told, "{name}");
        let parts: Vec<&str> = path.file_name().unwrap().to_str().unwrap().split('.').collect();
        read.insert((parts[0].to_owned(), parts[2].to_owned()));
    }
    for kind in Kind::ALL {
        for version in 1..=kind.version_written() {
            let fixture = (kind.name().to_owned(), format!("v{version}"));
            assert!(
                read.contains(&fixture),
                "no fixture of {fixture:?}; run `cargo xtask fixtures`"
            );
        }
    }
}

/// What is written today is what is stored in the folder, byte for byte: a change of a shape
/// without a version of its own shows here, and so does a kind without a sample.
#[test]
fn fixtures_are_what_is_written_today() {
    write_missing();
    let mut covered = BTreeSet::new();
    for (case, event) in samples() {
        let path = fixture(case, &event);
        let name = path.display();
        let stored = fs::read(&path)
            .unwrap_or_else(|e| panic!("{name}: {e}; add it with `cargo xtask fixtures`"));
        let written = encode_event(&event);
        assert_eq!(
            written, stored,
            "{name}: what is written changed; give it a version of its own"
        );
        covered.insert(Kind::of(&event));
    }
    assert_eq!(covered, BTreeSet::from(Kind::ALL), "a kind has no sample");
}

/// Once in a run, before anything is looked at.
fn write_missing() {
    static ONCE: Once = Once::new();
    if std::env::var("CARNET_FIXTURES").is_ok_and(|wish| wish == "write") {
        ONCE.call_once(|| {
            fs::create_dir_all(folder()).unwrap();
            for (case, event) in samples() {
                let path = fixture(case, &event);
                if !path.exists() {
                    fs::write(&path, encode_event(&event)).unwrap();
                }
            }
            for path in fixtures().filter(|path| !path.with_extension("txt").exists()) {
                let event = decode_event(&fs::read(&path).unwrap()).unwrap();
                fs::write(path.with_extension("txt"), format!("{event:#?}\n")).unwrap();
            }
        });
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn license(id: &str) -> LicenseId {
    LicenseId::new(id).unwrap()
}

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

fn title(id: &str) -> TitleId {
    TitleId::new(id).unwrap()
}

fn rules(ids: &[&str]) -> Vec<RuleId> {
    ids.iter().map(|id| RuleId::new(id).unwrap()).collect()
}

fn policy() -> PolicyVersion {
    PolicyVersion::new("p1-00112233445566778899aabbccddeeff").unwrap()
}

fn key() -> KeyThumbprint {
    KeyThumbprint::new("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs").unwrap()
}

fn member_facts() -> MemberFacts {
    MemberFacts {
        profile: Some("kim".parse().unwrap()),
        plan: Some("premium".parse().unwrap()),
        territory: Some("DE".parse().unwrap()),
        security_level: Some("L1".parse().unwrap()),
        ..MemberFacts::default()
    }
}

/// With the facts that came later.
fn wide_member_facts() -> MemberFacts {
    MemberFacts {
        account: Some("extra".parse().unwrap()),
        maturity_limit: Some(12),
        member_since: Some(at("2024-01-31T09:30:00Z")),
        ..member_facts()
    }
}

/// With those that came later still.
fn told_facts() -> MemberFacts {
    MemberFacts {
        concurrent_streams: Some(3),
        elsewhere_at: Some(at("2026-01-15T08:00:00Z")),
        ..wide_member_facts()
    }
}

fn wide_facts() -> Arc<Facts> {
    let title = TitleFacts { maturity_rating: Some(16), ..title_facts() };
    Arc::new(Facts::new(&wide_member_facts(), DeviceClass::Tv, &title))
}

fn decided() -> Option<Box<DeviceDecided>> {
    let caps = rules(&["devices", "swaps"]);
    Some(Box::new(DeviceDecided { facts: wide_member_facts(), policy: policy(), caps }))
}

fn title_facts() -> TitleFacts {
    TitleFacts {
        partner: "aurora-pictures".parse().unwrap(),
        series: Some("northern-tales".parse().unwrap()),
        tags: Arc::from(["drama".parse().unwrap(), "new".parse().unwrap()]),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: Some(at("2026-01-01T00:00:00Z")),
        available_until: Some(at("2026-12-31T23:00:00Z")),
    }
}

fn bare_title_facts() -> TitleFacts {
    TitleFacts {
        partner: "tidewater".parse().unwrap(),
        series: None,
        tags: Arc::from([]),
        maturity_rating: None,
        downloadable: false,
        offered: false,
        available_from: None,
        available_until: None,
    }
}

fn facts() -> Arc<Facts> {
    Arc::new(Facts::new(&member_facts(), DeviceClass::Phone, &title_facts()))
}

fn bare_facts() -> Arc<Facts> {
    Arc::new(Facts::new(&MemberFacts::default(), DeviceClass::Web, &bare_title_facts()))
}

fn term(number: u32, started_at: &str) -> Term {
    Term {
        number,
        started_at: at(started_at),
        begun_at: None,
        start_by: Some(at(started_at) + Duration::days(30)),
        finish_within: Some(Duration::hours(48)),
        check_in_within: Some(Duration::days(30)),
        grace: Duration::hours(6),
        running_play: Duration::hours(4),
        not_before: Some(at("2026-01-01T00:00:00Z")),
        hard_end: Some(at("2026-12-31T23:00:00Z")),
        renew_before_end: Some(Duration::days(7)),
        renew_after_end: Some(Duration::days(90)),
        renewals_max: Some(5),
        delete_at_end: false,
    }
}

fn bare_term(started_at: &str) -> Term {
    Term {
        number: 1,
        started_at: at(started_at),
        begun_at: None,
        start_by: None,
        finish_within: None,
        check_in_within: None,
        grace: Duration::ZERO,
        running_play: Duration::ZERO,
        not_before: None,
        hard_end: None,
        renew_before_end: None,
        renew_after_end: None,
        renewals_max: None,
        delete_at_end: false,
    }
}

fn every_command() -> Vec<Command> {
    let play = PlayReport {
        sequence: 17,
        license: license("lic-1"),
        term: 1,
        occurred_at: at("2026-02-28T20:15:00Z"),
        device_at: at("2026-02-28T20:14:02.125Z"),
    };
    vec![
        Command::RegisterDevice {
            device: device("tablet-2"),
            class: DeviceClass::Tablet,
            key: key(),
            name: "Küche".to_owned(),
        },
        Command::RemoveDevice { device: device("phone-1") },
        Command::Acquire {
            device: device("tablet-2"),
            title: title("10.5240/7791-8534"),
            title_facts: Some(title_facts()),
            license: license("lic-9"),
        },
        Command::Renew {
            device: device("tablet-2"),
            license: license("lic-1"),
            term: 1,
            title_facts: Some(bare_title_facts()),
            automatic: false,
        },
        Command::Release { by: Some(device("tablet-2")), license: license("lic-2") },
        Command::CheckIn {
            device: device("tablet-2"),
            holdings: vec![
                Holding { license: license("lic-1"), started: true },
                Holding { license: license("lic-2"), started: false },
            ],
        },
        Command::RecordPlays {
            device: device("tablet-2"),
            sequences: vec![(1, 16), (17, 17)],
            plays: vec![play],
        },
        Command::DrmFailed { license: license("lic-1"), term: 2 },
        // What is absent is left out.
        Command::Acquire {
            device: device("tablet-2"),
            title: title("gone"),
            title_facts: None,
            license: license("lic-10"),
        },
        Command::Release { by: None, license: license("lic-3") },
    ]
}

fn contributor() -> Contributor {
    Contributor {
        at: at("2026-02-01T08:00:00Z"),
        license: Some(license("lic-2")),
        title: Some(title("10.5240/7791-8534")),
        device: device("phone-1"),
        frees_at: Some(at("2027-02-01T08:00:00Z")),
        in_list: None,
    }
}

/// What caps came to count later.
fn refused_by_devices() -> Refused {
    let all_counts = [
        Counts::DistinctTitles,
        Counts::DevicesRegistered,
        Counts::Events(Kinds::of(&[CountedKind::Acquired, CountedKind::FirstPlayed])),
        Counts::Events(Kinds::of(&CountedKind::ALL)),
    ];
    let finding = |counts| Finding {
        command: 0,
        code: Code::CapReached,
        rule: Some("devices".parse().unwrap()),
        cap: Some(CapFinding {
            counts,
            per: vec![ScopeKey::Tag],
            tag: Some("new".parse().unwrap()),
            limit: 2,
            raised: 0,
            used: 2,
            window: None,
            contributors: vec![Contributor { license: None, title: None, ..contributor() }],
        }),
        frees_at: None,
    };
    let remove = RemedyAction::RemoveDevice { device: device("phone-1") };
    Refused {
        commands: vec![Command::RemoveDevice { device: device("phone-1") }],
        facts: wide_member_facts(),
        policy: policy(),
        findings: all_counts.into_iter().map(finding).collect(),
        retry_at: None,
        remedies: vec![Remedy { actions: vec![remove] }],
    }
}

fn refused_automatic() -> Refused {
    let code = Code::AutoRenewalTooSoon;
    Refused {
        commands: vec![Command::Renew {
            device: device("phone-1"),
            license: license("lic-1"),
            term: 3,
            title_facts: None,
            automatic: true,
        }],
        findings: vec![Finding { command: 0, code, rule: None, cap: None, frees_at: None }],
        remedies: vec![],
        ..refused_by_devices()
    }
}

fn refused_at_gates() -> Refused {
    let reasons =
        [Code::SecurityLevelNotAllowed, Code::AccountNotAllowed, Code::MaturityNotAllowed];
    let finding = |code| Finding { command: 0, code, rule: None, cap: None, frees_at: None };
    let facts = TitleFacts { maturity_rating: Some(18), ..title_facts() };
    Refused {
        commands: vec![Command::Acquire {
            device: device("phone-1"),
            title: title("t"),
            title_facts: Some(facts),
            license: license("lic-1"),
        }],
        findings: reasons.into_iter().map(finding).collect(),
        remedies: vec![],
        ..refused_by_devices()
    }
}

/// By what was told of the member and the device from elsewhere.
fn refused_as_told() -> Refused {
    let finding = |code| Finding { command: 0, code, rule: None, cap: None, frees_at: None };
    let elsewhere = Some(at("2026-04-15T08:00:00Z"));
    Refused {
        facts: told_facts(),
        findings: vec![
            finding(Code::TooManyStreams),
            Finding { frees_at: elsewhere, ..finding(Code::DeviceElsewhere) },
        ],
        remedies: vec![],
        ..refused_at_gates()
    }
}

fn warrant() -> Warrant {
    Warrant { actor: "support/kim".to_owned(), reason: "ticket 4711: lost its phone".to_owned() }
}

fn allowance() -> Allowance {
    let rule = "downloads-per-title-and-year".parse().unwrap();
    Allowance { rule, amount: 2, until: at("2026-04-01T00:00:00Z") }
}

fn revoked(target: Target) -> EventBody {
    EventBody::Revoked { target, warrant: warrant() }
}

/// What is asked around a member, and what else stands in the way of a command.
fn refused_around() -> Refused {
    let exception = || "exc-1".parse().unwrap();
    let reasons = [
        Code::MemberRevoked,
        Code::MembershipLapsed,
        Code::DeviceRevoked,
        Code::DeviceLeaving,
        Code::RuleUnknown,
        Code::ExceptionOver,
        Code::ExceptionUnknown,
    ];
    let finding = |code| Finding { command: 0, code, rule: None, cap: None, frees_at: None };
    let mut findings: Vec<Finding> = reasons.into_iter().map(finding).collect();
    findings.push(Finding {
        cap: Some(CapFinding {
            counts: Counts::ActiveLicenses,
            per: vec![],
            tag: None,
            limit: 3,
            raised: 1,
            used: 3,
            window: None,
            contributors: vec![],
        }),
        ..finding(Code::CapReached)
    });
    Refused {
        commands: vec![
            Command::ChangeMember,
            Command::LapseMembership,
            Command::ResumeMembership { warrant: None },
            Command::Revoke { target: Target::Member, warrant: warrant() },
            Command::WithdrawTitle { title: title("10.5240/7791-8534") },
            Command::GrantException {
                exception: exception(),
                allowance: allowance(),
                warrant: warrant(),
            },
            Command::EndException { exception: exception(), warrant: warrant() },
        ],
        findings,
        remedies: vec![],
        ..refused_by_devices()
    }
}

fn refused_for_every_reason() -> Refused {
    let finding = |code| Finding { command: 2, code, rule: None, cap: None, frees_at: None };
    // Those that were there from the beginning.
    let mut findings: Vec<Finding> = Code::ALL.into_iter().take(20).map(finding).collect();
    let all_counts = [
        Counts::ActiveLicenses,
        Counts::DevicesHolding,
        Counts::Events(Kinds::of(&[CountedKind::Acquired])),
        Counts::Events(Kinds::of(&[CountedKind::Renewed])),
        Counts::Events(Kinds::of(&[CountedKind::Acquired, CountedKind::Renewed])),
        Counts::Events(Kinds::of(&[])),
    ];
    for (counts, per) in all_counts.into_iter().zip(ScopeKey::ALL) {
        let contributor = contributor();
        let in_list = Contributor {
            license: Some(license("lic-9")),
            frees_at: None,
            in_list: Some(1),
            ..contributor.clone()
        };
        let cap = CapFinding {
            counts,
            per: vec![per],
            tag: None,
            limit: 2,
            raised: 0,
            used: 2,
            window: Some((at("2025-03-01T12:00:00.001Z"), at("2026-03-01T12:00:00.001Z"))),
            contributors: vec![contributor, in_list],
        };
        findings.push(Finding {
            command: 0,
            code: Code::CapReached,
            rule: Some("downloads-per-title-and-year".parse().unwrap()),
            cap: Some(cap),
            frees_at: Some(at("2027-02-01T08:00:00Z")),
        });
    }
    let release = RemedyAction::Release {
        license: license("lic-2"),
        device: device("phone-1"),
        title: title("10.5240/7791-8534"),
    };
    Refused {
        commands: every_command(),
        facts: member_facts(),
        policy: policy(),
        findings,
        retry_at: Some(at("2027-02-01T08:00:00Z")),
        remedies: vec![Remedy { actions: vec![release] }],
    }
}

/// Every field of every kind with something in it, and with nothing in it; `wide` with what was
/// added to the shapes later.
#[expect(clippy::too_many_lines, reason = "a list")]
fn samples() -> Vec<(&'static str, Event)> {
    let now = "2026-03-01T12:00:00.125Z";
    let full = |body| {
        let key = IdempotencyKey::new("0195-7e1c").unwrap();
        let idempotency = Some(Idempotency { key, body_digest: [0xab; 32] });
        ("full", Event { at: at(now), cause: Cause { idempotency, command: 3 }, body })
    };
    let bare = |body| ("bare", Event { at: at(now), cause: Cause::default(), body });
    let case = |name, body| (name, Event { at: at(now), cause: Cause::default(), body });
    let wide = |body| case("wide", body);
    let registered = |class: DeviceClass| {
        let body = EventBody::DeviceRegistered {
            device: device("phone-1"),
            class,
            key: key(),
            name: "Mobiltelefon".to_owned(),
            decided: None,
        };
        (class.name(), Event { at: at(now), cause: Cause::default(), body })
    };
    let mut samples = vec![
        full(EventBody::DeviceRemoved { device: device("phone-1"), decided: None }),
        wide(EventBody::DeviceRemoved { device: device("phone-1"), decided: decided() }),
        wide(EventBody::DeviceRegistered {
            device: device("tv-1"),
            class: DeviceClass::Tv,
            key: key(),
            name: String::new(),
            decided: decided(),
        }),
        wide(EventBody::Reissued {
            license: license("lic-1"),
            term: 2,
            facts: wide_facts(),
            policy: policy(),
        }),
        wide(EventBody::Refused(Box::new(refused_by_devices()))),
        full(EventBody::Acquired(Acquired {
            license: license("lic-1"),
            device: device("phone-1"),
            title: title("10.5240/7791-8534"),
            facts: facts(),
            policy: policy(),
            term: term(1, now),
            caps: rules(&["devices-with-downloads", "downloads-per-title-and-year"]),
            replaces: Some(license("lic-0")),
        })),
        bare(EventBody::Acquired(Acquired {
            license: license("lic-1"),
            device: device("web-1"),
            title: title("t"),
            facts: bare_facts(),
            policy: PolicyVersion::new("draft").unwrap(),
            term: bare_term(now),
            caps: vec![],
            replaces: None,
        })),
        full(EventBody::Reissued {
            license: license("lic-1"),
            term: 2,
            facts: facts(),
            policy: policy(),
        }),
        full(EventBody::Renewed(Renewed {
            license: license("lic-1"),
            facts: facts(),
            policy: policy(),
            term: term(2, now),
            caps: rules(&["renewals-per-title"]),
            automatic: false,
        })),
        case(
            "deleted",
            EventBody::Renewed(Renewed {
                license: license("lic-1"),
                facts: facts(),
                policy: policy(),
                term: Term { delete_at_end: true, ..term(2, now) },
                caps: vec![],
                automatic: false,
            }),
        ),
        case("gates", EventBody::Refused(Box::new(refused_at_gates()))),
        case(
            "told",
            EventBody::Reissued {
                license: license("lic-1"),
                term: 2,
                facts: Arc::new(Facts::new(&told_facts(), DeviceClass::Tv, &title_facts())),
                policy: policy(),
            },
        ),
        case("told", EventBody::Refused(Box::new(refused_as_told()))),
        case("automatic", EventBody::Refused(Box::new(refused_automatic()))),
        case(
            "automatic",
            EventBody::Renewed(Renewed {
                license: license("lic-1"),
                facts: wide_facts(),
                policy: policy(),
                term: Term { begun_at: Some(at("2026-02-28T20:15:00Z")), ..term(2, now) },
                caps: vec![],
                automatic: true,
            }),
        ),
        full(EventBody::Released {
            license: license("lic-1"),
            by: Some(device("phone-1")),
            returned: true,
            waits: false,
            policy: None,
        }),
        bare(EventBody::Released {
            license: license("lic-1"),
            by: None,
            returned: false,
            waits: false,
            policy: None,
        }),
        case(
            "waits",
            EventBody::Released {
                license: license("lic-1"),
                by: Some(device("tablet-2")),
                returned: false,
                waits: true,
                policy: None,
            },
        ),
        case(
            "told",
            EventBody::Released {
                license: license("lic-1"),
                by: None,
                returned: false,
                waits: true,
                policy: Some(policy()),
            },
        ),
        case("around", EventBody::Refused(Box::new(refused_around()))),
        bare(EventBody::MemberChanged {
            facts: MemberFacts::default(),
            policy: policy(),
            leaving: vec![],
        }),
        full(EventBody::MemberChanged {
            facts: wide_member_facts(),
            policy: policy(),
            leaving: vec![
                Leaving { device: device("a"), at: at("2026-03-08T12:00:00Z"), removed: false },
                Leaving { device: device("b"), at: at("2026-03-08T12:00:00Z"), removed: true },
            ],
        }),
        bare(EventBody::MembershipLapsed { policy: policy(), ends_at: None }),
        full(EventBody::MembershipLapsed {
            policy: policy(),
            ends_at: Some(at("2026-03-04T12:00:00Z")),
        }),
        bare(EventBody::MembershipResumed { warrant: None }),
        full(EventBody::MembershipResumed { warrant: Some(warrant()) }),
        case("license", revoked(Target::License(license("lic-1")))),
        case("device", revoked(Target::Device(device("phone-1")))),
        case("member", revoked(Target::Member)),
        full(EventBody::TitleWithdrawn { title: title("10.5240/7791-8534") }),
        full(EventBody::ExceptionGranted {
            exception: "exc-1".parse().unwrap(),
            allowance: allowance(),
            warrant: warrant(),
        }),
        full(EventBody::ExceptionEnded { exception: "exc-1".parse().unwrap(), warrant: warrant() }),
        bare(EventBody::NeverStarted { license: license("lic-1") }),
        full(EventBody::CheckedIn {
            device: device("phone-1"),
            moved: vec![CheckInMoved {
                license: license("lic-1"),
                term: 2,
                check_in_by: at("2026-03-31T12:00:00.125Z"),
            }],
            facts: member_facts(),
            policy: policy(),
        }),
        bare(EventBody::CheckedIn {
            device: device("phone-1"),
            moved: vec![],
            facts: MemberFacts::default(),
            policy: policy(),
        }),
        bare(EventBody::PlaysRecorded {
            device: device("phone-1"),
            sequences: vec![(1, 16), (18, 18)],
            plays: vec![Play {
                sequence: 16,
                license: license("lic-1"),
                term: 1,
                occurred_at: at("2026-02-28T20:15:00Z"),
                device_at: at("2026-03-28T20:14:02.125Z"),
            }],
        }),
        full(EventBody::DrmFailed { license: license("lic-1"), term: 1 }),
        bare(EventBody::Refused(Box::new(refused_for_every_reason()))),
    ];
    samples.extend(DeviceClass::ALL.map(registered));
    samples
}

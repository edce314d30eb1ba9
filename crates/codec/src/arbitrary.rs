//! Any domain value at all, within the bounds of its types.

use std::sync::Arc;

use domain::member::{
    Acquired, Allowance, CapFinding, Cause, CheckInMoved, Code, Command, Contributor, CountedKind,
    DeviceDecided, EventBody, Finding, Holding, Idempotency, Leaving, Play, PlayReport, Refused,
    Remedy, RemedyAction, Renewed, Target, Term, Warrant,
};
use domain::policy::{Counts, Kinds, ScopeKey};
use domain::{
    DeviceClass, Duration, Event, Facts, InvalidId, KeyThumbprint, MemberFacts, PolicyVersion,
    Timestamp, TitleFacts,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn id<T: std::fmt::Debug>(new: fn(&str) -> Result<T, InvalidId>) -> impl Strategy<Value = T> {
    let text = prop_oneof![
        9 => "[a-z0-9-]{1,12}",
        1 => "[!-~]{1,128}",
    ];
    text.prop_filter_map("dots are not ids", move |text| new(&text).ok())
}

/// Mostly what is packed into bytes, and texts that nearly are.
fn key() -> impl Strategy<Value = KeyThumbprint> {
    let text = prop_oneof![
        4 => any::<[u8; 32]>().prop_map(|bytes| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
        }),
        1 => "[A-Za-z0-9_-]{42,44}",
        1 => "[!-~]{3,128}",
    ];
    text.prop_map(|text| KeyThumbprint::new(&text).unwrap())
}

fn policy() -> impl Strategy<Value = PolicyVersion> {
    let text =
        prop_oneof![4 => "p1-[0-9a-f]{32}", 1 => "p1-[0-9a-zA-F]{31,33}", 1 => "[!-~]{3,128}"];
    text.prop_map(|text| PolicyVersion::new(&text).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => 1_600_000_000_000_i64..2_000_000_000_000,
        1 => Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis(),
        1 => select(vec![Timestamp::MIN.as_millis(), 0, Timestamp::MAX.as_millis()]),
    ]
    .prop_map(Timestamp::from_millis)
}

fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0_i64..400).prop_map(Duration::days),
        1 => Just(Duration::ZERO),
        1 => (0..=i64::MAX).prop_map(Duration::from_millis),
    ]
}

fn class() -> impl Strategy<Value = DeviceClass> {
    select(DeviceClass::ALL.to_vec())
}

fn member_facts() -> impl Strategy<Value = MemberFacts> {
    (
        of(id(domain::ProfileId::new)),
        of(id(domain::Plan::new)),
        of(id(domain::Territory::new)),
        of(id(domain::SecurityLevel::new)),
        of(id(domain::Account::new)),
        (of(any::<u16>()), of(instant()), of(any::<u32>()), of(instant())),
    )
        .prop_map(|(profile, plan, territory, security_level, account, rest)| {
            let (maturity_limit, member_since, concurrent_streams, elsewhere_at) = rest;
            MemberFacts {
                profile,
                plan,
                territory,
                security_level,
                account,
                maturity_limit,
                member_since,
                concurrent_streams,
                elsewhere_at,
            }
        })
}

fn title_facts() -> impl Strategy<Value = TitleFacts> {
    (
        id(domain::PartnerId::new),
        of(id(domain::SeriesId::new)),
        vec(id(domain::Tag::new), 0..4),
        of(any::<u16>()),
        any::<(bool, bool)>(),
        of(instant()),
        of(instant()),
    )
        .prop_map(|(partner, series, tags, rating, (downloadable, offered), from, until)| {
            TitleFacts {
                partner,
                series,
                tags: tags.into(),
                maturity_rating: rating,
                downloadable,
                offered,
                available_from: from,
                available_until: until,
            }
        })
}

fn facts() -> impl Strategy<Value = Arc<Facts>> {
    (member_facts(), class(), title_facts())
        .prop_map(|(member, class, title)| Arc::new(Facts::new(&member, class, &title)))
}

fn term() -> impl Strategy<Value = Term> {
    (
        any::<u32>(),
        (instant(), of(instant())),
        (of(instant()), of(instant()), of(instant())),
        (of(length()), of(length()), length(), length()),
        (of(length()), of(length()), of(any::<u32>())),
        any::<bool>(),
    )
        .prop_map(
            |(number, (started_at, begun_at), instants, lengths, renewals, delete_at_end)| {
                let (start_by, not_before, hard_end) = instants;
                let (finish_within, check_in_within, grace, running_play) = lengths;
                let (renew_before_end, renew_after_end, renewals_max) = renewals;
                Term {
                    number,
                    started_at,
                    begun_at,
                    start_by,
                    finish_within,
                    check_in_within,
                    grace,
                    running_play,
                    not_before,
                    hard_end,
                    renew_before_end,
                    renew_after_end,
                    renewals_max,
                    delete_at_end,
                }
            },
        )
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        id(domain::LicenseId::new).prop_map(Target::License),
        id(domain::DeviceId::new).prop_map(Target::Device),
        Just(Target::Member),
    ]
}

fn warrant() -> impl Strategy<Value = Warrant> {
    ("\\PC{0,20}", "\\PC{0,20}").prop_map(|(actor, reason)| Warrant { actor, reason })
}

fn allowance() -> impl Strategy<Value = Allowance> {
    (id(domain::RuleId::new), any::<u32>(), instant()).prop_map(|(rule, amount, until)| Allowance {
        rule,
        amount,
        until,
    })
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let device = || id(domain::DeviceId::new);
    let license = || id(domain::LicenseId::new);
    prop_oneof![
        (device(), class(), key(), "\\PC{0,20}").prop_map(|(device, class, key, name)| {
            Command::RegisterDevice { device, class, key, name }
        }),
        device().prop_map(|device| Command::RemoveDevice { device }),
        (device(), id(domain::TitleId::new), of(title_facts()), license()).prop_map(
            |(device, title, title_facts, license)| Command::Acquire {
                device,
                title,
                title_facts,
                license
            }
        ),
        (device(), license(), any::<u32>(), of(title_facts()), any::<bool>()).prop_map(
            |(device, license, term, title_facts, automatic)| Command::Renew {
                device,
                license,
                term,
                title_facts,
                automatic
            }
        ),
        (of(device()), license()).prop_map(|(by, license)| Command::Release { by, license }),
        (device(), vec((license(), any::<bool>()), 0..4)).prop_map(|(device, holdings)| {
            let holding = |(license, started)| Holding { license, started };
            Command::CheckIn { device, holdings: holdings.into_iter().map(holding).collect() }
        }),
        (
            device(),
            vec(any::<(u64, u64)>(), 0..4),
            vec((any::<u64>(), license(), any::<u32>(), instant(), instant()), 0..4)
        )
            .prop_map(|(device, sequences, plays)| {
                let play = |(sequence, license, term, occurred_at, device_at)| PlayReport {
                    sequence,
                    license,
                    term,
                    occurred_at,
                    device_at,
                };
                let plays = plays.into_iter().map(play).collect();
                Command::RecordPlays { device, sequences, plays }
            }),
        (license(), any::<u32>()).prop_map(|(license, term)| Command::DrmFailed { license, term }),
        select(vec![Command::ChangeMember, Command::LapseMembership]),
        of(warrant()).prop_map(|warrant| Command::ResumeMembership { warrant }),
        (target(), warrant()).prop_map(|(target, warrant)| Command::Revoke { target, warrant }),
        id(domain::TitleId::new).prop_map(|title| Command::WithdrawTitle { title }),
        (id(domain::ExceptionId::new), allowance(), warrant()).prop_map(
            |(exception, allowance, warrant)| Command::GrantException {
                exception,
                allowance,
                warrant
            }
        ),
        (id(domain::ExceptionId::new), warrant())
            .prop_map(|(exception, warrant)| Command::EndException { exception, warrant }),
    ]
}

fn counts() -> impl Strategy<Value = Counts> {
    prop_oneof![
        Just(Counts::ActiveLicenses),
        Just(Counts::DevicesHolding),
        Just(Counts::DistinctTitles),
        Just(Counts::DevicesRegistered),
        proptest::sample::subsequence(CountedKind::ALL.to_vec(), 0..=7)
            .prop_map(|kinds| Counts::Events(Kinds::of(&kinds))),
    ]
}

fn contributor() -> impl Strategy<Value = Contributor> {
    (
        instant(),
        of(id(domain::LicenseId::new)),
        of(id(domain::TitleId::new)),
        id(domain::DeviceId::new),
        of(instant()),
        of(any::<u16>()),
    )
        .prop_map(|(at, license, title, device, frees_at, in_list)| Contributor {
            at,
            license,
            title,
            device,
            frees_at,
            in_list,
        })
}

fn finding() -> impl Strategy<Value = Finding> {
    let cap = (
        counts(),
        vec(select(ScopeKey::ALL.to_vec()), 0..3),
        of(id(domain::Tag::new)),
        any::<(u32, u32, u32)>(),
        of((instant(), instant())),
        vec(contributor(), 0..3),
    )
        .prop_map(|(counts, per, tag, (limit, raised, used), window, contributors)| {
            CapFinding { counts, per, tag, limit, raised, used, window, contributors }
        });
    (any::<u16>(), select(Code::ALL.to_vec()), of(id(domain::RuleId::new)), of(cap), of(instant()))
        .prop_map(|(command, code, rule, cap, frees_at)| Finding {
            command,
            code,
            rule,
            cap,
            frees_at,
        })
}

fn refused() -> impl Strategy<Value = Refused> {
    let release = (id(domain::LicenseId::new), id(domain::DeviceId::new), id(domain::TitleId::new))
        .prop_map(|(license, device, title)| RemedyAction::Release { license, device, title });
    let remove = id(domain::DeviceId::new).prop_map(|device| RemedyAction::RemoveDevice { device });
    let action = prop_oneof![release, remove];
    (
        vec(command(), 0..3),
        member_facts(),
        policy(),
        vec(finding(), 0..3),
        of(instant()),
        vec(vec(action, 0..3).prop_map(|actions| Remedy { actions }), 0..3),
    )
        .prop_map(|(commands, facts, policy, findings, retry_at, remedies)| Refused {
            commands,
            facts,
            policy,
            findings,
            retry_at,
            remedies,
        })
}

fn acquired() -> impl Strategy<Value = Acquired> {
    (
        id(domain::LicenseId::new),
        id(domain::DeviceId::new),
        id(domain::TitleId::new),
        (facts(), policy(), term()),
        vec(id(domain::RuleId::new), 0..4),
        of(id(domain::LicenseId::new)),
    )
        .prop_map(|(license, device, title, (facts, policy, term), caps, replaces)| Acquired {
            license,
            device,
            title,
            facts,
            policy,
            term,
            caps,
            replaces,
        })
}

fn decided() -> impl Strategy<Value = Box<DeviceDecided>> {
    (member_facts(), policy(), vec(id(domain::RuleId::new), 0..3))
        .prop_map(|(facts, policy, caps)| Box::new(DeviceDecided { facts, policy, caps }))
}

fn around() -> impl Strategy<Value = EventBody> {
    let exception = || id(domain::ExceptionId::new);
    let leaving = (id(domain::DeviceId::new), instant(), any::<bool>())
        .prop_map(|(device, at, removed)| Leaving { device, at, removed });
    prop_oneof![
        (member_facts(), policy(), vec(leaving, 0..3)).prop_map(|(facts, policy, leaving)| {
            EventBody::MemberChanged { facts, policy, leaving }
        }),
        (policy(), of(instant()))
            .prop_map(|(policy, ends_at)| EventBody::MembershipLapsed { policy, ends_at }),
        of(warrant()).prop_map(|warrant| EventBody::MembershipResumed { warrant }),
        (target(), warrant()).prop_map(|(target, warrant)| EventBody::Revoked { target, warrant }),
        id(domain::TitleId::new).prop_map(|title| EventBody::TitleWithdrawn { title }),
        (exception(), allowance(), warrant()).prop_map(|(exception, allowance, warrant)| {
            EventBody::ExceptionGranted { exception, allowance, warrant }
        }),
        (exception(), warrant())
            .prop_map(|(exception, warrant)| EventBody::ExceptionEnded { exception, warrant }),
    ]
}

fn body() -> impl Strategy<Value = EventBody> {
    let device = || id(domain::DeviceId::new);
    let license = || id(domain::LicenseId::new);
    let moved = (license(), any::<u32>(), instant())
        .prop_map(|(license, term, check_in_by)| CheckInMoved { license, term, check_in_by });
    let play = (any::<u64>(), license(), any::<u32>(), instant(), instant()).prop_map(
        |(sequence, license, term, occurred_at, device_at)| Play {
            sequence,
            license,
            term,
            occurred_at,
            device_at,
        },
    );
    prop_oneof![
        (device(), class(), key(), "\\PC{0,20}", of(decided())).prop_map(
            |(device, class, key, name, decided)| {
                EventBody::DeviceRegistered { device, class, key, name, decided }
            }
        ),
        (device(), of(decided()))
            .prop_map(|(device, decided)| EventBody::DeviceRemoved { device, decided }),
        acquired().prop_map(EventBody::Acquired),
        (license(), any::<u32>(), facts(), policy()).prop_map(|(license, term, facts, policy)| {
            EventBody::Reissued { license, term, facts, policy }
        }),
        (license(), facts(), policy(), term(), vec(id(domain::RuleId::new), 0..4), any::<bool>())
            .prop_map(|(license, facts, policy, term, caps, automatic)| {
                EventBody::Renewed(Renewed { license, facts, policy, term, caps, automatic })
            }),
        (license(), of(device()), any::<(bool, bool)>(), of(policy())).prop_map(
            |(license, by, (returned, waits), policy)| EventBody::Released {
                license,
                by,
                returned,
                waits,
                policy,
            }
        ),
        license().prop_map(|license| EventBody::NeverStarted { license }),
        (device(), vec(moved, 0..3), member_facts(), policy()).prop_map(
            |(device, moved, facts, policy)| EventBody::CheckedIn { device, moved, facts, policy }
        ),
        (device(), vec(any::<(u64, u64)>(), 0..3), vec(play, 0..3)).prop_map(
            |(device, sequences, plays)| EventBody::PlaysRecorded { device, sequences, plays }
        ),
        (license(), any::<u32>())
            .prop_map(|(license, term)| EventBody::DrmFailed { license, term }),
        refused().prop_map(|refused| EventBody::Refused(Box::new(refused))),
        around(),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let idempotency = (id(domain::IdempotencyKey::new), any::<[u8; 32]>())
        .prop_map(|(key, body_digest)| Idempotency { key, body_digest });
    (instant(), of(idempotency), any::<u16>(), body()).prop_map(
        |(at, idempotency, command, body)| Event {
            at,
            cause: Cause { idempotency, command },
            body,
        },
    )
}

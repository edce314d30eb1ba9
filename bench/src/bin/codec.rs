//! Stored events against JSON: bytes and time per event, with checked conversion on both sides.
//!
//! The JSON is what one would write without thinking: the same fields under their names, ids and
//! hashes as text, instants as milliseconds, absent fields left out.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use bench::{argument, median, print_setting};
use domain::member::{Acquired, Cause, EventBody, Idempotency, Play, Term};
use domain::{DeviceClass, Duration, Event, Facts, MemberFacts, Timestamp, TitleFacts};

const ROUNDS: usize = 301;

fn main() -> Result<()> {
    let events = argument("events", 500)?;
    print_setting(&format!("codec: medians of {ROUNDS} rounds of {events} events"), "none")?;
    println!("{:>16} {:>8} {:>8} {:>12} {:>12}", "", "bytes", "", "encode ns", "decode ns");
    for (name, event) in [("acquired", acquired()?), ("plays_recorded", plays_recorded()?)] {
        let (bytes, text) = (codec::encode_event(&event), serde_json::to_vec(&json::of(&event)?)?);
        anyhow::ensure!(codec::decode_event(&bytes)? == event, "read otherwise than written");
        anyhow::ensure!(json::read(&text)? == event, "JSON read otherwise than written");
        let [encode, decode, json_encode, json_decode] = nanoseconds(
            events,
            [
                &|| drop(black_box(codec::encode_event(black_box(&event)))),
                &|| drop(black_box(codec::decode_event(black_box(&bytes)))),
                &|| {
                    let stored = json::of(black_box(&event));
                    drop(black_box(stored.map(|stored| serde_json::to_vec(&stored))));
                },
                &|| drop(black_box(json::read(black_box(&text)))),
            ],
        );
        let ours = Figures { bytes: bytes.len(), encode, decode };
        let theirs = Figures { bytes: text.len(), encode: json_encode, decode: json_decode };
        ours.print(name, "ours");
        theirs.print("", "JSON");
        println!(
            "{:>16} {:>8.2} {:>8} {:>12.2} {:>12.2}",
            "",
            ours.bytes as f64 / theirs.bytes as f64,
            "ratio",
            ours.encode / theirs.encode,
            ours.decode / theirs.decode
        );
    }
    Ok(())
}

struct Figures {
    bytes: usize,
    encode: f64,
    decode: f64,
}

impl Figures {
    fn print(&self, name: &str, how: &str) {
        let Self { bytes, encode, decode } = self;
        println!("{name:>16} {bytes:>8} {how:>8} {encode:>12.0} {decode:>12.0}");
    }
}

/// Per call, medians of many short rounds, taking turns: on a busy machine most of them run
/// undisturbed, and what disturbs one disturbs the others.
fn nanoseconds<const N: usize>(calls: u64, whats: [&dyn Fn(); N]) -> [f64; N] {
    let mut rounds: [Vec<f64>; N] = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (rounds, what) in rounds.iter_mut().zip(whats) {
            let start = Instant::now();
            for _ in 0..calls {
                what();
            }
            rounds.push(start.elapsed().as_secs_f64() * 1e9 / calls as f64);
        }
    }
    rounds.map(median)
}

fn at(text: &str) -> Result<Timestamp> {
    Ok(text.parse()?)
}

fn cause() -> Result<Cause> {
    let idempotency = Idempotency {
        key: "0f8e3c1a-5f0e-4a57-9d1c-6a2b7b1f4c11".parse()?,
        body_digest: [0xab; 32],
    };
    Ok(Cause { idempotency: Some(idempotency), command: 0 })
}

fn title_facts() -> Result<TitleFacts> {
    Ok(TitleFacts {
        partner: "aurora-pictures".parse()?,
        series: Some("northern-lines".parse()?),
        tags: Arc::from(["drama".parse()?, "award-winner".parse()?]),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: Some(at("2026-01-01T00:00:00Z")?),
        available_until: Some(at("2027-01-01T00:00:00Z")?),
    })
}

fn member_facts() -> Result<MemberFacts> {
    Ok(MemberFacts {
        profile: Some("kim".parse()?),
        plan: Some("premium".parse()?),
        territory: Some("DE".parse()?),
        security_level: Some("L1".parse()?),
        ..Default::default()
    })
}

/// A download with the caps and clocks of a real policy.
fn acquired() -> Result<Event> {
    let started_at = at("2026-03-01T12:00:00.125Z")?;
    let term = Term {
        number: 1,
        started_at,
        begun_at: None,
        start_by: Some(started_at + Duration::days(30)),
        finish_within: Some(Duration::hours(48)),
        check_in_within: Some(Duration::days(30)),
        grace: Duration::ZERO,
        running_play: Duration::hours(4),
        not_before: None,
        hard_end: Some(at("2027-01-01T00:00:00Z")?),
        renew_before_end: Some(Duration::days(7)),
        renew_after_end: None,
        renewals_max: Some(5),
        delete_at_end: false,
    };
    let acquired = Acquired {
        license: "01JNG7V3M8ZQ4W8Y3T2K5R6P9X".parse()?,
        device: "5b2a7c9e-0d14-4f7e-8f55-0a6f1f8a3c21".parse()?,
        title: "10.5240/7791-8534-2C23-9030-8610-5".parse()?,
        facts: Arc::new(Facts::new(&member_facts()?, DeviceClass::Phone, &title_facts()?)),
        policy: "p1-00112233445566778899aabbccddeeff".parse()?,
        term,
        caps: vec![
            "devices-with-downloads".parse()?,
            "downloads-per-device".parse()?,
            "downloads-per-month".parse()?,
            "downloads-per-title-and-year".parse()?,
            "aurora-at-a-time".parse()?,
        ],
        replaces: None,
    };
    Ok(Event { at: started_at, cause: cause()?, body: EventBody::Acquired(acquired) })
}

/// An upload after a night without a network.
fn plays_recorded() -> Result<Event> {
    let now = at("2026-03-02T08:00:00Z")?;
    let play = |n: i64| {
        Ok(Play {
            sequence: 100 + n.unsigned_abs(),
            license: "01JNG7V3M8ZQ4W8Y3T2K5R6P9X".parse()?,
            term: 1,
            occurred_at: now - Duration::hours(3 * n),
            device_at: now - Duration::hours(3 * n) + Duration::seconds(17),
        })
    };
    let plays = (1..=8).map(play).collect::<Result<_>>()?;
    let device = "5b2a7c9e-0d14-4f7e-8f55-0a6f1f8a3c21".parse()?;
    let body = EventBody::PlaysRecorded { device, sequences: vec![(61, 108)], plays };
    Ok(Event { at: now, cause: cause()?, body })
}

/// The same two events as JSON: serde's derived shapes, texts borrowed where they can be, and the
/// same checks on the way back.
mod json {
    use anyhow::{Context as _, Result, bail};
    use domain::member::{Acquired, Cause, EventBody, Idempotency, Play, Term};
    use domain::{DeviceClass, Duration, Event, Facts, Timestamp, TitleFacts};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub(super) struct Stored<'a> {
        format: u8,
        version: u16,
        at: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        idempotency_key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        body_digest: Option<String>,
        command: u16,
        #[serde(borrow)]
        body: Body<'a>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Body<'a> {
        #[serde(borrow)]
        Acquired(Box<AcquiredV1<'a>>),
        PlaysRecorded {
            device: &'a str,
            sequences: Vec<(u64, u64)>,
            plays: Vec<PlayV1<'a>>,
        },
    }

    #[derive(Serialize, Deserialize)]
    struct AcquiredV1<'a> {
        license: &'a str,
        device: &'a str,
        title: &'a str,
        #[serde(borrow)]
        facts: FactsV1<'a>,
        policy: &'a str,
        term: TermV1,
        caps: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<&'a str>,
    }

    #[derive(Serialize, Deserialize)]
    struct FactsV1<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        plan: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        territory: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        security_level: Option<&'a str>,
        class: &'a str,
        partner: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        series: Option<&'a str>,
        tags: Vec<&'a str>,
        downloadable: bool,
        offered: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        available_from: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        available_until: Option<i64>,
    }

    #[derive(Serialize, Deserialize)]
    struct TermV1 {
        number: u32,
        started_at: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        start_by: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        finish_within: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        check_in_within: Option<i64>,
        grace: i64,
        running_play: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        not_before: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hard_end: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        renew_before_end: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        renew_after_end: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        renewals_max: Option<u32>,
    }

    #[derive(Serialize, Deserialize)]
    struct PlayV1<'a> {
        sequence: u64,
        license: &'a str,
        term: u32,
        occurred_at: i64,
        device_at: i64,
    }

    pub(super) fn of(event: &Event) -> Result<Stored<'_>> {
        let Event { at, cause: Cause { idempotency, command }, body } = event;
        let hex = |digest: &[u8; 32]| {
            digest
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .filter_map(|digit| char::from_digit(digit.into(), 16))
                .collect()
        };
        let body = match body {
            EventBody::Acquired(acquired) => Body::Acquired(Box::new(acquired_of(acquired))),
            EventBody::PlaysRecorded { device, sequences, plays } => Body::PlaysRecorded {
                device: device.as_str(),
                sequences: sequences.clone(),
                plays: plays.iter().map(play_of).collect(),
            },
            _ => bail!("not measured"),
        };
        Ok(Stored {
            format: 1,
            version: 1,
            at: at.as_millis(),
            idempotency_key: idempotency.as_ref().map(|bound| bound.key.as_str()),
            body_digest: idempotency.as_ref().map(|bound| hex(&bound.body_digest)),
            command: *command,
            body,
        })
    }

    fn acquired_of(acquired: &Acquired) -> AcquiredV1<'_> {
        let Acquired { license, device, title, facts, policy, term, caps, replaces } = acquired;
        let facts: &Facts = facts;
        AcquiredV1 {
            license: license.as_str(),
            device: device.as_str(),
            title: title.as_str(),
            facts: FactsV1 {
                profile: facts.member.profile.as_ref().map(|it| it.as_str()),
                plan: facts.member.plan.as_ref().map(|it| it.as_str()),
                territory: facts.member.territory.as_ref().map(|it| it.as_str()),
                security_level: facts.member.security_level.as_ref().map(|it| it.as_str()),
                class: facts.class.name(),
                partner: facts.title.partner.as_str(),
                series: facts.title.series.as_ref().map(|it| it.as_str()),
                tags: facts.title.tags.iter().map(|it| it.as_str()).collect(),
                downloadable: facts.title.downloadable,
                offered: facts.title.offered,
                available_from: facts.title.available_from.map(Timestamp::as_millis),
                available_until: facts.title.available_until.map(Timestamp::as_millis),
            },
            policy: policy.as_str(),
            term: TermV1 {
                number: term.number,
                started_at: term.started_at.as_millis(),
                start_by: term.start_by.map(Timestamp::as_millis),
                finish_within: term.finish_within.map(Duration::as_millis),
                check_in_within: term.check_in_within.map(Duration::as_millis),
                grace: term.grace.as_millis(),
                running_play: term.running_play.as_millis(),
                not_before: term.not_before.map(Timestamp::as_millis),
                hard_end: term.hard_end.map(Timestamp::as_millis),
                renew_before_end: term.renew_before_end.map(Duration::as_millis),
                renew_after_end: term.renew_after_end.map(Duration::as_millis),
                renewals_max: term.renewals_max,
            },
            caps: caps.iter().map(|it| it.as_str()).collect(),
            replaces: replaces.as_ref().map(|it| it.as_str()),
        }
    }

    fn play_of(play: &Play) -> PlayV1<'_> {
        PlayV1 {
            sequence: play.sequence,
            license: play.license.as_str(),
            term: play.term,
            occurred_at: play.occurred_at.as_millis(),
            device_at: play.device_at.as_millis(),
        }
    }

    pub(super) fn read(text: &[u8]) -> Result<Event> {
        let Stored { at, idempotency_key, body_digest, command, body, .. } =
            serde_json::from_slice(text)?;
        let idempotency = match (idempotency_key, body_digest) {
            (Some(key), Some(digest)) => {
                let mut body_digest = [0; 32];
                for (byte, pair) in body_digest.iter_mut().zip(digest.as_bytes().chunks(2)) {
                    *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
                }
                Some(Idempotency { key: key.parse()?, body_digest })
            }
            _ => None,
        };
        let body = match body {
            Body::Acquired(acquired) => EventBody::Acquired(acquired_from(*acquired)?),
            Body::PlaysRecorded { device, sequences, plays } => EventBody::PlaysRecorded {
                device: device.parse()?,
                sequences,
                plays: plays.iter().map(play_from).collect::<Result<_>>()?,
            },
        };
        Ok(Event { at: Timestamp::from_millis(at), cause: Cause { idempotency, command }, body })
    }

    fn acquired_from(stored: AcquiredV1<'_>) -> Result<Acquired> {
        let AcquiredV1 { license, device, title, facts, policy, term, caps, replaces } = stored;
        let facts = Facts {
            member: domain::MemberFacts {
                profile: facts.profile.map(str::parse).transpose()?,
                plan: facts.plan.map(str::parse).transpose()?,
                territory: facts.territory.map(str::parse).transpose()?,
                security_level: facts.security_level.map(str::parse).transpose()?,
                ..domain::MemberFacts::default()
            },
            class: DeviceClass::named(facts.class).context("a class")?,
            title: TitleFacts {
                partner: facts.partner.parse()?,
                series: facts.series.map(str::parse).transpose()?,
                tags: facts.tags.into_iter().map(str::parse).collect::<Result<_, _>>()?,
                maturity_rating: None,
                downloadable: facts.downloadable,
                offered: facts.offered,
                available_from: facts.available_from.map(Timestamp::from_millis),
                available_until: facts.available_until.map(Timestamp::from_millis),
            },
        };
        let term = Term {
            number: term.number,
            started_at: Timestamp::from_millis(term.started_at),
            begun_at: None,
            start_by: term.start_by.map(Timestamp::from_millis),
            finish_within: term.finish_within.map(Duration::from_millis),
            check_in_within: term.check_in_within.map(Duration::from_millis),
            grace: Duration::from_millis(term.grace),
            running_play: Duration::from_millis(term.running_play),
            not_before: term.not_before.map(Timestamp::from_millis),
            hard_end: term.hard_end.map(Timestamp::from_millis),
            renew_before_end: term.renew_before_end.map(Duration::from_millis),
            renew_after_end: term.renew_after_end.map(Duration::from_millis),
            renewals_max: term.renewals_max,
            delete_at_end: false,
        };
        Ok(Acquired {
            license: license.parse()?,
            device: device.parse()?,
            title: title.parse()?,
            facts: facts.into(),
            policy: policy.parse()?,
            term,
            caps: caps.into_iter().map(str::parse).collect::<Result<_, _>>()?,
            replaces: replaces.map(str::parse).transpose()?,
        })
    }

    fn play_from(stored: &PlayV1<'_>) -> Result<Play> {
        Ok(Play {
            sequence: stored.sequence,
            license: stored.license.parse()?,
            term: stored.term,
            occurred_at: Timestamp::from_millis(stored.occurred_at),
            device_at: Timestamp::from_millis(stored.device_at),
        })
    }
}

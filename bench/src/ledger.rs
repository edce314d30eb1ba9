//! Members, requests and policies to measure with: everything is accepted, nothing is empty.

use std::sync::LazyLock;

use anyhow::{Result, bail};
use codec::policy::{Loaded, parse};
use domain::member::{Cause, Command, EventBody, PlayReport};
use domain::{
    DeviceClass, DeviceId, Duration, Event, IdempotencyKey, InvalidId, LicenseId, Member,
    MemberFacts, MemberId, Policy, Request, Timestamp, TitleFacts, TitleId, decide, evolve,
};
use futures::executor::block_on;
use futures::future::try_join_all;
use store::{EventStore, StreamId};
use store_embedded::EmbeddedStore;

pub const FIVE_CAPS: &str = r#"
format = 1
name = "five caps"
effective_from = 2020-01-01T00:00:00Z
[terms]
start_within = "30d"
finish_within = "48h"
grace = "2h"
renewals_max = 100
[[gates]]
id = "territories"
territories = ["DE", "FR", "NO"]
[[caps]]
id = "on-a-device"
counts = "active_licenses"
per = ["device"]
limit = 100000
[[caps]]
id = "of-a-member"
counts = "active_licenses"
limit = { premium = 100000, otherwise = 1 }
[[caps]]
id = "devices"
counts = "devices_holding"
limit = 5
[[caps]]
id = "of-a-title-in-a-year"
counts = "acquisitions"
per = ["title"]
window = { calendar = "year", zone = "Europe/Berlin" }
limit = 100000
[[caps]]
id = "of-a-partner-in-a-month"
counts = "acquisitions"
per = ["partner"]
window = { rolling = "30d" }
limit = 100000
"#;

const SIXTH_CAP: &str = r#"
[[caps]]
id = "in-a-week"
counts = "acquisitions_and_renewals"
window = { rolling = "7d" }
limit = 100000
"#;

/// The terms, gate and caps of [`FIVE_CAPS`] and one more.
pub fn six_caps() -> String {
    format!("{FIVE_CAPS}{SIXTH_CAP}")
}

/// [`six_caps`] and fourteen of every kind, some of which look through the whole history.
pub fn twenty_caps() -> String {
    let mut text = six_caps();
    for days in [1, 30, 90, 180, 365] {
        let window = format!("window = {{ rolling = \"{days}d\" }}\nlimit = 100000\n");
        for (what, per) in [("a-title", "title"), ("a-series", "series")] {
            text.push_str(&format!(
                "[[caps]]\nid = \"of-{what}-in-{days}-days\"\ncounts = \"acquisitions\"\n\
                 per = [\"{per}\"]\n{window}"
            ));
        }
    }
    for (unit, of) in [("day", "tags = [\"new\"]"), ("month", "device_classes = [\"phone\"]")] {
        text.push_str(&format!(
            "[[caps]]\nid = \"in-a-{unit}\"\ncounts = \"acquisitions\"\nof = {{ {of} }}\n\
             window = {{ calendar = \"{unit}\", zone = \"Europe/Berlin\" }}\nlimit = 100000\n"
        ));
    }
    for per in ["profile", "partner"] {
        text.push_str(&format!(
            "[[caps]]\nid = \"active-of-a-{per}\"\ncounts = \"active_licenses\"\n\
             per = [\"{per}\"]\nlimit = 100000\n"
        ));
    }
    text
}

/// # Errors
/// When the text is no policy.
pub fn policy(text: &str) -> Result<Loaded> {
    Ok(parse(&[("policy.toml", text)])?)
}

#[expect(clippy::expect_used, reason = "INVARIANT: the names made here are ids")]
fn id<T: std::str::FromStr<Err = InvalidId>>(name: &str) -> T {
    name.parse().expect("an id")
}

pub fn member_id(n: usize) -> MemberId {
    id(&format!("member-{n:08}"))
}

#[expect(clippy::expect_used, reason = "INVARIANT: the names made here are stream ids")]
pub fn stream(n: usize) -> StreamId {
    StreamId::new(&format!("member:{}", member_id(n))).expect("a stream id")
}

/// The streams of so many members begin with this event.
///
/// # Errors
/// When the store refuses.
pub fn begin(store: &dyn EventStore, members: usize, event: &Event) -> Result<()> {
    let first = [codec::encode_event(event)];
    let streams: Vec<StreamId> = (0..members).map(stream).collect();
    for some in streams.chunks(1_024) {
        let appends = some.iter().map(|stream| store.append(stream, 0, first.to_vec()));
        block_on(try_join_all(appends))?;
    }
    Ok(())
}

/// Writes until the WAL has its size: from then on it is written over in its place, as in every store
/// that has been at work for a while. As long as it grows, a sync has the new size to write as well.
///
/// # Errors
/// When the store refuses.
pub fn wear_in(store: &EmbeddedStore) -> Result<()> {
    let stream = StreamId::new("worn-in")?;
    let mut version = 0;
    while store.stats().wal_restarts == 0 {
        version = block_on(store.append(&stream, version, vec![vec![7; 64 << 10]; 16]))?;
    }
    Ok(())
}

/// 2026-01-01T00:00:00Z
const BEGAN_AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const TITLES: u64 = 1_000;

fn phone() -> DeviceId {
    id("3f2b8c1e-phone")
}

/// The event with which every member begins.
pub fn register() -> Event {
    let body = EventBody::DeviceRegistered {
        device: phone(),
        class: DeviceClass::Phone,
        key: id("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        name: "Ana's phone".to_owned(),
        decided: None,
    };
    Event { at: BEGAN_AT, cause: Cause::default(), body }
}

/// Made once, as a catalogue is; and of each title the digest of the body that acquires it, for
/// whoever asks digests what was asked, and is not what is measured.
static CATALOGUE: LazyLock<Vec<(TitleId, TitleFacts, [u8; 32])>> = LazyLock::new(|| {
    let entry = |number| {
        let (title, facts): (TitleId, _) = (id(&format!("title-{number:06}")), title_facts(number));
        let command = Command::Acquire {
            device: phone(),
            title: title.clone(),
            title_facts: None,
            license: license(0),
        };
        (title, facts, codec::body_digest(&[command]))
    };
    (0..TITLES).map(entry).collect()
});

/// As from the claims of a token that was verified before.
static MEMBER_FACTS: LazyLock<MemberFacts> = LazyLock::new(|| MemberFacts {
    profile: Some(id("profile-1")),
    plan: Some(id("premium")),
    territory: Some(id("DE")),
    ..MemberFacts::default()
});

#[expect(clippy::indexing_slicing, reason = "the remainder is below the number of titles")]
fn title(number: u64) -> (TitleId, TitleFacts, [u8; 32]) {
    CATALOGUE[usize::try_from(number % TITLES).unwrap_or(0)].clone()
}

fn title_facts(title: u64) -> TitleFacts {
    let mut tags = vec![id("film")];
    if title.is_multiple_of(7) {
        tags.push(id("new"));
    }
    TitleFacts {
        partner: id(&format!("partner-{}", title % 10)),
        series: Some(id(&format!("series-{}", title % 40))),
        tags: tags.into(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    }
}

fn request(at: Timestamp, n: u64, command: Command) -> Request {
    let body_digest = codec::body_digest(std::slice::from_ref(&command));
    request_of(at, n, command, body_digest)
}

fn request_of(at: Timestamp, n: u64, command: Command, body_digest: [u8; 32]) -> Request {
    let commands = vec![command];
    let key: IdempotencyKey = id(&format!("0b5e0c52-7a2f-4f7e-9f57-{n:012}"));
    let idempotency = Some(domain::member::Idempotency { key, body_digest });
    Request { at, idempotency, facts: MEMBER_FACTS.clone(), commands }
}

/// The request number `n`, for a title of that number (of a thousand), a second after the one
/// before.
pub fn acquire(n: u64) -> Request {
    acquire_at(BEGAN_AT + Duration::seconds(n.cast_signed()), n, n)
}

fn acquire_at(at: Timestamp, n: u64, number: u64) -> Request {
    let (title, facts, body_digest) = title(number);
    let (device, license) = (phone(), license(n));
    let command = Command::Acquire { device, title, title_facts: Some(facts), license };
    request_of(at, n, command, body_digest)
}

fn license(n: u64) -> LicenseId {
    id(&format!("01JD8Z6Q4Y7N-{n:013}"))
}

/// So many events of a year in which titles are acquired, played, renewed and released.
///
/// # Errors
/// When the policy refuses any of it.
pub fn recorded(events: u64, policy: &Policy) -> Result<Vec<Event>> {
    let mut recorded = vec![register()];
    live(events, policy, |event| recorded.push(event.clone()))?;
    Ok(recorded)
}

/// The member after [`recorded`], and a request for one more.
///
/// # Errors
/// When the policy refuses any of it.
pub fn history(events: u64, policy: &Policy) -> Result<(Member, Request)> {
    let member = live(events, policy, |_| ())?;
    let at = BEGAN_AT + Duration::from_millis(apart(events).as_millis() * events.cast_signed());
    Ok((member, acquire_at(at, events, events % 200)))
}

fn apart(events: u64) -> Duration {
    Duration::from_millis(Duration::days(360).as_millis() / events.cast_signed())
}

fn live(events: u64, policy: &Policy, mut each: impl FnMut(&Event)) -> Result<Member> {
    let mut member = evolve(Member::default(), &register());
    let mut at = BEGAN_AT;
    for n in 1..events {
        at = at + apart(events);
        let round = n / 5 * 5;
        let command = match n % 5 {
            0 | 1 => None,
            2 => Some(play(n, license(round), at)),
            3 if round > 0 => Some(Command::Renew {
                device: phone(),
                license: license(round),
                term: 1,
                title_facts: Some(title(round % 200).1),
                automatic: false,
            }),
            // One of two stays until its clocks run out.
            4 if round > 0 => Some(Command::Release { by: None, license: license(round) }),
            _ => None,
        };
        let request = match command {
            Some(command) => request(at, n, command),
            None => acquire_at(at, n, n % 200),
        };
        let decision = decide(&member, &request, policy);
        let [event] = decision.events.as_slice() else { bail!("not one event: {decision:?}") };
        if matches!(event.body, EventBody::Refused(_)) {
            bail!("refused: {event:?}");
        }
        each(event);
        member = evolve(member, event);
    }
    Ok(member)
}

fn play(n: u64, license: LicenseId, at: Timestamp) -> Command {
    let play = PlayReport { sequence: n, license, term: 1, occurred_at: at, device_at: at };
    Command::RecordPlays { device: phone(), sequences: vec![(n, n)], plays: vec![play] }
}

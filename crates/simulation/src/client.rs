//! What members and their devices ask for: sensible things, silly things, and everything twice.

use std::collections::BTreeMap;

use domain::member::{Allowance, Command, Holding, Outcome, PlayReport, Target, Warrant};
use domain::{
    DeviceClass, DeviceId, IdempotencyKey, KeyThumbprint, LicenseId, MemberFacts, MemberId,
    PartnerId, Timestamp, TitleFacts, TitleId,
};

use crate::random::Random;
use crate::rules::{
    DAY_MS, HOME, NEW, PREMIUM, PREMIUM_GATE, PREMIUM_PARTNER, SERIES, STANDARD, STREAMS_GATE,
    STREAMS_MAX, STRICT_PARTNER, TITLE_WITH_OWN_CAP,
};

const DEVICES: [&str; 4] = ["phone", "tablet", "laptop", "tv"];
const EASY_PARTNER: &str = "west";

/// Title, partner, series and tags.
const TITLES: [(&str, &str, Option<&str>, &[&str]); 8] = [
    (TITLE_WITH_OWN_CAP, STRICT_PARTNER, None, &[NEW]),
    ("fell", STRICT_PARTNER, Some(SERIES), &[]),
    ("tide", EASY_PARTNER, Some(SERIES), &[NEW, "long"]),
    ("dune", EASY_PARTNER, Some(SERIES), &["long"]),
    ("harbor", PREMIUM_PARTNER, None, &["long", NEW]),
    // Leaves the catalogue, arrives in it, and may not be taken offline.
    ("dusk", EASY_PARTNER, None, &[]),
    ("dawn", EASY_PARTNER, None, &[]),
    ("vault", EASY_PARTNER, None, &[]),
];

/// What support makes exceptions of.
const EXCEPTED: [&str; 7] = [
    "device-active",
    "devices-holding",
    "member-rolling",
    "drawn-0",
    "drawn-1",
    PREMIUM_GATE,
    STREAMS_GATE,
];

/// Something a member wants, asked until it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) number: usize,
    pub(crate) account: usize,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) commands: Vec<Command>,
    pub(crate) first_asked: i64,
    pub(crate) attempts: u32,
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: MemberId,
    /// By the identity provider's word, at the moment of asking.
    pub(crate) facts: MemberFacts,
    /// Of all that there are, in this world only these: so the same is wanted often.
    titles: Vec<&'static str>,
    devices: BTreeMap<&'static str, App>,
    /// Licenses the devices know of: device, title, term.
    known: BTreeMap<LicenseId, (DeviceId, TitleId, u32)>,
    /// Licenses the devices ever knew of.
    had: Vec<(LicenseId, (DeviceId, TitleId, u32))>,
}

#[derive(Debug, Default)]
struct App {
    registered: bool,
    sequence: u64,
    /// Plays that were ever recorded; uploaded late, shuffled, and again.
    plays: Vec<PlayReport>,
}

#[expect(clippy::expect_used, reason = "INVARIANT: the names in this file are ids")]
fn id<T: std::str::FromStr<Err = domain::InvalidId>>(name: &str) -> T {
    name.parse().expect("an id")
}

fn title_facts(title: &str, began_at: i64) -> Option<TitleFacts> {
    let (_, partner, series, tags) = TITLES.iter().find(|(name, ..)| *name == title)?;
    let on = |name: &str, days: i64| {
        (title == name).then(|| Timestamp::from_millis(began_at + days * DAY_MS))
    };
    Some(TitleFacts {
        partner: id::<PartnerId>(partner),
        series: series.map(id),
        tags: tags.iter().map(|tag| id(tag)).collect(),
        maturity_rating: None,
        downloadable: title != "vault",
        offered: true,
        available_from: on("dawn", 4),
        available_until: on("dusk", 60),
    })
}

impl Account {
    pub(crate) fn new(number: usize, random: &mut Random, began_at: i64) -> Self {
        let mut titles = TITLES.map(|(title, ..)| title).to_vec();
        random.shuffle(&mut titles);
        titles.truncate(1 + random.index(TITLES.len()));
        let devices = 1 + random.index(DEVICES.len());
        Self {
            id: id(&format!("member-{number}")),
            facts: MemberFacts { member_since: since(random, began_at), ..facts(random) },
            titles,
            devices: DEVICES.iter().take(devices).map(|name| (*name, App::default())).collect(),
            known: BTreeMap::new(),
            had: Vec::new(),
        }
    }

    pub(crate) fn change_facts(&mut self, random: &mut Random) {
        self.facts = MemberFacts { member_since: self.facts.member_since, ..facts(random) };
    }

    /// What its devices have, as far as they know.
    pub(crate) fn has(&self) -> impl Iterator<Item = &TitleId> {
        self.known.values().map(|(_, title, _)| title)
    }

    /// What the member wants next.
    pub(crate) fn want(&mut self, random: &mut Random, now: i64, began_at: i64) -> Vec<Command> {
        let devices: Vec<(&'static str, bool)> =
            self.devices.iter().map(|(name, app)| (*name, app.registered)).collect();
        if random.permille(100) {
            return vec![self.around(random, now)];
        }
        let Some((device, registered)) = random.pick(&devices).copied() else { return vec![] };
        if !registered && !random.permille(30) {
            return vec![register(device, random)];
        }
        let mut wanted = vec![self.command(device, random, now, began_at)];
        while random.permille(150) && wanted.len() < 4 {
            wanted.push(self.command(device, random, now, began_at));
        }
        wanted
    }

    fn command(
        &mut self,
        device: &'static str,
        random: &mut Random,
        now: i64,
        began_at: i64,
    ) -> Command {
        let held: Vec<(LicenseId, (DeviceId, TitleId, u32))> =
            self.known.iter().map(|(id, known)| (id.clone(), known.clone())).collect();
        // A copy turns up that was deleted, or forgotten, perhaps long ago.
        let held = if random.permille(100) { &self.had } else { &held };
        let known = random.pick(held).cloned();
        match (random.below(100), known) {
            (0..18, Some((license, (device, title, term)))) => {
                // Sometimes a term too old or too new, or by another device.
                let term = if random.permille(850) { term } else { random.index(4) as u32 };
                let device = if random.permille(930) { device } else { id("tv") };
                let title_facts = title_facts(title.as_str(), began_at);
                let automatic = random.permille(300);
                Command::Renew { device, license, term, title_facts, automatic }
            }
            (18..27, Some((license, (device, _, _)))) => {
                let by = match random.below(10) {
                    0..5 => Some(device),
                    5..7 => Some(id("phone")),
                    _ => None,
                };
                Command::Release { by, license }
            }
            (27..30, Some((license, (_, _, term)))) => Command::DrmFailed { license, term },
            (30..39, _) => self.check_in(device, random),
            (39..52, _) => self.plays(device, random, now),
            (52..54, _) => Command::RemoveDevice { device: id(device) },
            (54..56, _) => register(device, random),
            _ => self.acquire(device, random, began_at),
        }
    }

    /// What the member might ask, on whatever plan.
    pub(crate) fn imagined(
        &self,
        random: &mut Random,
        began_at: i64,
    ) -> (MemberFacts, Vec<Command>) {
        let facts = MemberFacts { member_since: self.facts.member_since, ..facts(random) };
        let devices: Vec<&str> = self.devices.keys().copied().collect();
        let device = random.pick(&devices).copied().unwrap_or("phone");
        let held: Vec<(&LicenseId, &(DeviceId, TitleId, u32))> = self.known.iter().collect();
        let command = match (random.below(10), random.pick(&held).copied()) {
            (0..3, Some((license, (device, title, term)))) => {
                let title_facts = title_facts(title.as_str(), began_at);
                let (device, license) = (device.clone(), license.clone());
                let automatic = random.permille(300);
                Command::Renew { device, license, term: *term, title_facts, automatic }
            }
            (3..5, _) => self.check_in(device, random),
            _ => self.acquire(device, random, began_at),
        };
        (facts, vec![command])
    }

    /// What the customer's services and support ask for.
    fn around(&self, random: &mut Random, now: i64) -> Command {
        let warrant = Warrant { actor: "support".to_owned(), reason: "asked".to_owned() };
        let held: Vec<&LicenseId> = self.known.keys().collect();
        let devices: Vec<&&str> = self.devices.keys().collect();
        let exception = id(&format!("exception-{}", random.below(2)));
        match (random.below(100), random.pick(&held).copied(), random.pick(&devices).copied()) {
            (0..30, ..) => Command::ChangeMember,
            (30..38, ..) => Command::LapseMembership,
            (38..64, ..) => Command::ResumeMembership { warrant: None },
            (64..72, Some(license), _) => {
                Command::Revoke { target: Target::License(license.clone()), warrant }
            }
            (72, _, Some(device)) => {
                Command::Revoke { target: Target::Device(id(device)), warrant }
            }
            (73..75, ..) => Command::Revoke { target: Target::Member, warrant },
            (75..79, ..) => {
                let title = random.pick(&self.titles).copied().unwrap_or("tide");
                Command::WithdrawTitle { title: id(title) }
            }
            (79..89, ..) => Command::EndException { exception, warrant },
            _ => {
                let rule = random.pick(&EXCEPTED).copied().unwrap_or(STREAMS_GATE);
                let until = Timestamp::from_millis(now + random.within(-1, 12) * DAY_MS);
                let amount = u32::try_from(random.below(3)).unwrap_or(0);
                let allowance = Allowance { rule: id(rule), amount, until };
                Command::GrantException { exception, allowance, warrant }
            }
        }
    }

    fn acquire(&self, device: &str, random: &mut Random, began_at: i64) -> Command {
        // What the device had is wanted again, more often than not too early.
        let here = self.known.values().filter(|(on, _, _)| on.as_str() == device);
        let had: Vec<&str> = here.map(|(_, title, _)| title.as_str()).collect();
        let had = random.pick(&had).copied().filter(|_| random.permille(300));
        let title = had.or_else(|| random.pick(&self.titles).copied()).unwrap_or("tide");
        let unknown = random.permille(10);
        let title_facts = title_facts(title, began_at).filter(|_| !unknown);
        let license = license_id(random);
        Command::Acquire { device: id(device), title: id(title), title_facts, license }
    }

    fn check_in(&self, device: &str, random: &mut Random) -> Command {
        let here = self.known.iter().filter(|(_, (on, _, _))| on.as_str() == device);
        let mut holdings = Vec::new();
        for (license, (_, _, term)) in here {
            // Silence never releases.
            if random.permille(850) {
                let plays = self.devices.get(device).map(|app| app.plays.as_slice());
                let started = plays
                    .unwrap_or_default()
                    .iter()
                    .any(|play| play.license == *license && play.term == *term);
                holdings.push(Holding { license: license.clone(), started });
            }
        }
        Command::CheckIn { device: id(device), holdings }
    }

    fn plays(&mut self, device: &'static str, random: &mut Random, now: i64) -> Command {
        let here = self.known.iter().filter(|(_, (on, _, _))| on.as_str() == device);
        let here: Vec<(LicenseId, u32)> =
            here.map(|(license, (_, _, term))| (license.clone(), *term)).collect();
        let app = self.devices.entry(device).or_default();
        if let Some((license, term)) = random.pick(&here) {
            for _ in 0..=random.below(2) {
                app.play(license, *term, now - random.within(-DAY_MS, 9 * DAY_MS));
            }
        }
        let mut plays: Vec<PlayReport> =
            app.plays.iter().rev().take(12).filter(|_| random.permille(600)).cloned().collect();
        random.shuffle(&mut plays);
        plays.truncate(6);
        let sequences = plays.iter().map(|play| (play.sequence, play.sequence)).collect();
        Command::RecordPlays { device: id(device), sequences, plays }
    }

    /// The devices hear what was answered, and often play at once what they were given.
    pub(crate) fn heard(
        &mut self,
        commands: &[Command],
        outcomes: &[Outcome],
        now: i64,
        random: &mut Random,
    ) {
        for (command, outcome) in commands.iter().zip(outcomes) {
            match (command, outcome) {
                (Command::Acquire { device, title, .. }, Outcome::Held { license, term, .. }) => {
                    let known = (device.clone(), title.clone(), *term);
                    self.had.push((license.clone(), known.clone()));
                    self.known.insert(license.clone(), known);
                    self.perhaps_played(device, license, *term, now, random);
                }
                (Command::Renew { device, .. }, Outcome::Held { license, term, .. }) => {
                    self.known.entry(license.clone()).and_modify(|known| known.2 = *term);
                    self.perhaps_played(device, license, *term, now, random);
                }
                // Now and then a device forgets that it has released: it asks for more of it.
                (_, Outcome::Released { license, .. }) if license.as_str().ends_with('0') => {}
                (_, Outcome::Released { license, .. }) => {
                    self.known.remove(license);
                }
                (_, Outcome::CheckedIn(answer)) => {
                    answer.ended.iter().for_each(|license| drop(self.known.remove(license)));
                }
                (Command::RegisterDevice { device, .. }, _) => self.registered(device, true),
                (_, Outcome::DeviceRemoved { device, .. }) => self.registered(device, false),
                _ => {}
            }
        }
    }

    fn perhaps_played(
        &mut self,
        device: &DeviceId,
        license: &LicenseId,
        term: u32,
        now: i64,
        random: &mut Random,
    ) {
        if let Some(app) = self.app(device).filter(|_| random.permille(300)) {
            app.play(license, term, now + random.within(0, DAY_MS));
        }
    }

    fn app(&mut self, device: &DeviceId) -> Option<&mut App> {
        self.devices.get_mut(device.as_str())
    }

    fn registered(&mut self, device: &DeviceId, registered: bool) {
        if let Some(app) = self.app(device) {
            app.registered = registered;
        }
    }
}

impl App {
    fn play(&mut self, license: &LicenseId, term: u32, at: i64) {
        self.sequence += 1;
        let occurred_at = Timestamp::from_millis(at);
        self.plays.push(PlayReport {
            sequence: self.sequence,
            license: license.clone(),
            term,
            occurred_at,
            device_at: occurred_at,
        });
    }
}

fn facts(random: &mut Random) -> MemberFacts {
    let plans = [None, Some(PREMIUM), Some(STANDARD)];
    let profiles = [None, Some("ana"), Some("ben")];
    let territories = [None, Some(HOME), Some("US")];
    let streams = u32::try_from(random.below(12)).ok();
    MemberFacts {
        plan: random.pick(&plans).copied().flatten().map(id),
        profile: random.pick(&profiles).copied().flatten().map(id),
        territory: random.pick(&territories).copied().flatten().map(id),
        // Most stream little.
        concurrent_streams: streams.map(|streams| streams.saturating_sub(8) % (STREAMS_MAX + 2)),
        ..MemberFacts::default()
    }
}

/// When the membership began, where anybody knows.
fn since(random: &mut Random, began_at: i64) -> Option<Timestamp> {
    let days = random.within(0, 900);
    random.permille(700).then(|| Timestamp::from_millis(began_at - days * DAY_MS))
}

fn register(device: &str, random: &mut Random) -> Command {
    // Now and then another key under a used id.
    let key = if random.permille(950) { "" } else { "-stolen" };
    Command::RegisterDevice {
        device: id(device),
        class: random.pick(&DeviceClass::ALL).copied().unwrap_or(DeviceClass::Phone),
        key: id::<KeyThumbprint>(&format!("key-of-{device}{key}")),
        name: device.to_owned(),
    }
}

fn license_id(random: &mut Random) -> LicenseId {
    id(&format!("license-{}", random.below(u64::MAX)))
}

impl Intent {
    pub(crate) fn new(
        number: usize,
        account: usize,
        commands: Vec<Command>,
        random: &mut Random,
        now: i64,
    ) -> Self {
        let key = random.permille(800).then(|| id(&format!("key-{number}")));
        Self { number, account, key, commands, first_asked: now, attempts: 0 }
    }

    /// As it is asked this time: what is generated is generated anew.
    pub(crate) fn commands(&self, random: &mut Random) -> Vec<Command> {
        let mut commands = self.commands.clone();
        for command in &mut commands {
            if let Command::Acquire { license, .. } = command {
                *license = license_id(random);
            }
        }
        commands
    }
}

//! The numbers a world is played by: written down as a policy for the ledger, and told as plain
//! data to the auditor.

use std::fmt::Write as _;

use domain::Timestamp;

use crate::random::Random;

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// The title whose own cap replaces the default one by its id.
pub(crate) const TITLE_WITH_OWN_CAP: &str = "fjord";
/// The partner with caps of its own.
pub(crate) const STRICT_PARTNER: &str = "north";
/// The partner whose titles only the premium plan may take offline.
pub(crate) const PREMIUM_PARTNER: &str = "south";
pub(crate) const SERIES: &str = "saga";
pub(crate) const PREMIUM: &str = "premium";
pub(crate) const STANDARD: &str = "standard";
pub(crate) const HOME: &str = "DE";
pub(crate) const NEW: &str = "new";
/// Who streams more has to wait.
pub(crate) const STREAMS_MAX: u32 = 2;
pub(crate) const STREAMS_GATE: &str = "streams";
pub(crate) const PREMIUM_GATE: &str = "premium-only";

/// Ahead of UTC and behind it, with clocks that turn by an hour, by half of one, at midnight, and not
/// at all.
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Atlantic/Azores",
    "America/Nuuk",
];

/// How far back windows reach in most worlds, in days.
pub(crate) const REACH_DAYS: i64 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    pub(crate) effective_from: i64,
    pub(crate) start_within_days: i64,
    pub(crate) finish_within_hours: i64,
    /// Of whom the plan is not known, or not premium.
    pub(crate) finish_within_hours_standard: i64,
    /// `term`, `license` or `title`.
    pub(crate) finish_anchor: &'static str,
    /// 0: no check-in clock.
    pub(crate) check_in_within_days: i64,
    /// 0: no plain period.
    pub(crate) end_within_days: i64,
    pub(crate) grace_hours: i64,
    pub(crate) running_play_hours: i64,
    pub(crate) renewals_max: u32,
    pub(crate) renew_before_end_days: i64,
    pub(crate) renews_from_end: bool,
    pub(crate) auto_renew_every_hours: i64,
    pub(crate) release_waits: bool,
    pub(crate) keeps_last_seen: bool,
    pub(crate) notice_hours: i64,
    pub(crate) lapse_ends_within_hours: i64,
    pub(crate) caps: Vec<Cap>,
}

/// A cap in the words of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    pub(crate) counts: Vec<&'static str>,
    pub(crate) per: Vec<&'static str>,
    pub(crate) of_tag: Option<&'static str>,
    pub(crate) of_class: Option<&'static str>,
    pub(crate) when_plan: Option<&'static str>,
    /// It is for whoever is not known to be premium, and for the strict partner.
    pub(crate) guarded: bool,
    pub(crate) window: Window,
    pub(crate) limit: Limit,
    pub(crate) idle_ms: Option<i64>,
    /// Without a fact that it goes by it does not apply.
    pub(crate) lenient: bool,
}

/// From wide to narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    All,
    Partner(&'static str),
    Series(&'static str),
    Title(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Now,
    Rolling(i64),
    Calendar(Unit, &'static str),
    /// Of the member, or else of the license.
    Anniversary(Unit, &'static str, bool),
    FirstUse(i64),
    Interval(i64),
    Lifetime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// A number, and perhaps another for one plan, territory, device class or tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) otherwise: u32,
    pub(crate) by: Option<(&'static str, &'static str, u32)>,
}

impl Limit {
    fn of(otherwise: u32) -> Self {
        Self { otherwise, by: None }
    }
}

impl Cap {
    fn new(id: &'static str, counts: &[&'static str], window: Window, limit: Limit) -> Self {
        Self {
            id,
            level: Level::All,
            counts: counts.to_vec(),
            per: Vec::new(),
            of_tag: None,
            of_class: None,
            when_plan: None,
            guarded: false,
            window,
            limit,
            idle_ms: None,
            lenient: false,
        }
    }

    /// Any cap that can be written.
    fn random(id: &'static str, reach_days: i64, random: &mut Random) -> Self {
        let (counts, window) = counted(reach_days, random);
        let has = |word: &str| counts.contains(&word);
        let of_devices = counts.iter().any(|kind| kind.starts_with("device_"));
        let of_things = has("devices_holding") || has("devices_registered");
        let titleless = of_devices || has("devices_registered");
        let mut keys = vec!["device_class", "profile"];
        keys.extend((!of_things).then_some("device"));
        keys.extend((!titleless).then_some(["partner", "series", "tag"]).into_iter().flatten());
        keys.extend((!titleless && !has("distinct_titles")).then_some("title"));
        keys.retain(|key| !(has("devices_registered") && *key == "profile"));
        random.shuffle(&mut keys);
        keys.truncate(random.index(3));
        let levels = [
            Level::Partner(STRICT_PARTNER),
            Level::Series(SERIES),
            Level::Title(TITLE_WITH_OWN_CAP),
        ];
        let narrow = !titleless && random.permille(250);
        let by = [("plan", PREMIUM), ("territory", HOME), ("device_class", "phone"), ("tag", NEW)];
        let limit = |random: &mut Random| random.within(1, 3).unsigned_abs() as u32;
        let by = random.pick(&by).copied().filter(|_| random.permille(400));
        Self {
            level: random.pick(&levels).copied().filter(|_| narrow).unwrap_or(Level::All),
            per: keys,
            of_tag: random.permille(150).then_some(NEW).filter(|_| !titleless),
            of_class: random.permille(150).then_some("phone"),
            when_plan: random.permille(150).then_some(STANDARD),
            guarded: !titleless && random.permille(150),
            limit: match window {
                Window::Interval(_) => Limit::of(1),
                _ => Limit {
                    otherwise: limit(random),
                    by: by.map(|(by, name)| (by, name, limit(random))),
                },
            },
            idle_ms: (of_things && random.permille(400)).then(|| random.within(1, 20) * DAY_MS),
            lenient: random.permille(300),
            ..Self::new(id, &counts, window, Limit::of(0))
        }
    }

    /// The facts that it goes by and that may be absent.
    pub(crate) fn goes_by(&self) -> Vec<&'static str> {
        let by = self.limit.by.map(|(by, _, _)| by);
        let mut facts: Vec<&'static str> =
            by.into_iter().filter(|by| matches!(*by, "plan" | "territory")).collect();
        facts.extend((self.when_plan.is_some() || self.guarded).then_some("plan"));
        facts.extend(self.per.contains(&"profile").then_some("profile"));
        facts.extend(
            matches!(self.window, Window::Anniversary(_, _, true)).then_some("member_since"),
        );
        facts
    }

    fn written(&self) -> String {
        let mut text = String::new();
        let quoted = |words: &[&str]| format!("[\"{}\"]", words.join("\", \""));
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} = {value}");
        };
        line("id", format!("\"{}\"", self.id));
        match self.counts.as_slice() {
            [one] => line("counts", format!("\"{one}\"")),
            several => line("counts", quoted(several)),
        }
        if !self.per.is_empty() {
            line("per", quoted(&self.per));
        }
        let of = [("tags", self.of_tag), ("device_classes", self.of_class)];
        let of =
            of.iter().filter_map(|(name, word)| Some(format!("{name} = {}", quoted(&[(*word)?]))));
        let of: Vec<String> = of.collect();
        if !of.is_empty() {
            line("of", format!("{{ {} }}", of.join(", ")));
        }
        if let Some(plan) = self.when_plan {
            line("when", format!("{{ plans = {} }}", quoted(&[plan])));
        }
        if self.guarded {
            let guard =
                format!("member.plan != '{PREMIUM}' || title.partner == '{STRICT_PARTNER}'");
            line("guard", format!("\"{guard}\""));
        }
        if let Some(window) = self.window.written() {
            line("window", format!("{{ {window} }}"));
        }
        match (self.window, self.limit) {
            (Window::Interval(_), _) => {}
            (_, Limit { otherwise, by: None }) => line("limit", otherwise.to_string()),
            (_, Limit { otherwise, by: Some((by, name, number)) }) => line(
                "limit",
                format!("{{ by = \"{by}\", {name} = {number}, otherwise = {otherwise} }}"),
            ),
        }
        if let Some(idle_ms) = self.idle_ms {
            line("idle_after", format!("\"{idle_ms}ms\""));
        }
        if self.lenient && !self.goes_by().is_empty() {
            line("if_absent", "\"does_not_apply\"".to_owned());
        }
        text
    }
}

/// What is counted, and in which window.
fn counted(reach_days: i64, random: &mut Random) -> (Vec<&'static str>, Window) {
    let standing = ["active_licenses", "devices_holding", "distinct_titles", "devices_registered"];
    let of_devices = ["device_registrations", "device_swaps", "device_removals"];
    match random.below(10) {
        0..3 => (vec![random.pick(&standing).copied().unwrap_or("active_licenses")], Window::Now),
        3 => (vec!["distinct_titles"], Window::random(reach_days, random)),
        4..6 => {
            let kind = random.pick(&of_devices).copied().unwrap_or("device_swaps");
            (vec![kind], Window::random(reach_days, random))
        }
        6 => (vec!["renewals"], Window::Anniversary(Unit::random(random), zone(random), false)),
        _ => {
            let plays = *random.pick(&["plays", "first_plays"]).unwrap_or(&"plays");
            let mut kinds = vec!["acquisitions", "renewals", plays];
            random.shuffle(&mut kinds);
            kinds.truncate(1 + random.index(3));
            (kinds, Window::random(reach_days, random))
        }
    }
}

impl Unit {
    fn random(random: &mut Random) -> Self {
        *random.pick(&[Self::Day, Self::Week, Self::Month, Self::Year]).unwrap_or(&Self::Week)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

fn zone(random: &mut Random) -> &'static str {
    random.pick(&ZONES).copied().unwrap_or("UTC")
}

impl Window {
    fn random(reach_days: i64, random: &mut Random) -> Self {
        let length = random.within(1, reach_days * 24) * HOUR_MS;
        match random.below(7) {
            0 | 1 => Self::Rolling(length),
            2 => Self::Calendar(Unit::random(random), zone(random)),
            3 => Self::Anniversary(Unit::random(random), zone(random), true),
            4 => Self::FirstUse(length),
            5 => Self::Interval(length),
            _ => Self::Lifetime,
        }
    }

    fn written(self) -> Option<String> {
        Some(match self {
            Self::Now => return None,
            Self::Rolling(ms) => format!("rolling = \"{ms}ms\""),
            Self::Calendar(unit, zone) => {
                format!("calendar = \"{}\", zone = \"{zone}\"", unit.name())
            }
            Self::Anniversary(unit, zone, of_member) => {
                let of = if of_member { "member" } else { "license" };
                format!("anniversary = \"{}\", zone = \"{zone}\", of = \"{of}\"", unit.name())
            }
            Self::FirstUse(ms) => format!("first_use = \"{ms}ms\""),
            Self::Interval(ms) => format!("min_interval = \"{ms}ms\""),
            Self::Lifetime => "lifetime = true".to_owned(),
        })
    }
}

impl Rules {
    pub(crate) fn random(
        name: &'static str,
        effective_from: i64,
        reach_days: i64,
        random: &mut Random,
    ) -> Self {
        Self {
            name,
            effective_from,
            caps: caps(reach_days, random),
            renewals_max: random.within(0, 3).unsigned_abs() as u32,
            start_within_days: random.within(2, 30),
            finish_within_hours: random.within(12, 72),
            finish_within_hours_standard: random.within(6, 72),
            finish_anchor: random.pick(&["term", "term", "license", "title"]).unwrap_or(&"term"),
            // Where there is none, an early lease may outlast those of later terms.
            check_in_within_days: if random.permille(500) { 0 } else { random.within(1, 9) },
            end_within_days: if random.permille(800) { 0 } else { random.within(1, 40) },
            grace_hours: random.within(0, 48),
            running_play_hours: random.within(0, 24),
            renew_before_end_days: random.within(0, 20),
            renews_from_end: random.permille(300),
            auto_renew_every_hours: random.within(1, 96),
            release_waits: random.permille(400),
            keeps_last_seen: random.permille(500),
            notice_hours: random.within(0, 96),
            lapse_ends_within_hours: random.within(0, 96),
        }
    }

    /// Whether anything is reckoned from the oldest event that is remembered.
    pub(crate) fn reckons_from_first_use(&self) -> bool {
        self.caps.iter().any(|cap| matches!(cap.window, Window::FirstUse(_)))
    }

    pub(crate) fn policy(&self) -> String {
        let mut text = self.head();
        for cap in &self.caps {
            let level = match cap.level {
                Level::All => String::new(),
                Level::Partner(id) => format!("partners.{id}."),
                Level::Series(id) => format!("series.{id}."),
                Level::Title(id) => format!("titles.{id}."),
            };
            // Writing to a string does not fail.
            let _ = write!(text, "[[{level}caps]]\n{}", cap.written());
        }
        text
    }

    fn head(&self) -> String {
        let effective_from = Timestamp::from_millis(self.effective_from);
        let clock = |name: &str, days: i64| match days {
            0 => String::new(),
            days => format!("{name} = \"{days}d\""),
        };
        let check_in = clock("check_in_within", self.check_in_within_days);
        let end_within = clock("end_within", self.end_within_days);
        format!(
            r#"
format = 1
name = "{name}"
effective_from = {effective_from}
[terms]
start_within = "{start_within_days}d"
finish_within = "{finish_within_hours}h"
finish_anchor = "{finish_anchor}"
{check_in}
{end_within}
grace = "{grace_hours}h"
running_play = "{running_play_hours}h"
end_with_availability = true
renewals_max = {renewals_max}
renew_before_end = "{renew_before_end_days}d"
renew_from = "{renew_from}"
auto_renew_every = "{auto_renew_every_hours}h"
release_frees = "{release_frees}"
[[tighten]]
id = "standard"
when = {{ plans = ["{STANDARD}"] }}
finish_within = "{finish_within_hours_standard}h"
[[gates]]
id = "{STREAMS_GATE}"
concurrent_streams = {STREAMS_MAX}
if_absent = "allow"
[[partners.{PREMIUM_PARTNER}.gates]]
id = "{PREMIUM_GATE}"
plans = ["{PREMIUM}"]
[downgrade]
keep = "{keep}"
notice = "{notice_hours}h"
[lapse]
end_within = "{lapse_ends_within_hours}h"
"#,
            name = self.name,
            start_within_days = self.start_within_days,
            finish_within_hours = self.finish_within_hours,
            finish_within_hours_standard = self.finish_within_hours_standard,
            finish_anchor = self.finish_anchor,
            grace_hours = self.grace_hours,
            running_play_hours = self.running_play_hours,
            renewals_max = self.renewals_max,
            renew_before_end_days = self.renew_before_end_days,
            renew_from = if self.renews_from_end { "end" } else { "now" },
            auto_renew_every_hours = self.auto_renew_every_hours,
            release_frees = if self.release_waits { "when_confirmed" } else { "at_once" },
            keep = if self.keeps_last_seen { "last_seen" } else { "first_registered" },
            notice_hours = self.notice_hours,
            lapse_ends_within_hours = self.lapse_ends_within_hours,
        )
    }
}

/// Those that every world has, so that much is refused, and three of the whole vocabulary.
fn caps(reach_days: i64, random: &mut Random) -> Vec<Cap> {
    let (idle, idle_days) = (random.permille(400), random.within(1, 20));
    let week = Window::Calendar(Unit::Week, zone(random));
    let mut limit = |low, high| random.within(low, high).unsigned_abs() as u32;
    let active = ["active_licenses"].as_slice();
    let (device, member, holding) = (limit(1, 3), limit(2, 4), limit(1, 2));
    let premium =
        |otherwise, more| Limit { otherwise, by: Some(("plan", PREMIUM, otherwise + more)) };
    let title_week = |limit| Cap {
        per: vec!["title"],
        ..Cap::new("title-week", &["acquisitions"], week, Limit::of(limit))
    };
    let strict = |cap: Cap| Cap { level: Level::Partner(STRICT_PARTNER), ..cap };
    let hours = i64::from(limit(12, 96)) * HOUR_MS;
    let days = i64::from(limit(3, 12)) * DAY_MS;
    let mut caps = vec![
        Cap {
            per: vec!["device"],
            ..Cap::new("device-active", active, Window::Now, Limit::of(device))
        },
        Cap::new("member-active", active, Window::Now, premium(member, limit(0, 4))),
        Cap {
            idle_ms: Some(idle_days * DAY_MS).filter(|_| idle),
            ..Cap::new(
                "devices-holding",
                &["devices_holding"],
                Window::Now,
                premium(holding, limit(0, 2)),
            )
        },
        title_week(limit(1, 3)),
        Cap { level: Level::Title(TITLE_WITH_OWN_CAP), ..title_week(limit(1, 3)) },
        Cap {
            guarded: true,
            ..Cap::new(
                "member-rolling",
                &["acquisitions", "renewals"],
                Window::Rolling(days),
                Limit::of(limit(4, 12)),
            )
        },
        strict(Cap {
            per: vec!["partner"],
            ..Cap::new("partner-active", active, Window::Now, Limit::of(limit(1, 3)))
        }),
        strict(Cap::new(
            "partner-rolling",
            &["acquisitions"],
            Window::Rolling(hours),
            Limit::of(limit(1, 4)),
        )),
    ];
    caps.extend(["drawn-0", "drawn-1", "drawn-2"].map(|id| Cap::random(id, reach_days, random)));
    caps
}

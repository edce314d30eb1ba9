//! Reads a cap: what is counted, per what, in which window, up to how many.

use std::collections::BTreeMap;

use domain::member::CountedKind;
use domain::policy::{
    Cap, Counts, HORIZON_MAX, Kinds, Limit, LimitBy, Of, ScopeKey, Since, When, Window,
};
use domain::time::{CalendarUnit, Zone};
use domain::{DeviceClass, Duration, Fact, Plan, RuleId, Tag, Territory};

use super::absent::needs;
use super::read::{Fields, Node, nearest};
use super::rules::{Place, Seen, Use, of, rule_id, when, without_title};

/// A cap this high refuses nobody.
const LIMIT_MAX: u32 = 1_000_000;

/// What is true now.
const STANDING: [(&str, Counts); 4] = [
    ("active_licenses", Counts::ActiveLicenses),
    ("devices_holding", Counts::DevicesHolding),
    ("distinct_titles", Counts::DistinctTitles),
    ("devices_registered", Counts::DevicesRegistered),
];

pub(super) fn cap(
    mut fields: Fields<'_>,
    level: &mut BTreeMap<RuleId, Place>,
    seen: &mut Seen,
    at_top: bool,
) -> Option<Cap> {
    let id = rule_id(&mut fields, "cap", level, seen);
    let known = counted_words().join("`, `");
    let counts = fields.need("counts", &format!("say what is counted: `{known}`"));
    let counts = counts.and_then(|node| {
        let counts = counts_of(&node)?;
        if counts.is_of_devices() && !at_top {
            node.note(
                "devices come and go without a title; count them in the rules for all titles",
            );
        }
        Some(counts)
    });
    let per = match fields.take("per") {
        None => Some(Vec::new()),
        Some(node) => per(&node, counts),
    };
    let of_node = fields.take("of");
    let of = of(of_node.clone());
    if let (Some(counts), Some(of), Some(node)) = (counts, &of, &of_node) {
        check_of(counts, of, node);
    }
    let when = when(&mut fields);
    if counts.is_some_and(Counts::is_of_devices) {
        without_title(when.as_ref(), &mut fields);
    }
    let (window, once) = window(&mut fields, counts).unzip();
    let limit = match (once.flatten(), fields.take("limit")) {
        (None, node) => needed_limit(&fields, node),
        (Some(()), None) => Some(Limit::constant(1)),
        (Some(()), Some(node)) => {
            node.note("once in a `min_interval` is a limit of 1 already; leave it out");
            None
        }
    };
    let idle_after = fields.take("idle_after").and_then(|node| idle_after(&node, counts));
    let warn_at_left = fields
        .take("warn_at_left")
        .and_then(|node| node.number("at how many left to warn", LIMIT_MAX));
    let cap = (|| {
        Some(Cap {
            id: id.clone()?,
            counts: counts?,
            per: per?,
            of: of?,
            when: when?,
            window: window?,
            limit: limit?,
            idle_after,
            warn_at_left,
            needs: vec![],
        })
    })();
    if let Some(cap) = &cap {
        check_limit(cap, &fields);
    }
    let uses = cap.as_ref().map(uses);
    let needs = needs(&mut fields, id.as_ref(), uses, seen);
    fields.finish();
    Some(Cap { needs, ..cap? })
}

/// The facts that it goes by, each as often as it does.
fn uses(cap: &Cap) -> Vec<(Fact, Use)> {
    let selects = cap.when.facts();
    let selects = selects.into_iter().map(|fact| (fact, Use::Applies));
    let counts = Cap { when: When::default(), ..cap.clone() }.facts().into_iter().map(|fact| {
        let limits = !matches!(fact, Fact::Profile | Fact::MemberSince);
        (fact, if limits { Use::Applies } else { Use::Counts })
    });
    selects.chain(counts).collect()
}

/// A limit that nobody ever reaches, or that everybody always has.
fn check_limit(cap: &Cap, fields: &Fields<'_>) {
    let named: Vec<u32> = match &cap.limit.by {
        LimitBy::Plan(table) => table.values().copied().collect(),
        LimitBy::Territory(table) => table.values().copied().collect(),
        LimitBy::Class(table) => table.values().copied().collect(),
        LimitBy::Tag(table) => table.values().copied().collect(),
    };
    let most = named.iter().copied().chain(cap.limit.otherwise).max();
    if !named.is_empty() && most == Some(0) {
        fields.note("every limit is 0: it refuses always; use a gate with `closed = true`".into());
    }
    if cap.warn_at_left.zip(most).is_some_and(|(left, most)| most > 0 && left >= most) {
        fields.note("`warn_at_left` is no less than the limit: it warns always".into());
    }
}

fn needed_limit(fields: &Fields<'_>, node: Option<Node<'_>>) -> Option<Limit> {
    let Some(node) = node else {
        fields.note(
            "`limit` is missing; say up to how many, like `limit = 3` or \
             `limit = { standard = 2, otherwise = 1 }`"
                .to_owned(),
        );
        return None;
    };
    let limit = limit(&node);
    if limit.as_ref() == Some(&Limit::constant(0)) {
        node.note("a cap of 0 refuses always; use a gate with `closed = true`");
    }
    limit
}

/// In the order of the documentation.
fn counted_words() -> Vec<&'static str> {
    let standing = STANDING.iter().map(|(word, _)| *word);
    let kinds = CountedKind::ALL.into_iter().map(CountedKind::name);
    standing.chain(kinds).chain(["acquisitions_and_renewals"]).collect()
}

/// One word, or a list of kinds that are counted together.
fn counts_of(node: &Node<'_>) -> Option<Counts> {
    if !node.is_list() {
        return node.word("something that is counted", &counted_words(), |word| {
            let standing = STANDING.iter().find(|(name, _)| *name == word);
            let kinds = match word {
                "acquisitions_and_renewals" => {
                    Some(Kinds::of(&[CountedKind::Acquired, CountedKind::Renewed]))
                }
                _ => CountedKind::named(word).map(|kind| Kinds::of(&[kind])),
            };
            standing.map(|(_, counts)| *counts).or(kinds.map(Counts::Events))
        });
    }
    let together = CountedKind::OF_TITLES.map(CountedKind::name);
    let named = |word: &str| CountedKind::named(word).filter(|kind| !kind.is_of_devices());
    let kinds = node.list("kinds", |node| {
        node.word("something that is counted together with others", &together, named)
    })?;
    if kinds.contains(&CountedKind::FirstPlayed) && kinds.contains(&CountedKind::Played) {
        node.note("a first play is a play too, and would count twice; leave one of them out");
    }
    Some(Counts::Events(Kinds::of(&kinds)))
}

fn per(node: &Node<'_>, counts: Option<Counts>) -> Option<Vec<ScopeKey>> {
    let per = node.list("scopes", scope)?;
    let counts = counts?;
    let has = |key: ScopeKey| per.contains(&key);
    let one_device = matches!(counts, Counts::DevicesHolding | Counts::DevicesRegistered);
    if one_device && has(ScopeKey::Device) {
        node.note("devices counted per `device` are never more than one; leave it out");
    }
    if counts == Counts::DistinctTitles && has(ScopeKey::Title) {
        node.note("titles counted per `title` are never more than one; leave it out");
    }
    for key in [ScopeKey::Partner, ScopeKey::Series, ScopeKey::Title, ScopeKey::Tag] {
        if counts.is_of_devices() && has(key) {
            node.note(format!(
                "`{}` are of no title and cannot be counted per `{}`; leave it out",
                counts.name(),
                key.name()
            ));
        }
    }
    if counts == Counts::DevicesRegistered && has(ScopeKey::Profile) {
        node.note("a device is the member's, and no profile's; leave `profile` out");
    }
    Some(per)
}

fn check_of(counts: Counts, of: &Of, node: &Node<'_>) {
    if counts.is_of_devices() && !of.tags.is_empty() {
        node.note("a device that comes or goes has no tags; leave `tags` out");
    }
}

fn idle_after(node: &Node<'_>, counts: Option<Counts>) -> Option<Duration> {
    let length = node.duration()?;
    if !matches!(counts?, Counts::DevicesHolding | Counts::DevicesRegistered) {
        node.note("only `devices_holding` and `devices_registered` leave idle devices out");
    } else if length == Duration::ZERO {
        node.note("every device would be idle at once; write after how long it is");
    }
    Some(length)
}

const WINDOWS: &str = "`window = { rolling = \"30d\" }` or \
     `window = { calendar = \"month\", zone = \"Europe/Berlin\" }`";

/// The window, and whether it is one that holds one event.
fn window(fields: &mut Fields<'_>, counts: Option<Counts>) -> Option<(Window, Option<()>)> {
    let node = fields.take("window");
    let Some(counts) = counts else {
        // What is wrong with it is told, whatever is counted.
        let _ = read_window(&node?, None);
        return None;
    };
    match (counts, node) {
        (Counts::Events(_), None) => {
            fields.note(format!("`{}` are counted in a window; add {WINDOWS}", counts.name()));
            None
        }
        (_, None) => Some((Window::Now, None)),
        (Counts::Events(_) | Counts::DistinctTitles, Some(node)) => {
            read_window(&node, Some(counts))
        }
        (_, Some(node)) => {
            let instead = match counts {
                Counts::DevicesRegistered => "device_registrations",
                _ => "acquisitions",
            };
            node.note(format!(
                "`{}` counts what is true now; remove the window, or count `{instead}`",
                counts.name()
            ));
            None
        }
    }
}

fn read_window(node: &Node<'_>, counts: Option<Counts>) -> Option<(Window, Option<()>)> {
    let mut window = node.fields(&format!("a table: {WINDOWS}"))?;
    let kinds = ["rolling", "calendar", "anniversary", "first_use", "min_interval", "lifetime"];
    let mut stated: Vec<(&str, Node<'_>)> =
        kinds.into_iter().filter_map(|kind| Some((kind, window.take(kind)?))).collect();
    let (zone, of) = (window.take("zone"), window.take("of"));
    window.finish();
    let (Some((kind, how)), true) = (stated.pop(), stated.is_empty()) else {
        node.note(format!("a window is of one kind: `{}`; write {WINDOWS}", kinds.join("`, `")));
        return None;
    };
    let of_zone = matches!(kind, "calendar" | "anniversary");
    if let Some(zone) = zone.as_ref().filter(|_| !of_zone) {
        zone.note(format!("a window `{kind}` is the same in every zone; leave `zone` out"));
    }
    if let Some(of) = of.as_ref().filter(|_| kind != "anniversary") {
        of.note("only an `anniversary` is of anything; leave `of` out");
    }
    match kind {
        "rolling" => Some((Window::Rolling(remembered(&how)?), None)),
        "first_use" => Some((Window::FirstUse(remembered(&how)?), None)),
        "min_interval" => Some((Window::Rolling(remembered(&how)?), Some(()))),
        "lifetime" => {
            if !how.flag()? {
                how.note("says nothing when `false`; write `true`, or another window");
            }
            Some((Window::Lifetime, None))
        }
        _ => {
            let Some(zone) = zone else {
                how.note(
                    "`zone` is missing; name the zone whose calendar it is, like \
                     `zone = \"Europe/Berlin\"`",
                );
                return None;
            };
            let calendar = calendar(&how, &zone);
            let window = if kind == "calendar" {
                let (unit, zone) = calendar?;
                Window::Calendar(unit, zone)
            } else {
                let since = since(of.as_ref(), counts)?;
                let (unit, zone) = calendar?;
                Window::Anniversary(since, unit, zone)
            };
            Some((window, None))
        }
    }
}

/// What began on the day on which an anniversary turns.
fn since(node: Option<&Node<'_>>, counts: Option<Counts>) -> Option<Since> {
    let Some(node) = node else { return Some(Since::Member) };
    let since =
        node.word("what an anniversary is of", &["member", "license"], |word| match word {
            "member" => Some(Since::Member),
            "license" => Some(Since::License),
            _ => None,
        })?;
    let renewals = Counts::Events(Kinds::of(&[CountedKind::Renewed]));
    if since == Since::License && counts.is_some_and(|counts| counts != renewals) {
        node.note(
            "only a renewal is of a license that has a day of its own; count `renewals` and \
             nothing else, or leave `of` out",
        );
    }
    Some(since)
}

/// A length that a member's state reaches back.
fn remembered(node: &Node<'_>) -> Option<Duration> {
    let length = node.duration()?;
    if length == Duration::ZERO {
        node.note("a window of no length counts nothing; write how far back to count");
    } else if length > HORIZON_MAX {
        node.note(format!(
            "a window is at most {HORIZON_MAX}, and this one is {length}; write `lifetime = true` \
             for what never frees"
        ));
    } else if length > node.horizon() {
        let horizon = node.horizon();
        node.note(format!(
            "a member's state remembers {horizon}, and this window is {length}; write at most \
             `{horizon}` or `lifetime = true`, or raise what is remembered with the service \
             stopped: `carnet store raise-horizon DIR {length}`"
        ));
    }
    Some(length)
}

fn calendar(unit: &Node<'_>, zone: &Node<'_>) -> Option<(CalendarUnit, Zone)> {
    let unit =
        unit.word("a calendar period", &["day", "week", "month", "year"], |word| match word {
            "day" => Some(CalendarUnit::Day),
            "week" => Some(CalendarUnit::Week),
            "month" => Some(CalendarUnit::Month),
            "year" => Some(CalendarUnit::Year),
            _ => None,
        });
    let zone = self::zone(zone);
    Some((unit?, zone?))
}

pub(super) fn zone(node: &Node<'_>) -> Option<Zone> {
    let name = node.text("the name of a time zone")?;
    let named = Zone::named(name);
    if named.is_none() {
        let zones = jiff::tz::TimeZoneDatabase::bundled();
        let known: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
        let remedy = nearest(name, known.iter().map(String::as_str));
        let remedy = remedy.unwrap_or("write an IANA name, like `Europe/Berlin`".to_owned());
        node.note(format!("`{name}` is not a time zone; {remedy}"));
    }
    named
}

/// A number, or one by a fact of the request.
pub(super) fn limit(node: &Node<'_>) -> Option<Limit> {
    const WHAT: &str = "up to how many";
    if !node.is_table() {
        return node.number(WHAT, LIMIT_MAX).map(Limit::constant);
    }
    let mut fields = node.fields(WHAT)?;
    let otherwise = fields.take("otherwise").map(|node| node.number(WHAT, LIMIT_MAX));
    let by = fields.take("by").map(|node| {
        node.word("what a limit goes by", &LIMIT_BY, |word| {
            LIMIT_BY.into_iter().find(|by| *by == word)
        })
    });
    let by = by.unwrap_or(Some("plan"))?;
    let named = fields.all().filter(|(name, _)| !matches!(*name, "otherwise" | "by"));
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        node.note(format!("names no {by}; write the limit as a number, or one for each {by}"));
    }
    let table = Table { by, rows: &named };
    let by = match by {
        "territory" => LimitBy::Territory(table.read(Territory::new)),
        "device_class" => {
            let known = DeviceClass::ALL.map(DeviceClass::name).join("`, `");
            LimitBy::Class(table.read(|name| {
                DeviceClass::named(name).ok_or_else(|| format!("known are `{known}`"))
            }))
        }
        "tag" => LimitBy::Tag(table.read(Tag::new)),
        _ => LimitBy::Plan(table.read(Plan::new)),
    };
    Some(Limit { otherwise: otherwise.flatten(), by })
}

const LIMIT_BY: [&str; 4] = ["plan", "territory", "device_class", "tag"];

/// The numbers of a limit by what they are for.
struct Table<'a, 'n> {
    by: &'static str,
    rows: &'n [(&'a str, Node<'a>)],
}

impl Table<'_, '_> {
    fn read<K: Ord, E: std::fmt::Display>(
        &self,
        new: impl Fn(&str) -> Result<K, E>,
    ) -> BTreeMap<K, u32> {
        let mut table = BTreeMap::new();
        for (name, node) in self.rows {
            let by = self.by;
            if let Some(meant) = nearest(name, ["otherwise"].into_iter()) {
                node.note(format!("`{name}` would be a {by} of that name; {meant}"));
            }
            if node.is_table() && LIMIT_BY.contains(name) {
                node.note(format!(
                    "is a table by {name}; write it as `limit` itself, with `by = \"{name}\"` in it"
                ));
                continue;
            }
            match (new(name), node.number("up to how many", LIMIT_MAX)) {
                (Ok(key), Some(number)) => {
                    table.insert(key, number);
                }
                (Err(error), _) => {
                    node.note(format!("`{}` is not a {by}: {error}", name.escape_debug()));
                }
                (Ok(_), None) => {}
            }
        }
        table
    }
}

fn scope(node: &Node<'_>) -> Option<ScopeKey> {
    node.word("a scope", &ScopeKey::ALL.map(ScopeKey::name), ScopeKey::named)
}

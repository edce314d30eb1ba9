//! Reads a cap: what is counted, per what, in which window, up to how many.

use std::collections::BTreeMap;

use domain::policy::{Cap, Counts, HORIZON, Limit, ScopeKey, Window};
use domain::time::{CalendarUnit, Zone};
use domain::{Duration, Plan, RuleId};

use super::read::{Fields, Node, nearest};
use super::rules::{Place, Seen, of, rule_id, when};

/// A cap this high refuses nobody.
const LIMIT_MAX: u32 = 1_000_000;

pub(super) fn cap(
    mut fields: Fields<'_>,
    level: &mut BTreeMap<RuleId, Place>,
    seen: &mut Seen,
) -> Option<Cap> {
    const COUNTED: [&str; 5] = [
        "active_licenses",
        "devices_holding",
        "acquisitions",
        "renewals",
        "acquisitions_and_renewals",
    ];
    let id = rule_id(&mut fields, "cap", level, seen);
    let known = COUNTED.join("`, `");
    let counts = fields
        .need("counts", &format!("say what is counted: `{known}`"))
        .and_then(|node| node.word("something that is counted", &COUNTED, counts));
    let per = match fields.take("per") {
        None => Some(Vec::new()),
        Some(node) => {
            let per = node.list("scopes", scope);
            if counts == Some(Counts::DevicesHolding)
                && per.as_ref().is_some_and(|per| per.contains(&ScopeKey::Device))
            {
                node.note("devices counted per `device` are never more than one; leave it out");
            }
            per
        }
    };
    let of = of(fields.take("of"));
    let when = when(fields.take("when"));
    let window = window(&mut fields, counts);
    let limit = fields
        .need(
            "limit",
            "say up to how many, like `limit = 3` or `limit = { standard = 2, otherwise = 1 }`",
        )
        .and_then(|node| limit(&node));
    fields.finish();
    Some(Cap {
        id: id?,
        counts: counts?,
        per: per?,
        of: of?,
        when: when?,
        window: window?,
        limit: limit?,
    })
}

fn counts(word: &str) -> Option<Counts> {
    match word {
        "active_licenses" => Some(Counts::ActiveLicenses),
        "devices_holding" => Some(Counts::DevicesHolding),
        "acquisitions" => Some(Counts::Events { acquisitions: true, renewals: false }),
        "renewals" => Some(Counts::Events { acquisitions: false, renewals: true }),
        "acquisitions_and_renewals" => Some(Counts::Events { acquisitions: true, renewals: true }),
        _ => None,
    }
}

fn window(fields: &mut Fields<'_>, counts: Option<Counts>) -> Option<Window> {
    const HOW: &str = "`window = { rolling = \"30d\" }` or \
         `window = { calendar = \"month\", zone = \"Europe/Berlin\" }`";
    let node = fields.take("window");
    match (counts?, node) {
        (Counts::ActiveLicenses | Counts::DevicesHolding, None) => Some(Window::Now),
        (counts @ (Counts::ActiveLicenses | Counts::DevicesHolding), Some(node)) => {
            node.note(format!(
                "`{}` counts what is true now; remove the window, or count `acquisitions`",
                counts.name()
            ));
            None
        }
        (counts @ Counts::Events { .. }, None) => {
            fields.note(format!("`{}` are counted in a window; add {HOW}", counts.name()));
            None
        }
        (Counts::Events { .. }, Some(node)) => {
            let mut window = node.fields(&format!("a table: {HOW}"))?;
            let taken = (window.take("rolling"), window.take("calendar"), window.take("zone"));
            window.finish();
            match taken {
                (Some(length), None, None) => rolling(&length),
                (None, Some(unit), Some(zone)) => calendar(&unit, &zone),
                (None, Some(unit), None) => {
                    unit.note(
                        "`zone` is missing; name the zone whose calendar it is, like \
                         `zone = \"Europe/Berlin\"`",
                    );
                    None
                }
                _ => {
                    node.note(format!("a window is either rolling or of a calendar; write {HOW}"));
                    None
                }
            }
        }
    }
}

fn rolling(node: &Node<'_>) -> Option<Window> {
    let length = node.duration()?;
    if length == Duration::ZERO {
        node.note("a window of no length counts nothing; write how far back to count");
    } else if length > HORIZON {
        node.note(format!(
            "a member's state remembers {HORIZON}, and this window is {length}; write at most \
             `{HORIZON}`"
        ));
    }
    Some(Window::Rolling(length))
}

fn calendar(unit: &Node<'_>, zone: &Node<'_>) -> Option<Window> {
    let unit =
        unit.word("a calendar period", &["day", "week", "month", "year"], |word| match word {
            "day" => Some(CalendarUnit::Day),
            "week" => Some(CalendarUnit::Week),
            "month" => Some(CalendarUnit::Month),
            "year" => Some(CalendarUnit::Year),
            _ => None,
        });
    let name = zone.text("the name of a time zone")?;
    let named = Zone::named(name);
    if named.is_none() {
        let zones = jiff::tz::TimeZoneDatabase::bundled();
        let known: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
        let remedy = nearest(name, known.iter().map(String::as_str));
        let remedy = remedy.unwrap_or("write an IANA name, like `Europe/Berlin`".to_owned());
        zone.note(format!("`{name}` is not a time zone; {remedy}"));
    }
    Some(Window::Calendar(unit?, named?))
}

fn limit(node: &Node<'_>) -> Option<Limit> {
    const WHAT: &str = "up to how many";
    if !node.is_table() {
        let number = node.number(WHAT, LIMIT_MAX)?;
        if number == 0 {
            node.note("a cap of 0 refuses always; use a gate with `closed = true`");
        }
        return Some(Limit { otherwise: Some(number), by_plan: BTreeMap::new() });
    }
    let mut fields = node.fields(WHAT)?;
    let otherwise = fields.take("otherwise").map(|node| node.number(WHAT, LIMIT_MAX));
    let mut by_plan = BTreeMap::new();
    let plans: Vec<_> = fields.all().filter(|(plan, _)| *plan != "otherwise").collect();
    if plans.is_empty() {
        node.note("names no plan; write the limit as a number, or one for each plan");
    }
    for (plan, node) in plans {
        if let Some(meant) = nearest(plan, ["otherwise"].into_iter()) {
            node.note(format!("`{plan}` would be a plan of that name; {meant}"));
        }
        match (Plan::new(plan), node.number(WHAT, LIMIT_MAX)) {
            (Ok(plan), Some(number)) => {
                by_plan.insert(plan, number);
            }
            (Err(error), _) => {
                node.note(format!("`{}` is not a plan: {error}", plan.escape_debug()));
            }
            (Ok(_), None) => {}
        }
    }
    Some(Limit { otherwise: otherwise.flatten(), by_plan })
}

fn scope(node: &Node<'_>) -> Option<ScopeKey> {
    node.word("a scope", &ScopeKey::ALL.map(ScopeKey::name), ScopeKey::named)
}

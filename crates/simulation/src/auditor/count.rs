//! Counts, for each cap of plain data, what was recorded: no index, no snapshot, no cleverness.

use std::collections::BTreeSet;

use domain::{DeviceClass, Facts, MemberFacts, TitleFacts};

use super::Ledger;
use super::calendar::{anniversary_start, longest, start};
use super::copies::Copy;
use crate::rules::{Cap, Level, PREMIUM, Rules, STRICT_PARTNER, Window};

/// What is asked about, or was counted, with everything that a cap may go by.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) device: String,
    pub(super) class: &'static str,
    pub(super) profile: Option<String>,
    /// `None` of a device that comes or goes.
    pub(super) title: Option<(String, TitleFacts)>,
}

#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) at: i64,
    pub(super) kind: &'static str,
    /// Empty of devices.
    pub(super) license: String,
    pub(super) thing: Thing,
    /// Beyond the horizon, where only caps for life look.
    pub(super) forgotten: bool,
}

impl Counted {
    /// What is forgotten together: all that happens to devices, and each kind that happens to titles.
    fn is_beside(&self, kind: &str) -> bool {
        let of_devices = |kind: &str| kind.starts_with("device_");
        self.kind == kind || of_devices(self.kind) && of_devices(kind)
    }
}

/// What a command would add.
pub(super) struct Ask<'a> {
    pub(super) rules: &'a Rules,
    pub(super) at: i64,
    pub(super) facts: &'a MemberFacts,
    pub(super) thing: Thing,
    pub(super) adds: Adds<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Adds<'a> {
    Acquisition,
    Renewal(&'a str),
    Revival(&'a str),
    Registration,
    Removal,
}

/// A cap that has no room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Full {
    pub(super) id: String,
    /// Of a cap per tag.
    pub(super) tag: Option<String>,
    pub(super) used: u32,
    pub(super) limit: u32,
}

impl Thing {
    pub(super) fn of(device: &str, title: &str, facts: &Facts) -> Self {
        Self::known(device, facts.class, &facts.member, Some((title, &facts.title)))
    }

    pub(super) fn known(
        device: &str,
        class: DeviceClass,
        member: &MemberFacts,
        title: Option<(&str, &TitleFacts)>,
    ) -> Self {
        Self {
            device: device.to_owned(),
            class: class.name(),
            profile: member.profile.as_ref().map(ToString::to_string),
            title: title.map(|(id, facts)| (id.to_owned(), facts.clone())),
        }
    }

    fn partner(&self) -> Option<&str> {
        self.title.as_ref().map(|(_, facts)| facts.partner.as_str())
    }

    fn series(&self) -> Option<&str> {
        self.title.as_ref().and_then(|(_, facts)| facts.series.as_ref()).map(|id| id.as_str())
    }

    fn id(&self) -> Option<&str> {
        self.title.as_ref().map(|(id, _)| id.as_str())
    }

    fn tags(&self) -> Vec<&str> {
        let tags = self.title.as_ref().map(|(_, facts)| &*facts.tags).unwrap_or_default();
        tags.iter().map(|tag| tag.as_str()).collect()
    }

    fn at_level(&self, level: Level) -> bool {
        match level {
            Level::All => true,
            Level::Partner(id) => self.partner() == Some(id),
            Level::Series(id) => self.series() == Some(id),
            Level::Title(id) => self.id() == Some(id),
        }
    }

    /// Whether the cap is about it.
    fn selected(&self, cap: &Cap) -> bool {
        self.at_level(cap.level)
            && cap.of_tag.is_none_or(|tag| self.tags().contains(&tag))
            && cap.of_class.is_none_or(|class| self.class == class)
    }

    /// Whether the cap counts it together with what is asked about.
    fn counts(&self, cap: &Cap, asked: &Self, tag: Option<&str>) -> bool {
        let same = |key: &&str| match *key {
            "profile" => asked.profile.is_none() || self.profile == asked.profile,
            "device" => self.device == asked.device,
            "device_class" => self.class == asked.class,
            "partner" => self.partner() == asked.partner(),
            "series" => self.series() == asked.series(),
            "title" => self.id() == asked.id(),
            _ => tag.is_none_or(|tag| self.tags().contains(&tag)),
        };
        self.selected(cap) && cap.per.iter().all(same)
    }
}

impl Ledger {
    /// Something of a kind happened: of that kind, what is beyond the horizon may go. What happens to
    /// titles goes when it is much.
    pub(super) fn forget(&mut self, kind: &'static str) {
        let of_devices = kind.starts_with("device_");
        let beside = |one: &&mut Counted| one.is_beside(kind) && !one.forgotten;
        let mut remembered: Vec<&mut Counted> = self.counted.iter_mut().filter(beside).collect();
        let newest = remembered.iter().map(|one| one.at).max().unwrap_or(0);
        let all = remembered.len();
        remembered.retain(|one| one.at <= newest - self.horizon_ms);
        if of_devices || remembered.len() > 64 && remembered.len() * 4 > all {
            remembered.into_iter().for_each(|one| one.forgotten = true);
        }
    }

    /// The caps that have no room for what is asked.
    pub(super) fn full(&self, ask: &Ask<'_>) -> Vec<Full> {
        let mut full = Vec::new();
        for cap in ask.rules.caps.iter().filter(|cap| self.is_asked(cap, ask)) {
            let tags: Vec<Option<&str>> = match cap.per.contains(&"tag") {
                true => ask.thing.tags().into_iter().map(Some).collect(),
                false => vec![None],
            };
            for tag in tags {
                let (used, adds) = self.used(cap, ask, tag);
                let (used, limit) = (u32::try_from(used).unwrap_or(u32::MAX), self.limit(cap, ask));
                if adds && used >= limit {
                    full.push(Full { id: cap.id.into(), tag: tag.map(str::to_owned), used, limit });
                }
            }
        }
        full
    }

    fn is_asked(&self, cap: &Cap, ask: &Ask<'_>) -> bool {
        let replaced = ask.rules.caps.iter().any(|other| {
            other.id == cap.id && other.level > cap.level && ask.thing.at_level(other.level)
        });
        let licenses = !matches!(ask.adds, Adds::Registration | Adds::Removal);
        let moves = |kind: &&str| match *kind {
            "active_licenses" | "devices_holding" => licenses,
            "distinct_titles" if cap.window == Window::Now => licenses,
            "distinct_titles" | "acquisitions" => ask.adds == Adds::Acquisition,
            "renewals" => matches!(ask.adds, Adds::Renewal(_)),
            "plays" | "first_plays" => matches!(ask.adds, Adds::Acquisition | Adds::Renewal(_)),
            "device_removals" => ask.adds == Adds::Removal,
            _ => ask.adds == Adds::Registration,
        };
        let MemberFacts { profile, plan, territory, member_since, .. } = ask.facts;
        let known = |fact: &&str| match *fact {
            "profile" => profile.is_some(),
            "plan" => plan.is_some(),
            "territory" => territory.is_some(),
            _ => member_since.is_some(),
        };
        let splits = |key: &&str| match *key {
            "series" => ask.thing.series().is_some(),
            "tag" => !ask.thing.tags().is_empty(),
            _ => true,
        };
        let of_plan =
            cap.when_plan.is_none_or(|when| plan.as_ref().is_none_or(|plan| plan.as_str() == when));
        // Whose plan is not known could be on any other.
        let premium = plan.as_ref().is_some_and(|plan| plan.as_str() == PREMIUM);
        let guarded = cap.guarded && premium && ask.thing.partner() != Some(STRICT_PARTNER);
        !replaced
            && !guarded
            && ask.thing.selected(cap)
            && of_plan
            && cap.counts.iter().any(moves)
            && cap.per.iter().all(splits)
            && (!cap.lenient || cap.goes_by().iter().all(known))
    }

    pub(super) fn limit(&self, cap: &Cap, ask: &Ask<'_>) -> u32 {
        let otherwise = cap.limit.otherwise;
        let limit = cap.limit.by.map_or(otherwise, |(by, name, number)| {
            let fact = match by {
                "plan" => ask.facts.plan.as_ref().map(|plan| plan.as_str() == name),
                "territory" => ask.facts.territory.as_ref().map(|here| here.as_str() == name),
                "device_class" => Some(ask.thing.class == name),
                _ => Some(ask.thing.tags().contains(&name)),
            };
            match fact {
                Some(named) => {
                    if named {
                        number
                    } else {
                        otherwise
                    }
                }
                None => number.min(otherwise),
            }
        });
        limit + self.allowed(cap.id, ask.at).unwrap_or(0)
    }

    /// How much is used, and whether the command adds to it.
    fn used(&self, cap: &Cap, ask: &Ask<'_>, tag: Option<&str>) -> (usize, bool) {
        let Ask { at, thing, adds, .. } = ask;
        let here = |copy: &Copy| {
            copy.active(*at)
                && copy.thing().counts(cap, thing, tag)
                && !self.idle(cap, &copy.device, *at)
        };
        let own = |id: &str, copy: &Copy| match adds {
            Adds::Renewal(license) | Adds::Revival(license) => id == *license,
            _ => copy.device == thing.device && Some(copy.title.as_str()) == thing.id(),
        };
        // What is counted as it is adds nothing by being renewed.
        let counted_already = match adds {
            Adds::Renewal(license) | Adds::Revival(license) => {
                self.copies.get(*license).is_some_and(&here)
            }
            _ => false,
        };
        let others = || {
            let others = self.copies.iter().filter(|(id, copy)| here(copy) && !own(id, copy));
            others.map(|(_, copy)| copy)
        };
        match (cap.counts.as_slice(), cap.window) {
            (["active_licenses"], _) => (others().count(), !counted_already),
            (["devices_holding"], _) => {
                let devices: BTreeSet<&str> = others().map(|copy| copy.device.as_str()).collect();
                (devices.len(), !counted_already && !devices.contains(thing.device.as_str()))
            }
            (["distinct_titles"], Window::Now) => {
                let titles: BTreeSet<&str> = others().map(|copy| copy.title.as_str()).collect();
                let adds = thing.id().is_none_or(|title| !titles.contains(title));
                (titles.len(), !counted_already && adds)
            }
            (["devices_registered"], _) => {
                let registered = self.registered_counting(cap, ask);
                (registered.len(), !registered.contains(thing.device.as_str()))
            }
            (["distinct_titles"], _) => {
                let happened = self.in_window(cap, ask, tag, &["acquisitions"]);
                let titles: BTreeSet<&str> =
                    happened.iter().filter_map(|one| one.thing.id()).collect();
                (titles.len(), thing.id().is_none_or(|title| !titles.contains(title)))
            }
            (kinds, _) => {
                let adds = kinds != ["device_swaps"] || self.vacancies > 0;
                (self.in_window(cap, ask, tag, kinds).len(), adds)
            }
        }
    }

    fn registered_counting(&self, cap: &Cap, ask: &Ask<'_>) -> BTreeSet<&str> {
        let counted = self.devices.iter().filter(|(id, device)| {
            let (device_id, profile) = ((*id).clone(), ask.thing.profile.clone());
            let thing = Thing { device: device_id, class: device.class, profile, title: None };
            device.there(ask.at)
                && thing.counts(cap, &ask.thing, None)
                && !self.idle(cap, id, ask.at)
        });
        counted.map(|(id, _)| id.as_str()).collect()
    }

    fn idle(&self, cap: &Cap, device: &str, at: i64) -> bool {
        let seen = self.devices.get(device).map(|device| device.last_seen);
        cap.idle_ms.zip(seen).is_some_and(|(idle_ms, seen)| seen + idle_ms <= at)
    }

    fn in_window(
        &self,
        cap: &Cap,
        ask: &Ask<'_>,
        tag: Option<&str>,
        kinds: &[&str],
    ) -> Vec<&Counted> {
        let counted = self.counted.iter().filter(|one| kinds.contains(&one.kind));
        let mut counted: Vec<&Counted> =
            counted.filter(|one| one.thing.counts(cap, &ask.thing, tag)).collect();
        counted.sort_by_key(|one| one.at);
        let at = ask.at;
        let of_member = ask.facts.member_since.map(domain::Timestamp::as_millis);
        let of_license = match ask.adds {
            Adds::Renewal(license) => self.copies.get(license).map(|copy| copy.acquired_at),
            _ => None,
        };
        let from = match cap.window {
            Window::Now | Window::Lifetime => i64::MIN,
            Window::Rolling(ms) | Window::Interval(ms) => at - ms + 1,
            Window::Calendar(unit, zone) => start(unit, zone, at),
            Window::Anniversary(unit, zone, is_of_member) => {
                let since = if is_of_member { of_member } else { of_license };
                let known = since.map(|since| anniversary_start(unit, zone, since, at));
                known.unwrap_or(at - longest(unit) + 1)
            }
            Window::FirstUse(ms) => {
                counted.retain(|one| !one.forgotten);
                let mut opened = i64::MIN / 2;
                for one in &counted {
                    opened = if one.at >= opened + ms { one.at } else { opened };
                }
                if at < opened + ms { opened } else { i64::MAX }
            }
        };
        counted.retain(|one| one.at >= from);
        counted
    }

    /// Of the caps on devices that no title splits: the devices that are counted beside each
    /// other, and how many of them fit, whatever device asks.
    pub(super) fn device_caps(
        &self,
        rules: &Rules,
        at: i64,
        facts: &MemberFacts,
    ) -> Vec<(BTreeSet<String>, usize)> {
        let mut found = Vec::new();
        let of_devices = |cap: &&Cap| {
            matches!(cap.counts.as_slice(), ["devices_holding" | "devices_registered"])
                && cap.level == Level::All
                && cap.of_tag.is_none()
                && cap.per.iter().all(|key| *key == "device_class")
        };
        for cap in rules.caps.iter().filter(of_devices) {
            let classes = ["phone", "tablet", "tv", "desktop", "web"];
            let classes = classes.into_iter().filter(|c| cap.of_class.is_none_or(|of| of == *c));
            let mut of_each = Vec::new();
            for class in classes {
                let profile = facts.profile.as_ref().map(ToString::to_string);
                let thing = Thing { device: String::new(), class, profile, title: None };
                let adds = Adds::Registration;
                let ask = Ask { rules, at, facts, thing, adds };
                let holding = |copy: &&Copy| {
                    let there = copy.active(at) && !self.idle(cap, &copy.device, at);
                    there && copy.thing().counts(cap, &ask.thing, None)
                };
                let counted: BTreeSet<String> = match cap.counts.as_slice() {
                    ["devices_holding"] => {
                        self.copies.values().filter(holding).map(|c| c.device.clone()).collect()
                    }
                    _ => {
                        let registered = self.registered_counting(cap, &ask);
                        registered.into_iter().map(str::to_owned).collect()
                    }
                };
                let asked = Cap { counts: vec!["devices_registered"], ..cap.clone() };
                let limit = usize::try_from(self.limit(cap, &ask)).unwrap_or(usize::MAX);
                of_each.push(self.is_asked(&asked, &ask).then_some((counted, limit)));
            }
            if cap.per.contains(&"device_class") {
                found.extend(of_each.into_iter().flatten());
            } else if let Some(of_all) = of_each.into_iter().collect::<Option<Vec<_>>>() {
                found.extend(of_all.into_iter().max_by_key(|(_, limit)| *limit));
            }
        }
        found
    }
}

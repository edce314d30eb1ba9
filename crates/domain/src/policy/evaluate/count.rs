//! Counts for one cap what there is, and says of each unit when it stops counting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Active, Adds, Ask, of_matches};
use crate::facts::{DeviceClass, Facts};
use crate::ids::{DeviceId, LicenseId, PartnerId, ProfileId, SeriesId, Tag, TitleId};
use crate::member::{
    Among, CapFinding, CapState, Code, Contributor, Counted, CountedKind, Device, DeviceCounted,
    Finding, License, Log, Member, Tallied,
};
use crate::policy::effective::Level;
use crate::policy::{Cap, Counts, Keep, Kinds, Of, ScopeKey, Since, Window};
use crate::time::{Duration, Timestamp, anniversary_period, calendar_period, calendar_start};

/// One cap asked about one command.
pub(super) struct Count<'a, 'b> {
    pub(super) ask: &'b Ask<'a>,
    pub(super) level: Level,
    pub(super) cap: &'a Cap,
    pub(super) active: &'b Active<'a>,
    /// For a cap per tag, the one counted.
    pub(super) tag: Option<&'a Tag>,
}

/// What a cap matches on, of anything that is counted.
#[derive(Clone, Copy)]
struct Seen<'s> {
    device: &'s DeviceId,
    class: DeviceClass,
    profile: Option<&'s ProfileId>,
    title: Option<SeenTitle<'s>>,
}

#[derive(Clone, Copy)]
struct SeenTitle<'s> {
    id: &'s TitleId,
    partner: &'s PartnerId,
    series: Option<&'s SeriesId>,
    tags: &'s [Tag],
}

impl<'s> Seen<'s> {
    fn of(device: &'s DeviceId, title: &'s TitleId, facts: &'s Facts) -> Self {
        Self {
            device,
            class: facts.class,
            profile: facts.member.profile.as_ref(),
            title: Some(SeenTitle {
                id: title,
                partner: &facts.title.partner,
                series: facts.title.series.as_ref(),
                tags: &facts.title.tags,
            }),
        }
    }

    fn device(device: &'s DeviceId, class: DeviceClass, profile: Option<&'s ProfileId>) -> Self {
        Self { device, class, profile, title: None }
    }

    fn tallied(tallied: &'s Tallied) -> Self {
        let title = tallied.title.as_ref().map(|title| SeenTitle {
            id: &title.title,
            partner: &title.partner,
            series: title.series.as_ref(),
            tags: &title.tags,
        });
        let Tallied { device, class, profile, .. } = tallied;
        Self { device, class: *class, profile: profile.as_ref(), title }
    }
}

impl<'a> Count<'a, '_> {
    /// As it is at an instant, for exceptions end.
    fn limit(&self, at: Timestamp) -> u32 {
        let limit = self.cap.limit.of(self.ask.facts, self.ask.class, self.ask.tags());
        limit.saturating_add(self.raised(at))
    }

    fn raised(&self, at: Timestamp) -> u32 {
        self.ask.member.allowed(&self.cap.id, at).unwrap_or(0)
    }

    /// The devices beyond the limit.
    pub(super) fn surplus(&self, keep: Keep) -> Vec<DeviceId> {
        let counted: BTreeSet<&DeviceId> = match self.cap.counts {
            Counts::DevicesRegistered => self.registered().map(|(id, _)| id).collect(),
            _ => self.active().map(|(_, license)| &license.device).collect(),
        };
        let devices = &self.ask.member.devices;
        let mut counted: Vec<(&DeviceId, &Device)> =
            counted.into_iter().filter_map(|id| Some((id, devices.get(id)?))).collect();
        match keep {
            Keep::LastSeen => counted.sort_by_key(|(_, device)| Reverse(device.last_seen_at)),
            Keep::FirstRegistered => counted.sort_by_key(|(_, device)| device.registered_at),
        }
        let kept = usize::try_from(self.limit(self.ask.at)).unwrap_or(usize::MAX);
        counted.into_iter().skip(kept).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn finding(&self) -> Option<Finding> {
        let at = self.ask.at;
        let limit = self.limit(at);
        // Most members are far from most limits: nothing is looked at where everything would fit.
        if self.used_at_most() < limit {
            debug_assert!(self.used() <= self.used_at_most());
            return None;
        }
        let used = self.used();
        // No command adds more than one; what it adds is asked only where that would be too much.
        if used < limit {
            return None;
        }
        let adds = self.adds();
        // A cap refuses only what adds to it.
        if adds == 0 {
            return None;
        }
        let contributors = self.contributors();
        Some(Finding {
            command: self.ask.command,
            code: Code::CapReached,
            rule: Some(self.cap.id.clone()),
            frees_at: self.fits_at(&contributors, used, adds),
            cap: Some(CapFinding {
                counts: self.cap.counts,
                per: self.cap.per.clone(),
                tag: self.tag.cloned(),
                limit,
                raised: self.raised(at),
                used,
                window: self.window(),
                contributors,
            }),
        })
    }

    pub(super) fn state(&self) -> CapState {
        let at = self.ask.at;
        let (limit, used) = (self.limit(at), self.used());
        let told = |at: Option<Timestamp>| at.filter(|at| *at < Timestamp::MAX);
        let frees_at = told(self.next_frees_at());
        debug_assert_eq!(frees_at, told(self.frees(&self.contributors()).into_iter().next()));
        CapState {
            rule: self.cap.id.clone(),
            counts: self.cap.counts,
            per: self.cap.per.clone(),
            tag: self.tag.cloned(),
            limit,
            raised: self.raised(at),
            used,
            window: self.window(),
            frees_at,
            warns: self.cap.warn_at_left.is_some_and(|left| limit.saturating_sub(used) <= left),
        }
    }

    /// How many units the command would add.
    fn adds(&self) -> u32 {
        let ask = self.ask;
        let adds = match self.cap.counts {
            // A registration is a swap where a place is free.
            Counts::Events(kinds) if kinds == Kinds::of(&[CountedKind::DeviceSwapped]) => {
                ask.member.vacancies > 0
            }
            Counts::Events(_) => true,
            Counts::ActiveLicenses => !self.counted_already(),
            Counts::DevicesHolding => {
                let holds = self.active().any(|(_, license)| license.device == *ask.device);
                !holds && !self.counted_already()
            }
            Counts::DistinctTitles if self.cap.window == Window::Now => {
                let title = ask.title.map(|(title, _)| title);
                let held = self.active().any(|(_, license)| Some(&license.title) == title);
                !held && !self.counted_already()
            }
            Counts::DistinctTitles => {
                let title = ask.title.map(|(title, _)| title.as_str());
                title.is_none_or(|title| !self.titles().contains(title))
            }
            Counts::DevicesRegistered => self.registered().all(|(device, _)| device != ask.device),
        };
        u32::from(adds)
    }

    /// Whether the license in question is counted by this cap as things stand. One that is
    /// replaced by acquiring anew gives up nothing: its copy may still be playing.
    fn counted_already(&self) -> bool {
        let license = self.ask.license.and_then(|id| self.ask.member.licenses.get(id));
        self.ask.adds != Adds::Acquisition
            && license.is_some_and(|l| l.active(self.ask.at) && self.counts_license(l))
    }

    fn used(&self) -> u32 {
        let n = match self.cap.counts {
            Counts::Events(kinds) => self.events_used(kinds),
            Counts::ActiveLicenses => self.active().count(),
            Counts::DevicesHolding => self.groups(|license| license.device.as_str()),
            Counts::DistinctTitles if self.cap.window == Window::Now => {
                self.groups(|license| license.title.as_str())
            }
            Counts::DistinctTitles => self.titles().len(),
            Counts::DevicesRegistered => self.registered().count(),
        };
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    /// What [`Count::used`] cannot exceed, whatever the cap matches on.
    fn used_at_most(&self) -> u32 {
        let Member { licenses, devices, history, .. } = self.ask.member;
        let n = match self.cap.counts {
            _ if self.cap.window == Window::Lifetime => usize::MAX,
            Counts::Events(kinds) => {
                let of_titles = kinds.iter().filter_map(|kind| history.log(kind)).map(Log::len);
                of_titles.sum::<usize>() + history.devices().len()
            }
            Counts::DistinctTitles if self.cap.window != Window::Now => {
                history.log(CountedKind::Acquired).map_or(0, Log::len)
            }
            Counts::ActiveLicenses | Counts::DevicesHolding | Counts::DistinctTitles => {
                licenses.len()
            }
            Counts::DevicesRegistered => devices.len(),
        };
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    fn events_used(&self, kinds: Kinds) -> usize {
        let after = self.after();
        let (among, exact) = self.among();
        let mut used = 0;
        for log in kinds.iter().filter_map(|kind| self.ask.member.history.log(kind)) {
            let entries = log.after(among, after);
            used += if exact {
                entries.count()
            } else {
                entries.filter(|counted| self.counts_event(counted)).count()
            };
        }
        used + self.devices_counted(kinds, after).count() + self.tallied(kinds)
    }

    /// What happened beyond the horizon, which only a cap for life asks about.
    fn tallied(&self, kinds: Kinds) -> usize {
        let tallies = self.lifetime_tallies().filter(|(tallied, _)| kinds.contains(tallied.kind));
        tallies.map(|(_, n)| usize::try_from(n).unwrap_or(usize::MAX)).sum()
    }

    fn lifetime_tallies(&self) -> impl Iterator<Item = (&'a Tallied, u32)> {
        let lifetime = self.cap.window == Window::Lifetime;
        let tallies = lifetime.then(|| self.ask.member.history.tallies());
        let tallies = tallies.into_iter().flatten();
        tallies.filter(|(tallied, _)| self.same(Seen::tallied(tallied))).map(|(t, n)| (t, *n))
    }

    /// What was counted after an instant (exclusive), of titles.
    fn entries(&self, kinds: Kinds, after: Timestamp) -> impl Iterator<Item = &'a Counted> {
        let (among, _) = self.among();
        let logs = kinds.iter().filter_map(|kind| self.ask.member.history.log(kind));
        let entries = logs.flat_map(move |log: &'a Log| log.after(among, after));
        entries.filter(|counted| self.counts_event(counted))
    }

    /// The same of devices that came and went.
    fn devices_counted(
        &self,
        kinds: Kinds,
        after: Timestamp,
    ) -> impl Iterator<Item = &'a DeviceCounted> {
        let of_devices = self.cap.counts.is_of_devices();
        let all = if of_devices { self.ask.member.history.devices() } else { &[] };
        let counted = all.iter().filter(move |one| kinds.contains(one.kind) && one.at > after);
        counted.filter(|one| self.same(Seen::device(&one.device, one.class, one.profile.as_ref())))
    }

    /// Where to look in the history, and whether everything there is counted.
    fn among(&self) -> (Among<'a>, bool) {
        let Some((id, title)) = self.ask.title else { return (Among::All, false) };
        let per = |key: ScopeKey, level: Level| {
            let narrow = self.cap.per.contains(&key) || self.level == level;
            narrow.then_some((key, level))
        };
        // A title could have changed its partner or series, so only one of them is looked up.
        let looked_up = if let Some(looked_up) = per(ScopeKey::Title, Level::Title) {
            Some((Among::Title(id), looked_up))
        } else if let (Some(looked_up), Some(series)) =
            (per(ScopeKey::Series, Level::Series), &title.series)
        {
            Some((Among::Series(series), looked_up))
        } else {
            per(ScopeKey::Partner, Level::Partner)
                .map(|looked_up| (Among::Partner(&title.partner), looked_up))
        };
        let (among, key, level) = match looked_up {
            Some((among, (key, level))) => (among, Some(key), level),
            None => (Among::All, None, Level::Default),
        };
        let exact = self.cap.per.iter().all(|per| Some(*per) == key)
            && (self.level == Level::Default || self.level == level)
            && self.cap.of == Of::default();
        (among, exact)
    }

    fn counts_event(&self, counted: &Counted) -> bool {
        self.same(Seen::of(&counted.device, &counted.title, &counted.facts))
    }

    fn counts_license(&self, license: &License) -> bool {
        self.same(Seen::of(&license.device, &license.title, &license.facts))
            && !self.idle(&license.device)
    }

    /// Whether something is counted together with the request, by its own frozen facts.
    fn same(&self, seen: Seen<'_>) -> bool {
        let ask = self.ask;
        let title =
            |seen: Option<SeenTitle<'_>>| seen.map(|title| title.id) == ask.title.map(|t| t.0);
        let partner = |seen: Option<SeenTitle<'_>>| {
            seen.map(|title| title.partner) == ask.title.map(|(_, facts)| &facts.partner)
        };
        let series = |seen: Option<SeenTitle<'_>>| {
            let asked = ask.title.and_then(|(_, facts)| facts.series.as_ref());
            seen.and_then(|title| title.series) == asked
        };
        let tags = seen.title.map(|title| title.tags).unwrap_or_default();
        let level = match self.level {
            Level::Default => true,
            Level::Partner => partner(seen.title),
            Level::Series => series(seen.title),
            Level::Title => title(seen.title),
        };
        let scope = |key: &ScopeKey| match key {
            // Whose profile is not known could be anyone's.
            ScopeKey::Profile => {
                ask.facts.profile.as_ref().is_none_or(|profile| seen.profile == Some(profile))
            }
            ScopeKey::Device => seen.device == ask.device,
            ScopeKey::DeviceClass => seen.class == ask.class,
            ScopeKey::Partner => partner(seen.title),
            ScopeKey::Series => series(seen.title),
            ScopeKey::Title => title(seen.title),
            ScopeKey::Tag => self.tag.is_none_or(|tag| tags.contains(tag)),
        };
        level && self.cap.per.iter().all(scope) && of_matches(&self.cap.of, seen.class, tags)
    }

    /// From when on the device is idle, if it is counted by when it was seen.
    fn idle_at(&self, device: &DeviceId) -> Option<Timestamp> {
        let after = self.cap.idle_after?;
        self.ask.member.devices.get(device).map(|device| device.last_seen_at + after)
    }

    fn idle(&self, device: &DeviceId) -> bool {
        self.idle_at(device).is_some_and(|idle_at| idle_at <= self.ask.at)
    }

    /// Active licenses that the cap counts, the one in question left out.
    fn active(&self) -> impl Iterator<Item = (&'a LicenseId, &'a License)> {
        self.active.licenses().iter().copied().filter(|(_, license)| self.counts_license(license))
    }

    /// How many different things hold something counted.
    fn groups(&self, by: fn(&'a License) -> &'a str) -> usize {
        self.active().map(|(_, license)| by(license)).collect::<BTreeSet<_>>().len()
    }

    /// Titles that were acquired in the window.
    fn titles(&self) -> BTreeSet<&'a str> {
        let acquired = Kinds::of(&[CountedKind::Acquired]);
        let entries = self.entries(acquired, self.after()).map(|counted| counted.title.as_str());
        let tallied = self.lifetime_tallies().filter(|(one, _)| acquired.contains(one.kind));
        let tallied = tallied.filter_map(|(one, _)| Some(one.title.as_ref()?.title.as_str()));
        entries.chain(tallied).collect()
    }

    /// Devices that are registered and counted.
    fn registered(&self) -> impl Iterator<Item = (&'a DeviceId, &'a Device)> {
        let registered = self.ask.member.devices.iter().filter(|(id, device)| {
            // Who was asking when a device was registered does not split what is there now.
            device.registered(self.ask.at)
                && self.same(Seen::device(id, device.class, self.ask.facts.profile.as_ref()))
        });
        registered.filter(|(id, _)| !self.idle(id))
    }

    /// Events after this instant (exclusive) are in the window.
    fn after(&self) -> Timestamp {
        let at = self.ask.at;
        match &self.cap.window {
            Window::Now | Window::Lifetime => Timestamp::MIN,
            Window::Rolling(length) => at - *length,
            Window::Calendar(unit, zone) => calendar_start(*unit, zone, at).just_before(),
            Window::Anniversary(since, unit, zone) => match self.since(*since) {
                Some(since) => anniversary_period(*unit, zone, since, at).0.just_before(),
                None => at - unit.longest(),
            },
            Window::FirstUse(length) => self.opened_at(*length).map_or(at, Timestamp::just_before),
        }
    }

    /// The day on which an anniversary turns, if it is known.
    fn since(&self, since: Since) -> Option<Timestamp> {
        match since {
            Since::Member => self.ask.facts.member_since,
            Since::License => self.ask.acquired_at,
        }
    }

    /// When the period of first use that runs now was opened, if one runs.
    fn opened_at(&self, length: Duration) -> Option<Timestamp> {
        let kinds = match self.cap.counts {
            Counts::Events(kinds) => kinds,
            _ => Kinds::of(&[CountedKind::Acquired]),
        };
        let mut times: Vec<Timestamp> = self.entries(kinds, Timestamp::MIN).map(|c| c.at).collect();
        times.extend(self.devices_counted(kinds, Timestamp::MIN).map(|counted| counted.at));
        times.sort_unstable();
        let mut opened = None;
        for at in times {
            if opened.is_none_or(|opened| at >= opened + length) {
                opened = Some(at);
            }
        }
        opened.filter(|opened| self.ask.at < *opened + length)
    }

    fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let at = self.ask.at;
        // `(at - length, at]`, written half-open in milliseconds.
        let rolling = |length: Duration| {
            let next = Duration::from_millis(1);
            Some((at - length + next, at + next))
        };
        match &self.cap.window {
            Window::Now | Window::Lifetime => None,
            Window::Rolling(length) => rolling(*length),
            Window::Calendar(unit, zone) => Some(calendar_period(*unit, zone, at)),
            Window::Anniversary(since, unit, zone) => match self.since(*since) {
                Some(since) => Some(anniversary_period(*unit, zone, since, at)),
                None => rolling(unit.longest()),
            },
            Window::FirstUse(length) => {
                let opened = self.opened_at(*length).unwrap_or(at);
                Some((opened, opened + *length))
            }
        }
    }

    fn contributors(&self) -> Vec<Contributor> {
        let mut contributors: Vec<Contributor> = match self.cap.counts {
            Counts::Events(kinds) => self.events_contributing(kinds),
            Counts::DistinctTitles if self.cap.window != Window::Now => {
                self.events_contributing(Kinds::of(&[CountedKind::Acquired]))
            }
            Counts::ActiveLicenses | Counts::DevicesHolding | Counts::DistinctTitles => {
                self.active().map(|(id, license)| self.license_contributor(id, license)).collect()
            }
            Counts::DevicesRegistered => self
                .registered()
                .map(|(id, device)| {
                    let leaves_at = device.notice.filter(|notice| notice.removes);
                    let leaves_at = leaves_at.map(|notice| notice.ends_at);
                    let frees_at = [self.idle_at(id), leaves_at].into_iter().flatten().min();
                    self.device_contributor(id, device.registered_at, frees_at)
                })
                .collect(),
        };
        contributors
            .sort_by(|a, b| (a.at, &a.license, &a.device).cmp(&(b.at, &b.license, &b.device)));
        contributors
    }

    fn events_contributing(&self, kinds: Kinds) -> Vec<Contributor> {
        let after = self.after();
        let opened_at = match &self.cap.window {
            Window::FirstUse(length) => self.opened_at(*length),
            _ => None,
        };
        let of_titles = self.entries(kinds, after).map(|counted| {
            let in_list = self.in_list(&counted.license, counted.at);
            Contributor {
                at: counted.at,
                license: Some(counted.license.clone()),
                title: Some(counted.title.clone()),
                device: counted.device.clone(),
                frees_at: self.stops_at(counted.at, opened_at).filter(|_| in_list.is_none()),
                in_list,
            }
        });
        let of_devices = self.devices_counted(kinds, after).map(|counted| {
            let frees_at = self.stops_at(counted.at, opened_at);
            self.device_contributor(&counted.device, counted.at, frees_at)
        });
        of_titles.chain(of_devices).collect()
    }

    /// When what happened at an instant leaves the window.
    fn stops_at(&self, at: Timestamp, opened_at: Option<Timestamp>) -> Option<Timestamp> {
        match &self.cap.window {
            Window::Now | Window::Lifetime => None,
            Window::Rolling(length) => Some(at + *length),
            Window::Calendar(unit, zone) => Some(calendar_period(*unit, zone, at).1),
            Window::Anniversary(since, unit, zone) => Some(match self.since(*since) {
                Some(since) => anniversary_period(*unit, zone, since, at).1,
                None => at + unit.longest(),
            }),
            Window::FirstUse(length) => opened_at.map(|opened| opened + *length),
        }
    }

    fn license_contributor(&self, id: &LicenseId, license: &License) -> Contributor {
        let started_at = license.term().term.started_at;
        let in_list = self.in_list(id, started_at);
        let until = self.counts_until(license);
        Contributor {
            at: license.acquired_at,
            license: Some(id.clone()),
            title: Some(license.title.clone()),
            device: license.device.clone(),
            frees_at: Some(until).filter(|until| in_list.is_none() && *until < Timestamp::MAX),
            in_list,
        }
    }

    fn device_contributor(
        &self,
        device: &DeviceId,
        at: Timestamp,
        frees_at: Option<Timestamp>,
    ) -> Contributor {
        let in_list = self.ask.in_list.devices.get(device).copied();
        let in_list = in_list.filter(|_| at == self.ask.at);
        Contributor {
            at,
            license: None,
            title: None,
            device: device.clone(),
            frees_at: frees_at.filter(|_| in_list.is_none()),
            in_list,
        }
    }

    /// Asked at another time, the list would still add its own: those never free.
    fn in_list(&self, license: &LicenseId, at: Timestamp) -> Option<u16> {
        self.ask.in_list.licenses.get(license).copied().filter(|_| at == self.ask.at)
    }

    /// `MAX`: for good.
    fn counts_until(&self, license: &License) -> Timestamp {
        let until = license.may_play_until();
        self.idle_at(&license.device).map_or(until, |idle_at| until.min(idle_at))
    }

    /// When the next unit frees; `MAX`: never. What every yes says, so nobody is named for it; and
    /// nothing of a list is left to be added.
    fn next_frees_at(&self) -> Option<Timestamp> {
        // What happened first leaves every window first.
        let first = |kinds: Kinds| {
            let after = self.after();
            let (among, _) = self.among();
            let logs = kinds.iter().filter_map(|kind| self.ask.member.history.log(kind));
            let of_titles = logs.filter_map(|log| {
                let mut entries = log.after(among, after);
                entries.find(|counted| self.counts_event(counted)).map(|counted| counted.at)
            });
            let of_devices = self.devices_counted(kinds, after).map(|counted| counted.at).next();
            of_titles.chain(of_devices).min()
        };
        // A unit frees with the last that holds it.
        let last_of_each = |unit: fn(&'a License) -> &'a str| {
            let mut units: BTreeMap<&str, Timestamp> = BTreeMap::new();
            for (_, license) in self.active() {
                let until = units.entry(unit(license)).or_insert(Timestamp::MIN);
                *until = self.counts_until(license).max(*until);
            }
            units.into_values().min()
        };
        match (self.cap.counts, &self.cap.window) {
            (Counts::Events(kinds), Window::FirstUse(length)) => {
                first(kinds).and_then(|at| self.stops_at(at, self.opened_at(*length)))
            }
            (Counts::Events(kinds), _) => first(kinds).and_then(|at| self.stops_at(at, None)),
            (Counts::ActiveLicenses, _) => {
                self.active().map(|(_, license)| self.counts_until(license)).min()
            }
            (Counts::DevicesHolding, _) => last_of_each(|license| license.device.as_str()),
            (Counts::DistinctTitles, Window::Now) => last_of_each(|license| license.title.as_str()),
            (Counts::DistinctTitles | Counts::DevicesRegistered, _) => {
                self.frees(&self.contributors()).into_iter().next()
            }
        }
    }

    /// When each unit frees, soonest first; `MAX`: never.
    fn frees(&self, contributors: &[Contributor]) -> Vec<Timestamp> {
        let never = Timestamp::MAX;
        let mut units: BTreeMap<Option<&str>, Timestamp> = BTreeMap::new();
        let mut frees = Vec::new();
        for contributor in contributors {
            let at = contributor.frees_at.unwrap_or(never);
            let unit = match self.cap.counts {
                Counts::DevicesHolding => Some(contributor.device.as_str()),
                Counts::DistinctTitles => contributor.title.as_ref().map(TitleId::as_str),
                _ => {
                    frees.push(at);
                    continue;
                }
            };
            let latest = units.entry(unit).or_insert(Timestamp::MIN);
            *latest = at.max(*latest);
        }
        frees.extend(units.into_values());
        frees.sort_unstable();
        frees
    }

    /// The first instant at which so many units more fit, nothing else happening.
    fn fits_at(&self, contributors: &[Contributor], used: u32, adds: u32) -> Option<Timestamp> {
        let mut left = used;
        for at in self.frees(contributors).into_iter().filter(|at| *at < Timestamp::MAX) {
            left = left.saturating_sub(1);
            if left.saturating_add(adds) <= self.limit(at) {
                return Some(at);
            }
        }
        None
    }
}

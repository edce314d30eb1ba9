//! What becomes of licenses, and whether it may: acquired, renewed, released, played, checked in.

use std::collections::BTreeMap;

use domain::member::{CheckInMoved, Play};
use domain::{Facts, MemberFacts};

use super::copies::{Copy, Term};
use super::count::{Adds, Ask, Counted, Thing};
use super::{Ledger, NEVER, Verdict, ensure, ms};
use crate::rules::Rules;

impl Ledger {
    pub(super) fn acquired(
        &mut self,
        at: i64,
        rules: &Rules,
        event: &domain::member::Acquired,
    ) -> Verdict {
        let (device, title, facts) = (event.device.as_str(), event.title.as_str(), &*event.facts);
        self.staying(at, device)?;
        self.gates(at, facts)?;
        let same = |copy: &Copy| copy.device == device && copy.title == title;
        ensure(!self.copies.values().any(|copy| same(copy) && copy.held(at)), || {
            "the device holds the title: that is no new license".to_owned()
        })?;
        let thing = Thing::of(device, title, facts);
        let adds = Adds::Acquisition;
        self.fits(&Ask { rules, at, facts: &facts.member, thing: thing.clone(), adds })?;
        let term = self.first_term(at, rules, title, facts);
        ensure(event.term.number == 1, || "a first term is the first".to_owned())?;
        term.check(&event.term)?;
        self.copies.values_mut().filter(|copy| same(copy)).for_each(Copy::close);
        self.count(at, "acquisitions", event.license.as_str(), thing);
        self.seen(device, at);
        let copy = Copy {
            device: device.to_owned(),
            title: title.to_owned(),
            facts: facts.clone(),
            acquired_at: at,
            terms: vec![term],
            open: true,
            waits: false,
            deliveries: 1,
            cuts: (NEVER, NEVER),
        };
        let before = self.copies.insert(event.license.to_string(), copy);
        ensure(before.is_none(), || "a license id was used twice".to_owned())
    }

    /// That acquiring promises.
    pub(super) fn first_term(&self, at: i64, rules: &Rules, title: &str, facts: &Facts) -> Term {
        let begun_at = match rules.finish_anchor {
            "title" => self.first_plays.get(title).copied(),
            _ => None,
        };
        Term::promised(at, at, begun_at, rules, facts)
    }

    /// That renewing promises.
    pub(super) fn next_term(&self, at: i64, rules: &Rules, copy: &Copy, facts: &Facts) -> Term {
        let begun_at = match rules.finish_anchor {
            "title" => self.first_plays.get(&copy.title).copied(),
            "license" => copy.terms.iter().filter_map(|term| term.first_play).min(),
            _ => None,
        };
        let from = if rules.renews_from_end { at.max(copy.ends_at()) } else { at };
        Term::promised(at, from, begun_at, rules, facts)
    }

    pub(super) fn renewed(
        &mut self,
        at: i64,
        rules: &Rules,
        event: &domain::member::Renewed,
    ) -> Verdict {
        let (id, facts) = (event.license.as_str(), &*event.facts);
        let copy = self.copy(id)?;
        ensure(copy.open, || "a closed license was renewed".to_owned())?;
        self.staying(at, &copy.device)?;
        self.gates(at, facts)?;
        let renewals = u32::try_from(copy.terms.len()).unwrap_or(u32::MAX);
        ensure(event.term.number == renewals + 1 && renewals <= rules.renewals_max, || {
            format!("renewal {renewals} of {}", rules.renewals_max)
        })?;
        ensure(at >= copy.renews_from(rules), || "renewed too early".to_owned())?;
        ensure(!event.automatic || at >= copy.renews_itself_from(rules), || {
            "by itself, and too soon".to_owned()
        })?;
        let thing = Thing::of(&copy.device, &copy.title, facts);
        let adds = Adds::Renewal(id);
        self.fits(&Ask { rules, at, facts: &facts.member, thing: thing.clone(), adds })?;
        let term = self.next_term(at, rules, copy, facts);
        term.check(&event.term)?;
        self.count(at, "renewals", id, thing);
        let copy = self.copy_mut(id)?;
        copy.terms.push(Term { automatic: event.automatic, ..term });
        copy.deliveries += 1;
        copy.facts = facts.clone();
        copy.cuts = (NEVER, NEVER);
        let device = copy.device.clone();
        self.seen(&device, at);
        Ok(())
    }

    pub(super) fn released(
        &mut self,
        at: i64,
        rules: &Rules,
        license: &str,
        by: Option<&str>,
        (returned, waits): (bool, bool),
    ) -> Verdict {
        let copy = self.copy_mut(license)?;
        let own = by == Some(copy.device.as_str());
        ensure(copy.open || (copy.waits && own), || {
            "a closed license was released again".to_owned()
        })?;
        ensure(returned == (copy.open && copy.deliveries == 0), || {
            format!("returned, and keys were given {} times", copy.deliveries)
        })?;
        let should_wait = !returned && !own && rules.release_waits && copy.active(at);
        ensure(waits == should_wait, || format!("it should wait: {should_wait}"))?;
        (copy.open, copy.waits) = (false, waits);
        if returned {
            let acquired = |one: &Counted| one.kind == "acquisitions" && one.license == license;
            self.counted.retain(|one| !acquired(one));
        }
        if let Some(by) = by {
            self.seen(by, at);
        }
        Ok(())
    }

    pub(super) fn played(&mut self, at: i64, device: &str, plays: &[Play]) -> Verdict {
        let mut first = BTreeMap::new();
        for play in plays {
            let once = self.plays.insert((device.to_owned(), play.sequence));
            ensure(once, || format!("play {} counts twice", play.sequence))?;
            let copy = self.copy_mut(play.license.as_str())?;
            let thing = copy.thing();
            let number = usize::try_from(play.term).unwrap_or(0).checked_sub(1);
            let number = number.ok_or("no such term")?;
            let term = copy.terms.get_mut(number).ok_or("no such term")?;
            let when = ms(play.occurred_at);
            ensure((term.started_at..=at).contains(&when), || {
                "a play outside of [term start, receipt]".to_owned()
            })?;
            first.entry((play.license.to_string(), number)).or_insert(term.first_play);
            let in_time = when.min(term.start_by - 1);
            term.first_play = Some(term.first_play.map_or(in_time, |first| first.min(in_time)));
            self.count(when, "plays", play.license.as_str(), thing);
        }
        // A first play that turns out to have been earlier takes the place of the later one.
        for ((license, number), before) in first {
            let copy = self.copy(&license)?;
            let (now, thing) = (copy.terms.get(number).and_then(|t| t.first_play), copy.thing());
            let Some(now) = now.filter(|now| before != Some(*now)) else { continue };
            let title = self.first_plays.entry(copy.title.clone()).or_insert(now);
            *title = now.min(*title);
            let later = |one: &Counted| {
                one.kind == "first_plays" && one.license == license && Some(one.at) == before
            };
            self.counted.retain(|one| !later(one));
            self.count(now, "first_plays", &license, thing);
        }
        Ok(())
    }

    /// The clock of everything that the device holds moves; what lapsed for want of a check-in
    /// comes back exactly when it fits.
    pub(super) fn checked_in(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        facts: &MemberFacts,
        moved: &[CheckInMoved],
    ) -> Verdict {
        self.registered(device, at)?;
        self.seen(device, at);
        let revival = |license, copy: &Copy| {
            let title = Some((copy.title.as_str(), &copy.facts.title));
            let thing = Thing::known(&copy.device, copy.facts.class, facts, title);
            Ask { rules, at, facts, thing, adds: Adds::Revival(license) }
        };
        for one in moved {
            let license = one.license.as_str();
            let copy = self.copy(license)?;
            ensure(copy.open && copy.device == device, || {
                format!("a check-in moved {license}, closed or of another device")
            })?;
            if !copy.held(at) {
                let full = self.full(&revival(license, copy));
                ensure(full.is_empty(), || format!("{license} was revived over {full:?}"))?;
            }
            let term = self.copy_mut(license)?.terms.last_mut().ok_or("no term")?;
            ensure(ms(one.check_in_by) == at + term.check_in_within, || {
                "the check-in clock moved elsewhere".to_owned()
            })?;
            term.check_in_by = at + term.check_in_within;
        }
        let unmoved = |license: &str| moved.iter().all(|one| one.license.as_str() != license);
        let left = self.copies.iter().filter(|(id, copy)| {
            copy.open && copy.device == device && copy.checks_in() && unmoved(id)
        });
        for (license, copy) in left {
            ensure(!copy.held(at), || format!("a check-in did not move the clock of {license}"))?;
            let full = self.full(&revival(license, copy));
            ensure(!copy.revivable(at) || !full.is_empty(), || {
                format!("{license} would fit, and was not revived by a check-in")
            })?;
        }
        Ok(())
    }
}

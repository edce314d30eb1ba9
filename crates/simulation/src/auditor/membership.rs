//! Devices come and go, a downgrade gives some of them notice, and things are taken back.

use std::collections::BTreeSet;

use domain::member::{DeviceDecided, Leaving, Target};
use domain::{DeviceClass, MemberFacts};

use super::copies::Copy;
use super::count::{Adds, Ask, Thing};
use super::{Device, Ledger, NEVER, Verdict, ensure, ms};
use crate::rules::{HOUR_MS, Rules};

impl Ledger {
    pub(super) fn device_registered(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        (class, key): (DeviceClass, &str),
        decided: &DeviceDecided,
    ) -> Verdict {
        let comes = |known: &Device| known.key == key && !known.there(at) && !known.revoked;
        ensure(self.devices.get(device).is_none_or(comes) && !self.revoked, || {
            "the device is registered, or by another key, or for nobody".to_owned()
        })?;
        let (facts, adds) = (&decided.facts, Adds::Registration);
        let thing = Thing::known(device, class, facts, None);
        self.fits(&Ask { rules, at, facts, thing: thing.clone(), adds })?;
        self.count(at, "device_registrations", "", thing.clone());
        if self.vacancies > 0 {
            self.vacancies -= 1;
            self.count(at, "device_swaps", "", thing);
        }
        let now = Device {
            key: key.to_owned(),
            class: class.name(),
            removed: false,
            revoked: false,
            registered_at: at,
            last_seen: at,
            notice: None,
        };
        self.devices.insert(device.to_owned(), now);
        Ok(())
    }

    pub(super) fn device_removed(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        decided: &DeviceDecided,
    ) -> Verdict {
        self.registered(device, at)?;
        let known = self.devices.get(device).ok_or("no such device")?;
        let class = DeviceClass::named(known.class).ok_or("no such class")?;
        let (facts, adds) = (&decided.facts, Adds::Removal);
        let thing = Thing::known(device, class, facts, None);
        self.fits(&Ask { rules, at, facts, thing: thing.clone(), adds })?;
        self.count(at, "device_removals", "", thing);
        self.vacancies += 1;
        self.devices.entry(device.to_owned()).and_modify(|known| known.removed = true);
        let on_device = self.copies.values_mut().filter(|copy| copy.device == device);
        on_device.for_each(Copy::close);
        Ok(())
    }

    /// The devices beyond a limit have notice, and no others.
    pub(super) fn changed(
        &mut self,
        at: i64,
        rules: &Rules,
        facts: &MemberFacts,
        leaving: &[Leaving],
    ) -> Verdict {
        let leaves = |device: &str| leaving.iter().find(|one| one.device.as_str() == device);
        let caps = self.device_caps(rules, at, facts);
        for (counted, limit) in &caps {
            let stay: Vec<&String> = counted.iter().filter(|id| leaves(id).is_none()).collect();
            ensure(stay.len() <= *limit, || format!("{stay:?} stay, and {limit} may"))?;
            // Whoever stays was seen, or came, no earlier than who has to go for this cap alone.
            let goes = |id: &&String| {
                let alone = |other: &(BTreeSet<String>, usize)| {
                    !other.0.contains(*id) || other.0 == *counted || other.0.len() <= other.1
                };
                leaves(id).is_some() && counted.len() > *limit && caps.iter().all(alone)
            };
            let worth = |id: &String| {
                let device = self.devices.get(id);
                match rules.keeps_last_seen {
                    true => device.map(|device| device.last_seen),
                    false => device.map(|device| -device.registered_at),
                }
            };
            let worst = stay.iter().map(|id| worth(id)).min();
            let wrong = counted.iter().filter(goes).find(|id| worst.is_some_and(|w| worth(id) > w));
            ensure(wrong.is_none(), || format!("{wrong:?} goes, and one of {stay:?} should"))?;
        }
        for one in leaving {
            let id = one.device.as_str();
            let needed = caps.iter().any(|(all, limit)| all.len() > *limit && all.contains(id));
            ensure(needed, || format!("{id} has notice, and fits"))?;
            let notice = self.devices.get(id).and_then(|device| device.notice);
            let runs = notice.map(|(ends_at, _)| ends_at).filter(|ends_at| *ends_at > at);
            let ends_at = (at + rules.notice_hours * HOUR_MS).min(runs.unwrap_or(NEVER));
            ensure(ms(one.at) == ends_at, || format!("{id} has notice until {ends_at}"))?;
        }
        for (id, device) in &mut self.devices {
            let before = device.notice.filter(|(ends_at, _)| *ends_at <= at);
            device.notice = leaves(id).map(|one| (ms(one.at), one.removed)).or(before);
        }
        for copy in self.copies.values_mut() {
            let notice = leaves(&copy.device).map_or(NEVER, |one| ms(one.at));
            copy.cut(at, notice, copy.cuts.1);
        }
        Ok(())
    }

    pub(super) fn taken_back(&mut self, target: &Target) -> Verdict {
        match target {
            Target::License(id) => {
                let copy = self.copy_mut(id.as_str())?;
                ensure(copy.open || copy.waits, || "it was closed before".to_owned())?;
            }
            Target::Device(id) => {
                let device = self.devices.get_mut(id.as_str()).ok_or("no such device")?;
                (device.removed, device.revoked) = (true, true);
            }
            Target::Member => self.revoked = true,
        }
        let taken = |(id, copy): &(&String, &mut Copy)| match target {
            Target::License(license) => *id == license.as_str(),
            Target::Device(device) => copy.device == device.as_str(),
            Target::Member => true,
        };
        self.copies.iter_mut().filter(taken).for_each(|(_, copy)| copy.close());
        Ok(())
    }
}

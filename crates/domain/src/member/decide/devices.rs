//! Devices come and go; a device is a key.

use super::{Desk, Step};
use crate::facts::DeviceClass;
use crate::ids::{DeviceId, KeyThumbprint};
use crate::member::{Code, DeviceDecided, EventBody, Finding, Outcome};
use crate::policy::Effective;
use crate::policy::evaluate::{Adds, Ask, cap_findings, gate_findings};

impl Desk<'_> {
    pub(super) fn register(
        &self,
        device: &DeviceId,
        class: DeviceClass,
        key: &KeyThumbprint,
        name: &str,
    ) -> Step {
        let known = self.member.devices.get(device);
        if known.is_some_and(|known| known.key != *key) {
            return self.refuse(Code::DeviceKeyMismatch);
        }
        if known.is_some_and(|known| known.revoked) {
            return self.refuse(Code::DeviceRevoked);
        }
        if self.member.revoked_at.is_some() {
            return self.refuse(Code::MemberRevoked);
        }
        let outcome = |already| Outcome::DeviceRegistered { device: device.clone(), already };
        if known.is_some_and(|known| known.registered(self.at)) {
            return Step::done(outcome(true), vec![]);
        }
        let (findings, decided) = self.device_decided(device, class, Adds::Registration);
        let registered = EventBody::DeviceRegistered {
            device: device.clone(),
            class,
            key: key.clone(),
            name: name.to_owned(),
            decided: Some(decided),
        };
        Step { findings, bodies: vec![registered], outcome: Some(outcome(false)) }
    }

    pub(super) fn remove(&self, device: &DeviceId) -> Step {
        let outcome = |closed| Outcome::DeviceRemoved { device: device.clone(), closed };
        match self.device(device) {
            Err(Code::DeviceRemoved | Code::DeviceRevoked) => Step::done(outcome(vec![]), vec![]),
            Err(code) => self.refuse(code),
            Ok(known) => {
                let (findings, decided) = self.device_decided(device, known.class, Adds::Removal);
                let removed =
                    EventBody::DeviceRemoved { device: device.clone(), decided: Some(decided) };
                let outcome = outcome(self.closing(|license| license.device == *device));
                Step { findings, bodies: vec![removed], outcome: Some(outcome) }
            }
        }
    }

    fn device_decided(
        &self,
        device: &DeviceId,
        class: DeviceClass,
        adds: Adds,
    ) -> (Vec<Finding>, Box<DeviceDecided>) {
        let ask = self.ask_about_device(device, class, adds);
        // What a gate asks of a device, it asks when the device comes.
        let coming = adds == Adds::Registration;
        let mut findings = if coming { gate_findings(&ask) } else { Vec::new() };
        let (over, caps) = cap_findings(&ask);
        findings.extend(over);
        let (facts, policy) = (self.facts.clone(), self.policy.version.clone());
        (findings, Box::new(DeviceDecided { facts, policy, caps }))
    }

    pub(super) fn ask_about_device<'b>(
        &'b self,
        device: &'b DeviceId,
        class: DeviceClass,
        adds: Adds,
    ) -> Ask<'b> {
        Ask {
            member: self.member,
            at: self.at,
            facts: self.facts,
            device,
            class,
            title: None,
            rules: Effective::without_title(self.policy),
            license: None,
            acquired_at: None,
            adds,
            command: self.command,
            in_list: self.in_list,
        }
    }
}

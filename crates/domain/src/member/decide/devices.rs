//! Devices come and go; a device is a key.

use super::{Desk, Step};
use crate::ids::{DeviceId, KeyThumbprint, LicenseId};
use crate::member::{Code, EventBody, License, Outcome};

impl Desk<'_> {
    pub(super) fn register(
        &self,
        device: &DeviceId,
        key: &KeyThumbprint,
        registered: impl FnOnce() -> EventBody,
    ) -> Step {
        let known = self.member.devices.get(device);
        if known.is_some_and(|known| known.key != *key) {
            return self.refuse(Code::DeviceKeyMismatch);
        }
        let already = known.is_some_and(|known| known.removed_at.is_none());
        let bodies = if already { vec![] } else { vec![registered()] };
        Step::done(Outcome::DeviceRegistered { device: device.clone(), already }, bodies)
    }

    pub(super) fn remove(&self, device: &DeviceId) -> Step {
        match self.device(device) {
            Err(Code::DeviceRemoved) => Step::done(
                Outcome::DeviceRemoved { device: device.clone(), closed: vec![] },
                vec![],
            ),
            Err(code) => self.refuse(code),
            Ok(_) => Step::done(
                Outcome::DeviceRemoved { device: device.clone(), closed: self.open_on(device) },
                vec![EventBody::DeviceRemoved { device: device.clone() }],
            ),
        }
    }

    fn open_on(&self, device: &DeviceId) -> Vec<LicenseId> {
        let open = |(_, license): &(&LicenseId, &License)| {
            license.closed.is_none() && license.device == *device
        };
        self.member.licenses.iter().filter(open).map(|(id, _)| id.clone()).collect()
    }
}

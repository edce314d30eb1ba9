//! Playback sessions that a device reports, late, out of order and more than once.

use super::{Desk, Step};
use crate::ids::DeviceId;
use crate::member::{Code, EventBody, Outcome, Play, PlayReport};

impl Desk<'_> {
    pub(super) fn record_plays(
        &self,
        device_id: &DeviceId,
        sequences: &[(u64, u64)],
        plays: &[PlayReport],
    ) -> Step {
        // A removed device may still report what was played.
        let Some(device) = self.member.devices.get(device_id) else {
            return self.refuse(Code::DeviceUnknown);
        };
        let new: Vec<(u64, u64)> = sequences
            .iter()
            .flat_map(|(first, last)| device.reported.missing(*first, *last))
            .collect();
        let (mut counted, mut repeated, mut unknown) = (Vec::new(), 0, 0);
        for report in plays {
            if !new.iter().any(|(first, last)| (*first..=*last).contains(&report.sequence)) {
                repeated += 1;
            } else if let Some(play) = self.play(device_id, report) {
                counted.push(play);
            } else {
                unknown += 1;
            }
        }
        let outcome = Outcome::PlaysRecorded {
            counted: u32::try_from(counted.len()).unwrap_or(u32::MAX),
            repeated,
            unknown,
        };
        let recorded = EventBody::PlaysRecorded {
            device: device_id.clone(),
            sequences: new.clone(),
            plays: counted,
        };
        Step::done(outcome, if new.is_empty() { vec![] } else { vec![recorded] })
    }

    fn play(&self, device: &DeviceId, report: &PlayReport) -> Option<Play> {
        let license = self.member.license(&report.license).filter(|l| l.device == *device)?;
        let running = license.terms.iter().find(|t| t.term.number == report.term)?;
        Some(Play {
            sequence: report.sequence,
            license: report.license.clone(),
            term: report.term,
            occurred_at: report.occurred_at.max(running.term.started_at).min(self.at),
            device_at: report.device_at,
        })
    }
}

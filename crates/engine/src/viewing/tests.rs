use domain::TitleId;
use store::memory::MemoryStore;

use super::*;
use crate::testing::{Fault, FaultyStore, at, block_on, member};

fn event(sequence: u64) -> RawEvent {
    RawEvent {
        sequence,
        session: "s-1".to_owned(),
        title: TitleId::new("film").unwrap(),
        license: None,
        what: SessionEvent::KeepAlive,
        occurred_at: at(0),
        device_at: at(7),
        clock_behind_ms: None,
        position_ms: None,
    }
}

fn upload(log: &Viewing, device: &str, sequences: &[u64]) -> Result<(), EngineError> {
    let events: Vec<RawEvent> = sequences.iter().copied().map(event).collect();
    block_on(log.append(&member("ana"), &DeviceId::new(device).unwrap(), &events, at(9)))
}

#[track_caller]
fn seen(log: &Viewing, after: Version, limit: usize) -> Vec<(Version, String, u64)> {
    let page = block_on(log.read(&member("ana"), after, limit)).unwrap();
    page.events.into_iter().map(|v| (v.version, v.device.to_string(), v.event.sequence)).collect()
}

#[test]
fn each_sequence_number_of_a_device_counts_once_however_often_it_comes() {
    let store = FaultyStore::new();
    let log = Viewing::new(Arc::new(store.clone()));
    store.fail(&[Some(Fault::AnswerLost), None, None, Some(Fault::QuestionLost)]);
    upload(&log, "phone", &[3, 1]).unwrap();
    upload(&log, "tv", &[1]).unwrap();
    upload(&log, "phone", &[1, 2, 3]).unwrap();
    upload(&log, "phone", &[]).unwrap();
    let expected = [(1, "phone", 3), (1, "phone", 1), (3, "tv", 1), (4, "phone", 2)]
        .map(|(version, device, sequence)| (version, device.to_owned(), sequence));
    assert_eq!(seen(&log, 0, 99), expected);
    assert_eq!(seen(&log, 1, 99), expected[2..]);
    assert_eq!(seen(&log, 0, 1), expected[..2], "whole uploads");
}

/// Pages of whole uploads, whatever the limit, with nothing lost or told twice between them.
#[test]
fn a_log_is_read_page_by_page_and_a_page_reads_no_more_than_its_part() {
    let store = MemoryStore::new();
    // Across a restart in each part.
    for first in (0..600).step_by(100) {
        let log = Viewing::new(Arc::new(store.clone()));
        for n in first..first + 100 {
            upload(&log, "phone", &[2 * n + 1, 2 * n + 2]).unwrap();
        }
    }
    let log = Viewing::new(Arc::new(store.clone()));
    for limit in [1, 3, 511, 512, 513, 5_000] {
        let (mut after, mut told) = (0, vec![]);
        loop {
            let page = block_on(log.read(&member("ana"), after, limit)).unwrap();
            assert!(page.events.len() <= 512.min(limit + 1), "{limit}");
            assert_eq!(page.events.len() % 2, 0, "an upload was cut apart");
            assert!(
                page.events
                    .iter()
                    .all(|viewed| viewed.version == viewed.event.sequence.div_ceil(2))
            );
            told.extend(page.events.iter().map(|viewed| viewed.event.sequence));
            let Some(next) = page.next else { break };
            assert!(next > after);
            after = next;
        }
        assert_eq!(told, (1..=1200).collect::<Vec<u64>>(), "{limit}");
    }

    // A damaged part is told as such, and does not stand in the way of the others.
    let ben = Viewing::new(Arc::new(store.clone()));
    let damaged = vec![vec![0xFF]; usize::try_from(PART_UPLOADS).unwrap()];
    let (id, of) = (member("ben"), DeviceId::new("phone").unwrap());
    block_on(store.append(&stream(&id, 0).unwrap(), 0, damaged)).unwrap();
    block_on(ben.append(&id, &of, &[event(1)], at(9))).unwrap();
    assert!(matches!(block_on(ben.read(&id, 0, 9)), Err(EngineError::Corrupt(_))));
    assert_eq!(block_on(ben.read(&id, PART_UPLOADS, 9)).unwrap().events.len(), 1);
}

#[test]
fn parts_of_one_members_log_are_no_other_members() {
    let ids = ["ana", "1:ana", "-1:ana", "viewing-1:ana"];
    let mut streams = BTreeSet::new();
    for id in ids {
        for part in [0, 1, 11] {
            assert!(streams.insert(stream(&member(id), part).unwrap()), "{id} {part}");
        }
    }
    let longest = member(&"m".repeat(128));
    assert!(stream(&longest, u64::MAX / PART_UPLOADS).is_ok());
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let store = MemoryStore::new();
    upload(&Viewing::new(Arc::new(store.clone())), "phone", &[1]).unwrap();
    let log = Viewing::new(Arc::new(store));
    upload(&log, "phone", &[2]).unwrap();
    upload(&log, "phone", &[3]).unwrap();
    assert_eq!(seen(&log, 0, 99).len(), 3);
}

#[test]
fn what_is_not_stored_is_not_acknowledged() {
    let store = FaultyStore::new();
    let log = Viewing::new(Arc::new(store.clone()));
    store.fail(&[Some(Fault::Refused)]);
    assert!(matches!(upload(&log, "phone", &[1]), Err(EngineError::Unavailable(_))));
    store.fail(&[Some(Fault::QuestionLost); ATTEMPTS_MAX]);
    assert!(matches!(upload(&log, "phone", &[1]), Err(EngineError::Unavailable(_))));
    assert_eq!(seen(&log, 0, 99), []);
}

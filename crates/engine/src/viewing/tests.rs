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
    let viewed = block_on(log.read(&member("ana"), after, limit)).unwrap();
    viewed.into_iter().map(|v| (v.version, v.device.to_string(), v.event.sequence)).collect()
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

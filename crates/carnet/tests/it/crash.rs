//! `kill -9` under load, many times: what was acknowledged is there, and nothing counts twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::world::{Client, World, now, title};

const ROUNDS: usize = 8;
const MEMBERS: usize = 6;
const TITLES: usize = 400;

/// One download that was asked for, and what of it was acknowledged.
#[derive(Clone)]
struct Asked {
    member: usize,
    title: usize,
    license: Option<String>,
    play_reported: bool,
}

impl Asked {
    fn is_open(&self) -> bool {
        self.license.is_none() || !self.play_reported
    }

    fn key(&self) -> String {
        format!("download-{}", self.title)
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_retries_count_once() {
    let seed = std::env::var("CARNET_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("CARNET_SEED is a number"));
    println!("CARNET_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let world = World::new(TITLES);
    let mut asked: Vec<Asked> = vec![];
    for round in 0..ROUNDS {
        let carnet = world.serve();
        let members = || (0..MEMBERS).map(|member| world.client(&carnet, &format!("m{member}")));
        if round == 0 {
            members().for_each(|client| client.register("phone"));
        }
        retry_what_was_not_answered(&members().collect::<Vec<_>>(), &mut asked);
        let clients: Vec<Client> = members().collect();
        // At least some answers, so that a round always tests something.
        let answers = (random.next_u32() % 60 + 5) as usize;
        let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let from = asked.iter().map(|one| one.title + 1).max().unwrap_or(0);
        let this_round = Mutex::new(vec![]);
        thread::scope(|scope| {
            for (member, client) in clients.iter().enumerate() {
                let (answered, stop, this_round) = (&answered, &stop, &this_round);
                scope.spawn(move || {
                    for title in from..from + TITLES / ROUNDS {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let one = download(client, member, title);
                        let lost = one.is_open();
                        this_round.lock().unwrap().push(one);
                        if lost {
                            return;
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while answered.load(Ordering::Relaxed) < answers {
                thread::sleep(Duration::from_millis(1));
            }
            carnet.kill();
            stop.store(true, Ordering::Relaxed);
        });
        asked.extend(this_round.into_inner().unwrap());
    }
    let carnet = world.serve();
    let clients: Vec<Client> =
        (0..MEMBERS).map(|member| world.client(&carnet, &format!("m{member}"))).collect();
    retry_what_was_not_answered(&clients, &mut asked);
    everything_is_there_once(&clients, &asked);
    println!("{} downloads over {ROUNDS} kills", asked.len());
    assert!(carnet.stop().success());
}

fn download(client: &Client, member: usize, number: usize) -> Asked {
    let mut one = Asked { member, title: number, license: None, play_reported: false };
    // An answer that never came is what a kill leaves behind.
    if let Ok(answer) = client.acquire(&title(number), &one.key()) {
        assert!([200, 201].contains(&answer.status), "{} {}", answer.status, answer.body);
        one.license = Some(answer.body["license"]["id"].as_str().unwrap().to_owned());
        one.play_reported = report_play(client, &one).is_ok();
    }
    one
}

/// The device's number of the report is the title's, so that telling it again is the same report.
fn report_play(client: &Client, one: &Asked) -> Result<Value, ureq::Error> {
    let event = json!({
        "sequence": one.title + 1, "session": format!("s{}", one.title), "type": "start",
        "title": title(one.title), "license": one.license, "term": 1, "device_at": now(),
    });
    let body = json!({ "sent_at": now(), "events": [event] });
    let answer = client.post("/v1/devices/phone/session-events", "", &body)?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(answer.body)
}

/// Whether the lost ones were recorded or not: asking again with the same key settles it.
fn retry_what_was_not_answered(clients: &[Client], asked: &mut [Asked]) {
    for one in asked.iter_mut().filter(|one| one.is_open()) {
        let again = download(&clients[one.member], one.member, one.title);
        assert!(!again.is_open() && (one.license.is_none() || one.license == again.license));
        *one = again;
    }
}

fn everything_is_there_once(clients: &[Client], asked: &[Asked]) {
    for (member, client) in clients.iter().enumerate() {
        let mut expected: Vec<(String, String)> = asked
            .iter()
            .filter(|one| one.member == member)
            .map(|one| (title(one.title), one.license.clone().unwrap()))
            .collect();
        expected.sort();
        let downloads = client.get("/v1/downloads").unwrap().body;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mut found: Vec<(String, String)> = downloads["licenses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|license| (text(&license["title"]), text(&license["id"])))
            .collect();
        found.sort();
        assert_eq!(found, expected, "of member m{member}");
        // A retry after all those restarts is the same decision.
        for one in asked.iter().filter(|one| one.member == member) {
            let again = client.acquire(&title(one.title), &one.key()).unwrap().body;
            assert_eq!(again["decision"]["repeated"], true, "{again}");
            assert_eq!(again["license"]["id"].as_str(), one.license.as_deref());
            assert!(again["license"]["first_played_at"].is_string(), "{again}");
            let told_again = report_play(client, one).unwrap();
            assert_eq!(told_again["accepted"], 0, "{told_again}");
            assert_eq!(told_again["repeated"], 1, "{told_again}");
        }
    }
}

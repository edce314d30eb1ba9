//! A title is withdrawn, and the process is killed again and again until its licenses have ended.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Carnet;
use crate::world::{Client, World, title};

const MEMBERS: usize = 60;

fn client(world: &World, carnet: &Carnet, member: usize) -> Client {
    world.client(carnet, &format!("m{member}"))
}

#[test]
fn a_withdrawal_that_is_killed_comes_to_its_end_and_devices_hear_of_it() {
    let world = World::new(2);
    let carnet = world.serve();
    let mut licenses = vec![];
    for member in 0..MEMBERS {
        let client = client(&world, &carnet, member);
        client.register("phone");
        let of_title = |number: usize| {
            let answer = client.acquire(&title(number), &format!("k-{number}")).unwrap();
            assert_eq!(answer.status, 201, "{}", answer.body);
            answer.body["license"]["id"].as_str().unwrap().to_owned()
        };
        licenses.push((of_title(0), of_title(1)));
    }
    let body = json!({ "title": title(0), "reason": "the rights ended" });
    let ordered = world.operator(&carnet).post("/v1/operator/withdrawals", "", &body).unwrap();
    assert_eq!(ordered.status, 202, "{}", ordered.body);
    let path = format!("/v1/operator/withdrawals/{}", ordered.body["id"].as_str().unwrap());
    carnet.kill();

    let (mut kills_in_the_middle, mut patience_ms) = (1, 0);
    let done = loop {
        let carnet = world.serve();
        let operator = world.operator(&carnet);
        let look = || operator.get(&path).unwrap().body;
        let found = look();
        if found["state"] == "done" {
            carnet.kill();
            break found;
        }
        assert_eq!(found["state"], "running", "{found}");
        assert!(patience_ms < 1_000, "it does not come to its end: {found}");
        let late = client(&world, &carnet, MEMBERS).acquire(&title(0), "late").unwrap();
        assert_eq!(late.status, 403, "{}", late.body);
        // A little longer every time, so that it comes to an end.
        thread::sleep(Duration::from_millis(patience_ms));
        patience_ms += 4;
        kills_in_the_middle += usize::from(look()["state"] == "running");
        carnet.kill();
    };
    println!("{kills_in_the_middle} kills before the end");
    assert_eq!(
        (&done["members"], &done["licenses"], &done["failures"]),
        (&json!(MEMBERS), &json!(MEMBERS), &json!(0)),
        "{done}"
    );

    let carnet = world.serve();
    for (member, (withdrawn, other)) in licenses.iter().enumerate() {
        let client = client(&world, &carnet, member);
        let holding = |id: &str| json!({ "license": id, "started": false });
        let body = json!({ "holdings": [holding(withdrawn), holding(other)] });
        let heard = client.post("/v1/devices/phone/check-in", "", &body).unwrap().body;
        assert_eq!(heard["ended"], json!([withdrawn]), "{heard}");
        assert_eq!(heard["leases"][0]["license"], Value::from(other.as_str()), "{heard}");
    }
    assert!(carnet.stop().success());
}

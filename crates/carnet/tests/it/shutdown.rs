//! Stopping in good order: what was accepted is answered, and what was answered is kept.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::process::Carnet;
use crate::world::{Client, World, title};

#[test]
fn a_request_that_was_begun_is_answered_before_it_stops() {
    let world = World::new(2);
    let mut carnet = world.serve();
    let client = world.client(&carnet, "ana");
    client.register("phone");

    let body = json!({ "device": "phone", "title": title(1) }).to_string();
    let mut stream = TcpStream::connect(&carnet.address).unwrap();
    let (first, rest) = body.split_at(10);
    let authorization = client.authorization();
    write!(
        stream,
        "POST /v1/licenses HTTP/1.1\r\nhost: test\r\nauthorization: {authorization}\r\n\
         idempotency-key: one\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
        body.len(),
    )
    .unwrap();
    // The server has it once a later request on another connection was answered.
    assert_eq!(client.get("/v1/downloads").unwrap().status, 200);
    carnet.signal("TERM");
    wait_until_nobody_is_let_in(&carnet);
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(carnet.ended().success());

    let carnet = world.serve();
    let downloads = world.client(&carnet, "ana").get("/v1/downloads").unwrap().body;
    assert_eq!(downloads["licenses"].as_array().unwrap().len(), 1, "{downloads}");
}

/// As long as the configuration says; told twice, it does not wait.
#[test]
fn it_says_that_it_is_not_ready_before_it_stops() {
    let world = World::new(1);
    let config = std::fs::read_to_string(world.path("carnet.toml")).unwrap();
    world.write("carnet.toml", &config.replace("unready_seconds = 0", "unready_seconds = 600"));
    let mut carnet = world.serve();
    let client = world.client(&carnet, "ana");
    assert_ne!(running(&client), json!(false));
    carnet.signal("TERM");
    while running(&client) != json!(false) {
        thread::sleep(Duration::from_millis(5));
    }
    client.register("phone");
    carnet.signal("TERM");
    assert_eq!(carnet.ended().code(), Some(1));
    assert_eq!(world.client(&world.serve(), "ana").get("/v1/devices").unwrap().status, 200);
}

fn running(client: &Client) -> serde_json::Value {
    let ready = client.get("/readyz").unwrap().body;
    ready["checks"].as_array().unwrap().last().unwrap()["ok"].clone()
}

fn wait_until_nobody_is_let_in(carnet: &Carnet) {
    while TcpStream::connect(&carnet.address).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_idle_connection_does_not_keep_it_from_stopping() {
    let world = World::new(1);
    let carnet = world.serve();
    let client = world.client(&carnet, "ana");
    assert_eq!(client.get("/v1/downloads").unwrap().status, 200);
    // The client's connection is still open.
    assert!(carnet.stop().success());
    drop(client);
}

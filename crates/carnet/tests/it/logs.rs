//! What a line of the log looks like to whoever collects them.

use serde_json::Value;

use crate::world::{World, catalogue, title};

#[test]
fn a_line_is_one_json_object_that_tells_once_which_request_it_belongs_to() {
    let world = World::new(1);
    let mut carnet = world.serve();
    world.client(&carnet, "ana").get("/v1/catalogue").unwrap();
    let line: Value = serde_json::from_str(&carnet.wait_for_words("answered")).unwrap();
    assert_eq!((&line["level"], &line["status"]), (&"INFO".into(), &200.into()), "{line}");
    let span = &line["span"];
    assert_eq!((&span["name"], &span["route"]), (&"request".into(), &"/v1/catalogue".into()));
    for (id, length) in [("trace_id", 32), ("span_id", 16)] {
        let id = span[id].as_str().unwrap();
        assert!(id.len() == length && id.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
    }
    assert!(!span["request_id"].as_str().unwrap().is_empty());
    assert_eq!(line.get("spans"), None, "{line}");
}

#[test]
fn titles_that_cannot_play_for_want_of_keys_are_told_of_when_they_are_loaded() {
    let world = World::new(2);
    let sealed = "00112233445566778899aabbccddeeff";
    world.seal(&format!(r#"{{"keys":[{{"kid":"{sealed}","key":"{}"}}]}}"#, "0f".repeat(16)));
    world.write("catalogue.jsonl", &catalogue(2).replacen(sealed, &"ab".repeat(16), 1));
    let mut carnet = world.serve();
    // `ready` came later, and with it all that was said before.
    let said = carnet.all_said();
    let lacking = said.lines().find(|line| line.contains("their content keys are not sealed"));
    let line: Value = serde_json::from_str(lacking.unwrap()).unwrap();
    assert_eq!((&line["titles"], &line["first"]), (&1.into(), &title(0).into()), "{line}");
    world.write("catalogue.jsonl", &catalogue(2));
    carnet.wait_for_words("catalogue loaded");
    assert_eq!(carnet.all_said().matches("are not sealed").count(), 1, "none lacks any now");
}

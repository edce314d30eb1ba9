//! What a line of the log looks like to whoever collects them.

use serde_json::Value;

use crate::world::World;

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

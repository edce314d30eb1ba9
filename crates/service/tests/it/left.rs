//! What is left of each cap goes along with every yes, and with what a download button shows.

use serde_json::{Value, json};

use crate::world::{DAY_MS, SERVICE_KEY, THUMBPRINT, World};

/// Rule, what is left, whether it warns, and the sentence.
fn told(caps: &Value) -> Vec<(&str, u64, bool, &str)> {
    let mut told = Vec::new();
    for cap in caps.as_array().unwrap() {
        let (rule, message) = (cap["rule"].as_str().unwrap(), cap["message"].as_str().unwrap());
        told.push((rule, cap["remaining"].as_u64().unwrap(), cap["warns"] == true, message));
    }
    told
}

#[test]
fn a_member_hears_what_is_left_before_and_after_a_download() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let registered = ana.register();
    assert_eq!(
        told(&registered.json["caps"]),
        [("registered", 19, false, "19 more devices may be registered.")]
    );
    let eligible = ana.call("GET", "/v1/titles/film/eligibility?device=phone").send();
    assert_eq!(
        told(&eligible.json["caps"]),
        [
            ("devices", 1, false, "1 more device may have downloads."),
            ("per-device", 3, false, "Room for 3 more downloads on “ana's phone”."),
            ("title-per-year", 2, false, "2 more downloads of “The film”."),
        ]
    );
    let acquired = ana.acquire("film", "one");
    let after = [
        ("devices", 0, false, "No more devices may have downloads."),
        ("per-device", 2, false, "Room for 2 more downloads on “ana's phone”."),
        ("title-per-year", 1, true, "1 more download of “The film” before 1 March 2027."),
    ];
    assert_eq!(told(&acquired.json["caps"]), after);
    assert_eq!(told(&ana.acquire("film", "one").json["caps"]), after, "a retry counts once");
    let another = ana.call("GET", "/v1/titles/film-2/eligibility?device=phone").send();
    assert_eq!(told(&another.json["caps"])[1], after[1]);

    world.pass_ms(25 * DAY_MS);
    let id = acquired.json["license"]["id"].as_str().unwrap();
    let renewed = ana.renew(id, 1, "two");
    assert_eq!(told(&renewed.json["caps"]), after[..2], "renewing is no acquisition");
    let removed = ana.remove("phone");
    assert_eq!(removed.json["caps"], json!([]), "no cap counts removals");
}

#[test]
fn a_list_tells_each_command_what_is_left_after_all_of_them() {
    let world = World::new();
    let acquire = |title: &str| json!({ "do": "acquire", "device": "phone", "title": title });
    let body = json!({
        "facts": { "plan": "standard", "territory": "DE" },
        "commands": [
            { "do": "register_device", "device": "phone", "name": "", "class": "phone", "key_thumbprint": THUMBPRINT },
            acquire("film"),
            { "do": "release", "license": "lic_none" },
            acquire("film-2"),
        ],
    });
    let call = world.call("POST", "/v1/service/members/lena/commands").token(SERVICE_KEY);
    let answer = call.key("list").json(&body).send();
    let outcomes = &answer.json["outcomes"];
    assert_eq!(told(&outcomes[0]["caps"])[0].0, "registered");
    assert!(outcomes[2].get("caps").is_none());
    for (position, title) in [(1, "The film"), (3, "The film-2")] {
        let year = format!("1 more download of “{title}” before 1 March 2027.");
        assert_eq!(
            told(&outcomes[position]["caps"]),
            [
                ("devices", 0, false, "No more devices may have downloads."),
                ("per-device", 1, false, "Room for 1 more download on “phone”."),
                ("title-per-year", 1, true, year.as_str()),
            ]
        );
    }
}

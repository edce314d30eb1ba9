use expect_test::expect;

use super::*;

const DAY: &str = "2026-05-05T12:00:00Z";

/// Two titles, one of which is for streaming only.
fn catalogue(availability: &str) -> Catalogue {
    let line = |id: &str, downloadable: bool| {
        let line = format!(
            r#"{{"id":"{id}","partner":"p","downloadable":{downloadable},"name":"A","runtime_seconds":30,
            "availability":{availability},
            "images":{{"backdrop":{{"url":"art/b.webp","width":1280,"height":720}},
                       "poster":{{"url":"/art/p.webp","width":480,"height":720}}}},
            "manifests":{{"hls":"a/master.m3u8","dash":"a/manifest.mpd"}},
            "key_ids":{{"video":"00112233445566778899aabbccddeeff",
                        "audio":"00112233445566778899aabbccddee00"}}}}"#
        );
        line.replace('\n', " ")
    };
    let text = format!("{}\n{}", line("a/b|c", true), line("online", false));
    Catalogue::read("titles.jsonl", text.as_bytes()).unwrap()
}

fn clear_key(license_url: &str) -> DrmSystem {
    DrmSystem {
        name: "clearkey".to_owned(),
        system_id: "e2719d58-a985-b3c9-781a-b030af78d30e".to_owned(),
        key_system: "org.w3.clearkey".to_owned(),
        license_url: license_url.to_owned(),
    }
}

fn delivery(base: Option<&str>) -> Delivery {
    Delivery::new(base, vec![clear_key("/v1/drm/clearkey?title={title}&for={intent}")]).unwrap()
}

fn title(id: &str) -> TitleId {
    TitleId::new(id).unwrap()
}

#[test]
fn a_context_has_all_that_a_device_needs_and_no_key() {
    let (catalogue, delivery) = (
        catalogue(r#"[{"territories":["*"],"until":"2030-01-01T00:00:00Z"}]"#),
        delivery(Some("https://cdn.example/media/")),
    );
    let at = DAY.parse().unwrap();
    let context =
        playback_context(&catalogue, &delivery, &title("a/b|c"), None, Intent::Download, at)
            .unwrap();
    assert_eq!(context.title.id, title("a/b|c"));
    let PlaybackContext { images, streams, drm, key_ids, window, intent, .. } = context;
    expect![[r#"
        (
            Download,
            [
                ImageAsset {
                    role: Poster,
                    url: "https://cdn.example/art/p.webp",
                    width: 480,
                    height: 720,
                },
                ImageAsset {
                    role: Backdrop,
                    url: "https://cdn.example/media/art/b.webp",
                    width: 1280,
                    height: 720,
                },
            ],
            [
                Stream {
                    protocol: Dash,
                    url: "https://cdn.example/media/a/manifest.mpd",
                },
                Stream {
                    protocol: Hls,
                    url: "https://cdn.example/media/a/master.m3u8",
                },
            ],
            [
                LicenseServer {
                    system: DrmSystem {
                        name: "clearkey",
                        system_id: "e2719d58-a985-b3c9-781a-b030af78d30e",
                        key_system: "org.w3.clearkey",
                        license_url: "/v1/drm/clearkey?title={title}&for={intent}",
                    },
                    license_url: "/v1/drm/clearkey?title=a%2Fb%7Cc&for=download",
                },
            ],
            [
                (
                    "video",
                    00112233445566778899aabbccddeeff,
                ),
                (
                    "audio",
                    00112233445566778899aabbccddee00,
                ),
            ],
            Window {
                from: None,
                until: Some(
                    2030-01-01T00:00:00.000Z,
                ),
            },
        )
    "#]]
    .assert_debug_eq(&(intent, images, streams, drm, key_ids, window));
}

#[test]
fn without_a_media_base_relative_urls_stay_as_written() {
    let (catalogue, delivery) = (catalogue(r#"[{"territories":["*"]}]"#), delivery(None));
    let at = DAY.parse().unwrap();
    let context =
        playback_context(&catalogue, &delivery, &title("online"), None, Intent::Stream, at)
            .unwrap();
    let urls: Vec<_> = context.streams.iter().map(|stream| stream.url.as_str()).collect();
    assert_eq!(urls, ["a/manifest.mpd", "a/master.m3u8"]);
    assert_eq!(context.images[0].url, "/art/p.webp");
}

#[test]
fn urls_are_joined_as_rfc_3986_says() {
    let delivery = delivery(Some("https://cdn.example/media/v2/"));
    for (written, joined) in [
        ("a/m.mpd", "https://cdn.example/media/v2/a/m.mpd"),
        ("./a/../m.mpd?x=1", "https://cdn.example/media/v2/m.mpd?x=1"),
        ("/m.mpd", "https://cdn.example/m.mpd"),
        ("https://other.example/m.mpd", "https://other.example/m.mpd"),
        ("../../../m.mpd", "https://cdn.example/m.mpd"),
    ] {
        assert_eq!(delivery.media_url(written), joined);
    }
}

/// Rows in the order of `Unavailable`.
#[test]
fn what_cannot_be_had_is_said_in_order_of_precedence() {
    let seasons = r#"[{"territories":["DE"],"from":"2026-02-01T00:00:00Z","until":"2026-03-01T00:00:00Z"},
        {"territories":["DE"],"from":"2026-06-01T00:00:00Z","until":"2026-07-01T00:00:00Z"}]"#;
    let (catalogue, delivery) = (catalogue(seasons), delivery(None));
    let instant = |text: &str| text.parse().unwrap();
    let february = "2026-02-10T00:00:00Z";
    let rows = [
        ("a/b|c", Some("DE"), Intent::Download, february, None),
        ("online", Some("DE"), Intent::Stream, february, None),
        ("nothing", None, Intent::Download, february, Some(Unavailable::UnknownTitle)),
        ("online", None, Intent::Download, february, Some(Unavailable::TerritoryUnknown)),
        ("online", Some("FR"), Intent::Download, february, Some(Unavailable::NotInTerritory)),
        (
            "online",
            Some("DE"),
            Intent::Download,
            "2026-01-31T23:59:59.999Z",
            Some(Unavailable::NotYet { from: instant("2026-02-01T00:00:00Z") }),
        ),
        (
            "online",
            Some("DE"),
            Intent::Download,
            "2026-03-01T00:00:00Z",
            Some(Unavailable::NotYet { from: instant("2026-06-01T00:00:00Z") }),
        ),
        (
            "online",
            Some("DE"),
            Intent::Download,
            "2026-07-01T00:00:00Z",
            Some(Unavailable::NoLonger { until: instant("2026-07-01T00:00:00Z") }),
        ),
        ("online", Some("DE"), Intent::Download, february, Some(Unavailable::NotDownloadable)),
    ];
    for row in rows {
        let (id, territory, intent, at, refused) = row;
        let territory = territory.map(|name| Territory::new(name).unwrap());
        let answer = playback_context(
            &catalogue,
            &delivery,
            &title(id),
            territory.as_ref(),
            intent,
            instant(at),
        );
        assert_eq!(answer.err(), refused, "{row:?}");
    }
}

#[test]
fn the_window_is_the_one_that_holds_the_instant() {
    let seasons = r#"[{"territories":["DE"],"until":"2026-03-01T00:00:00Z"},
        {"territories":["DE"],"from":"2026-03-01T00:00:00Z"}]"#;
    let catalogue = catalogue(seasons);
    let delivery = delivery(None);
    let (germany, turn) = (Territory::new("DE").unwrap(), "2026-03-01T00:00:00Z".parse().unwrap());
    let window_at = |at: Timestamp| {
        let id = title("online");
        playback_context(&catalogue, &delivery, &id, Some(&germany), Intent::Stream, at)
            .unwrap()
            .window
    };
    assert_eq!(window_at(turn), Window { from: Some(turn), until: None });
    assert_eq!(window_at(turn.just_before()), Window { from: None, until: Some(turn) });
}

#[test]
fn delivery_is_checked_when_it_is_configured() {
    let base = |url| Delivery::new(Some(url), vec![]).map(|_| String::new());
    let license = |url| Delivery::new(None, vec![clear_key(url)]).map(|_| String::new());
    let twice = Delivery::new(None, vec![clear_key("/a"), clear_key("/b")]).map(|_| String::new());
    let answers = [
        base("http://localhost:8080/"),
        base("/media/"),
        base("https://cdn.example/media"),
        base("https://cdn.example/media/?v=1"),
        base("ftp://cdn.example/"),
        base("https://user:secret@cdn.example/"),
        license("/v1/drm/clearkey"),
        license("https://drm.example/{intent}/{title}"),
        license("/v1/{member}"),
        license("/v1/{title"),
        license("v1/drm"),
        license("//drm.example/"),
        license("javascript:alert(1)"),
        twice,
    ];
    let said: Vec<_> =
        answers.map(|answer| answer.unwrap_or_else(|error| error.to_string())).into();
    expect![[r#"

        media base URL `/media/`: relative URL without a base; write one like `https://cdn.example.com/media/`
        media base URL `https://cdn.example/media`: a base ends with `/`; write one like `https://cdn.example.com/media/`
        media base URL `https://cdn.example/media/?v=1`: a base ends with `/`; write one like `https://cdn.example.com/media/`
        media base URL `ftp://cdn.example/`: only `https` and `http` go; write one like `https://cdn.example.com/media/`
        media base URL `https://user:secret@cdn.example/`: a user name or password would go to every device; write one like `https://cdn.example.com/media/`


        license URL `/v1/{member}` of DRM system `clearkey`: only `{title}` and `{intent}` are filled in
        license URL `/v1/{title` of DRM system `clearkey`: only `{title}` and `{intent}` are filled in
        license URL `v1/drm` of DRM system `clearkey`: write a path that begins with `/`, or an `https` or `http` URL
        license URL `//drm.example/` of DRM system `clearkey`: write a path that begins with `/`, or an `https` or `http` URL
        license URL `javascript:alert(1)` of DRM system `clearkey`: write a path that begins with `/`, or an `https` or `http` URL
        DRM system `clearkey` is given twice; keep one"#]].assert_eq(&said.join("\n"));
}

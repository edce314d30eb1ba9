use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    let value = |value: &&str| (header::ACCEPT_LANGUAGE, HeaderValue::from_str(value).unwrap());
    values.iter().map(value).collect()
}

#[test]
fn languages_come_in_the_order_of_preference_each_before_what_it_is_a_kind_of() {
    for (asked, wanted_) in [
        (&[][..], "en"),
        (&["de"], "de en"),
        (&["de-AT"], "de-AT de en"),
        (&["de-AT,de;q=0.9,en;q=0.8,fr;q=0.7"], "de-AT de en"),
        (&["fr;q=0.7, de ;q=0.9 , it; q=0.95"], "it de fr en"),
        (&["fr;q=0.5,de;q=0.5"], "fr de en"),
        (&["zh-hant-tw, de;q=0.1"], "zh-Hant-TW zh-Hant zh de en"),
        (&["fr", "de;q=0.5"], "fr de en"),
        (&["en-GB, de"], "en-GB en"),
        (&["*"], "en"),
        (&["de;q=0.2, *;q=0.1"], "de en"),
        (&["de-AT, de;q=0"], "de-AT en"),
        (&["en;q=0, de"], "de en"),
        // Not in order: ignored, and the rest is heard.
        (&["de;q=2, fr;q=x, it;q=-1, es;q=NaN, pt;q, nl;level=1, sv"], "sv en"),
        (&[";;,,=, german, d-e, de"], "de en"),
    ] {
        let wanted = wanted(&headers(asked));
        let tags: Vec<&str> = wanted.iter().map(Language::as_str).collect();
        assert_eq!(tags.join(" "), wanted_, "{asked:?}");
    }
    let many = format!("{}de", "x-x,".repeat(RANGES_MAX));
    assert_eq!(wanted(&headers(&[&many])), [Language::english()]);
}

/// A request is held for as long as it takes, by hundreds at a time.
#[test]
fn a_scope_holds_its_request_once() {
    let request = async {
        let held = [0_u8; 4096];
        tokio::task::yield_now().await;
        Response::new(held.to_vec().into())
    };
    let alone = size_of_val(&request);
    let scoped = Speech::new(Arc::default(), &HeaderMap::new()).scope(request);
    let around = size_of_val(&scoped) - alone;
    assert!(around < 512, "{around} bytes around a request of {alone}");
}

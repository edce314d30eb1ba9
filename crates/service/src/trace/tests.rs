use super::*;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

fn trace(headers: &[(HeaderName, &str)]) -> Trace {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Trace::of(&map, || [7; 16])
}

#[test]
fn a_trace_of_the_caller_goes_on_under_an_id_of_our_own() {
    for (flags, ours) in [("00", "00"), ("01", "01"), ("03", "01"), ("fe", "00")] {
        let given = format!("00-{TRACE_ID}-{PARENT_ID}-{flags}");
        let trace = trace(&[(TRACEPARENT, &given)]);
        let expected = format!("00-{TRACE_ID}-0707070707070707-{ours}");
        assert_eq!(trace.to_string(), expected);
        assert_eq!(trace.response().unwrap(), expected);
        assert_eq!(trace.trace_id().to_string(), TRACE_ID);
    }
    // A later version, as far as we know it.
    for more in ["", "-", "-what-the-future-brings"] {
        let given = format!("cc-{TRACE_ID}-{PARENT_ID}-01{more}");
        assert_eq!(trace(&[(TRACEPARENT, &given)]).trace_id().to_string(), TRACE_ID, "{given}");
    }
}

/// "If the value is invalid, a new trace is begun", and its state is nobody's.
#[test]
fn what_is_malformed_is_ignored_and_a_new_trace_begins() {
    let (upper, zeros) = (TRACE_ID.to_uppercase(), "0".repeat(32));
    for given in [
        String::new(),
        "00".to_owned(),
        format!("ff-{TRACE_ID}-{PARENT_ID}-01"),
        format!("0-{TRACE_ID}-{PARENT_ID}-01"),
        format!("00-{upper}-{PARENT_ID}-01"),
        format!("00-{zeros}-{PARENT_ID}-01"),
        format!("00-{TRACE_ID}-{}-01", "0".repeat(16)),
        format!("00-{TRACE_ID}-{PARENT_ID}-0"),
        format!("00-{TRACE_ID}-{PARENT_ID}-0x"),
        format!("00-{TRACE_ID}-{PARENT_ID}-+1"),
        format!("00-{TRACE_ID}-{PARENT_ID}-01-"),
        format!("00-{TRACE_ID}-{PARENT_ID}-01-more"),
        format!("cc-{TRACE_ID}-{PARENT_ID}-01.more"),
        format!("00-{}-{PARENT_ID}-01", &TRACE_ID[..31]),
        format!("00_{TRACE_ID}_{PARENT_ID}_01"),
    ] {
        let trace = trace(&[(TRACEPARENT, &given), (TRACESTATE, "a=1")]);
        let begun = format!("00-{}-0707070707070707-00", "07".repeat(16));
        assert_eq!((trace.to_string(), trace.response()), (begun, None), "{given}");
        assert_eq!(trace.state, None);
    }
    let given = format!("00-{TRACE_ID}-{PARENT_ID}-01");
    let twice = trace(&[(TRACEPARENT, &given), (TRACEPARENT, &given)]);
    assert_eq!(twice.response(), None);
}

#[tokio::test]
async fn what_is_asked_of_others_bears_the_trace_and_its_state() {
    assert_eq!(outgoing(), []);
    let given = format!("00-{TRACE_ID}-{PARENT_ID}-01");
    let long = "x".repeat(TRACESTATE_BYTES_MAX + 1);
    for (states, passed_on) in [
        (vec![], None),
        (vec!["congo=t61rcWkgMzE"], Some("congo=t61rcWkgMzE")),
        (vec!["a=1", "b=2,c=3"], Some("a=1,b=2,c=3")),
        (vec![long.as_str()], None),
    ] {
        let headers: Vec<_> = [(TRACEPARENT, given.as_str())]
            .into_iter()
            .chain(states.into_iter().map(|state| (TRACESTATE, state)))
            .collect();
        let sent = trace(&headers).scope(async { outgoing() }).await;
        let parent = (TRACEPARENT, format!("00-{TRACE_ID}-0707070707070707-01"));
        let state = passed_on.map(|state| (TRACESTATE, state.to_owned()));
        assert_eq!(sent, [parent].into_iter().chain(state).collect::<Vec<_>>());
    }
}

/// A request is held for as long as it takes, by hundreds at a time.
#[test]
fn a_scope_holds_its_request_once() {
    let request = async {
        let held = [0_u8; 4096];
        tokio::task::yield_now().await;
        held.len()
    };
    let alone = size_of_val(&request);
    let scoped = trace(&[]).scope(request);
    let around = size_of_val(&scoped) - alone;
    assert!(around < 512, "{around} bytes around a request of {alone}");
}

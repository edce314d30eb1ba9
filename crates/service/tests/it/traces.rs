//! A trace that a caller began goes on in what the service asks of others.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::world::{Setup, World};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[test]
fn fetching_an_issuers_keys_for_a_request_is_part_of_its_trace() {
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    let keys_url = Some(format!("http://{}/jwks.json", issuer.local_addr().unwrap()));
    let world = World::with(Setup { keys_url, ..Setup::default() });
    let keys = serde_json::to_string(&world.issuer_keys()).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = issuer.accept().unwrap();
        let mut question = Vec::new();
        while !question.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            question.push(byte[0]);
        }
        let length = keys.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{keys}").unwrap();
        String::from_utf8(question).unwrap().to_lowercase()
    });
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let call = ana.call("GET", "/v1/catalogue").header("tracestate", "congo=t61rcWkgMzE");
    let answer = call.header("traceparent", &format!("{TRACE}-{PARENT}-01")).send();
    assert_eq!(answer.status, 200, "{answer:?}");
    let ours = answer.header("traceresponse").unwrap();
    assert!(ours.starts_with(TRACE) && !ours.contains(PARENT), "{ours}");
    let asked = asked.join().unwrap();
    assert!(asked.contains(&format!("\r\ntraceparent: {ours}\r\n")), "{asked}");
    assert!(asked.contains("\r\ntracestate: congo=t61rcwkgmze\r\n"), "{asked}");
    // Who asks outside of a trace is told of none.
    assert_eq!(ana.call("GET", "/v1/catalogue").send().header("traceresponse"), None);
}

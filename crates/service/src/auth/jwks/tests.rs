use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex as StdMutex;

use super::super::test_keys::TestKey;
use super::*;

/// A server on the loopback that gives every caller the same answer and counts the calls.
struct Server {
    address: SocketAddr,
    answer: Arc<StdMutex<(String, usize)>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(StdMutex::new((String::new(), 0)));
        let shared = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let mut answer = shared.lock().unwrap();
                answer.1 += 1;
                let _ = stream.write_all(answer.0.as_bytes());
            }
        });
        Self { address, answer }
    }

    fn answers(&self, status: &str, body: &str) {
        let length = body.len();
        self.answer.lock().unwrap().0 = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }

    fn calls(&self) -> usize {
        self.answer.lock().unwrap().1
    }

    fn key_set(&self) -> KeySet {
        KeySet::new(KeySource::from(format!("http://{}/jwks.json", self.address)))
    }
}

fn set(keys: &[&TestKey]) -> String {
    let keys = keys.iter().enumerate().map(|(n, key)| key.jwk(&n.to_string())).collect();
    serde_json::to_string(&JwkSet::new(keys)).unwrap()
}

#[tokio::test]
async fn keys_are_fetched_over_http() {
    let server = Server::start();
    let keys = server.key_set();
    assert_eq!(keys.current().keys, JwkSet::default());
    let (first, second) = (TestKey::ed25519(), TestKey::rsa());
    server.answers("200 OK", &set(&[&first]));
    keys.refresh(0).await.unwrap();
    assert_eq!(keys.current().keys.keys(), [first.jwk("0")]);
    let generation = keys.generation();
    keys.refresh(0).await.unwrap();
    assert_eq!(keys.generation(), generation, "the same keys");
    server.answers("200 OK", &set(&[&second, &first]));
    keys.refresh(0).await.unwrap();
    assert_eq!(keys.current().keys.keys(), [second.jwk("0"), first.jwk("1")]);
    assert_ne!(keys.generation(), generation);
}

#[tokio::test]
async fn the_last_good_keys_are_kept_when_fetching_fails() {
    let server = Server::start();
    let keys = server.key_set();
    let key = TestKey::ed25519();
    server.answers("200 OK", &set(&[&key]));
    keys.refresh(0).await.unwrap();
    let long = " ".repeat(JWK_SET_BYTES_MAX + 1);
    for (status, body) in [
        ("500 Internal Server Error", ""),
        ("404 Not Found", "{}"),
        ("200 OK", "<html>"),
        ("200 OK", r#"{"keys":[]}"#),
        ("200 OK", &long),
        ("nonsense", ""),
    ] {
        server.answers(status, body);
        let error = keys.refresh(0).await.unwrap_err();
        // A long answer is not even read to its end.
        assert!(body.len() < 1000 || matches!(error, KeySetError::Fetch { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(&server.address.to_string()), "{error}");
        assert_eq!(keys.current().keys.keys(), [key.jwk("0")], "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = KeySet::new(KeySource::from(format!("http://{nobody}/")));
    assert!(matches!(closed.refresh(0).await, Err(KeySetError::Fetch { .. })));
}

#[tokio::test]
async fn made_up_key_ids_do_not_turn_into_requests() {
    let server = Server::start();
    let keys = server.key_set();
    server.answers("200 OK", &set(&[&TestKey::ed25519()]));
    assert!(keys.refresh_for_unknown_key(1_000).await, "new keys");
    for ms in [1_000, 2_000, 10_999] {
        assert!(!keys.refresh_for_unknown_key(ms).await);
    }
    assert_eq!(server.calls(), 1);
    assert!(!keys.refresh_for_unknown_key(11_000).await, "fetched, and the same");
    assert_eq!(server.calls(), 2);
    // A clock that went back must not hold up fetching until it has caught up.
    keys.refresh_for_unknown_key(500).await;
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn many_waiters_share_one_fetch() {
    let server = Server::start();
    let keys = Arc::new(server.key_set());
    server.answers("200 OK", &set(&[&TestKey::ed25519()]));
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.refresh_for_unknown_key(1_000).await })
        })
        .collect();
    for waiter in waiters {
        assert!(waiter.await.unwrap(), "each may try again");
    }
    assert_eq!(server.calls(), 1);
}

#[test]
fn a_source_is_a_url_or_a_file() {
    let source = |text: &str| KeySource::from(text.to_owned());
    for url in ["https://idp.example/jwks", "http://localhost:1/jwks"] {
        assert_eq!(source(url), KeySource::Url(url.to_owned()));
    }
    assert_eq!(source("keys/jwks.json"), KeySource::File("keys/jwks.json".into()));
}

//! A deployment in a temporary directory: configuration, keys, policy, catalogue, and the identity
//! provider that its members' tokens come from.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drm::content_keys::{MasterKey, seal};
use drm::jwk::JwkSet;
use drm::jws::SigningKey;
use drm::signing_keys::SigningKeys;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Carnet, command};

const CONFIG: &str = r#"
issuer = "urn:test"
listen = "127.0.0.1:0"
data = "data"
policy = "policy"
catalogue = "catalogue.jsonl"
signing_keys = "signing"
content_keys = "content-keys.json"
proofs = "off"

[[issuers]]
issuer = "urn:test:identity"
audiences = ["carnet"]
keys = "jwks.json"
operator_role = "operator"
claims = { member = "sub", plan = "plan", roles = "role" }

[limits]
unready_seconds = 0
"#;

pub(crate) const POLICY: &str = r#"
format = 1
name = "test"
effective_from = 2026-01-01T00:00:00Z

[terms]
start_within = "30d"
"#;

pub(crate) struct World {
    directory: TempDir,
    identity: SigningKey,
    master: String,
}

impl World {
    pub(crate) fn new(titles: usize) -> Self {
        let (identity, _) = SigningKey::generate().unwrap();
        let master = MasterKey::generate().unwrap().to_string();
        let world = Self { directory: tempfile::tempdir().unwrap(), identity, master };
        world.write("carnet.toml", CONFIG);
        world.write("policy/policy.toml", POLICY);
        world.write("catalogue.jsonl", &catalogue(titles));
        let keys = JwkSet::new(vec![world.identity.public_jwk()]);
        world.write("jwks.json", &serde_json::to_string(&keys).unwrap());
        world.seal(r#"{"keys":[]}"#);
        SigningKeys::load_or_create(&world.path("signing")).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn seal(&self, keys: &str) {
        let sealed = seal(keys, &MasterKey::parse(&self.master).unwrap()).unwrap();
        self.write("content-keys.json", &sealed);
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = command();
        command.env("CARNET_MASTER_KEY", &self.master);
        command.args(["serve", "--config"]).arg(self.path("carnet.toml"));
        command
    }

    pub(crate) fn serve(&self) -> Carnet {
        Carnet::start(&mut self.command())
    }

    pub(crate) fn client(&self, carnet: &Carnet, member: &str) -> Client {
        self.client_with_role(carnet, member, "member")
    }

    pub(crate) fn operator(&self, carnet: &Carnet) -> Client {
        self.client_with_role(carnet, "olga", "operator")
    }

    fn client_with_role(&self, carnet: &Carnet, subject: &str, role: &str) -> Client {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": "urn:test:identity", "aud": "carnet", "sub": subject, "plan": "any",
            "role": role, "iat": now, "exp": now + 3600,
        });
        let token = self.identity.signer("JWT").sign_compact(claims.to_string().as_bytes());
        Client::new(carnet, token)
    }
}

pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let millis = i64::try_from(since.as_millis()).unwrap();
    domain::Timestamp::from_millis(millis).to_string()
}

pub(crate) fn title(number: usize) -> String {
    format!("title-{number}")
}

pub(crate) fn catalogue(titles: usize) -> String {
    let line = |number: usize| {
        let line = json!({
            "id": title(number), "partner": "studio", "downloadable": true,
            "availability": [{ "territories": ["*"] }],
            "name": format!("Title {number}"), "runtime_seconds": 60,
            "manifests": { "dash": "/media/a.mpd" },
            "key_ids": { "video": "00112233445566778899aabbccddeeff" },
        });
        format!("{line}\n")
    };
    (0..titles).map(line).collect()
}

/// A member's device, on a connection that is kept.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(carnet: &Carnet, token: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into(), base: carnet.url(""), token }
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        answer(self.agent.get(url).header("authorization", self.authorization()).call()?)
    }

    /// As served to everybody.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>, ureq::Error> {
        self.agent.get(format!("{}{path}", self.base)).call()?.body_mut().read_to_vec()
    }

    /// With an idempotency key, unless that is empty.
    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.post(url).header("authorization", self.authorization());
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        answer(request.send_json(body)?)
    }

    pub(crate) fn register(&self, device: &str) {
        let (key, _) = SigningKey::generate().unwrap();
        let body = json!({
            "device": device, "name": "a test", "class": "phone", "jwk": key.public_jwk(),
        });
        let registered = self.post("/v1/devices", &format!("register-{device}"), &body).unwrap();
        assert_eq!(registered.status, 201, "{}", registered.body);
    }

    pub(crate) fn acquire(&self, title: &str, key: &str) -> Result<Answer, ureq::Error> {
        self.post("/v1/licenses", key, &json!({ "device": "phone", "title": title }))
    }
}

fn answer(response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let (parts, mut body) = response.into_parts();
    let text = body.read_to_string()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status: parts.status.as_u16(), body })
}

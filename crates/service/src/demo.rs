//! The development identity provider: signs a token for whoever asks. It exists in demo mode only,
//! where there is nothing to steal.

use domain::Timestamp;
use drm::jwk::JwkSet;
use drm::jws::Signer;
use drm::signing_keys::SigningKeys;
use serde_json::json;

use crate::auth::claims::{ClaimMapping, ClaimPath};
use crate::auth::jwks::KeySource;
use crate::auth::token::IssuerConfig;

pub(crate) const TOKEN_TTL_SECONDS: i64 = 3_600;

const ISSUER: &str = "urn:carnet:demo";
const AUDIENCE: &str = "carnet-demo";
const ROLE_CLAIM: &str = "carnet_role";

#[derive(Debug)]
pub struct DemoIdp {
    signer: Signer,
    keys: SigningKeys,
    members: [DemoMember; 2],
}

/// Somebody to sign in as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoMember {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) plan: &'static str,
    pub(crate) territory: &'static str,
    pub(crate) description: &'static str,
}

/// On different plans, so that the sample policy says different things to them.
const MEMBERS: [DemoMember; 2] = [
    DemoMember {
        id: "ana",
        name: "Ana",
        plan: "premium",
        territory: "DE",
        description: "Premium: downloads on up to six devices",
    },
    DemoMember {
        id: "ben",
        name: "Ben",
        plan: "standard",
        territory: "DE",
        description: "Standard with ads: downloads on up to two devices",
    },
];

impl DemoIdp {
    /// With keys of its own, which must not be those that sign leases.
    pub fn new(keys: SigningKeys) -> Self {
        Self { signer: keys.active().signer("JWT"), keys, members: MEMBERS }
    }

    /// What makes the service trust its tokens.
    pub fn issuer(&self) -> IssuerConfig {
        IssuerConfig {
            issuer: ISSUER.to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            keys: KeySource::Fixed(self.keys.published().clone()),
            claims: ClaimMapping {
                plan: Some(ClaimPath::new("plan")),
                territory: Some(ClaimPath::new("territory")),
                roles: Some(ClaimPath::new(ROLE_CLAIM)),
                ..ClaimMapping::default()
            },
            operator_role: Some("operator".to_owned()),
            service_role: Some("service".to_owned()),
            leeway_seconds: 5,
        }
    }

    pub(crate) fn members(&self) -> &[DemoMember] {
        &self.members
    }

    pub(crate) fn keys(&self) -> &JwkSet {
        self.keys.published()
    }

    pub(crate) fn member_token(&self, member: &DemoMember, now: Timestamp) -> String {
        self.sign(now, |claims| {
            claims["sub"] = json!(member.id);
            claims["plan"] = json!(member.plan);
            claims["territory"] = json!(member.territory);
        })
    }

    pub(crate) fn operator_token(&self, now: Timestamp) -> String {
        self.role_token("operator", now)
    }

    /// For a service of one's own.
    pub(crate) fn service_token(&self, now: Timestamp) -> String {
        self.role_token("service", now)
    }

    fn role_token(&self, role: &str, now: Timestamp) -> String {
        self.sign(now, |claims| {
            claims["sub"] = json!(format!("demo-{role}"));
            claims[ROLE_CLAIM] = json!(role);
        })
    }

    fn sign(&self, now: Timestamp, add: impl FnOnce(&mut serde_json::Value)) -> String {
        let now_seconds = now.as_millis().div_euclid(1_000);
        let mut claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now_seconds,
            "exp": now_seconds + TOKEN_TTL_SECONDS,
        });
        add(&mut claims);
        self.signer.sign_compact(claims.to_string().as_bytes())
    }
}

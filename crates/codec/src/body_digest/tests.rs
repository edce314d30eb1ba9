use domain::member::{Allowance, Holding, PlayReport, Target, Warrant};
use domain::{DeviceClass, DeviceId, KeyThumbprint, LicenseId, Timestamp, TitleFacts, TitleId};
use proptest::prelude::*;

use super::*;
use crate::arbitrary::command;

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn acquire(title: &str, license: &str, title_facts: Option<TitleFacts>) -> Command {
    Command::Acquire {
        device: DeviceId::new("phone").unwrap(),
        title: TitleId::new(title).unwrap(),
        title_facts,
        license: LicenseId::new(license).unwrap(),
    }
}

fn plays(occurred_ms: i64) -> Command {
    let play = PlayReport {
        sequence: 7,
        license: LicenseId::new("lic").unwrap(),
        term: 1,
        occurred_at: Timestamp::from_millis(occurred_ms),
        device_at: Timestamp::from_millis(occurred_ms),
    };
    let device = DeviceId::new("phone").unwrap();
    Command::RecordPlays { device, sequences: vec![(7, 7)], plays: vec![play] }
}

// "Idempotency keys bind accepted commands … to the body without facts, times and generated ids."
#[test]
fn facts_times_and_generated_ids_are_left_out() {
    let facts = TitleFacts {
        partner: "aurora".parse().unwrap(),
        series: None,
        tags: [].into(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    let first = body_digest(&[acquire("title", "lic-1", Some(facts))]);
    assert_eq!(first, body_digest(&[acquire("title", "lic-2", None)]));
    assert_ne!(first, body_digest(&[acquire("other", "lic-1", None)]));
    assert_eq!(body_digest(&[plays(1_000)]), body_digest(&[plays(2_000)]));
}

#[test]
fn order_and_number_matter() {
    let (a, b) = (acquire("a", "x", None), acquire("b", "x", None));
    let both = body_digest(&[a.clone(), b.clone()]);
    assert_ne!(both, body_digest(&[b, a.clone()]));
    assert_ne!(body_digest(std::slice::from_ref(&a)), body_digest(&[a.clone(), a]));
}

/// The digest is compared across releases: these must not change.
#[test]
#[expect(clippy::too_many_lines, reason = "a list")]
fn digests_are_for_as_long_as_keys_are_remembered() {
    let device = || DeviceId::new("phone").unwrap();
    let license = || LicenseId::new("lic").unwrap();
    let warrant = || Warrant { actor: "kim".to_owned(), reason: "asked".to_owned() };
    let key = KeyThumbprint::new("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs").unwrap();
    let every = [
        Command::RegisterDevice {
            device: device(),
            class: DeviceClass::Phone,
            key,
            name: "Telefon".to_owned(),
        },
        Command::RemoveDevice { device: device() },
        acquire("title", "lic-1", None),
        Command::Renew {
            device: device(),
            license: license(),
            term: 2,
            title_facts: None,
            automatic: false,
        },
        Command::Release { by: Some(device()), license: license() },
        Command::Release { by: None, license: license() },
        Command::CheckIn {
            device: device(),
            holdings: vec![Holding { license: license(), started: true }],
        },
        plays(0),
        Command::DrmFailed { license: license(), term: 1 },
        Command::Renew {
            device: device(),
            license: license(),
            term: 2,
            title_facts: None,
            automatic: true,
        },
        Command::ChangeMember,
        Command::LapseMembership,
        Command::ResumeMembership { warrant: None },
        Command::Revoke { target: Target::Member, warrant: warrant() },
        Command::WithdrawTitle { title: TitleId::new("title").unwrap() },
        Command::GrantException {
            exception: "x".parse().unwrap(),
            allowance: Allowance {
                rule: "cap".parse().unwrap(),
                amount: 1,
                until: Timestamp::from_millis(1_775_000_000_000),
            },
            warrant: warrant(),
        },
        Command::EndException { exception: "x".parse().unwrap(), warrant: warrant() },
        Command::ResumeMembership { warrant: Some(warrant()) },
    ];
    let digests: Vec<String> =
        every.iter().map(|command| hex(body_digest(std::slice::from_ref(command)))).collect();
    expect_test::expect![[r#"
        2e438e76aba7ed3e7dc1c0f3ac7efcb255ba1ee5c1a2f3adc3c35114a8a0ea69
        c7724393a0e9697cab11d1154fd35d43e361970ecfb1265f4abb10fbaedd1083
        95eafdcd6fb960c3e529250c0575f12d02fca60b6c81cea4103dc14fec56cbb8
        5f6e9c499be57591c97c4c6b56fa582f2da557bf4b25ebb6c1932ad222ad6e40
        db202b400d570f4edb2a138f854e2f588114c96b8fefba1d5b992b57415fac85
        f5e795c4c8cc6024ee3ebccd2aa03b708c127e017f2eff0a5d62d764f96ac328
        14da390240d0c8a2f7ec3d57f25cf5a69e3022db0a09ac2d6997ed50bb010808
        465fe477d89704ce064b29a4eb2859af7a0e4f2db631539c3fe3eaebb167c1ff
        776c1ac6e13011ad064a0eb860e548618a9106945a1fac93e4840679e899931a
        bcbf3ebe8b26a227d2db629d4ed3e33e1d9b73540751dc5f30e35292d7e70154
        64d55fcfc6f24f08970b8a67ebda0280f0837333304cfa39897d70499fa63908
        cc49f60165d894d92b6fb5e2b6e96a1b554e53b399569d533a11a290f89c3aee
        04df2fdc61a158d3361d9b0ba946d4a42c59941ee54dd4523cc2eec7fb62ace0
        d4dd360e58cc49767633b2b6e6a7d1c3cd6b4632384731917cccf54dcda1070e
        a996b21e185beb6608b5446427bc442a89f4145df50634f48f87ddc38caaffb2
        3813172c4042cd4c0a9de7e17682e720cb6e54d441668463dcec9da77e47e07f
        044c78b0ea7530af744b59fc5eb9a62161cf083ecfe3585aa5fa6b748a00a6de
        f17017319f7fe566663f1481dbe2ad009eca760d88499ab400cb57eb982e29a0"#]]
    .assert_eq(&digests.join("\n"));
}

proptest! {
    /// Two bodies that differ in anything but facts, times and generated ids have two digests.
    #[test]
    fn commands_that_differ_have_other_digests(a in command(), b in command()) {
        prop_assert_eq!(
            body_digest(std::slice::from_ref(&a)) == body_digest(std::slice::from_ref(&b)),
            asks(&a) == asks(&b)
        );
    }
}

/// A command with everything taken out that a retry may bring anew.
fn asks(command: &Command) -> Command {
    let mut command = command.clone();
    match &mut command {
        Command::Acquire { title_facts, license, .. } => {
            *title_facts = None;
            *license = LicenseId::new("-").unwrap();
        }
        Command::Renew { title_facts, .. } => *title_facts = None,
        Command::GrantException { exception, .. } => *exception = "-".parse().unwrap(),
        Command::RecordPlays { plays, .. } => {
            for play in plays {
                play.occurred_at = Timestamp::default();
                play.device_at = Timestamp::default();
            }
        }
        _ => {}
    }
    command
}

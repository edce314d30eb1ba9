//! `decide` in units of one Ed25519 signature verification, which is what a token costs.
//!
//! `--rounds`, `--quick`.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use bench::ledger::{history, policy, six_caps, twenty_caps};
use bench::{argument, median, print_setting, quick};
use domain::member::Answer;
use domain::policy::{Rules, TermsPatch};
use domain::{Duration, Member, Policy, Request, decide};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let quick = quick();
    let rounds = argument("rounds", if quick { 3 } else { 15 })?;
    print_setting("decide: one acquire by a member with a past", "none: nothing is stored")?;
    let verify = verification(rounds)?;
    println!("  one Ed25519 verification  {:>8.2} µs", verify * 1e6);
    for (events, text, goal) in
        [(50, six_caps(), 40), (1_000, twenty_caps(), 8), (10_000, twenty_caps(), 1)]
    {
        let policy = policy(&text)?.policy;
        let (member, request) = history(events, &policy)?;
        let caps = policy.default.caps.len();
        let taken = timed(rounds, &member, &request, &policy)?;
        println!("{events} events, {caps} caps");
        println!("  accepted {:>8.2} µs", taken * 1e6);
        println!("  ratio    1/{:>6.1}   (goal: at most 1/{goal})", verify / taken);
    }
    a_guard(rounds, verify)?;
    let small = in_a_policy_of(10, 10, rounds)?;
    let large = in_a_policy_of(10_000, 100_000, rounds)?;
    println!("50 events, 6 caps, in a policy with rules of their own for partners and titles");
    println!("  of 10 and 10          {:>8.2} µs", small * 1e6);
    println!("  of 10,000 and 100,000 {:>8.2} µs", large * 1e6);
    println!("  ratio                 {:>8.2}   (goal: at most 1.2)", large / small);
    Ok(())
}

/// What it adds to a decision that six caps have a guard, divided by six. It holds, so that what is
/// asked beside it stays the same.
fn a_guard(rounds: u64, verify: f64) -> Result<()> {
    let without = policy(&six_caps())?.policy;
    let guarded = six_caps().replace("\n[[caps]]\n", &format!("\n[[caps]]\n{GUARD}"));
    let with = policy(&guarded)?.policy;
    let guards = with.default.caps.iter().filter(|cap| cap.when.guard.is_some()).count();
    let (member, request) = history(50, &without)?;
    let mut adds = Vec::new();
    for _ in 0..rounds {
        let plain = timed(1, &member, &request, &without)?;
        adds.push((timed(1, &member, &request, &with)? - plain) / guards as f64);
    }
    let adds = median(adds);
    println!("50 events, {guards} caps with a guard of five comparisons each");
    println!("  a guard adds {:>6.3} µs", adds * 1e6);
    println!("  ratio    1/{:>6.1}   (goal: at most 1/20)", verify / adds.max(1e-9));
    Ok(())
}

const GUARD: &str = r#"guard = '''
  device.class in ["tablet", "phone"]
  && (member.plan == "basic" || title.partner != "partner-x")
  && !("kids" in title.tags) && member.territory != "US"
'''
"#;

/// The title that is asked for is among them, and so is its partner.
fn in_a_policy_of(partners: usize, titles: usize, rounds: u64) -> Result<f64> {
    let mut policy = policy(&six_caps())?.policy;
    let (member, request) = history(50, &policy)?;
    let rules = Rules {
        terms: TermsPatch { finish_within: Some(Duration::hours(24)), ..TermsPatch::default() },
        ..Rules::default()
    };
    for number in 0..partners {
        policy.partners.insert(format!("partner-{number}").parse()?, rules.clone());
    }
    for number in 0..titles {
        policy.titles.insert(format!("title-{number:06}").parse()?, rules.clone());
    }
    timed(rounds, &member, &request, &policy)
}

/// Seconds for one, the median over the rounds.
fn per_call(rounds: u64, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed().as_millis() < 50 {
            for _ in 0..16 {
                call()?;
            }
            calls += 16;
        }
        seconds.push(start.elapsed().as_secs_f64() / f64::from(calls));
    }
    Ok(median(seconds))
}

fn verification(rounds: u64) -> Result<f64> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .and_then(|pkcs8| Ok(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())?))
        .map_err(|_| anyhow!("no key"))?;
    let message = [7; 600]; // about what a token signs
    let signature = key.sign(&message);
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref().to_vec());
    per_call(rounds, || {
        public.verify(black_box(&message), signature.as_ref()).map_err(|_| anyhow!("not verified"))
    })
}

fn timed(rounds: u64, member: &Member, request: &Request, policy: &Policy) -> Result<f64> {
    let answer = decide(member, request, policy).answer;
    if !matches!(answer, Answer::Accepted { .. }) {
        bail!("not accepted: {answer:?}");
    }
    per_call(rounds, || {
        black_box(decide(black_box(member), black_box(request), black_box(policy)));
        Ok(())
    })
}

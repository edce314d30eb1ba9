use super::*;

#[track_caller]
fn passes(seed: u64, steps: u64) -> Report {
    run(seed, steps).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Fresh seeds in every run; a failing one is printed with its failure.
#[test]
fn every_promise_holds_in_every_world() {
    for _ in 0..40 {
        let seed = rand::random::<u64>();
        println!("{:?}", passes(seed, STEPS));
    }
}

#[test]
fn a_seed_is_the_whole_story() {
    for seed in [1, rand::random()] {
        let (first, again) = (passes(seed, STEPS), passes(seed, STEPS));
        assert_eq!(first, again, "seed {seed}");
        assert_ne!(first.trace, passes(seed ^ 1, STEPS).trace, "seed {seed}");
    }
}

/// Kinds of events, and kinds of counts that refused.
const WHOLE_VOCABULARY: [&str; 23] = [
    "Acquired",
    "CheckedIn",
    "DeviceRegistered",
    "DeviceRemoved",
    "DrmFailed",
    "ExceptionEnded",
    "ExceptionGranted",
    "MemberChanged",
    "MembershipLapsed",
    "MembershipResumed",
    "PlaysRecorded",
    "Refused",
    "Reissued",
    "Released",
    "Renewed",
    "Revoked",
    "TitleWithdrawn",
    "acquisitions",
    "active_licenses",
    "device_registrations",
    "devices_holding",
    "devices_registered",
    "distinct_titles",
];

/// What never happens proves nothing.
#[test]
fn worlds_are_eventful() {
    let mut sum = Report::default();
    for seed in 0..32 {
        let report = passes(seed, STEPS);
        for (met, times) in report.met {
            *sum.met.entry(met).or_default() += times;
        }
        sum.retries += report.retries;
        sum.accepted += report.accepted;
        sum.refused += report.refused;
        sum.unanswered += report.unanswered;
        sum.crashes += report.crashes;
        sum.failed_syncs += report.failed_syncs;
        sum.policy_changes += report.policy_changes;
        sum.withdrawals += report.withdrawals;
        sum.lifts += report.lifts;
        sum.walks += report.walks;
        sum.horizon_raises += report.horizon_raises;
        sum.probes += report.probes;
    }
    let least = [sum.retries, sum.accepted, sum.refused, sum.unanswered, sum.crashes, sum.probes];
    let rare = [sum.policy_changes, sum.failed_syncs, sum.withdrawals, sum.lifts, sum.walks];
    assert!(least.iter().all(|n| *n > 100) && rare.iter().all(|n| *n > 3), "{sum:?}");
    assert!(sum.horizon_raises > 0, "{sum:?}");
    for met in WHOLE_VOCABULARY {
        assert!(sum.met.contains_key(met), "{met}: {sum:?}");
    }
}

/// The auditor can fail: whatever is broken on purpose is found, by its own name.
#[track_caller]
fn finds(sabotage: Sabotage, least: usize, words: &[&str]) {
    let failures: Vec<Failure> =
        (0..20).filter_map(|seed| sabotaged(seed, STEPS, sabotage).err()).collect();
    assert!(failures.len() >= least, "{sabotage:?}: found in {} of 20 worlds", failures.len());
    for failure in failures {
        let known = words.iter().any(|word| failure.what.contains(word));
        assert!(known, "{sabotage:?}: {failure}");
    }
}

#[test]
fn lost_acknowledgements_are_found() {
    finds(Sabotage::LosesAppends, 10, &["acknowledged, and not recorded", "ahead of the store"]);
}

#[test]
fn exceeded_caps_are_found() {
    finds(Sabotage::AuditorIsToldLess, 10, &["a cap is exceeded", "in the way stand"]);
}

#[test]
fn forgotten_keys_are_found() {
    finds(
        Sabotage::ForgetsKeys,
        10,
        &["acknowledged, and not recorded", "a retry was told otherwise"],
    );
}

#[test]
fn stale_appends_are_found() {
    finds(Sabotage::TakesStaleAppends, 10, &[""]);
}

/// Where there is one node; in the other worlds nothing is withdrawn for all.
#[test]
fn forgotten_withdrawals_are_found() {
    finds(Sabotage::LosesOrders, 5, &["withdrawn before", "was answered"]);
}

#[test]
fn licenses_that_outlive_their_title_are_found() {
    let words = [
        "is done, and left",
        "and tells",
        "ahead of the store",
        "is not what its events say",
        "acknowledged, and not recorded",
        "was acknowledged, and it is open",
    ];
    finds(Sabotage::LosesEndings, 5, &words);
}

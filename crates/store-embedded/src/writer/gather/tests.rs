use super::*;

/// After transactions that each found so many at once, while so many came in any wait.
fn after(transactions: impl IntoIterator<Item = (usize, usize)>) -> Gathering {
    let mut gathering = Gathering::default();
    for (found, come) in transactions {
        let waits = gathering.waits(found);
        if waits {
            gathering.waited(come);
        }
        gathering.last = found + if waits { come } else { 0 };
    }
    gathering
}

#[test]
fn few_never_wait() {
    assert!(!after([]).waits(1));
    assert!(!after([(1, 0); 10]).waits(1));
    assert!(!after([(MANY - 1, 0); 10]).waits(MANY - 1));
}

#[test]
fn while_many_come_a_small_transaction_waits_and_a_large_one_does_not() {
    let mut busy = after([(MANY, 3); 100]);
    assert!(busy.waits(1));
    assert!(busy.waits(ENOUGH - 1));
    assert!(!busy.waits(ENOUGH));
}

#[test]
fn waiting_in_vain_is_given_up_for_a_while() {
    let vain = |times: u32| (0..times).map(|_| (MANY, 0));
    let first = [(MANY, 0)]; // does not wait, for there was none before
    assert!(after(first.into_iter().chain(vain(IN_VAIN - 1))).waits(MANY));
    let mut given_up = after(first.into_iter().chain(vain(IN_VAIN)));
    for _ in 0..PAUSE {
        assert!(!given_up.waits(MANY));
    }
    assert!(given_up.waits(MANY));
}

#[test]
fn somebody_who_comes_makes_up_for_all_who_did_not() {
    let mut bursts = after((0..100).map(|n| (MANY, usize::from(n % IN_VAIN == 0))));
    assert!(bursts.waits(MANY));
}

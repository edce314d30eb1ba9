use std::pin::Pin;

use super::*;
use crate::testing::{member, poll_once};

type Entering<'a> = Pin<Box<dyn Future<Output = Result<Lane<'a>, LaneFull>> + 'a>>;

#[test]
fn a_lane_passes_on_in_order_and_costs_nothing_afterwards() {
    let lanes = Lanes::new();
    let ana = member("ana");
    let mut waiting: Vec<Entering<'_>> = (0..3).map(|_| Box::pin(lanes.enter(&ana)) as _).collect();
    let std::task::Poll::Ready(Ok(first)) = poll_once(&mut waiting[0]) else { panic!() };
    assert!(poll_once(&mut waiting[1]).is_pending());
    assert!(poll_once(&mut waiting[2]).is_pending());
    // The second goes away while waiting; the third is next.
    drop(waiting.remove(1));
    drop(first);
    let std::task::Poll::Ready(Ok(third)) = poll_once(&mut waiting[1]) else { panic!() };
    assert_eq!(lanes.busy(), 1);
    drop(third);
    assert_eq!(lanes.busy(), 0);
}

#[test]
fn a_panic_leaves_the_lane() {
    let lanes = Lanes::new();
    let ana = member("ana");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lane = crate::testing::block_on(lanes.enter(&ana)).unwrap();
        panic!("in the middle");
    }));
    assert!(panicked.is_err());
    assert_eq!(lanes.busy(), 0);
    crate::testing::block_on(lanes.enter(&ana)).unwrap();
}

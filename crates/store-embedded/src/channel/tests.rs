use super::*;

#[test]
fn full_is_an_answer() {
    let channel = Channel::new(3);
    assert_eq!(channel.push('a', 2), Ok(()));
    assert_eq!(channel.push('b', 2), Err(Refused::Full));
    assert_eq!(channel.push('c', 1), Ok(()));
    assert_eq!(channel.pop(), Some('a'));
    assert_eq!(channel.push('d', 2), Ok(()));
    assert_eq!((channel.pop(), channel.pop()), (Some('c'), Some('d')));
    assert_eq!(channel.push('e', 9), Ok(()), "too large for any queue, but it is empty");
}

#[test]
fn what_is_in_comes_out_after_closing() {
    let channel = Channel::new(9);
    channel.push('a', 1).unwrap();
    channel.close();
    assert_eq!(channel.push('b', 1), Err(Refused::Closed));
    assert_eq!((channel.pop(), channel.pop()), (Some('a'), None));
}

#[test]
fn a_taker_gets_at_least_one_and_no_more_than_it_can_carry() {
    let channel = Channel::new(99);
    for (item, weight) in [('a', 9), ('b', 1), ('c', 1), ('d', 1)] {
        channel.push(item, weight).unwrap();
    }
    let mut taken = Vec::new();
    assert_eq!(channel.take(&mut taken, 2, None), Taken::Some);
    assert_eq!(taken, ['a']);
    assert_eq!(channel.take(&mut taken, 2, None), Taken::Some);
    assert_eq!(taken, ['a', 'b', 'c']);
    assert_eq!(channel.take(&mut taken, 2, None), Taken::Some);
    assert_eq!(channel.take(&mut taken, 2, Some(Duration::from_millis(1))), Taken::TimedOut);
}

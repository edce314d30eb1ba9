use super::*;
use crate::facts::{MemberFacts, TitleFacts};

fn counted(n: i64) -> Counted {
    let title = TitleFacts {
        partner: format!("partner-{}", n % 3).parse().unwrap(),
        series: (n % 2 == 0).then(|| format!("series-{}", n % 4).parse().unwrap()),
        tags: Arc::default(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    Counted {
        // Some at the same instant, and now and then a late one.
        at: Timestamp::from_millis(n / 2 - if n % 10 == 9 { 5 } else { 0 }),
        license: format!("license-{n}").parse().unwrap(),
        title: format!("title-{}", n % 7).parse().unwrap(),
        device: "phone".parse().unwrap(),
        facts: Arc::new(Facts::new(&MemberFacts::default(), DeviceClass::Phone, &title)),
    }
}

/// What is asked for in every way, against looking at everything.
fn check(log: &Log) {
    let asked = counted(4);
    let (title, facts) = (&asked.title, &asked.facts.title);
    let unknown = "unknown".parse().unwrap();
    let series = facts.series.as_ref().unwrap();
    for among in [
        Among::All,
        Among::Title(title),
        Among::Title(&unknown),
        Among::Series(series),
        Among::Partner(&facts.partner),
    ] {
        for after in (-10..log.entries.len() as i64).map(Timestamp::from_millis) {
            let found: Vec<_> = log.after(among, after).collect();
            let all = log.entries.iter();
            let meant: Vec<_> = all.filter(|it| it.at > after && among.has(it)).collect();
            assert_eq!(found, meant, "{among:?} after {after:?}");
            assert_eq!(log.after(among, after).count(), meant.len(), "{among:?} after {after:?}");
        }
    }
}

#[test]
fn a_log_with_an_index_finds_what_looking_through_it_finds() {
    let mut log = Log::default();
    for n in 0..100 {
        log.insert(vec![counted(n)]);
        assert_eq!(log.index.is_some(), log.entries.len() > UNINDEXED_MAX);
        check(&log);
    }
    log.retain(|it| it.license.as_str().ends_with('1'));
    assert_eq!((log.entries.len(), &log.index), (10, &None));
    check(&log);
}

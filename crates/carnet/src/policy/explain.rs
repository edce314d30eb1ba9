//! `carnet policy explain`: what holds for a request and where it comes from, in words or as JSON.

use codec::policy::Loaded;
use codec::policy::explain::{
    Explanation, Question, Rule, Source, Statement, Term, Verdict, explain as explained,
};
use domain::{MemberFacts, TitleFacts};
use serde_json::{Map, Value, json};

use super::diff::place_json;
use super::load;
use crate::arguments::Explain;

pub(crate) fn explain(typed: Explain) -> anyhow::Result<()> {
    let loaded = load(&typed.path)?;
    let as_json = typed.json;
    let question = question(typed, &loaded);
    let explanation = explained(&loaded, &question);
    if as_json {
        say!("{:#}", explanation_json(&loaded, &explanation));
    } else {
        tell(&loaded, &question, &explanation);
    }
    Ok(())
}

fn question(typed: Explain, loaded: &Loaded) -> Question {
    Question {
        title: typed.title,
        title_facts: TitleFacts {
            partner: typed.partner,
            series: typed.series,
            tags: typed.tag.into(),
            maturity_rating: typed.maturity_rating,
            downloadable: !typed.not_downloadable,
            offered: true,
            available_from: typed.available_from,
            available_until: typed.available_until,
        },
        member: MemberFacts {
            profile: typed.profile,
            plan: typed.plan,
            territory: typed.territory,
            security_level: typed.security_level,
            account: typed.account,
            maturity_limit: typed.maturity_limit,
            member_since: typed.member_since,
            concurrent_streams: typed.concurrent_streams,
            elsewhere_at: typed.elsewhere_at,
        },
        class: typed.class,
        at: loaded.policy.effective_from,
    }
}

fn tell(loaded: &Loaded, question: &Question, explanation: &Explanation) {
    let Question { title, title_facts, member, class, at: _ } = question;
    let MemberFacts { plan, territory, .. } = member;
    let known = |fact: Option<&str>| fact.map_or("unknown".to_owned(), |fact| format!("`{fact}`"));
    say!(
        "title `{title}` of partner `{}` on a {}, plan {}, territory {}, under policy {}",
        title_facts.partner,
        class.name(),
        known(plan.as_ref().map(|plan| plan.as_str())),
        known(territory.as_ref().map(|territory| territory.as_str())),
        loaded.policy.version
    );
    let Explanation { catalogue, terms, tightenings, gates, caps, membership } = explanation;
    for code in catalogue {
        say!("\nthe catalogue refuses with {}", code.name());
    }
    if !terms.is_empty() {
        say!("\nterms");
    }
    for Term { name, value, from, instead_of } in terms {
        say!("  {name} {value}\n    by {}", source(from));
        for (value, from) in instead_of {
            say!("    instead of {value} by {}", source(from));
        }
    }
    for (head, rules) in [("tightenings", tightenings), ("gates", gates), ("caps", caps)] {
        if !rules.is_empty() {
            say!("\n{head}");
        }
        rules.iter().for_each(tell_rule);
    }
    if !membership.is_empty() {
        say!("\nwhen the membership changes");
    }
    for Statement { name, says, place } in membership {
        let says: Vec<String> = says.iter().map(|(name, it)| format!("{name}: {it}")).collect();
        let place = place.as_ref().map_or_else(String::new, ToString::to_string);
        say!("  {name}: {}\n    by {place}", says.join("; "));
    }
}

fn tell_rule(rule: &Rule) {
    let Rule { id, says, from, instead_of, verdict } = rule;
    let verdict = match verdict {
        Verdict::NotAsked(why) => format!("not asked: {why}"),
        Verdict::Passes => "passes".to_owned(),
        Verdict::Refuses(code) => format!("refuses with {}", code.name()),
        Verdict::Limit(limit, asked) => format!("up to {limit}, asked when {}", asked.join(", ")),
        Verdict::Tightens => "tightens".to_owned(),
    };
    let says: Vec<String> = says.iter().map(|(name, words)| format!("{name}: {words}")).collect();
    say!("  {id}: {verdict}\n    {}\n    by {}", says.join("; "), source(from));
    for from in instead_of {
        say!("    instead of the one by {}", source(from));
    }
}

fn source(source: &Source) -> String {
    let Source { scope, rule, place } = source;
    let rule = rule.as_ref().map_or_else(String::new, |rule| format!("tightening `{rule}` of "));
    let place = place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
    format!("{rule}{scope}{place}")
}

fn explanation_json(loaded: &Loaded, explanation: &Explanation) -> Value {
    let Explanation { catalogue, terms, tightenings, gates, caps, membership } = explanation;
    let rules = |rules: &[Rule]| rules.iter().map(rule_json).collect::<Vec<_>>();
    let term = |Term { name, value, from, instead_of }: &Term| {
        let others = instead_of
            .iter()
            .map(|(value, from)| json!({ "value": value, "from": source_json(from) }));
        let others: Vec<Value> = others.collect();
        json!({ "name": name, "value": value, "from": source_json(from), "instead_of": others })
    };
    json!({
        "policy": loaded.policy.version.as_str(),
        "catalogue": catalogue.iter().map(|code| code.name()).collect::<Vec<_>>(),
        "terms": terms.iter().map(term).collect::<Vec<_>>(),
        "tightenings": rules(tightenings),
        "gates": rules(gates),
        "caps": rules(caps),
        "membership": membership.iter().map(statement_json).collect::<Vec<_>>(),
    })
}

fn statement_json(statement: &Statement) -> Value {
    let Statement { name, says, place } = statement;
    json!({ "name": name, "says": says_json(says), "place": place.as_ref().map(place_json) })
}

fn says_json(says: &[(String, String)]) -> Map<String, Value> {
    says.iter().map(|(name, words)| (name.clone(), words.clone().into())).collect()
}

fn rule_json(rule: &Rule) -> Value {
    let Rule { id, says, from, instead_of, verdict } = rule;
    let verdict = match verdict {
        Verdict::NotAsked(why) => json!({ "verdict": "not_asked", "why": why }),
        Verdict::Passes => json!({ "verdict": "passes" }),
        Verdict::Refuses(code) => json!({ "verdict": "refuses", "code": code.name() }),
        Verdict::Limit(limit, asked) => {
            json!({ "verdict": "limit", "limit": limit, "asked_when": asked })
        }
        Verdict::Tightens => json!({ "verdict": "tightens" }),
    };
    let mut told = json!({
        "id": id.as_str(),
        "says": says_json(says),
        "from": source_json(from),
        "instead_of": instead_of.iter().map(source_json).collect::<Vec<_>>(),
    });
    if let (Value::Object(told), Value::Object(verdict)) = (&mut told, verdict) {
        told.extend(verdict);
    }
    told
}

fn source_json(source: &Source) -> Value {
    let Source { scope, rule, place } = source;
    json!({
        "scope": scope.to_string(),
        "tightening": rule.as_ref().map(|rule| rule.as_str()),
        "place": place.as_ref().map(place_json),
    })
}

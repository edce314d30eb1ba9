//! Terms that never govern, are of no use, or say what is said already.

use std::collections::{BTreeMap, BTreeSet};

use domain::policy::{Effective, FinishAnchor, Of, Policy, Rules, TermsPatch, Tighten, When};
use domain::{DeviceClass, Duration, Facts, MemberFacts, Timestamp};

use super::{Lint, some_title};
use crate::policy::facet::term_facets;
use crate::policy::places::{Kind, Scope, levels};

pub(super) fn lint(
    lint: &mut Lint,
    policy: &Policy,
    (scope, rules): (&Scope, &Rules),
    between: &Between,
) {
    let terms = holding(policy, &rules.terms, None);
    let own = fields(rules);
    // Told once, at a level that says one of the fields.
    let mut note = |fields: &[&str], message: String| {
        if let Some(field) = fields.iter().find(|field| own.contains(field)) {
            lint.note(scope, Kind::Term, field, message);
        }
    };
    never_governs(&terms, policy.effective_from, &mut note);
    of_no_use(&terms, &mut note);
    repeats(lint, policy, scope, rules, between);
    for tighten in &rules.tighten {
        let applying =
            Tighten { of: Of::default(), when: When::default(), needs: vec![], ..tighten.clone() };
        // One that takes the place of a wider one is there to loosen it.
        let replaces = levels(policy)
            .filter(|(other, _)| other != scope && *scope != Scope::AllTitles)
            .any(|(_, rules)| rules.tighten.iter().any(|other| other.id == tighten.id));
        // Terms combine and tighten field by field: no two levels make another of it.
        if !replaces
            && between.held.iter().all(|terms| holding(policy, terms, Some(&applying)) == *terms)
        {
            let message = "tightens nothing: the terms are as tight at every level, and nothing is \
                           loosened by a tightening";
            lint.note(scope, Kind::Tightening, tighten.id.as_str(), message.to_owned());
        }
    }
}

/// What holds where a level says this over what all titles say, whatever a partner in between may
/// say.
fn holding(policy: &Policy, own: &TermsPatch, tighten: Option<&Tighten>) -> TermsPatch {
    let (title, title_facts) = some_title();
    let default = Rules { terms: policy.default.terms.clone(), ..Rules::default() };
    let tighten = tighten.into_iter().cloned().collect();
    let own = Rules { terms: own.clone(), tighten, ..Rules::default() };
    let policy = Policy {
        version: policy.version.clone(),
        name: String::new(),
        effective_from: policy.effective_from,
        default,
        partners: BTreeMap::new(),
        series: BTreeMap::new(),
        titles: BTreeMap::from([(title.clone(), own)]),
        downgrade: None,
        lapse_ends_within: None,
    };
    let facts = Facts::new(&MemberFacts::default(), DeviceClass::Phone, &title_facts);
    Effective::new(&policy, &title, &title_facts).terms(&facts)
}

/// Clocks that another always comes before.
fn never_governs(terms: &TermsPatch, from: Timestamp, note: &mut impl FnMut(&[&str], String)) {
    let per_term = terms.anchor() == Some(FinishAnchor::Term);
    let clocks = [
        ("start_within", terms.start_within),
        ("finish_within", terms.finish_within.filter(|_| per_term)),
        ("check_in_within", terms.check_in_within),
        ("end_within", terms.end_within),
    ];
    if let Some(end) = terms.hard_end {
        if end <= from {
            let message = format!("is not after `effective_from` ({from}): nothing is downloaded");
            note(&["hard_end"], message);
        }
        // The first download is at `effective_from`, and every clock runs from there or later.
        for (name, length) in clocks {
            if length.is_some_and(|length| end <= from + length) && end > from {
                let left = end.since(from);
                let message = format!(
                    "`{name}` never governs: `hard_end` leaves {left} at most from \
                     `effective_from` on"
                );
                note(&[name, "hard_end"], message);
            }
        }
    }
    if let Some(end) = terms.end_within {
        for (name, length) in clocks.into_iter().filter(|(name, _)| *name != "end_within") {
            if length.is_some_and(|length| end <= length) {
                let message = format!("`{name}` never governs: `end_within` ends the term before");
                note(&[name, "end_within"], message);
            }
        }
    }
}

/// What waits for something that never comes.
fn of_no_use(terms: &TermsPatch, note: &mut impl FnMut(&[&str], String)) {
    if terms.finish_within.is_none() {
        if terms.finish_anchor.is_some() {
            note(&["finish_anchor"], "there is no `finish_within` that it could anchor".to_owned());
        }
        if terms.grace.is_some_and(|grace| grace > Duration::ZERO) {
            note(&["grace"], "there is no `finish_within` that it could follow".to_owned());
        }
    }
    let said = [
        ("renew_before_end", terms.renew_before_end.is_some()),
        ("renew_after_end", terms.renew_after_end.is_some()),
        ("renew_from", terms.renew_from.is_some()),
        ("auto_renew_every", terms.auto_renew_every.is_some()),
    ];
    for (name, _) in said.into_iter().filter(|(_, said)| *said && terms.renewals_max == Some(0)) {
        let message = format!("`{name}` is of no use: with `renewals_max = 0` nothing is renewed");
        note(&[name, "renewals_max"], message);
    }
}

/// Which fields of the terms some partner or series sets, and what holds at any level.
pub(super) struct Between {
    held: Vec<TermsPatch>,
    partners: BTreeSet<&'static str>,
    series: BTreeSet<&'static str>,
}

impl Between {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut held: Vec<TermsPatch> = Vec::new();
        for (_, rules) in levels(policy) {
            let terms = holding(policy, &rules.terms, None);
            if !held.contains(&terms) {
                held.push(terms);
            }
        }
        Self {
            held,
            partners: policy.partners.values().flat_map(fields).collect(),
            series: policy.series.values().flat_map(fields).collect(),
        }
    }

    /// Whether something between all titles and this level may say otherwise.
    fn may_say(&self, scope: &Scope, field: &str) -> bool {
        match scope {
            Scope::AllTitles | Scope::Partner(_) => false,
            Scope::Series(_) => self.partners.contains(field),
            Scope::Title(_) => self.partners.contains(field) || self.series.contains(field),
        }
    }
}

fn fields(rules: &Rules) -> Vec<&'static str> {
    let said = term_facets(&rules.terms).into_iter().filter(|facet| facet.words.is_some());
    said.map(|facet| facet.name).collect()
}

/// What a narrower level says as all titles do.
fn repeats(lint: &mut Lint, policy: &Policy, scope: &Scope, rules: &Rules, between: &Between) {
    let wide = term_facets(&policy.default.terms);
    for (own, wide) in term_facets(&rules.terms).into_iter().zip(wide) {
        let same = own.words.is_some() && own.words == wide.words;
        if *scope != Scope::AllTitles && same && !between.may_say(scope, own.name) {
            let message = "says what all titles say already; remove it".to_owned();
            lint.note(scope, Kind::Term, own.name, message);
        }
    }
}

//! What a policy says of one request, and where each part of it comes from.

use std::collections::BTreeMap;

use domain::member::{CapState, Code, Finding, Member};
use domain::policy::evaluate::{Adds, Ask, InList, cap_states, gate_findings, selects};
use domain::policy::{Asked, Effective, Of, Rules, When};
use domain::{
    DeviceClass, DeviceId, Fact, Facts, MemberFacts, Policy, RuleId, Timestamp, TitleFacts, TitleId,
};

use super::Loaded;
use super::facet::{
    Facet, Said, cap_facets, gate_facets, said_of_members, term_facets, tighten_facets,
};
use super::places::{Kind, Place, Places, Scope};

/// A request as a policy sees it, by a member of whom nothing is counted yet.
#[derive(Debug, Clone)]
pub struct Question {
    pub title: TitleId,
    pub title_facts: TitleFacts,
    pub member: MemberFacts,
    pub class: DeviceClass,
    pub at: Timestamp,
}

/// What holds for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the catalogue itself refuses.
    pub catalogue: Vec<Code>,
    pub terms: Vec<Term>,
    pub tightenings: Vec<Rule>,
    pub gates: Vec<Rule>,
    pub caps: Vec<Rule>,
    /// What happens when the membership changes, whatever is asked.
    pub membership: Vec<Statement>,
}

/// What is said of a downgrade or a lapse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub name: String,
    pub says: Vec<(String, String)>,
    pub place: Option<Place>,
}

/// A field of the terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub name: String,
    pub value: String,
    pub from: Source,
    /// What others say of it, and does not hold.
    pub instead_of: Vec<(String, Source)>,
}

/// Who says something, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub scope: Scope,
    /// Of a tightening.
    pub rule: Option<RuleId>,
    pub place: Option<Place>,
}

/// A gate, cap or tightening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: RuleId,
    /// What it says.
    pub says: Vec<(String, String)>,
    pub from: Source,
    /// The wider ones of the same id, in whose place it stands.
    pub instead_of: Vec<Source>,
    pub verdict: Verdict,
}

/// What a rule means to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is not for this request, because of that.
    NotAsked(String),
    Passes,
    Refuses(Code),
    /// Up to so many, and when that is asked.
    Limit(u32, Vec<&'static str>),
    Tightens,
}

/// What the policy says of the request.
pub fn explain(loaded: &Loaded, question: &Question) -> Explanation {
    let places = Places::of(loaded);
    let desk = Desk {
        policy: &loaded.policy,
        question,
        places: &places,
        levels: levels(&loaded.policy, question),
    };
    let gates = desk.gate_findings();
    let caps = desk.cap_limits();
    let catalogue = gates.iter().filter(|finding| finding.rule.is_none());
    Explanation {
        membership: desk.membership(),
        catalogue: catalogue.map(|finding| finding.code).collect(),
        terms: desk.terms(),
        tightenings: desk.rules(
            Kind::Tightening,
            |rules| &rules.tighten,
            |it| {
                (
                    &it.id,
                    tighten_facets(it),
                    desk.not_asked(&it.of, &it.when, &it.needs, Verdict::Tightens),
                )
            },
        ),
        gates: desk.rules(
            Kind::Gate,
            |rules| &rules.gates,
            |it| {
                let refused = gates.iter().find(|finding| finding.rule.as_ref() == Some(&it.id));
                let verdict =
                    refused.map_or(Verdict::Passes, |finding| Verdict::Refuses(finding.code));
                (&it.id, gate_facets(it), desk.not_asked(&it.of, &it.when, &it.needs, verdict))
            },
        ),
        caps: desk.rules(
            Kind::Cap,
            |rules| &rules.caps,
            |it| {
                let verdict = match caps.get(&it.id) {
                    Some((limit, asked)) => Verdict::Limit(*limit, asked.clone()),
                    None => {
                        Verdict::NotAsked("the title is in no series, or has no tags".to_owned())
                    }
                };
                (&it.id, cap_facets(it), desk.not_asked(&it.of, &it.when, &it.needs, verdict))
            },
        ),
    }
}

/// Everything that an explanation is made with.
struct Desk<'a> {
    policy: &'a Policy,
    question: &'a Question,
    places: &'a Places,
    /// From wide to narrow.
    levels: Vec<(Scope, &'a Rules)>,
}

/// The levels that are for this title.
fn levels<'a>(policy: &'a Policy, question: &Question) -> Vec<(Scope, &'a Rules)> {
    let TitleFacts { partner, series, .. } = &question.title_facts;
    let of_series =
        series.as_ref().and_then(|id| Some((Scope::Series(id.clone()), policy.series.get(id)?)));
    [
        Some((Scope::AllTitles, &policy.default)),
        policy.partners.get(partner).map(|rules| (Scope::Partner(partner.clone()), rules)),
        of_series,
        policy
            .titles
            .get(&question.title)
            .map(|rules| (Scope::Title(question.title.clone()), rules)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl<'a> Desk<'a> {
    fn membership(&self) -> Vec<Statement> {
        let statement = |said: Said| Statement {
            place: self.places.get(&Scope::AllTitles, said.kind, &said.name).cloned(),
            says: says(said.facets),
            name: said.name,
        };
        said_of_members(self.policy).into_iter().map(statement).collect()
    }

    fn source(&self, scope: &Scope, kind: Kind, name: &str, rule: Option<&RuleId>) -> Source {
        let place = self.places.get(scope, kind, name).cloned();
        Source { scope: scope.clone(), rule: rule.cloned(), place }
    }

    fn terms(&self) -> Vec<Term> {
        let Question { title, title_facts, member, class, .. } = self.question;
        let facts = Facts::new(member, *class, title_facts);
        let effective = Effective::new(self.policy, title, title_facts).terms(&facts);
        term_facets(&effective).into_iter().filter_map(|facet| self.term(facet)).collect()
    }

    fn term(&self, facet: Facet) -> Option<Term> {
        let (name, value) = (facet.name, facet.words?);
        // The narrowest level speaks first, then tightenings.
        let mut said: Vec<(String, Source)> = Vec::new();
        for (scope, rules) in self.levels.iter().rev() {
            let words = words_of(term_facets(&rules.terms), name);
            said.extend(words.map(|words| (words, self.source(scope, Kind::Term, name, None))));
        }
        let tightening = |rules: &'a Rules| &rules.tighten[..];
        for (scope, it, _) in self.standing(tightening, |it| &it.id) {
            let verdict = self.not_asked(&it.of, &it.when, &it.needs, Verdict::Tightens);
            let words = words_of(term_facets(&it.terms), name);
            if let (Some(words), Verdict::Tightens) = (words, verdict) {
                let source = self.source(scope, Kind::Tightening, it.id.as_str(), Some(&it.id));
                said.push((words, source));
            }
        }
        let holds = said.iter().position(|(words, _)| *words == value)?;
        let (_, from) = said.remove(holds);
        Some(Term { name: name.to_owned(), value, from, instead_of: said })
    }

    fn rules<T>(
        &self,
        kind: Kind,
        of: fn(&'a Rules) -> &'a [T],
        told: impl Fn(&'a T) -> (&'a RuleId, Vec<Facet>, Verdict),
    ) -> Vec<Rule> {
        let rule = |(scope, it, wider): (&Scope, &'a T, Vec<&Scope>)| {
            let (id, facets, verdict) = told(it);
            Rule {
                id: id.clone(),
                says: says(facets),
                from: self.source(scope, kind, id.as_str(), None),
                instead_of: wider
                    .into_iter()
                    .map(|scope| self.source(scope, kind, id.as_str(), None))
                    .collect(),
                verdict,
            }
        };
        self.standing(of, |it| told(it).0).into_iter().map(rule).collect()
    }

    /// The rules that stand, and the levels whose rules of the same id they take the place of.
    fn standing<T>(
        &self,
        of: fn(&'a Rules) -> &'a [T],
        id: impl Fn(&'a T) -> &'a RuleId,
    ) -> Vec<(&Scope, &'a T, Vec<&Scope>)> {
        let has = |rules: &'a Rules, wanted: &RuleId| of(rules).iter().any(|it| id(it) == wanted);
        let mut standing = Vec::new();
        for (index, (scope, rules)) in self.levels.iter().enumerate() {
            let (wider, rest) = self.levels.split_at(index);
            for it in of(rules) {
                let narrower = rest.iter().skip(1);
                if narrower.into_iter().any(|(_, rules)| has(rules, id(it))) {
                    continue;
                }
                let replaced = wider.iter().filter(|(_, rules)| has(rules, id(it)));
                standing.push((scope, it, replaced.map(|(scope, _)| scope).collect()));
            }
        }
        standing
    }

    /// The verdict, or why the rule is not for this request.
    fn not_asked(&self, of: &Of, when: &When, needs: &[Fact], verdict: Verdict) -> Verdict {
        let Question { title, title_facts, member, class, .. } = self.question;
        let asked = Asked { member, class: *class, title: Some((title, title_facts)) };
        let selected = |of: &Of, when: &When| selects(of, when, &asked);
        let any = (Of::default(), When::default());
        let parts = [
            ("other tags", Of { tags: of.tags.clone(), ..any.0.clone() }, any.1.clone()),
            (
                "another device class",
                Of { classes: of.classes.clone(), ..any.0.clone() },
                any.1.clone(),
            ),
            ("another plan", any.0.clone(), When { plans: when.plans.clone(), ..any.1.clone() }),
            (
                "another territory",
                any.0.clone(),
                When { territories: when.territories.clone(), ..any.1.clone() },
            ),
            (
                "another security level",
                any.0.clone(),
                When { security_levels: when.security_levels.clone(), ..any.1.clone() },
            ),
            (
                "another account",
                any.0.clone(),
                When { accounts: when.accounts.clone(), ..any.1.clone() },
            ),
        ];
        let unselected = parts.iter().filter(|(_, of, when)| !selected(of, when));
        let unselected: Vec<&str> = unselected.map(|(name, ..)| *name).collect();
        let unknown = needs.iter().find(|fact| !fact.is_known(member, Some(title_facts)));
        if !unselected.is_empty() {
            return Verdict::NotAsked(format!("for {}", unselected.join(" and ")));
        }
        if let Some(fact) = unknown {
            return Verdict::NotAsked(format!("without `{}`", fact.name()));
        }
        match &when.guard {
            Some(guard) if guard.holds(&asked) == Some(false) => {
                Verdict::NotAsked("its guard does not hold".to_owned())
            }
            _ => verdict,
        }
    }

    fn gate_findings(&self) -> Vec<Finding> {
        let mut findings = self.asked(Adds::Acquisition, gate_findings);
        findings.extend(self.asked(Adds::Registration, gate_findings));
        findings
    }

    /// The limits of the caps that are asked, and when they are.
    fn cap_limits(&self) -> BTreeMap<RuleId, (u32, Vec<&'static str>)> {
        let mut limits: BTreeMap<RuleId, (u32, Vec<&'static str>)> = BTreeMap::new();
        let asked = [
            (Adds::Acquisition, "acquiring"),
            (Adds::Renewal, "renewing"),
            (Adds::Registration, "registering a device"),
            (Adds::Removal, "removing a device"),
        ];
        for (adds, word) in asked {
            for CapState { rule, limit, .. } in self.asked(adds, cap_states) {
                limits.entry(rule).or_insert((limit, Vec::new())).1.push(word);
            }
        }
        limits
    }

    /// By a member of whom nothing is known.
    #[expect(clippy::expect_used, reason = "INVARIANT: a word is an id")]
    fn asked<T>(&self, adds: Adds, ask: impl Fn(&Ask<'_>) -> T) -> T {
        let Question { title, title_facts, member, class, at } = self.question;
        let of_device = matches!(adds, Adds::Registration | Adds::Removal);
        let rules = if of_device {
            Effective::without_title(self.policy)
        } else {
            Effective::new(self.policy, title, title_facts)
        };
        ask(&Ask {
            member: &Member::default(),
            at: *at,
            facts: member,
            device: &DeviceId::new("device").expect("an id"),
            class: *class,
            title: (!of_device).then_some((title, title_facts)),
            rules,
            license: None,
            acquired_at: None,
            adds,
            command: 0,
            in_list: &InList::default(),
        })
    }
}

fn says(facets: Vec<Facet>) -> Vec<(String, String)> {
    facets.into_iter().filter_map(|it| Some((it.name.to_owned(), it.words?))).collect()
}

fn words_of(facets: Vec<Facet>, name: &str) -> Option<String> {
    facets.into_iter().find(|facet| facet.name == name)?.words
}

#[cfg(test)]
mod tests;

//! What a rule does where a fact it goes by is absent: said in the rule, or the strict default.

use std::fmt;

use domain::{Fact, RuleId};

use super::read::{Fields, Node};
use super::rules::{Seen, Use};

/// A rule that does not say what the absence of a fact means: the strict reading holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentFact {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// As in `caps[0]`.
    pub field: String,
    pub rule: RuleId,
    pub fact: Fact,
    /// What happens without the fact.
    pub reading: &'static str,
}

impl fmt::Display for AbsentFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, rule, fact, reading } = self;
        write!(
            f,
            "{file}, line {line}, field `{field}`: `{rule}` does not say in `if_absent` what happens \
             without `{}`; {reading}",
            fact.name()
        )
    }
}

const REFUSE: &str = "refuse";
const ALLOW: &str = "allow";
const DOES_NOT_APPLY: &str = "does_not_apply";

impl Use {
    /// What a rule can be told to do beside being strict.
    const fn lenient(self) -> &'static str {
        match self {
            Self::Decides => ALLOW,
            Self::Applies | Self::Counts => DOES_NOT_APPLY,
        }
    }
}

/// Takes `if_absent`: the facts without which the rule is not asked. `uses` are the facts that it
/// goes by, where the rest of it could be read.
pub(super) fn needs(
    fields: &mut Fields<'_>,
    id: Option<&RuleId>,
    uses: Option<Vec<(Fact, Use)>>,
    seen: &mut Seen,
) -> Vec<Fact> {
    let said = fields.take("if_absent");
    let Some(uses) = uses else { return Vec::new() };
    let mut needs = Vec::new();
    let mut unsaid: Vec<Fact> = uses.iter().map(|(fact, _)| *fact).collect();
    match &said {
        None => {}
        Some(node) if node.is_table() => {
            let Some(mut table) = node.fields("what the absence of each fact means") else {
                return needs;
            };
            for fact in Fact::ALL {
                let Some(node) = table.take(fact.name()) else { continue };
                unsaid.retain(|other| *other != fact);
                needs.extend(meant(&node, fact, &uses).filter(|lenient| *lenient).map(|_| fact));
            }
            table.finish();
        }
        Some(node) => {
            if uses.is_empty() {
                node.note("the rule goes by no fact that could be absent; leave it out");
            }
            for (fact, _) in &uses {
                needs.extend(meant(node, *fact, &uses).filter(|lenient| *lenient).map(|_| *fact));
            }
            unsaid.clear();
        }
    }
    needs.sort_unstable();
    needs.dedup();
    if let Some(id) = id {
        unsaid.sort_unstable();
        unsaid.dedup();
        let (file, line, field) = fields.place();
        seen.unsaid.extend(unsaid.into_iter().map(|fact| AbsentFact {
            file: file.clone(),
            line,
            field: field.clone(),
            rule: id.clone(),
            fact,
            reading: reading(fact, &uses),
        }));
    }
    needs
}

/// Whether the rule is lenient about the fact.
fn meant(node: &Node<'_>, fact: Fact, uses: &[(Fact, Use)]) -> Option<bool> {
    let Some((_, used)) = uses.iter().find(|(used, _)| *used == fact) else {
        node.note(format!("the rule does not go by `{}`; leave it out", fact.name()));
        return None;
    };
    let word = node.word("what absence can mean", &[REFUSE, ALLOW, DOES_NOT_APPLY], |word| {
        [REFUSE, ALLOW, DOES_NOT_APPLY].into_iter().find(|known| *known == word)
    })?;
    let all_the_same =
        uses.iter().all(|(other, by)| *other != fact || by.lenient() == used.lenient());
    if word != REFUSE && (word != used.lenient() || !all_the_same) {
        node.note(format!(
            "`{word}` is not what the absence of `{}` can mean here; write `{REFUSE}` or `{}`",
            fact.name(),
            used.lenient()
        ));
        return None;
    }
    Some(word != REFUSE)
}

fn reading(fact: Fact, uses: &[(Fact, Use)]) -> &'static str {
    let decides = uses.contains(&(fact, Use::Decides));
    let counts = uses.contains(&(fact, Use::Counts));
    match fact {
        _ if decides => "it refuses",
        Fact::Profile if counts => "it counts what every profile did",
        Fact::MemberSince if counts => "it counts as far back as such a period can reach",
        _ => "it applies, at its strictest",
    }
}

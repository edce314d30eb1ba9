//! A guard in words again: however it was written, the same guard reads the same.

use domain::policy::{Comparison, Guard, GuardFact, Operand, Value};

use super::{FACTS, TAGS};

/// As it could have been written.
pub(in crate::policy) fn words(guard: &Guard) -> String {
    match guard {
        Guard::All(parts) => joined(parts, " && "),
        Guard::Any(parts) => joined(parts, " || "),
        Guard::Not(not) => format!("!({})", words(not)),
        Guard::Compare { left, how, right } => {
            format!("{} {} {}", operand(left), sign(*how), operand(right))
        }
        Guard::In(item, list) => {
            let list: Vec<String> = list.iter().map(operand).collect();
            format!("{} in [{}]", operand(item), list.join(", "))
        }
        Guard::InTags(item) => format!("{} in {TAGS}", operand(item)),
    }
}

/// What all have to hold.
pub(in crate::policy) fn conjuncts(guard: &Guard) -> &[Guard] {
    match guard {
        Guard::All(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

fn joined(parts: &[Guard], with: &str) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Guard::All(_) | Guard::Any(_) => format!("({})", words(part)),
            other => words(other),
        })
        .collect();
    parts.join(with)
}

pub(super) fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Fact(fact) => name(*fact).to_owned(),
        Operand::Constant(Value::Text(text)) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Operand::Constant(Value::Number(number)) => number.to_string(),
        Operand::Constant(Value::Time(at)) => format!("timestamp(\"{at}\")"),
    }
}

fn name(fact: GuardFact) -> &'static str {
    FACTS.iter().find(|(_, known, _)| *known == fact).map_or("", |(name, ..)| name)
}

fn sign(how: Comparison) -> &'static str {
    match how {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

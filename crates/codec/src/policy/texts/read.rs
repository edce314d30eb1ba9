//! Reads texts from policy files, and checks each against what there is to tell and by which rules.

use std::collections::BTreeMap;

use domain::RuleId;
use domain::member::Code;
use jiff::tz::TimeZone;

use super::template::{Malformed, Parameter, Template};
use super::{Language, OfRule, Sentences, Texts, Topic, zone};
use crate::policy::cap;
use crate::policy::read::{Fields, Node, nearest};
use crate::policy::rules::{Place, RuleKinds};

const TEXT_CHARACTERS_MAX: usize = 500;
/// Of which the first that can be said is said.
const TEXTS_MAX: usize = 20;

/// The `texts` of all files. `kinds` are the rules of all files, by their ids.
pub(in crate::policy) fn read(nodes: &[Node<'_>], kinds: &RuleKinds) -> Texts {
    let mut places: BTreeMap<Language, Place> = BTreeMap::new();
    let mut texts = Texts::default();
    for node in nodes {
        let Some(languages) = node.fields("a table by language, like `[texts.de]`") else {
            continue;
        };
        for (tag, node) in languages.all() {
            let Some(language) = Language::new(tag) else {
                node.note(format!(
                    "`{}` is not the tag of a language; write one of BCP 47, like `de`, `de-AT` or \
                     `zh-Hant`",
                    tag.escape_debug()
                ));
                continue;
            };
            let Some(fields) = node.fields("a table of texts") else { continue };
            if let Some((file, line)) = places.get(&language) {
                node.note(format!(
                    "a language has one table; the other of `{language}` is in {file}, line {line}"
                ));
            }
            places.insert(language.clone(), node.place());
            texts.languages.insert(language, sentences(fields, kinds));
        }
    }
    texts
}

fn sentences(mut fields: Fields<'_>, kinds: &RuleKinds) -> Sentences {
    if fields.is_empty() {
        fields.note("says nothing; write a text, or remove it".to_owned());
    }
    let named = fields.take("zone").and_then(|node| cap::zone(&node));
    let mut topics = BTreeMap::new();
    for topic in Topic::all() {
        if let Some(node) = fields.take(topic.name()) {
            topics.insert(topic, templates(&node, topic));
        }
    }
    let rules = fields.take("rules").and_then(|node| node.fields("a table by the id of a rule"));
    let rules = rules.map(|rules| of_rules(&rules, kinds)).unwrap_or_default();
    fields.finish();
    let zone = named.and_then(|named| zone(named.name())).unwrap_or(TimeZone::UTC);
    Sentences { zone, topics, rules }
}

fn of_rules(rules: &Fields<'_>, kinds: &RuleKinds) -> BTreeMap<RuleId, OfRule> {
    let mut read = BTreeMap::new();
    for (id, node) in rules.all() {
        let known = RuleId::new(id).ok().and_then(|id| kinds.get_key_value(&id));
        let Some((id, (kind, _))) = known else {
            let ids = kinds.keys().map(RuleId::as_str);
            let remedy = nearest(id, ids).unwrap_or("write the id of a gate or a cap".to_owned());
            node.note(format!("`{}` is not the id of a rule; {remedy}", id.escape_debug()));
            continue;
        };
        let of_rule = match *kind {
            "cap" => of_cap(&node),
            // Every gate refuses with a code of its own, and they all know the same.
            "gate" => {
                let refused = templates(&node, Topic::Refused(Code::PlanNotAllowed));
                OfRule { refused, left: vec![] }
            }
            other => {
                node.note(format!(
                    "`{id}` is a {other}, which nobody is told of; write the id of a gate or a cap"
                ));
                continue;
            }
        };
        read.insert(id.clone(), of_rule);
    }
    read
}

/// A text for when it refuses, or a table with one for what is left.
fn of_cap(node: &Node<'_>) -> OfRule {
    let refused = |node: &Node<'_>| templates(node, Topic::Refused(Code::CapReached));
    if !node.is_table() {
        return OfRule { refused: refused(node), left: vec![] };
    }
    let Some(mut fields) = node.fields("a text") else { return OfRule::default() };
    if fields.is_empty() {
        node.note("says nothing; give it `refused` or `left`, or remove it");
    }
    let refused = fields.take("refused").map(|node| refused(&node));
    let left = fields.take("left").map(|node| templates(&node, Topic::CapLeft));
    fields.finish();
    OfRule { refused: refused.unwrap_or_default(), left: left.unwrap_or_default() }
}

/// A text, or a list of them of which the first that can be said is said.
fn templates(node: &Node<'_>, topic: Topic) -> Vec<Template> {
    const WHAT: &str = "a text, or a list of texts";
    let nodes = match node.is_list() {
        true => node.nodes(WHAT).unwrap_or_default(),
        false => vec![node.clone()],
    };
    if nodes.is_empty() {
        node.note("says nothing; write a text, or remove it");
    }
    if nodes.len() > TEXTS_MAX {
        node.note(format!("lists {} texts; write at most {TEXTS_MAX}", nodes.len()));
        return Vec::new();
    }
    let (always, _) = topic.parameters();
    let mut templates: Vec<Template> = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let Some(template) = template(node, topic, WHAT) else { continue };
        let certain = |earlier: &Template| {
            let here = |parameter| template.parameters().any(|own| own == parameter);
            earlier.parameters().all(|named| always.contains(&named) || here(named))
        };
        if templates.iter().any(certain) {
            node.note(
                "is never said, for a text before it can be said whenever this one can; put the \
                 one that names more first",
            );
        }
        templates.push(template);
    }
    templates
}

fn template(node: &Node<'_>, topic: Topic, what: &str) -> Option<Template> {
    let text = node.text(what)?;
    if !(1..=TEXT_CHARACTERS_MAX).contains(&text.chars().count()) || text.trim().is_empty() {
        node.note(format!("a text has 1 to {TEXT_CHARACTERS_MAX} characters"));
    }
    if text.contains(char::is_control) {
        node.note("a text stands on one line, without tabs and control characters");
    }
    let (always, perhaps) = topic.parameters();
    let names = || always.iter().chain(perhaps).map(|parameter| parameter.name());
    let known = |name: &str| {
        let known = || names().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", ");
        nearest(name, names()).unwrap_or_else(|| format!("known here: {}", known()))
    };
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(malformed) => {
            match &malformed {
                Malformed::Unknown(name) => node.note(format!("{malformed}; {}", known(name))),
                _ => node.note(malformed.to_string()),
            }
            return None;
        }
    };
    for parameter in template.parameters().map(Parameter::name) {
        if names().all(|name| name != parameter) {
            let malformed = Malformed::Unknown(parameter.to_owned());
            node.note(format!("{malformed}; {}", known(parameter)));
        }
    }
    Some(template)
}

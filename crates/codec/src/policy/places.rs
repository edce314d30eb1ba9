//! Where in its files a policy says what: for explanations, comparisons and hints.
//!
//! It reads the text once more and knows no rule: a term by its field, everything else by its id.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use domain::policy::{HORIZON_MAX, Policy, Rules};
use domain::{PartnerId, SeriesId, TitleId};

use super::read::{Fields, File, Node, line_starts};
use super::texts::Language;
use super::{Loaded, source_files};

/// Which titles a level of the policy is for, from wide to narrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    AllTitles,
    Partner(PartnerId),
    Series(SeriesId),
    Title(TitleId),
}

/// What a policy is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Term,
    Tightening,
    Gate,
    Cap,
    /// What happens when a membership changes.
    Membership,
    /// What members are told; it decides nothing.
    Text,
}

/// A line of a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// As in `caps[0]`.
    pub field: String,
}

/// By scope, kind, and the name of the field or the id of the rule.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<(Scope, Kind, String), Place>);

impl Places {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let mut places = Self::default();
        let errors = RefCell::new(Vec::new());
        for (name, text) in source_files(&loaded.source).unwrap_or_default() {
            let lines = line_starts(text);
            let file = File { name, text, lines: &lines, errors: &errors, horizon: HORIZON_MAX };
            let Some(document) = file.document() else { continue };
            let mut root = Fields::root(file, &document);
            places.level(&Scope::AllTitles, &mut root);
            for name in ["downgrade", "lapse"] {
                if let Some(node) = root.take(name) {
                    places.insert((Scope::AllTitles, Kind::Membership, name.to_owned()), &node);
                }
            }
            places.texts(root.take("texts"));
            places.levels(root.take("partners"), |id| PartnerId::new(id).ok().map(Scope::Partner));
            places.levels(root.take("series"), |id| SeriesId::new(id).ok().map(Scope::Series));
            places.levels(root.take("titles"), |id| TitleId::new(id).ok().map(Scope::Title));
        }
        places
    }

    pub(super) fn get(&self, scope: &Scope, kind: Kind, name: &str) -> Option<&Place> {
        self.0.get(&(scope.clone(), kind, name.to_owned()))
    }

    fn insert(&mut self, key: (Scope, Kind, String), node: &Node<'_>) {
        let (file, line) = node.place();
        self.0.insert(key, Place { file, line, field: node.path().to_owned() });
    }

    /// A text by its field; of a cap that says two, both where its table stands.
    fn texts(&mut self, node: Option<Node<'_>>) {
        let Some(languages) = node.and_then(|node| node.fields("a table")) else { return };
        for (tag, node) in languages.all() {
            let language = Language::new(tag).map_or_else(|| tag.to_owned(), |it| it.to_string());
            let Some(mut fields) = node.fields("a table") else { continue };
            self.insert((Scope::AllTitles, Kind::Text, format!("{language}.zone")), &node);
            for (name, node) in fields.all() {
                self.insert((Scope::AllTitles, Kind::Text, format!("{language}.{name}")), &node);
            }
            let rules = fields.take("rules").and_then(|node| node.fields("a table"));
            for (id, node) in rules.iter().flat_map(|rules| rules.all()) {
                for when in ["refused", "left"] {
                    let name = format!("{language}.rules.{id}.{when}");
                    self.insert((Scope::AllTitles, Kind::Text, name), &node);
                }
            }
        }
    }

    fn levels(&mut self, node: Option<Node<'_>>, scope: impl Fn(&str) -> Option<Scope>) {
        let Some(levels) = node.and_then(|node| node.fields("a table")) else { return };
        for (id, node) in levels.all() {
            if let (Some(scope), Some(mut level)) = (scope(id), node.fields("a table")) {
                self.level(&scope, &mut level);
            }
        }
    }

    fn level(&mut self, scope: &Scope, level: &mut Fields<'_>) {
        if let Some(terms) = level.take("terms").and_then(|node| node.fields("a table")) {
            for (name, node) in terms.all() {
                self.insert((scope.clone(), Kind::Term, name.to_owned()), &node);
            }
        }
        let kinds = [("tighten", Kind::Tightening), ("gates", Kind::Gate), ("caps", Kind::Cap)];
        for (name, kind) in kinds {
            let rules = level.take(name).and_then(|node| node.nodes("a list"));
            for rule in rules.iter().flatten() {
                let Some(mut fields) = rule.fields("a table") else { continue };
                let id = fields.take("id").and_then(|node| node.text("an id"));
                let id = id.unwrap_or_default().to_owned();
                let (file, line, field) = fields.place();
                self.0.insert((scope.clone(), kind, id), Place { file, line, field });
            }
        }
    }
}

/// Every level that a policy has, from wide to narrow.
pub(super) fn levels(policy: &Policy) -> impl Iterator<Item = (Scope, &Rules)> {
    let all = std::iter::once((Scope::AllTitles, &policy.default));
    let partners = policy.partners.iter().map(|(id, it)| (Scope::Partner(id.clone()), it));
    let series = policy.series.iter().map(|(id, it)| (Scope::Series(id.clone()), it));
    let titles = policy.titles.iter().map(|(id, it)| (Scope::Title(id.clone()), it));
    all.chain(partners).chain(series).chain(titles)
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Tightening => "tightening",
            Self::Gate => "gate",
            Self::Cap => "cap",
            Self::Membership => "membership",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllTitles => f.write_str("all titles"),
            Self::Partner(id) => write!(f, "partner `{id}`"),
            Self::Series(id) => write!(f, "series `{id}`"),
            Self::Title(id) => write!(f, "title `{id}`"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)
    }
}

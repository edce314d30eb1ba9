//! What changes for whom when one policy takes the place of another.
//!
//! It compares what the two say and asks no member: whom the new one would have refused is for
//! a replay of history to tell.

use std::collections::{BTreeMap, BTreeSet};

use super::Loaded;
use super::facet::{
    Direction, Facet, Order, Said, direction, limit_rows, said, said_of_members, said_to_members,
    term_facets,
};
use super::places::{Kind, Place, Places, Scope, levels};

/// One rule, or one field of the terms, that is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The titles for which it changes.
    pub scope: Scope,
    pub kind: Kind,
    /// The field of the terms, or the id of the rule.
    pub name: String,
    pub what: What,
    pub direction: Direction,
    pub facets: Vec<FacetChange>,
    /// Where it was said; nowhere when it is new.
    pub old: Option<Place>,
    /// Where it is said now; nowhere when it is gone.
    pub new: Option<Place>,
    /// Levels that say it for themselves, before and after.
    pub except: Vec<Scope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Removed,
    Changed,
}

/// One thing that a rule says otherwise than before, or that a new or a lost rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetChange {
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub direction: Direction,
}

impl What {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// Everything that changes, from all titles to single ones.
pub fn diff(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let (old, new) = (Side::of(old), Side::of(new));
    let keys: BTreeSet<&Key> = old.said.keys().chain(new.said.keys()).collect();
    let mut changes = Vec::new();
    for key in &keys {
        let (scope, kind, name) = key;
        let (held, holds) = (old.holds(key), new.holds(key));
        let among = counted_among(key, held, holds);
        let change =
            compared(*kind, held.map(|(said, _)| said), holds.map(|(said, _)| said), among);
        let Some((what, direction, facets)) = change else { continue };
        // For whom all titles' rule is replaced, before and after, it does not change.
        let others = keys.iter().filter(|(other, of_kind, named)| {
            *scope == Scope::AllTitles && other > scope && of_kind == kind && named == name
        });
        let except = others
            .filter(|key| old.said.contains_key(key) && new.said.contains_key(key))
            .map(|(scope, ..)| scope.clone());
        changes.push(Change {
            scope: scope.clone(),
            kind: *kind,
            name: name.clone(),
            what,
            direction,
            facets,
            old: old.place(key),
            new: new.place(key),
            except: except.collect(),
        });
    }
    changes
}

type Key = (Scope, Kind, String);

/// What one of the two policies says.
struct Side {
    said: BTreeMap<Key, Said>,
    places: Places,
}

impl Side {
    fn of(loaded: &Loaded) -> Self {
        let mut all = BTreeMap::new();
        for (scope, rules) in levels(&loaded.policy) {
            for said in said(rules) {
                all.insert((scope.clone(), said.kind, said.name.clone()), said);
            }
        }
        let said_to_all = said_of_members(&loaded.policy).into_iter();
        for said in said_to_all.chain(said_to_members(&loaded.texts)) {
            all.insert((Scope::AllTitles, said.kind, said.name.clone()), said);
        }
        Self { said: all, places: Places::of(loaded) }
    }

    /// The key under which something is said for these titles: their own, or that of all titles.
    fn wider(key: &Key) -> Key {
        let (_, kind, name) = key;
        (Scope::AllTitles, *kind, name.clone())
    }

    /// What is said of these titles, and whether they say it themselves.
    fn holds(&self, key: &Key) -> Option<(&Said, bool)> {
        let own = self.said.get(key).map(|said| (said, true));
        own.or_else(|| Some((self.said.get(&Self::wider(key))?, false)))
    }

    fn place(&self, key: &Key) -> Option<Place> {
        let at = |(scope, kind, name): &Key| self.places.get(scope, *kind, name).cloned();
        at(key).or_else(|| at(&Self::wider(key)))
    }
}

/// A cap of a partner, series or title counts among its titles only, whatever else it says.
fn counted_among(
    (scope, kind, _): &Key,
    old: Option<(&Said, bool)>,
    new: Option<(&Said, bool)>,
) -> Option<FacetChange> {
    let ((old, was_own), (new, is_own)) = old.zip(new)?;
    let splits = |said: &Said| said.facets.iter().any(|facet| facet.splits_by(scope));
    if *kind != Kind::Cap
        || *scope == Scope::AllTitles
        || was_own == is_own
        || splits(old) && splits(new)
    {
        return None;
    }
    let among =
        |own: bool| Some(if own { scope.to_string() } else { Scope::AllTitles.to_string() });
    let direction = if is_own { Direction::Looser } else { Direction::Tighter };
    let name = "counted among".to_owned();
    Some(FacetChange { name, old: among(was_own), new: among(is_own), direction })
}

fn compared(
    kind: Kind,
    old: Option<&Said>,
    new: Option<&Said>,
    among: Option<FacetChange>,
) -> Option<(What, Direction, Vec<FacetChange>)> {
    let (what, name) = match (old, new) {
        (None, None) => return None,
        (None, Some(new)) => (What::Added, &new.name),
        (Some(old), None) => (What::Removed, &old.name),
        (Some(old), Some(_)) => (What::Changed, &old.name),
    };
    let absent = if kind == Kind::Term { absent_term(name) } else { Vec::new() };
    let old_facets = old.map_or(&absent, |said| &said.facets);
    let new_facets = new.map_or(&absent, |said| &said.facets);
    let mut facets = facet_changes(old_facets, new_facets);
    facets.extend(among);
    if kind == Kind::Text {
        facets.iter_mut().for_each(|facet| facet.direction = Direction::Different);
    }
    let all = match (kind, what) {
        (Kind::Term | Kind::Text, _) | (_, What::Changed) => {
            facets.iter().map(|facet| facet.direction).reduce(Direction::and)
        }
        // A rule more may refuse more, and a rule less less.
        (_, What::Added) => Some(Direction::Tighter),
        (_, What::Removed) => Some(Direction::Looser),
    };
    Some((what, all?, facets))
}

/// A field of the terms where nobody sets it.
fn absent_term(name: &str) -> Vec<Facet> {
    let mut facets = term_facets(&domain::policy::TermsPatch::default());
    facets.retain(|facet| facet.name == name);
    facets
}

fn facet_changes(old: &[Facet], new: &[Facet]) -> Vec<FacetChange> {
    let names: BTreeSet<&str> = old.iter().chain(new).map(|facet| facet.name).collect();
    let mut ordered: Vec<&str> = old.iter().chain(new).map(|facet| facet.name).collect();
    ordered.retain({
        let mut left = names;
        move |name| left.remove(name)
    });
    let find = |facets: &[Facet], name| facets.iter().find(|facet| facet.name == name).cloned();
    ordered.into_iter().flat_map(|name| facet_change(find(old, name), find(new, name))).collect()
}

fn facet_change(old: Option<Facet>, new: Option<Facet>) -> Vec<FacetChange> {
    let words = |facet: &Option<Facet>| facet.as_ref().and_then(|facet| facet.words.clone());
    let name = old.as_ref().or(new.as_ref()).map_or("", |facet| facet.name).to_owned();
    if let (Some(Order::Limit(old)), Some(Order::Limit(new))) =
        (old.as_ref().map(|it| &it.order), new.as_ref().map(|it| &it.order))
        && let Some(rows) = limit_rows(old, new)
    {
        let row = |(whom, old, new): (String, u32, u32)| FacetChange {
            name: if whom.is_empty() { name.clone() } else { format!("{name} for {whom}") },
            old: Some(old.to_string()),
            new: Some(new.to_string()),
            direction: if new < old { Direction::Tighter } else { Direction::Looser },
        };
        return rows.into_iter().map(row).collect();
    }
    let direction = match (&old, &new) {
        (Some(old), Some(new)) if old.words == new.words => None,
        // Said where it was unsaid, and meaning the same.
        (Some(old), Some(new)) => direction(&old.order, &new.order),
        // Of a rule that came or went, or of a tightening: what it says is what changes.
        (Some(_), None) => Some(Direction::Looser),
        _ => Some(Direction::Tighter),
    };
    let (old, new) = (words(&old), words(&new));
    let change = direction.filter(|_| old.is_some() || new.is_some());
    change.map(|direction| FacetChange { name, old, new, direction }).into_iter().collect()
}

#[cfg(test)]
mod tests;

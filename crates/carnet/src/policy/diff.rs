//! `carnet policy diff`: what changes for whom, in words or as JSON.

use std::path::Path;
use std::process::ExitCode;

use codec::policy::diff::{Change, FacetChange, What, diff as changes};
use codec::policy::{Direction, Loaded, Place};
use serde_json::{Value, json};

use super::load;

/// Something changes.
const CHANGES: u8 = 3;

pub(crate) fn diff(old: &Path, new: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let (old, new) = (load(old)?, load(new)?);
    let changes = changes(&old, &new);
    if as_json {
        let changes: Vec<Value> = changes.iter().map(change_json).collect();
        let report = json!({ "old": side(&old), "new": side(&new), "changes": changes });
        say!("{report:#}");
    } else {
        tell(&old, &new, &changes);
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}

fn side(loaded: &Loaded) -> Value {
    let policy = &loaded.policy;
    json!({
        "policy": policy.version.as_str(),
        "name": policy.name,
        "effective_from": policy.effective_from.to_string(),
    })
}

fn tell(old: &Loaded, new: &Loaded, changes: &[Change]) {
    let title = |loaded: &Loaded| format!("`{}` ({})", loaded.policy.name, loaded.policy.version);
    say!("from {} to {}, effective from {}", title(old), title(new), new.policy.effective_from);
    let mut scope = None;
    for change in changes {
        if scope.replace(&change.scope) != Some(&change.scope) {
            say!("\nfor {}", change.scope);
        }
        tell_change(change);
    }
    let count = |direction| changes.iter().filter(|it| it.direction == direction).count();
    let (tighter, looser) = (count(Direction::Tighter), count(Direction::Looser));
    match changes.len() {
        0 => say!("nothing changes"),
        all => say!(
            "\nchanges: {all}, of which {tighter} tighter, {looser} looser, {} neither or both",
            all - tighter - looser
        ),
    }
}

fn tell_change(change: &Change) {
    let Change { scope: _, kind, name, what, direction, facets, old, new, except } = change;
    let place = match (old, new) {
        (None, Some(new)) => new.to_string(),
        (Some(old), None) => format!("was {old}"),
        (Some(old), Some(new)) if old == new => new.to_string(),
        (Some(old), Some(new)) => format!("{new}; was {old}"),
        (None, None) => String::new(),
    };
    say!("  {}: {} `{name}` {} ({place})", direction.name(), kind.name(), what.name());
    for FacetChange { name: facet, old, new, direction } in facets {
        let words = |words: &Option<String>| words.clone().unwrap_or_else(|| "-".to_owned());
        let facet = if facet == name { String::new() } else { format!("{facet}: ") };
        match what {
            What::Added => say!("    {facet}{}", words(new)),
            What::Removed => say!("    {facet}{}", words(old)),
            What::Changed => {
                say!("    {facet}{} -> {}, {}", words(old), words(new), direction.name());
            }
        }
    }
    for scope in except {
        say!("    but not for {scope}, which has its own");
    }
}

fn change_json(change: &Change) -> Value {
    let Change { scope, kind, name, what, direction, facets, old, new, except } = change;
    let facet = |FacetChange { name, old, new, direction }: &FacetChange| json!({ "name": name, "old": old, "new": new, "direction": direction.name() });
    json!({
        "for": scope.to_string(),
        "kind": kind.name(),
        "name": name,
        "what": what.name(),
        "direction": direction.name(),
        "says": facets.iter().map(facet).collect::<Vec<_>>(),
        "old": old.as_ref().map(place_json),
        "new": new.as_ref().map(place_json),
        "but_not_for": except.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub(super) fn place_json(place: &Place) -> Value {
    let Place { file, line, field } = place;
    json!({ "file": file, "line": line, "field": field })
}

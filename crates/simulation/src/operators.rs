//! What operators ask for: titles are withdrawn for all members and come back, while everybody goes on.

use std::collections::BTreeMap;

use domain::member::{Command, Warrant};
use domain::{LicenseId, TitleId};

use crate::random::Random;

/// Of a title, as its operators know it. Between what is asked and what is answered neither is certain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    #[default]
    Offered,
    /// By an order of this name, asked until it is answered.
    Ordering(String),
    Withdrawn(String),
    Lifting(String),
}

/// What is to be asked next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asking {
    Order { id: String, title: TitleId },
    Lift { id: String, title: TitleId },
}

impl Standing {
    /// What was asked and not answered.
    fn asking(&self, title: &TitleId) -> Option<Asking> {
        let title = title.clone();
        match self {
            Self::Ordering(id) => Some(Asking::Order { id: id.clone(), title }),
            Self::Lifting(id) => Some(Asking::Lift { id: id.clone(), title }),
            Self::Offered | Self::Withdrawn(_) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Operators {
    titles: BTreeMap<TitleId, (Standing, Turns)>,
    orders: usize,
    /// By requests that began when their title was withdrawn, and was not to come back.
    barred: BTreeMap<LicenseId, TitleId>,
}

/// How often a standing changed.
type Turns = u32;

/// How every title stood that ever was withdrawn.
pub(crate) type Stood = BTreeMap<TitleId, (Standing, Turns)>;

impl Operators {
    pub(crate) fn want(&mut self, title: TitleId, random: &mut Random) -> Option<Asking> {
        let orders = &mut self.orders;
        let (standing, turns) = self.titles.entry(title.clone()).or_default();
        match standing.clone() {
            Standing::Offered => {
                *orders += 1;
                let id = format!("withdrawal_{orders}");
                (*standing, *turns) = (Standing::Ordering(id), *turns + 1);
            }
            Standing::Withdrawn(id) if random.permille(400) => {
                (*standing, *turns) = (Standing::Lifting(id), *turns + 1);
                self.barred.retain(|_, barred| *barred != title);
            }
            _ => {}
        }
        standing.asking(&title)
    }

    /// Everything that was asked and not answered.
    pub(crate) fn unanswered(&self) -> Vec<Asking> {
        self.titles.iter().filter_map(|(title, (standing, _))| standing.asking(title)).collect()
    }

    pub(crate) fn answered(&mut self, asked: &Asking) {
        let (title, before, after) = match asked {
            Asking::Order { id, title } => {
                (title, Standing::Ordering(id.clone()), Standing::Withdrawn(id.clone()))
            }
            Asking::Lift { id, title } => (title, Standing::Lifting(id.clone()), Standing::Offered),
        };
        let known = self.titles.entry(title.clone()).or_default();
        if known.0 == before {
            *known = (after, known.1 + 1);
        }
    }

    /// What holds when a request begins.
    pub(crate) fn begins(&mut self, commands: &[Command]) -> Stood {
        for command in commands {
            if let Command::Acquire { license, title, .. } = command
                && self.withdrawn(title).is_some()
            {
                self.barred.insert(license.clone(), title.clone());
            }
        }
        self.stood()
    }

    pub(crate) fn stood(&self) -> Stood {
        self.titles.clone()
    }

    /// Those of which nothing changed since.
    pub(crate) fn still(&self, stood: &Stood, title: &TitleId) -> Option<Standing> {
        let nothing = (Standing::Offered, 0);
        let then = stood.get(title).unwrap_or(&nothing);
        let now = self.titles.get(title).unwrap_or(&nothing);
        (then == now).then(|| now.0.clone())
    }

    pub(crate) fn is_barred(&self, license: &LicenseId) -> bool {
        self.barred.contains_key(license)
    }

    /// By which order.
    pub(crate) fn withdrawn(&self, title: &TitleId) -> Option<&str> {
        match self.titles.get(title) {
            Some((Standing::Withdrawn(id), _)) => Some(id),
            _ => None,
        }
    }
}

pub(crate) fn warrant() -> Warrant {
    Warrant { actor: "operator".to_owned(), reason: "rights".to_owned() }
}

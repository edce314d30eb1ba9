//! The catalogue: every title of the service, from a file of JSON Lines.
//!
//! It does not know who asks, nor what a member may keep: it holds what partners and editors say
//! about titles. A catalogue is a value; a service that reloads keeps the last good one when
//! [`Catalogue::load`] refuses the new file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use domain::{PartnerId, SeriesId, Tag, Territory, Timestamp, TitleId};

mod line;

/// The longest line in bytes; a title of a page of text has less than a tenth of it.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// So many problems are told at once; the rest is counted.
pub const ERRORS_MAX: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    pub id: TitleId,
    pub partner: PartnerId,
    pub series: Option<SeriesId>,
    pub tags: Vec<Tag>,
    pub downloadable: bool,
    pub availability: Vec<Availability>,
    pub name: String,
    pub description: Option<String>,
    pub year: Option<u32>,
    /// For people: `12+`.
    pub maturity: Option<String>,
    /// For the gates of a policy: a number on the scale of the profiles' limits.
    pub maturity_rating: Option<u16>,
    pub runtime_seconds: u32,
    pub images: Images,
    pub manifests: Manifests,
    /// By label (`video`, `audio`), in the order of the file.
    pub key_ids: Vec<(String, KeyId)>,
}

/// Where and when a title may be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    pub territories: Territories,
    pub window: Window,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Territories {
    /// Written `*`: wherever no other entry of the title speaks of, save these.
    EverywhereElse {
        except: Vec<Territory>,
    },
    These(Vec<Territory>),
}

/// Half-open: `until` is the first instant outside. No bound means no end in that direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Images {
    pub poster: Option<Image>,
    pub backdrop: Option<Image>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Absolute, or relative to the media base URL.
    pub url: String,
    pub width: u32,
    pub height: u32,
}

/// Absolute URLs, or relative to the media base URL; at least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    pub dash: Option<String>,
    pub hls: Option<String>,
}

/// Names a content key; the key itself is the DRM tier's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    titles: Vec<Title>,
    by_id: HashMap<TitleId, usize>,
}

/// One thing wrong with a catalogue file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError {
    pub file: String,
    /// From 1; none when the file as a whole is meant.
    pub line: Option<usize>,
    /// As in `availability[0].from`; none when the line as a whole is meant.
    pub field: Option<String>,
    pub message: String,
}

/// Everything that is wrong with a catalogue file, up to [`ERRORS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogueErrors {
    pub errors: Vec<CatalogueError>,
    /// How many more there are.
    pub untold: usize,
}

impl Catalogue {
    /// # Errors
    /// When the file cannot be read, or any line of it is wrong: all problems at once.
    pub fn load(path: &Path) -> Result<Self, CatalogueErrors> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read(&name, BufReader::new(file)),
            Err(error) => Err(Problems::of(&name).unreadable(&error)),
        }
    }

    /// Reads JSON Lines; `name` is what errors call the source. Blank lines mean nothing.
    ///
    /// # Errors
    /// As [`Catalogue::load`].
    pub fn read(name: &str, mut source: impl BufRead) -> Result<Self, CatalogueErrors> {
        let mut problems = Problems::of(name);
        let mut catalogue = Self::default();
        let mut line_of: HashMap<TitleId, usize> = HashMap::new();
        let mut line = Vec::new();
        for number in 1.. {
            match next_line(&mut source, &mut line) {
                Ok(Line::End) => break,
                Ok(Line::TooLong) => problems.add(number, line::too_long()),
                Ok(Line::Whole) if line.trim_ascii().is_empty() => {}
                Ok(Line::Whole) => match line::title(&line) {
                    Ok(title) => match line_of.entry(title.id.clone()) {
                        Entry::Occupied(first) => {
                            problems.add(number, line::repeated(&title.id, *first.get()));
                        }
                        Entry::Vacant(entry) => {
                            entry.insert(number);
                            catalogue.push(title);
                        }
                    },
                    Err(found) => found.into_iter().for_each(|found| problems.add(number, found)),
                },
                Err(error) => return Err(problems.unreadable(&error)),
            }
        }
        if catalogue.is_empty() && problems.none() {
            problems.add_to_file("there is no title in it; write one JSON object per line");
        }
        problems.into_result(catalogue)
    }

    fn push(&mut self, title: Title) {
        self.by_id.insert(title.id.clone(), self.titles.len());
        self.titles.push(title);
    }

    pub fn title(&self, id: &TitleId) -> Option<&Title> {
        self.by_id.get(id).and_then(|at| self.titles.get(*at))
    }

    /// In the order of the file, which is the editors' order.
    pub fn titles(&self) -> impl ExactSizeIterator<Item = &Title> {
        self.titles.iter()
    }

    pub fn len(&self) -> usize {
        self.titles.len()
    }

    pub fn is_empty(&self) -> bool {
        self.titles.is_empty()
    }
}

impl Title {
    /// The windows in which the title may be watched in this territory, earliest first.
    ///
    /// Entries that name the territory stand for themselves; only where none does, `*` counts.
    /// Without a territory nothing narrower than `*` can be told apart, so only a title that is
    /// available alike everywhere has windows then.
    pub fn windows(&self, territory: Option<&Territory>) -> Vec<Window> {
        let named = |wanted: &Territories| match (wanted, territory) {
            (Territories::These(names), Some(territory)) => names.contains(territory),
            _ => false,
        };
        let elsewhere = |wanted: &Territories| match (wanted, territory) {
            (Territories::EverywhereElse { except }, Some(territory)) => {
                !except.contains(territory)
            }
            _ => !self.differs_by_territory(),
        };
        let of = |matches: &dyn Fn(&Territories) -> bool| -> Vec<Window> {
            let entries = self.availability.iter();
            entries.filter(|entry| matches(&entry.territories)).map(|entry| entry.window).collect()
        };
        let mut windows = of(&named);
        if windows.is_empty() {
            windows = of(&elsewhere);
        }
        windows.sort_by_key(|window| window.from);
        windows
    }

    /// Whether it matters where the request comes from.
    pub(crate) fn differs_by_territory(&self) -> bool {
        let alike = |entry: &Availability| match &entry.territories {
            Territories::EverywhereElse { except } => except.is_empty(),
            Territories::These(_) => false,
        };
        !self.availability.iter().all(alike)
    }
}

impl Window {
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |a: &Self, b: &Self| match (a.from, b.until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

impl fmt::Display for KeyId {
    /// 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for CatalogueErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\nand {untold} more"),
        }
    }
}

enum Line {
    End,
    Whole,
    TooLong,
}

/// Reads up to the next line feed; of a line that is too long, nothing is kept.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    let bound = LINE_BYTES_MAX as u64 + 1;
    if source.by_ref().take(bound).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() <= LINE_BYTES_MAX || line.ends_with(b"\n") {
        return Ok(Line::Whole);
    }
    source.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

struct Problems {
    file: String,
    found: CatalogueErrors,
}

impl Problems {
    fn of(file: &str) -> Self {
        Self { file: file.to_owned(), found: CatalogueErrors { errors: Vec::new(), untold: 0 } }
    }

    fn none(&self) -> bool {
        self.found.errors.is_empty()
    }

    fn add(&mut self, line: usize, problem: crate::json::Problem) {
        let field = (!problem.field.is_empty()).then_some(problem.field);
        self.push(Some(line), field, problem.message);
    }

    fn add_to_file(&mut self, message: &str) {
        self.push(None, None, message.to_owned());
    }

    fn push(&mut self, line: Option<usize>, field: Option<String>, message: String) {
        if self.found.errors.len() == ERRORS_MAX {
            self.found.untold += 1;
        } else {
            let file = self.file.clone();
            self.found.errors.push(CatalogueError { file, line, field, message });
        }
    }

    fn unreadable(mut self, error: &std::io::Error) -> CatalogueErrors {
        self.add_to_file(&format!("cannot be read: {error}; check the path and its permissions"));
        self.found
    }

    fn into_result(self, catalogue: Catalogue) -> Result<Catalogue, CatalogueErrors> {
        if self.none() { Ok(catalogue) } else { Err(self.found) }
    }
}

#[cfg(test)]
mod tests;

//! Walks a TOML document and notes everything that is wrong with it, instead of the first thing.
//!
//! It knows tables, lists and scalars, and nothing of rules. Whoever takes a field by its name
//! thereby makes the name known; what nobody took is reported with the nearest known name.

use std::cell::RefCell;
use std::collections::BTreeSet;

use domain::{Duration, InvalidId, Timestamp};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{ERRORS_MAX, PolicyError, PolicyErrors};
use crate::toml_file::{self, Unfit};

/// Every mistake of writing is looked for in a file of so many bytes: one that is longer and no TOML
/// at all could have millions, and is told the first.
const RECOVERED_BYTES_MAX: usize = 64 << 10;
/// What is quoted of a name, and told of a mistake. Nothing that is right is longer.
const NAME_CHARACTERS_MAX: usize = 200;
const MESSAGE_CHARACTERS_MAX: usize = 1_500;

/// One file and what was found wrong with any.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Where each of its lines begins.
    pub(super) lines: &'a [usize],
    pub(super) errors: &'a RefCell<Vec<PolicyError>>,
    /// How far back a member's state remembers.
    pub(super) horizon: Duration,
}

/// A value, where it stands, and by which path it was reached.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    file: File<'a>,
    value: &'a DeValue<'a>,
    offset: usize,
    /// Where it is over.
    end: usize,
    path: String,
}

/// A table whose fields are taken by name.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    file: File<'a>,
    table: &'a DeTable<'a>,
    offset: usize,
    path: String,
    known: Vec<&'static str>,
}

impl<'a> File<'a> {
    /// The document, or `None` with every mistake of writing noted.
    pub(super) fn document(&self) -> Option<Spanned<DeTable<'a>>> {
        if let Err(Unfit { line, message }) = toml_file::check(self.text) {
            self.found(Some(line), None, "", message);
            return None;
        }
        let mistakes = match DeTable::parse(self.text) {
            Ok(document) => return Some(document),
            Err(_) if self.text.len() <= RECOVERED_BYTES_MAX => {
                DeTable::parse_recoverable(self.text).1
            }
            Err(first) => vec![first],
        };
        for mistake in &mistakes {
            let at = mistake.span().map(|span| span.start);
            self.note(at, "", format!("is not TOML: {}", mistake.message()));
        }
        None
    }

    pub(super) fn note(&self, offset: Option<usize>, field: &str, message: String) {
        self.found(offset.map(|offset| self.line(offset)), None, field, message);
    }

    fn found(&self, line: Option<usize>, column: Option<usize>, field: &str, message: String) {
        let (file, field) = (self.name.to_owned(), field.to_owned());
        let message = shortened(message, MESSAGE_CHARACTERS_MAX);
        self.errors.borrow_mut().push(PolicyError { file, line, column, field, message });
    }

    /// From 1.
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }
}

pub(super) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// What lies in the middle is left out: at the end is what to do about it.
fn shortened(text: String, characters_max: usize) -> String {
    if text.len() <= characters_max {
        return text;
    }
    let half = characters_max / 2;
    let (start, end) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    let [start, end] = [text.get(..start), text.get(end..)].map(Option::unwrap_or_default);
    format!("{start}…{end}")
}

/// In the order of the files and lines, and no more than can be read.
pub(super) fn told(mut errors: Vec<PolicyError>) -> PolicyErrors {
    errors.sort();
    errors.dedup();
    let untold = errors.len().saturating_sub(ERRORS_MAX);
    errors.truncate(ERRORS_MAX);
    PolicyErrors { errors, untold }
}

impl Node<'_> {
    pub(super) fn horizon(&self) -> Duration {
        self.file.horizon
    }
}

impl<'a> Fields<'a> {
    pub(super) fn root(file: File<'a>, document: &'a Spanned<DeTable<'a>>) -> Self {
        let table = document.get_ref();
        Self { file, table, offset: 0, path: String::new(), known: Vec::new() }
    }

    /// The field of that name, if it is there. Taking it makes the name known.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some(self.node(key, value))
    }

    /// As [`Self::take`], and noted when it is missing.
    pub(super) fn need(&mut self, name: &'static str, remedy: &str) -> Option<Node<'a>> {
        let taken = self.take(name);
        if taken.is_none() {
            self.note(format!("`{name}` is missing; {remedy}"));
        }
        taken
    }

    /// Every field, for tables whose keys are names of things.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), self.node(key, value)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn note(&self, message: String) {
        self.file.note(Some(self.offset), &self.path, message);
    }

    /// File, line and path.
    pub(super) fn place(&self) -> (String, usize, String) {
        (self.file.name.to_owned(), self.file.line(self.offset), self.path.clone())
    }

    /// As [`Self::note`], of a line that was read before.
    pub(super) fn note_line(&self, line: usize, message: String) {
        let offset = self.file.lines.get(line.saturating_sub(1)).copied();
        self.file.note(offset, &self.path, message);
    }

    /// Notes every field that nobody took.
    pub(super) fn finish(self) {
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let node = self.node(key, value);
                let meant = nearest(name, self.known.iter().copied());
                let mut known = self.known.clone();
                known.sort_unstable();
                let known = format!("known here: `{}`", known.join("`, `"));
                node.note(format!("`{name}` is not a known field; {}", meant.unwrap_or(known)));
            }
        }
    }

    fn node(&self, key: &Spanned<DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        let name = key.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = if !name.is_empty() && name.chars().all(plain) {
            name.to_string()
        } else {
            format!("\"{name}\"")
        };
        let name = shortened(name, NAME_CHARACTERS_MAX);
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{name}", self.path);
        // A table's own span may be that of its header; a scalar is found by its key.
        let (offset, end) = (key.span().start, value.span().end);
        Node { file: self.file, value: value.get_ref(), offset, end, path }
    }
}

impl<'a> Node<'a> {
    pub(super) fn note(&self, message: impl Into<String>) {
        self.file.note(Some(self.offset), &self.path, message.into());
    }

    /// As [`Self::note`], of a place in its text, told by line and column. Where the text is written
    /// with escapes nobody can tell, and it is where the field begins.
    pub(super) fn note_within(&self, text: &str, at: usize, message: String) {
        let File { text: all, lines, .. } = self.file;
        // The key may say the same.
        let written = all.get(self.offset..self.end).and_then(|value| value.rfind(text));
        let Some(written) = written else { return self.note(message) };
        let offset = self.offset + written + at;
        let line = self.file.line(offset);
        let start = lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = all.get(start..offset).unwrap_or_default();
        let column = before.chars().count() + 1;
        self.file.found(Some(line), Some(column), &self.path, message);
    }

    /// Where it stands, for another's message.
    pub(super) fn place(&self) -> (String, usize) {
        (self.file.name.to_owned(), self.file.line(self.offset))
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.note(format!("is {}, and should be {what}", article(self.value.type_str())));
        None
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn text(&self, what: &str) -> Option<&'a str> {
        let text = self.value.as_str();
        text.or_else(|| self.expected(what))
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.expected("`true` or `false`"))
    }

    /// A whole number of at most `max`.
    pub(super) fn number(&self, what: &str, max: u32) -> Option<u32> {
        let Some(written) = self.value.as_integer() else {
            return self.expected(&format!("a whole number: {what}"));
        };
        let number = u32::from_str_radix(written.as_str(), written.radix());
        let number = number.ok().filter(|number| *number <= max);
        if number.is_none() {
            self.note(format!("`{written}` is out of range; write a number from 0 to {max}"));
        }
        number
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        const HOW: &str = "write a number and a unit, like `30d`, `48h`, `90m` or `10s`";
        let text = self.text(&format!("a length of time; {HOW}"))?;
        let length = text.parse().ok();
        if length.is_none() {
            self.note(format!("`{text}` is not a length of time; {HOW}"));
        }
        length
    }

    pub(super) fn instant(&self) -> Option<Timestamp> {
        const HOW: &str = "write date, time and offset, like `2026-01-01T00:00:00Z`";
        let Some(written) = self.value.as_datetime() else {
            return self.expected(&format!("an instant without quotes; {HOW}"));
        };
        let instant = written.to_string().parse().ok();
        if instant.is_none() {
            self.note(format!("`{written}` is not an instant; {HOW}"));
        }
        instant
    }

    /// One word of a closed list.
    pub(super) fn word<T>(
        &self,
        what: &str,
        all: &[&'static str],
        named: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(what)?;
        let word = named(text);
        if word.is_none() {
            let known = format!("known are `{}`", all.join("`, `"));
            let remedy = nearest(text, all.iter().copied()).unwrap_or(known);
            self.note(format!("`{text}` is not {what}; {remedy}"));
        }
        word
    }

    pub(super) fn id<T>(&self, what: &str, new: fn(&str) -> Result<T, InvalidId>) -> Option<T> {
        let text = self.text(what)?;
        let id = new(text);
        if let Err(error) = &id {
            self.note(format!("`{}` is not {what}: {error}", text.escape_debug()));
        }
        id.ok()
    }

    /// A list that says something: not empty, and nothing twice.
    pub(super) fn list<T: Ord>(
        &self,
        what: &str,
        read: impl Fn(&Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let nodes = self.listed(&format!("a list of {what}"))?;
        if nodes.is_empty() {
            self.note(format!("names nothing; list at least one of {what} or leave the field out"));
            return None;
        }
        let mut seen = BTreeSet::new();
        let items: Vec<Option<T>> = nodes.iter().map(read).collect();
        for (node, item) in nodes.iter().zip(&items) {
            if item.as_ref().is_some_and(|item| !seen.insert(item)) {
                node.note("is listed twice; leave one out");
            }
        }
        items.into_iter().collect()
    }

    /// As [`Self::nodes`], of words. One that stands alone is shown as the list that it should be.
    pub(super) fn listed(&self, what: &str) -> Option<Vec<Self>> {
        match self.value.as_str() {
            Some(word) => self.nodes(&format!("{what}: `[\"{}\"]`", word.escape_debug())),
            None => self.nodes(what),
        }
    }

    pub(super) fn nodes(&self, what: &str) -> Option<Vec<Self>> {
        let Some(array) = self.value.as_array() else { return self.expected(what) };
        let nodes = array.iter().enumerate().map(|(index, value)| Self {
            file: self.file,
            value: value.get_ref(),
            offset: value.span().start,
            end: value.span().end,
            path: format!("{}[{index}]", self.path),
        });
        Some(nodes.collect())
    }

    pub(super) fn fields(&self, what: &str) -> Option<Fields<'a>> {
        let Some(table) = self.value.as_table() else { return self.expected(what) };
        let (file, offset, path) = (self.file, self.offset, self.path.clone());
        Some(Fields { file, table, offset, path, known: Vec::new() })
    }
}

fn article(kind: &str) -> String {
    match kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {kind}"),
        false => format!("a {kind}"),
    }
}

/// `did you mean …`, when something known is near enough.
pub(super) fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let near = (length / 3).clamp(1, 3);
    // Comparing takes as long as both are, and longer than the other is farther away.
    let known = known.filter(|name| name.chars().count().abs_diff(length) <= near);
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    let (distance, name) = known.map(|name| (distance(name), name)).min()?;
    (distance <= near).then(|| format!("did you mean `{name}`?"))
}

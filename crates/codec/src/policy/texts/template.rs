//! A text with named places: `{used} of {limit}`. Doubled, a brace stands for itself.

use std::fmt;

/// What a text may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parameter {
    Title,
    Device,
    Plan,
    Territory,
    Tag,
    Limit,
    Used,
    Left,
    /// How many more things are to be done.
    More,
    FreesAt,
    RetryAt,
    EndsAt,
}

impl Parameter {
    pub const ALL: [Self; 12] = [
        Self::Title,
        Self::Device,
        Self::Plan,
        Self::Territory,
        Self::Tag,
        Self::Limit,
        Self::Used,
        Self::Left,
        Self::More,
        Self::FreesAt,
        Self::RetryAt,
        Self::EndsAt,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Device => "device",
            Self::Plan => "plan",
            Self::Territory => "territory",
            Self::Tag => "tag",
            Self::Limit => "limit",
            Self::Used => "used",
            Self::Left => "left",
            Self::More => "more",
            Self::FreesAt => "frees_at",
            Self::RetryAt => "retry_at",
            Self::EndsAt => "ends_at",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.name() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(Parameter),
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Malformed {
    NotClosed,
    NotOpened,
    Unknown(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, brace, after)) = next_brace(rest) {
            literal.push_str(before);
            rest = match after.strip_prefix(brace) {
                Some(after) => {
                    literal.push(brace);
                    after
                }
                None if brace == '}' => return Err(Malformed::NotOpened),
                None => {
                    let (name, after) = after.split_once('}').ok_or(Malformed::NotClosed)?;
                    // Another one opened inside: it is the first that lacks its end.
                    if name.contains('{') {
                        return Err(Malformed::NotClosed);
                    }
                    let known = Parameter::named(name);
                    let parameter = known.ok_or_else(|| Malformed::Unknown(name.to_owned()))?;
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                    parts.push(Part::Parameter(parameter));
                    after
                }
            };
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self(parts))
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        let mut written = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => {
                    written.push_str(&text.replace('{', "{{").replace('}', "}}"));
                }
                Part::Parameter(parameter) => {
                    written.extend(["{", parameter.name(), "}"]);
                }
            }
        }
        written
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Parameter(parameter) => Some(*parameter),
        })
    }

    /// `None` when a value that it names is not there. What is filled in is not read again.
    pub(super) fn fill(&self, value: impl Fn(Parameter) -> Option<String>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Parameter(parameter) => filled.push_str(&value(*parameter)?),
            }
        }
        Some(filled)
    }
}

fn next_brace(text: &str) -> Option<(&str, char, &str)> {
    let (at, brace) = text.char_indices().find(|(_, c)| matches!(c, '{' | '}'))?;
    Some((text.get(..at)?, brace, text.get(at + 1..)?))
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed => {
                f.write_str("a `{` is not closed; write `{title}`, or `{{` for the brace itself")
            }
            Self::NotOpened => {
                f.write_str("a `}` closes nothing; write `{title}`, or `}}` for the brace itself")
            }
            Self::Unknown(name) => write!(f, "`{{{}}}` is not known here", name.escape_debug()),
        }
    }
}

//! One JSON object read field by field, so that everything wrong with it is said at once.
//!
//! A derived reader stops at the first problem, and a repeated field silently wins over the first.
//! It does not know what the fields mean.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value that keeps every field of an object, also a repeated one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Json, E> {
                Ok(Json::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    object.push(field);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// What is wrong, and with which field (`availability[0].from`); empty when it is the whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// Where in the line we are, and where to report what is wrong there.
pub(crate) struct Place<'p> {
    path: String,
    problems: &'p mut Vec<Problem>,
}

impl<'p> Place<'p> {
    pub(crate) fn whole(problems: &'p mut Vec<Problem>) -> Self {
        Self { path: String::new(), problems }
    }

    pub(crate) fn report(&mut self, message: impl Into<String>) {
        self.problems.push(Problem { field: self.path.clone(), message: message.into() });
    }

    fn field(&mut self, name: &str) -> Place<'_> {
        let path =
            if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { path, problems: self.problems }
    }

    fn item(&mut self, index: usize) -> Place<'_> {
        Place { path: format!("{}[{index}]", self.path), problems: self.problems }
    }

    fn wrong_kind<T>(&mut self, wanted: &str, found: &Json) -> Option<T> {
        self.report(format!("{wanted} is wanted here, this is {}", found.kind()));
        None
    }

    pub(crate) fn text(&mut self, value: Json) -> Option<String> {
        match value {
            Json::Text(text) => Some(text),
            other => self.wrong_kind("a text", &other),
        }
    }

    pub(crate) fn bool(&mut self, value: &Json) -> Option<bool> {
        match value {
            Json::Bool(value) => Some(*value),
            other => self.wrong_kind("`true` or `false`", other),
        }
    }

    /// A whole number within `from` to `to`, both included.
    pub(crate) fn integer(&mut self, value: &Json, from: u32, to: u32) -> Option<u32> {
        let Json::Number(number) = value else {
            return self.wrong_kind("a number", value);
        };
        let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
        let integer = whole.filter(|number| (from..=to).contains(number));
        if integer.is_none() {
            self.report(format!("`{number}` is not a whole number from {from} to {to}"));
        }
        integer
    }

    /// Every item is read, so that every bad one is reported; one bad item makes a bad list.
    pub(crate) fn list<T>(
        &mut self,
        value: Json,
        mut item: impl FnMut(&mut Place<'_>, Json) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = match value {
            Json::List(items) => items,
            other => return self.wrong_kind("a list", &other),
        };
        let read = |(index, value)| item(&mut self.item(index), value);
        let items: Vec<_> = items.into_iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }

    /// The fields of an object, to be taken one by one by `read`; what is left over is reported.
    pub(crate) fn object<T>(
        &mut self,
        value: Json,
        read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        let entries = match value {
            Json::Object(entries) => entries,
            other => return self.wrong_kind("an object", &other),
        };
        let mut fields = Fields { place: self, left: entries, known: Vec::new() };
        let object = read(&mut fields);
        fields.report_unknown();
        object
    }

    /// An object whose field names are free, in the order in which they are written.
    pub(crate) fn entries<T>(
        &mut self,
        value: Json,
        mut entry: impl FnMut(&mut Place<'_>, Json) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let fields = match value {
            Json::Object(fields) => fields,
            other => return self.wrong_kind("an object", &other),
        };
        let mut read: Vec<(String, Option<T>)> = Vec::new();
        for (name, value) in fields {
            let mut place = self.field(&name);
            if read.iter().any(|(earlier, _)| *earlier == name) {
                place.report("this field is given twice; keep one");
            }
            let value = entry(&mut place, value);
            read.push((name, value));
        }
        read.into_iter().map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The fields of one object that are still to be read.
pub(crate) struct Fields<'o, 'p> {
    place: &'o mut Place<'p>,
    left: Vec<(String, Json)>,
    known: Vec<&'static str>,
}

impl Fields<'_, '_> {
    /// A field that must be there. `null` says the same as leaving it out.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Place<'_>, Json) -> Option<T>,
    ) -> Option<T> {
        match self.take(name) {
            Some(value) => read(&mut self.place.field(name), value),
            None => {
                self.place.field(name).report("this field is missing");
                None
            }
        }
    }

    /// `None` when the field is not there, and when it was reported.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Place<'_>, Json) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        read(&mut self.place.field(name), value)
    }

    /// Something wrong with the object as a whole.
    pub(crate) fn report(&mut self, message: impl Into<String>) {
        self.place.report(message);
    }

    /// Whether one of these is still to be read.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        self.left.iter().any(|(name, value)| names.contains(&name.as_str()) && *value != Json::Null)
    }

    fn take(&mut self, name: &'static str) -> Option<Json> {
        self.known.push(name);
        let at = self.left.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.left.remove(at);
        (value != Json::Null).then_some(value)
    }

    fn report_unknown(self) {
        for (name, _) in self.left {
            let mut place = self.place.field(&name);
            if self.known.contains(&name.as_str()) {
                place.report("this field is given twice; keep one");
                continue;
            }
            let nearest = nearest(&name, &self.known);
            place.report(match nearest {
                Some(nearest) => format!("unknown field `{name}`; did you mean `{nearest}`?"),
                None => format!("unknown field `{name}`; known are {}", quoted(&self.known)),
            });
        }
    }
}

/// The known word that `word` is probably a slip of.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|known| (strsim::jaro_winkler(word, known), *known));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.8).then_some(best.1)
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

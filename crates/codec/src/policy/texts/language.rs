//! A language by its tag.

use std::fmt;

use icu_locale_core::LanguageIdentifier;

/// A language tag of BCP 47 without extensions, in its usual spelling: `de`, `de-AT`, `zh-Hant`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(String);

impl Language {
    /// `None` when that is no tag. Of languages themselves only those of two or three letters: the
    /// registry has no others, and names of languages would pass for tags.
    pub fn new(tag: &str) -> Option<Self> {
        let tag = LanguageIdentifier::try_from_str(tag).ok()?;
        let known = !tag.language.is_unknown() && tag.language.as_str().len() <= 3;
        known.then(|| Self(tag.to_string()))
    }

    /// What is said where nobody says otherwise.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the last part: from `de-AT` to `de`.
    pub fn wider(&self) -> Option<Self> {
        self.0.rsplit_once('-').map(|(wider, _)| Self(wider.to_owned()))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! In which languages an answer may speak, and in which it did.
//!
//! The languages that a caller wants go with the request, as its trace does, for nearly every answer
//! tells something to a member somewhere inside. Whatever was told in is on the answer's label.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use codec::policy::texts::{Language, Parameter, Texts, Topic, Value};
use domain::RuleId;
use futures::FutureExt as _;
use utoipa::IntoParams;

/// The header, as it is documented where members are told something.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct AcceptLanguage {
    /// What is told to members is told so, where the policy has texts for it
    #[expect(dead_code, reason = "the outermost layer reads it")]
    #[param(rename = "Accept-Language")]
    accept_language: Option<String>,
}

/// Of the languages in a header, so many are looked at.
const RANGES_MAX: usize = 32;

static ENGLISH: LazyLock<Language> = LazyLock::new(Language::english);

tokio::task_local! {
    /// Of the request that this task works for.
    static CURRENT: Speech;
}

#[derive(Debug)]
pub(crate) struct Speech {
    texts: Arc<Texts>,
    wanted: Vec<Language>,
    spoken: RefCell<Vec<Language>>,
}

impl Speech {
    pub(crate) fn new(texts: Arc<Texts>, headers: &HeaderMap) -> Self {
        // Where the policy is silent nobody asks which language it would be silent in.
        let wanted = if texts.is_empty() { vec![] } else { wanted(headers) };
        Self { texts, wanted, spoken: RefCell::default() }
    }

    /// The answer, labelled with the languages that were spoken in it. Neither an `async fn` nor a
    /// block, which would hold `answer` twice: as what it was given and as what it awaits.
    pub(crate) fn scope(
        self,
        answer: impl Future<Output = Response>,
    ) -> impl Future<Output = Response> {
        let labelled = answer.map(|mut response| {
            CURRENT.with(|speech| speech.label(response.headers_mut()));
            response
        });
        CURRENT.scope(self, labelled)
    }

    fn label(&self, headers: &mut HeaderMap) {
        let spoken = self.spoken.borrow();
        if spoken.is_empty() {
            return;
        }
        let tags = spoken.iter().map(Language::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(tags) = HeaderValue::try_from(tags) {
            headers.insert(header::CONTENT_LANGUAGE, tags);
            headers.append(header::VARY, HeaderValue::from_static("accept-language"));
        }
    }
}

/// What the policy says about it in the languages that the caller wants. `None`: nothing, and we say
/// it in English.
pub(crate) fn say<'v>(
    topic: Topic,
    rule: Option<&RuleId>,
    value: impl Fn(Parameter) -> Option<Value<'v>>,
) -> Option<String> {
    let say = |speech: &Speech| {
        let said = speech.texts.say(&speech.wanted, topic, rule, value);
        let (text, language) = said.unzip();
        let language = language.as_ref().unwrap_or(&ENGLISH);
        let mut spoken = speech.spoken.borrow_mut();
        if !spoken.contains(language) {
            spoken.push(language.clone());
        }
        text
    };
    // Outside of requests there is nobody to ask.
    CURRENT.try_with(say).ok().flatten()
}

/// In the order of the caller's preference, each followed by what it is a kind of, and English at
/// the end: what `Accept-Language` asks for by the lookup of RFC 4647. What cannot be read is
/// ignored.
fn wanted(headers: &HeaderMap) -> Vec<Language> {
    let values = headers.get_all(header::ACCEPT_LANGUAGE);
    let ranges = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    let ranges = ranges.take(RANGES_MAX).filter_map(range);
    let (mut asked, refused): (Vec<_>, Vec<_>) =
        ranges.partition(|(_, thousandths)| *thousandths > 0);
    asked.sort_by_key(|(_, thousandths)| Reverse(*thousandths));
    let mut wanted: Vec<Language> = Vec::new();
    for (language, _) in asked {
        for language in std::iter::successors(Some(language), Language::wider) {
            if !wanted.contains(&language) && refused.iter().all(|(other, _)| *other != language) {
                wanted.push(language);
            }
        }
    }
    // English is always spoken: nothing behind it is ever asked.
    let english = Language::english();
    wanted = wanted.into_iter().take_while(|language| *language != english).collect();
    wanted.push(english);
    wanted
}

/// A language and how much it is wanted, in thousandths: `de-AT;q=0.8`.
fn range(text: &str) -> Option<(Language, u16)> {
    let (tag, weight) = text.split_once(';').unwrap_or((text, "q=1"));
    let (name, weight) = weight.split_once('=')?;
    let weight: f32 = weight.trim().parse().ok()?;
    let known = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = (weight * 1_000.0).round() as u16;
    known.then_some((Language::new(tag.trim())?, thousandths))
}

#[cfg(test)]
mod tests;

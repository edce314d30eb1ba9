//! One line of the catalogue file: a JSON object becomes a title, or everything wrong with it.
//!
//! It does not know the other lines.

use domain::{Territory, Timestamp, TitleId};

use super::{
    Availability, Image, Images, KeyId, LINE_BYTES_MAX, Manifests, Territories, Title, Window,
};
use crate::json::{Fields, Json, Place, Problem};

const NAME_BYTES_MAX: usize = 300;
const DESCRIPTION_BYTES_MAX: usize = 8 * 1024;
const URL_BYTES_MAX: usize = 2 * 1024;
const LABEL_BYTES_MAX: usize = 32;
const IMAGE_PIXELS_MAX: u32 = 16_384;
/// Four weeks: longer than any title, shorter than a runtime written in milliseconds.
const RUNTIME_SECONDS_MAX: u32 = 28 * 24 * 3600;
const TAGS_MAX: usize = 64;
/// Bounds what a decision must look at, and the cost of comparing windows with each other.
const AVAILABILITY_MAX: usize = 300;
const KEY_IDS_MAX: usize = 32;
/// Longer texts are cut off in messages.
const QUOTED_CHARS_MAX: usize = 80;

pub(super) fn title(line: &[u8]) -> Result<Title, Vec<Problem>> {
    if line.starts_with(b"\xef\xbb\xbf") {
        return Err(whole("begins with a byte order mark; save the file as UTF-8 without one"));
    }
    // Without its end: or JSON that is cut off would end in column 0 of the next one.
    let value: Json = serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        // The parser counts within the one line it was given, so only its column tells something.
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default().to_owned();
        whole(&format!("not a JSON object on one line: {reason} at column {}", error.column()))
    })?;
    let mut problems = Vec::new();
    let title = Place::whole(&mut problems).object(value, fields);
    match title {
        Some(title) if problems.is_empty() => Ok(title),
        _ => Err(problems),
    }
}

pub(super) fn too_long() -> Problem {
    let message = format!("is longer than {LINE_BYTES_MAX} bytes; write one title per line");
    Problem { field: String::new(), message }
}

pub(super) fn repeated(id: &TitleId, first: usize) -> Problem {
    let message = format!("title `{id}` is already in line {first}; remove one or rename it");
    Problem { field: "id".to_owned(), message }
}

fn whole(message: &str) -> Vec<Problem> {
    vec![Problem { field: String::new(), message: message.to_owned() }]
}

fn fields(title: &mut Fields<'_, '_>) -> Option<Title> {
    let id = title.required("id", word);
    let partner = title.required("partner", word);
    let series = title.optional("series", word);
    let tags = title.optional("tags", |place, value| bounded(place, value, TAGS_MAX, word));
    let downloadable = title.required("downloadable", |place, value| place.bool(&value));
    let availability = title.required("availability", availability);
    let name = title.required("name", |place, value| prose(place, value, NAME_BYTES_MAX));
    let description =
        title.optional("description", |place, value| prose(place, value, DESCRIPTION_BYTES_MAX));
    let year = title.optional("year", |place, value| place.integer(&value, 1800, 9999));
    let maturity = title.optional("maturity", |place, value| prose(place, value, LABEL_BYTES_MAX));
    let maturity_rating = title.optional("maturity_rating", |place, value| {
        place.integer(&value, 0, u32::from(u16::MAX)).and_then(|rating| rating.try_into().ok())
    });
    let runtime_seconds = title
        .required("runtime_seconds", |place, value| place.integer(&value, 1, RUNTIME_SECONDS_MAX));
    let images = title.optional("images", |place, value| place.object(value, images));
    let manifests = title.required("manifests", |place, value| place.object(value, manifests));
    let key_ids = title.required("key_ids", key_ids);
    Some(Title {
        id: id?,
        partner: partner?,
        series,
        tags: tags.unwrap_or_default(),
        downloadable: downloadable?,
        availability: availability?,
        name: name?,
        description,
        year,
        maturity,
        maturity_rating,
        runtime_seconds: runtime_seconds?,
        images: images.unwrap_or_default(),
        manifests: manifests?,
        key_ids: key_ids?,
    })
}

/// An id, a tag: a word of the customer's own.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    place: &mut Place<'_>,
    value: Json,
) -> Option<T> {
    let text = place.text(value)?;
    let parsed = text.parse();
    if let Err(error) = &parsed {
        place.report(format!("`{}`: {error}", quoted(&text)));
    }
    parsed.ok()
}

/// Text for people: something to see in it, no control characters but the line feed.
fn prose(place: &mut Place<'_>, value: Json, bytes_max: usize) -> Option<String> {
    let text = place.text(value)?;
    if text.trim().is_empty() {
        place.report("is blank; write something or leave the field out");
    } else if text.len() > bytes_max {
        place.report(format!("has {} bytes, at most {bytes_max} are kept", text.len()));
    } else if text.chars().any(|char| char.is_control() && char != '\n') {
        place.report(format!("`{}` has control characters; remove them", quoted(&text)));
    } else {
        return Some(text);
    }
    None
}

fn bounded<T>(
    place: &mut Place<'_>,
    value: Json,
    items_max: usize,
    item: impl FnMut(&mut Place<'_>, Json) -> Option<T>,
) -> Option<Vec<T>> {
    if let Json::List(items) = &value
        && items.len() > items_max
    {
        place.report(format!("has {} items, at most {items_max} are allowed", items.len()));
        return None;
    }
    place.list(value, item)
}

fn availability(place: &mut Place<'_>, value: Json) -> Option<Vec<Availability>> {
    let entries = bounded(place, value, AVAILABILITY_MAX, |place, value| {
        place.object(value, availability_entry)
    })?;
    if entries.is_empty() {
        // An empty list would silently take the title away everywhere.
        place.report("names no territory; write `[{\"territories\": [\"*\"]}]` for everywhere");
    }
    for (index, entry) in entries.iter().enumerate() {
        let earlier = entries.iter().take(index).enumerate();
        for (first, other) in earlier.filter(|(_, other)| other.window.overlaps(&entry.window)) {
            if let Some(shared) = shared_territory(&other.territories, &entry.territories) {
                place.report(format!(
                    "entries {first} and {index} overlap in `{shared}`; join them or move a bound"
                ));
            }
        }
    }
    Some(entries)
}

fn availability_entry(entry: &mut Fields<'_, '_>) -> Option<Availability> {
    let names = entry.required("territories", territories);
    let except = entry.optional("except", |place, value| place.list(value, territory));
    let from = entry.optional("from", word::<Timestamp>);
    let until = entry.optional("until", word::<Timestamp>);
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        entry.report(format!("ends at `{until}`, not after its beginning `{from}`"));
    }
    let territories = match (names?, except) {
        (Territories::EverywhereElse { .. }, except) => {
            Territories::EverywhereElse { except: except.unwrap_or_default() }
        }
        (these, None) => these,
        (_, Some(_)) => {
            entry.report("`except` goes only with `\"territories\": [\"*\"]`");
            return None;
        }
    };
    Some(Availability { territories, window: Window { from, until } })
}

fn territories(place: &mut Place<'_>, value: Json) -> Option<Territories> {
    if let Json::List(items) = &value
        && items.contains(&Json::Text("*".to_owned()))
    {
        if items.len() == 1 {
            return Some(Territories::EverywhereElse { except: Vec::new() });
        }
        place.report("`*` already means everywhere else; give it an entry of its own");
        return None;
    }
    let names = place.list(value, territory)?;
    if names.is_empty() {
        place.report("names no territory; write `[\"*\"]` for everywhere");
        return None;
    }
    Some(Territories::These(names))
}

/// ISO 3166-1 alpha-2 by its shape; which codes are in use changes too often to be checked.
fn territory(place: &mut Place<'_>, value: Json) -> Option<Territory> {
    let text = place.text(value)?;
    let two_letters = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let upper = text.to_ascii_uppercase();
    if two_letters && text == upper {
        return Territory::new(&text).ok();
    }
    let hint = if two_letters {
        format!("did you mean `{upper}`?")
    } else {
        "write two capital letters of ISO 3166-1, such as `DE`".to_owned()
    };
    place.report(format!("`{}` is not a territory; {hint}", quoted(&text)));
    None
}

fn shared_territory<'t>(a: &'t Territories, b: &'t Territories) -> Option<&'t str> {
    match (a, b) {
        (Territories::These(a), Territories::These(b)) => {
            a.iter().find(|name| b.contains(name)).map(Territory::as_str)
        }
        // Where exactly two of them meet is not worth telling; that they do is.
        (Territories::EverywhereElse { .. }, Territories::EverywhereElse { .. }) => Some("*"),
        // The narrower one stands for itself.
        _ => None,
    }
}

fn images(images: &mut Fields<'_, '_>) -> Option<Images> {
    let poster = images.optional("poster", |place, value| place.object(value, image));
    let backdrop = images.optional("backdrop", |place, value| place.object(value, image));
    Some(Images { poster, backdrop })
}

fn image(image: &mut Fields<'_, '_>) -> Option<Image> {
    let url = image.required("url", url);
    let width = image.required("width", |place, value| place.integer(&value, 1, IMAGE_PIXELS_MAX));
    let height =
        image.required("height", |place, value| place.integer(&value, 1, IMAGE_PIXELS_MAX));
    Some(Image { url: url?, width: width?, height: height? })
}

fn manifests(manifests: &mut Fields<'_, '_>) -> Option<Manifests> {
    if !manifests.has_any(&["dash", "hls"]) {
        manifests.report("names no manifest; give `dash`, `hls` or both");
    }
    let dash = manifests.optional("dash", url);
    let hls = manifests.optional("hls", url);
    Some(Manifests { dash, hls })
}

/// `https`, `http`, or relative; kept as written, for the base URL is known only later.
fn url(place: &mut Place<'_>, value: Json) -> Option<String> {
    let text = place.text(value)?;
    let problem = if text.is_empty() {
        "is empty; write a URL or leave the field out".to_owned()
    } else if text.len() > URL_BYTES_MAX {
        format!("has {} bytes, at most {URL_BYTES_MAX} are allowed", text.len())
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
        format!("`{}` has characters that a URL percent-encodes", quoted(&text))
    } else if text.starts_with("//") {
        format!("`{}` leaves out the scheme; write `https:` before it", quoted(&text))
    } else {
        match url::Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => return Some(text),
            Ok(url) => format!("has the scheme `{}`; only `https` and `http` go", url.scheme()),
            Err(url::ParseError::RelativeUrlWithoutBase) => return Some(text),
            Err(error) => format!("`{}` is not a URL: {error}", quoted(&text)),
        }
    };
    place.report(problem);
    None
}

fn key_ids(place: &mut Place<'_>, value: Json) -> Option<Vec<(String, KeyId)>> {
    let entries = place.entries(value, key_id)?;
    if entries.is_empty() || entries.len() > KEY_IDS_MAX {
        place.report(format!("has {} key ids, 1 to {KEY_IDS_MAX} are allowed", entries.len()));
    }
    for (label, _) in &entries {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control)
        {
            place.report(format!(
                "label `{}` is empty, longer than {LABEL_BYTES_MAX} bytes or has control characters",
                quoted(label)
            ));
        }
    }
    Some(entries)
}

/// 32 hexadecimal digits, or the same as a UUID.
fn key_id(place: &mut Place<'_>, value: Json) -> Option<KeyId> {
    let text = place.text(value)?;
    let id = parse_key_id(&text);
    if id.is_none() {
        place.report(format!(
            "`{}` is not a key id; write 32 hexadecimal digits or a UUID",
            quoted(&text)
        ));
    }
    id
}

fn parse_key_id(text: &str) -> Option<KeyId> {
    let dashed = text.len() == 36
        && [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    let digits: String = if dashed { text.replace('-', "") } else { text.to_owned() };
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(|id| KeyId(id.to_be_bytes()))
}

fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted.escape_debug().to_string()
}

//! How scenarios are written: reads the files and notes everything that is wrong with them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::member::{Clock, Held};
use domain::policy::HORIZON_MAX;
use domain::{DeviceClass, DeviceId, PartnerId, RuleId, SeriesId, Tag, Timestamp, TitleId};

use super::sentence::{Clause, Deed, FactChange, Sentence, code, ids, moment, parse};
use super::{Accepted, CatalogueEntry, Expected, Moment, Refused, Scenario, Then};
use crate::policy::PolicyErrors;
use crate::policy::read::{Fields, File, Node, line_starts, nearest, told};

const FORMAT: u32 = 1;
const NUMBER_MAX: u32 = 1_000_000;
const HELD: [(&str, Held); 3] =
    [("acquired", Held::Acquired), ("reissued", Held::Reissued), ("renewed", Held::Renewed)];
const CLOCKS: [Clock; 4] = [Clock::HardEnd, Clock::CheckIn, Clock::Finish, Clock::Start];

pub(super) fn scenarios(files: &[(&str, String)]) -> Result<Vec<Scenario>, PolicyErrors> {
    let errors = RefCell::new(Vec::new());
    let mut scenarios = Vec::new();
    for (name, text) in files {
        let lines = line_starts(text);
        let file = File { name, text, lines: &lines, errors: &errors, horizon: HORIZON_MAX };
        if let Some(document) = file.document() {
            scenarios.extend(read_file(name, Fields::root(file, &document)));
        }
    }
    let found = errors.take();
    if found.is_empty() { Ok(scenarios) } else { Err(told(found)) }
}

/// What the scenarios of a file have in common, or one of them for itself.
#[derive(Clone, Default)]
struct Setting {
    start: Option<Timestamp>,
    member: Vec<FactChange>,
    /// Without what could not be read, which is told where it stands.
    devices: Vec<(DeviceId, Option<DeviceClass>)>,
    titles: BTreeMap<TitleId, Option<Arc<CatalogueEntry>>>,
}

fn read_file(name: &str, mut root: Fields<'_>) -> Vec<Scenario> {
    let format = root.need("format", "write `format = 1` at the top");
    if let Some(format) = format
        && let Some(number) = format.number("the format of this file", u32::MAX)
        && number != FORMAT
    {
        format.note(format!("`{number}` is not a format of scenarios; write `format = {FORMAT}`"));
        return Vec::new();
    }
    let mut common = Setting::default();
    common.read(&mut root);
    let what = "a list of tables; begin each with `[[scenario]]`";
    let nodes = root.need("scenario", "begin each with `[[scenario]]`");
    let nodes = nodes.and_then(|node| node.nodes(what)).unwrap_or_default();
    root.finish();
    nodes.iter().filter_map(|node| scenario(name, node, node.fields(what)?, &common)).collect()
}

impl Setting {
    /// What is said here, beside or in place of what was said before.
    fn read(&mut self, fields: &mut Fields<'_>) {
        self.start = fields.take("start").and_then(|node| node.instant()).or(self.start);
        if let Some(facts) = fields.take("member").and_then(|node| node.fields("a table of facts"))
        {
            self.member.extend(facts.all().filter_map(|(name, node)| fact(name, &node)));
        }
        let what = "a table of device classes by device";
        if let Some(devices) = fields.take("devices").and_then(|node| node.fields(what)) {
            for (id, node) in devices.all() {
                let class = device_class(&node);
                let devices = noted(&node, ids(id, DeviceId::new)).unwrap_or_default();
                self.devices.extend(devices.into_iter().map(|device| (device, class)));
            }
        }
        let what = "a table by title, like `film = { partner = \"aurora\" }`";
        if let Some(titles) = fields.take("titles").and_then(|node| node.fields(what)) {
            for (id, node) in titles.all() {
                let entry = node.fields(what).and_then(catalogue_entry).map(Arc::new);
                let titles = noted(&node, ids(id, TitleId::new)).unwrap_or_default();
                self.titles.extend(titles.into_iter().map(|title| (title, entry.clone())));
            }
        }
    }

    /// Whatever is not declared was misspelt.
    fn knows(&self, sentences: &[&Sentence], note: &mut impl FnMut(usize, String)) {
        let clauses =
            || sentences.iter().flat_map(|said| said.clauses.iter().map(move |c| (said, c)));
        let mut devices: BTreeSet<&DeviceId> = self.devices.iter().map(|(id, _)| id).collect();
        for (_, clause) in clauses() {
            if let Clause::Does(who, Deed::Register { .. }) = clause {
                devices.extend(who);
            }
        }
        for (said, clause) in clauses() {
            let (who, titles) = match clause {
                Clause::MemberHas(_) => continue,
                Clause::CatalogueHas(titles, _) => ([].as_slice(), titles.as_slice()),
                Clause::Does(who, _) => (who.as_slice(), [].as_slice()),
                Clause::DoesWith(who, titles, _) => (who.as_slice(), titles.as_slice()),
                Clause::Befalls(befalls) => befalls.names(),
            };
            if let Some(unknown) = who.iter().find(|id| !devices.contains(id)) {
                let meant = nearest(unknown.as_str(), devices.iter().map(|id| id.as_str()));
                let remedy = meant.unwrap_or_else(|| {
                    format!("add it to `devices`, like `{unknown} = \"phone\"`")
                });
                note(said.line, format!("no device is called `{unknown}`; {remedy}"));
            }
            if let Some(unknown) = titles.iter().find(|id| !self.titles.contains_key(*id)) {
                let meant = nearest(unknown.as_str(), self.titles.keys().map(|id| id.as_str()));
                let remedy = meant.unwrap_or_else(|| {
                    format!("add it to `titles`, like `{unknown} = {{ partner = \"aurora\" }}`")
                });
                note(said.line, format!("no title is called `{unknown}`; {remedy}"));
            }
        }
    }
}

fn scenario(
    file: &str,
    node: &Node<'_>,
    mut fields: Fields<'_>,
    common: &Setting,
) -> Option<Scenario> {
    let name = fields.need("name", "say what it shows, like `name = \"a third device\"`");
    let name = name.and_then(|node| node.text("what the scenario shows"));
    let mut setting = common.clone();
    setting.read(&mut fields);
    let given = fields.take("given").and_then(|node| node.nodes("a list of sentences"));
    let given: Vec<Sentence> = given.iter().flatten().filter_map(sentence).collect();
    let when = fields.need("when", "say what is asked, like `when = \"+1d phone acquires film\"`");
    let when = when.as_ref().and_then(sentence);
    let then = fields.need("then", "say what is answered: `then = \"accepted\"`");
    let then = then.as_ref().and_then(then_of);
    let sentences: Vec<&Sentence> = given.iter().chain(&when).collect();
    setting.knows(&sentences, &mut |line, message| fields.note_line(line, message));
    fields.finish();
    let (_, line) = node.place();
    let Setting { start, member, devices, titles } = setting;
    let devices: Option<_> = devices.into_iter().map(|(id, it)| Some((id, it?))).collect();
    let titles: Option<_> = titles.into_iter().map(|(id, it)| Some((id, it?))).collect();
    Some(Scenario {
        file: file.to_owned(),
        line,
        name: name?.to_owned(),
        start,
        member,
        devices: devices?,
        titles: titles?,
        given,
        when: when?,
        then: then?,
    })
}

fn noted<T>(node: &Node<'_>, read: Result<T, String>) -> Option<T> {
    read.map_err(|message| node.note(message)).ok()
}

fn sentence(node: &Node<'_>) -> Option<Sentence> {
    let text = node.text("a sentence, like `\"+1d phone acquires film\"`")?;
    noted(node, parse(text, node.place().1))
}

fn fact(name: &str, node: &Node<'_>) -> Option<FactChange> {
    let value = match name {
        "maturity_limit" => node.number("a maturity rating", u32::from(u16::MAX))?.to_string(),
        "concurrent_streams" => node.number("how many streams run", u32::MAX)?.to_string(),
        "member_since" | "elsewhere_at" if !node.is_text() => node.instant()?.to_string(),
        _ => node.text("the value of a fact")?.to_owned(),
    };
    noted(node, FactChange::new(name, &value))
}

fn device_class(node: &Node<'_>) -> Option<DeviceClass> {
    node.word("a device class", &DeviceClass::ALL.map(DeviceClass::name), DeviceClass::named)
}

fn catalogue_entry(mut fields: Fields<'_>) -> Option<CatalogueEntry> {
    let partner = fields.need("partner", "say whose it is, like `partner = \"aurora\"`");
    let partner = partner.and_then(|node| node.id("the id of a partner", PartnerId::new));
    let mut flag = |name| fields.take(name).map_or(Some(true), |node| node.flag());
    let (downloadable, offered) = (flag("downloadable"), flag("offered"));
    let series = fields.take("series").and_then(|node| node.id("a series", SeriesId::new));
    let tags = fields.take("tags").and_then(|node| node.list("tags", |n| n.id("a tag", Tag::new)));
    let rating = fields.take("maturity_rating");
    let maturity_rating = rating.and_then(|node| {
        u16::try_from(node.number("a maturity rating", u32::from(u16::MAX))?).ok()
    });
    let available_from = fields.take("available_from").and_then(|node| moment_of(&node));
    let available_until = fields.take("available_until").and_then(|node| moment_of(&node));
    fields.finish();
    Some(CatalogueEntry {
        partner: partner?,
        series,
        tags: tags.unwrap_or_default().into(),
        maturity_rating,
        downloadable: downloadable?,
        offered: offered?,
        available_from,
        available_until,
    })
}

fn moment_of(node: &Node<'_>) -> Option<Moment> {
    if !node.is_text() {
        return node.instant().map(Moment::At);
    }
    noted(node, moment(node.text("a time")?))
}

/// A time, or `never`.
fn perhaps(node: &Node<'_>) -> Option<Option<Moment>> {
    if node.is_text() && node.text("a time") == Some("never") {
        return Some(None);
    }
    moment_of(node).map(Some)
}

fn then_of(node: &Node<'_>) -> Option<Then> {
    const WHAT: &str = "`\"accepted\"`, `\"refused\"` or a table with one of them";
    if node.is_text() {
        return node.word(WHAT, &["accepted", "refused"], |word| match word {
            "accepted" => Some(Then::Accepted(Accepted::default())),
            "refused" => Some(Then::Refused(Refused::default())),
            _ => None,
        });
    }
    let mut fields = node.fields(WHAT)?;
    let then = match (fields.take("accepted"), fields.take("refused")) {
        (Some(yes), None) => {
            if !yes.flag()? {
                yes.note("is `true`, or say what it is `refused` by");
            }
            Some(Then::Accepted(accepted(&mut fields)))
        }
        (None, Some(by)) => Some(Then::Refused(refused(&by, &mut fields))),
        _ => {
            node.note("say either `accepted = true` or what it is `refused` by");
            return None;
        }
    };
    fields.finish();
    then
}

fn accepted(fields: &mut Fields<'_>) -> Accepted {
    let held = HELD.map(|(name, _)| name);
    let how = fields.take("how").and_then(|node| {
        let named = |word: &str| HELD.iter().find(|(name, _)| *name == word).map(|(_, how)| *how);
        node.word("how it came to be held", &held, named)
    });
    let clock = fields.take("clock").and_then(|node| {
        let named = |word: &str| CLOCKS.into_iter().find(|clock| clock.name() == word);
        node.word("a clock", &CLOCKS.map(Clock::name), named)
    });
    let left = fields.take("left").and_then(|node| node.fields("a table of numbers by cap"));
    let left = left.map(|left| left.all().filter_map(left_of).collect());
    let titles = |node: Option<Node<'_>>| list(&node?, "titles", |n| n.id("a title", TitleId::new));
    Accepted {
        how,
        ends_at: fields.take("ends_at").and_then(|node| perhaps(&node)),
        clock,
        may_play_until: fields.take("may_play_until").and_then(|node| perhaps(&node)),
        left: left.unwrap_or_default(),
        warns: fields
            .take("warns")
            .and_then(|node| list(&node, "caps", |n| n.id("a cap", RuleId::new))),
        held: titles(fields.take("held")),
        ended: titles(fields.take("ended")),
        lapsed: titles(fields.take("lapsed")),
        closed: titles(fields.take("closed")),
        leaving: fields
            .take("leaving")
            .and_then(|node| list(&node, "devices", |n| n.id("a device", DeviceId::new))),
    }
}

fn left_of((id, node): (&str, Node<'_>)) -> Option<(RuleId, u32)> {
    let rule = RuleId::new(id).map_err(|error| node.note(format!("`{id}` is no id: {error}")));
    Some((rule.ok()?, node.number("how many are left", NUMBER_MAX)?))
}

/// May be empty: nothing is meant then.
fn list<T>(node: &Node<'_>, what: &str, read: impl Fn(&Node<'_>) -> Option<T>) -> Option<Vec<T>> {
    node.listed(&format!("a list of {what}"))?.iter().map(read).collect()
}

fn refused(by: &Node<'_>, fields: &mut Fields<'_>) -> Refused {
    let findings = by.listed("a list of what stands in the way");
    let findings = findings.map(|nodes| nodes.iter().filter_map(expected).collect::<Vec<_>>());
    if findings.as_ref().is_some_and(Vec::is_empty) {
        by.note("names nothing; say what stands in the way, or `then = \"refused\"`");
    }
    let remedies = fields.take("remedies");
    Refused {
        findings,
        retry_at: fields.take("retry_at").and_then(|node| perhaps(&node)),
        remedies: remedies.and_then(|node| node.number("how many ways out", NUMBER_MAX)),
    }
}

/// A gate or cap by its id, a code of the ledger, or more about one.
fn expected(node: &Node<'_>) -> Option<Expected> {
    if node.is_text() {
        let name = node.text("a rule or a code")?;
        return match code(name) {
            Some(code) => Some(Expected { code: Some(code), ..Expected::default() }),
            None => {
                let rule = node.id("the id of a rule", RuleId::new)?;
                Some(Expected { rule: Some(rule), ..Expected::default() })
            }
        };
    }
    let mut fields = node.fields("the id of a rule, a code, or a table")?;
    let number = |node: Option<Node<'_>>| node?.number("how many", NUMBER_MAX);
    let codes = domain::member::Code::ALL.map(domain::member::Code::name);
    let expected = Expected {
        code: fields.take("code").and_then(|node| node.word("a code", &codes, code)),
        rule: fields.take("rule").and_then(|node| node.id("the id of a rule", RuleId::new)),
        limit: number(fields.take("limit")),
        used: number(fields.take("used")),
        frees_at: fields.take("frees_at").and_then(|node| perhaps(&node)),
    };
    fields.finish();
    Some(expected)
}

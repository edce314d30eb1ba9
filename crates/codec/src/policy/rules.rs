//! The vocabulary of policy files: reads levels, terms and gates, and checks what each
//! says by itself and beside the others.

use std::cell::RefCell;
use std::collections::BTreeMap;

use domain::policy::{
    Condition, Downgrade, FinishAnchor, Gate, Guard, Keep, Limit, Of, ReleaseFrees, RenewFrom,
    Rules, TermsPatch, Tighten, When,
};
use domain::{
    Account, DeviceClass, Duration, Fact, InvalidId, PartnerId, Plan, Policy, PolicyVersion,
    RuleId, SecurityLevel, SeriesId, Tag, Territory, Timestamp, TitleId,
};

use super::absent::{AbsentFact, needs};
use super::cap::{cap, limit};
use super::guard::guard;
use super::read::{Fields, File, Node, line_starts, told};
use super::texts::{self, Texts};
use super::{MAIN_FILE, PolicyError, PolicyErrors};

/// The format of policy files that this program reads.
const FORMAT: u32 = 1;
const NAME_CHARACTERS_MAX: usize = 100;
const RENEWALS_MAX: u32 = 1_000_000;
const LENGTH_MAX: Duration = Duration::days(3_660);

pub(super) fn policy(
    files: &[(&str, String)],
    version: PolicyVersion,
    horizon: Duration,
) -> Result<(Policy, Vec<AbsentFact>, Texts), PolicyErrors> {
    let errors = RefCell::new(Vec::new());
    let lines: Vec<Vec<usize>> = files.iter().map(|(_, text)| line_starts(text)).collect();
    let files: Vec<File<'_>> = files
        .iter()
        .zip(&lines)
        .map(|((name, text), lines)| File { name, text, lines, errors: &errors, horizon })
        .collect();
    let documents: Vec<_> =
        files.iter().filter_map(|file| Some((*file, file.document()?))).collect();
    let mut draft = Draft::default();
    for (file, document) in &documents {
        draft.read(file.name, Fields::root(*file, document));
    }
    if files.iter().all(|file| file.name != MAIN_FILE) {
        let name = MAIN_FILE;
        let missing = File { name, text: "", lines: &[], errors: &errors, horizon };
        missing.note(None, "", "is missing; it holds the rules for all titles".to_owned());
    }
    let texts = texts::read(&draft.texts, &draft.seen.ids);
    let mut found = errors.take();
    found.extend(draft.partners.contradictions(&draft.default, "partners"));
    found.extend(draft.series.contradictions(&draft.default, "series"));
    found.extend(draft.titles.contradictions(&draft.default, "titles"));
    match draft.header {
        Some(Header { name, effective_from }) if found.is_empty() => {
            let policy = Policy {
                version,
                name,
                effective_from,
                default: draft.default,
                partners: draft.partners.rules(),
                series: draft.series.rules(),
                titles: draft.titles.rules(),
                downgrade: draft.downgrade,
                lapse_ends_within: draft.lapse_ends_within,
            };
            let texts = texts.with_zones(&policy);
            Ok((policy, draft.seen.unsaid, texts))
        }
        _ => Err(told(found)),
    }
}

#[derive(Default)]
struct Draft<'a> {
    header: Option<Header>,
    default: Rules,
    partners: Levels<PartnerId>,
    series: Levels<SeriesId>,
    titles: Levels<TitleId>,
    downgrade: Option<Downgrade>,
    lapse_ends_within: Option<Duration>,
    seen: Seen,
    /// Read when all rules are known, for they name them.
    texts: Vec<Node<'a>>,
}

struct Header {
    name: String,
    effective_from: Timestamp,
}

/// A file and a line.
pub(super) type Place = (String, usize);

/// Which id is a gate, a cap or a tightening, and where.
pub(super) type RuleKinds = BTreeMap<RuleId, (&'static str, Place)>;

struct Levels<K>(BTreeMap<K, (Place, Rules)>);

impl<K> Default for Levels<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What was seen in the whole policy: which ids are gates and which are caps, and which facts
/// may be absent without a rule saying what that means.
#[derive(Default)]
pub(super) struct Seen {
    ids: RuleKinds,
    pub(super) unsaid: Vec<AbsentFact>,
}

/// What a rule does with a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It goes by the fact to say yes or no.
    Decides,
    /// It goes by the fact in whether it applies, or how strictly.
    Applies,
    /// It goes by the fact in what it counts.
    Counts,
}

/// The facts by which a rule applies.
fn applies(when: &When) -> Vec<(Fact, Use)> {
    when.facts().into_iter().map(|fact| (fact, Use::Applies)).collect()
}

impl<'a> Draft<'a> {
    fn read(&mut self, file: &str, mut root: Fields<'a>) {
        let format = root.need("format", "write `format = 1` at the top");
        if let Some(format) = format
            && let Some(number) = format.number("the format of this file", u32::MAX)
            && number != FORMAT
        {
            format.note(format!(
                "`{number}` is not a format this program reads; write `format = {FORMAT}`, or run \
                 a newer carnet"
            ));
            return; // The rest may mean something else there.
        }
        if file == MAIN_FILE {
            self.header = header(&mut root);
            self.default = rules(&mut root, &mut self.seen, true);
            self.downgrade = root.take("downgrade").and_then(|node| downgrade(&node));
            self.lapse_ends_within = root.take("lapse").and_then(|node| lapse(&node));
        } else {
            for name in [
                "name",
                "effective_from",
                "terms",
                "tighten",
                "gates",
                "caps",
                "downgrade",
                "lapse",
            ] {
                if let Some(node) = root.take(name) {
                    node.note(format!(
                        "`{name}` belongs in `{MAIN_FILE}`; another file holds `partners`, \
                         `series`, `titles` and `texts`"
                    ));
                }
            }
        }
        self.partners.read(root.take("partners"), "a partner", PartnerId::new, &mut self.seen);
        self.series.read(root.take("series"), "a series", SeriesId::new, &mut self.seen);
        self.titles.read(root.take("titles"), "a title", TitleId::new, &mut self.seen);
        self.texts.extend(root.take("texts"));
        root.finish();
    }
}

fn header(root: &mut Fields<'_>) -> Option<Header> {
    let name = root.need("name", "name the policy, like `name = \"winter\"`").and_then(|node| {
        let name = node.text("the policy's name")?;
        let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            node.note(format!("a name has 1 to {NAME_CHARACTERS_MAX} characters on one line"));
        }
        Some(name.to_owned())
    });
    let from = root.need("effective_from", "write `effective_from = 2026-01-01T00:00:00Z`");
    let effective_from = from.and_then(|node| node.instant());
    Some(Header { name: name?, effective_from: effective_from? })
}

impl<K: Ord + std::fmt::Display> Levels<K> {
    fn read(
        &mut self,
        node: Option<Node<'_>>,
        what: &str,
        new: fn(&str) -> Result<K, InvalidId>,
        seen: &mut Seen,
    ) {
        let Some(levels) = node.and_then(|node| node.fields("a table by id")) else { return };
        for (id, node) in levels.all() {
            let key = match new(id) {
                Ok(key) => key,
                Err(error) => {
                    node.note(format!("`{}` is not the id of {what}: {error}", id.escape_debug()));
                    continue;
                }
            };
            let Some(mut fields) =
                node.fields("a table with `terms`, `tighten`, `gates` and `caps`")
            else {
                continue;
            };
            if fields.is_empty() {
                node.note(
                    "says nothing; give it `terms`, `tighten`, `gates` or `caps`, or remove it",
                );
            }
            let rules = rules(&mut fields, seen, false);
            fields.finish();
            if let Some(((file, line), _)) = self.0.get(&key) {
                node.note(format!("{what} has one table; the other is in {file}, line {line}"));
            } else {
                self.0.insert(key, (node.place(), rules));
            }
        }
    }

    /// Terms that say nothing wrong by themselves, and leave no instant to play beside those for
    /// all titles.
    fn contradictions(&self, default: &Rules, what: &str) -> Vec<PolicyError> {
        let contradiction = |(key, ((file, line), rules)): (&K, &(Place, Rules))| {
            let (own, all) = (&rules.terms, &default.terms);
            let from = own.not_before.or(all.not_before)?;
            let end = own.hard_end.or(all.hard_end)?;
            let both_own = own.not_before.is_some() && own.hard_end.is_some();
            let either_own = own.not_before.is_some() || own.hard_end.is_some();
            let found = end <= from && either_own && !both_own;
            found.then(|| PolicyError {
                file: file.clone(),
                line: Some(*line),
                column: None,
                field: format!("{what}.{key}.terms"),
                message: format!(
                    "together with the terms for all titles, `not_before` ({from}) leaves no play \
                     before `hard_end` ({end}); set both here"
                ),
            })
        };
        self.0.iter().filter_map(contradiction).collect()
    }

    fn rules(self) -> BTreeMap<K, Rules> {
        self.0.into_iter().map(|(key, (_, rules))| (key, rules)).collect()
    }
}

fn rules(level: &mut Fields<'_>, seen: &mut Seen, at_top: bool) -> Rules {
    let terms = level.take("terms").and_then(|node| node.fields("a table")).map(terms);
    let mut ids = BTreeMap::new();
    let tightening = level.take("tighten");
    let tighten = each(tightening, "tighten", |node| tighten(node, &mut ids, seen));
    let gates = each(level.take("gates"), "gates", |node| gate(node, &mut ids, seen, at_top));
    let caps = each(level.take("caps"), "caps", |node| cap(node, &mut ids, seen, at_top));
    Rules { terms: terms.unwrap_or_default(), tighten, gates, caps }
}

fn downgrade(node: &Node<'_>) -> Option<Downgrade> {
    let mut fields = node.fields("a table with `keep` and `notice`")?;
    let keep = fields.need("keep", "say which devices stay, like `keep = \"last_seen\"`");
    let notice = fields.need("notice", "say how long the others have, like `notice = \"7d\"`");
    let keep = keep.and_then(|node| word(&node, &KEEP));
    let notice = notice.and_then(|node| bounded(&node));
    fields.finish();
    Some(Downgrade { keep: keep?, notice: notice? })
}

fn lapse(node: &Node<'_>) -> Option<Duration> {
    let mut fields = node.fields("a table with `end_within`")?;
    let within = fields.need("end_within", "say after how long all licenses end, like `\"0s\"`");
    let within = within.and_then(|node| bounded(&node));
    fields.finish();
    within
}

fn bounded(node: &Node<'_>) -> Option<Duration> {
    let length = node.duration()?;
    if length > LENGTH_MAX {
        node.note("is longer than ten years; leave it out where nothing ends");
    }
    Some(length)
}

fn each<'a, T>(
    node: Option<Node<'a>>,
    name: &str,
    mut read: impl FnMut(Fields<'a>) -> Option<T>,
) -> Vec<T> {
    let what = format!("a list of tables; begin each with `[[{name}]]`");
    let nodes = node.and_then(|node| node.nodes(&what)).unwrap_or_default();
    nodes.iter().filter_map(|node| read(node.fields(&what)?)).collect()
}

fn terms(mut fields: Fields<'_>) -> TermsPatch {
    if fields.is_empty() {
        fields.note("says nothing; set a term or remove the table".to_owned());
    }
    let terms = term_fields(&mut fields);
    fields.finish();
    terms
}

fn term_fields(fields: &mut Fields<'_>) -> TermsPatch {
    let length = |node: Option<Node<'_>>, zero_is_fine: bool| {
        let node = node?;
        let length = node.duration()?;
        if length == Duration::ZERO && !zero_is_fine {
            node.note("a clock of no length is over at once; use a gate with `closed = true`");
        } else if length > LENGTH_MAX {
            node.note("is longer than ten years; leave the field out where nothing ends it");
        }
        Some(length)
    };
    let not_before = fields.take("not_before");
    let hard_end = fields.take("hard_end");
    let instant = |node: &Option<Node<'_>>| node.as_ref().and_then(Node::instant);
    let terms = TermsPatch {
        start_within: length(fields.take("start_within"), false),
        finish_within: length(fields.take("finish_within"), false),
        finish_anchor: fields.take("finish_anchor").and_then(|node| word(&node, &FINISH_ANCHORS)),
        check_in_within: length(fields.take("check_in_within"), false),
        end_within: length(fields.take("end_within"), false),
        grace: length(fields.take("grace"), true),
        running_play: length(fields.take("running_play"), true),
        not_before: instant(&not_before),
        hard_end: instant(&hard_end),
        end_with_availability: fields.take("end_with_availability").and_then(|node| node.flag()),
        renewals_max: fields
            .take("renewals_max")
            .and_then(|node| node.number("how often a license may be renewed", RENEWALS_MAX)),
        renew_before_end: length(fields.take("renew_before_end"), true),
        renew_after_end: length(fields.take("renew_after_end"), true),
        renew_from: fields.take("renew_from").and_then(|node| word(&node, &RENEW_FROM)),
        auto_renew_every: length(fields.take("auto_renew_every"), false),
        release_frees: fields.take("release_frees").and_then(|node| word(&node, &RELEASE_FREES)),
        delete_at_end: fields.take("delete_at_end").and_then(|node| node.flag()),
    };
    if let (Some(from), Some(end), Some(node)) = (terms.not_before, terms.hard_end, hard_end)
        && end <= from
    {
        node.note(format!("is not after `not_before` ({from}); no play fits between"));
    }
    terms
}

const FINISH_ANCHORS: [(&str, FinishAnchor); 3] = [
    ("term", FinishAnchor::Term),
    ("license", FinishAnchor::License),
    ("title", FinishAnchor::Title),
];
const RELEASE_FREES: [(&str, ReleaseFrees); 2] =
    [("at_once", ReleaseFrees::AtOnce), ("when_confirmed", ReleaseFrees::WhenConfirmed)];
const KEEP: [(&str, Keep); 2] =
    [("last_seen", Keep::LastSeen), ("first_registered", Keep::FirstRegistered)];
const RENEW_FROM: [(&str, RenewFrom); 2] = [("now", RenewFrom::Now), ("end", RenewFrom::End)];

/// One of a few words of a term.
fn word<T: Copy>(node: &Node<'_>, known: &[(&'static str, T)]) -> Option<T> {
    let words: Vec<&'static str> = known.iter().map(|(word, _)| *word).collect();
    node.word("one of the words for it", &words, |text| {
        known.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant)
    })
}

/// Terms that may only be tighter than what they meet.
fn tighten(
    mut fields: Fields<'_>,
    level: &mut BTreeMap<RuleId, Place>,
    seen: &mut Seen,
) -> Option<Tighten> {
    let id = rule_id(&mut fields, "tightening", level, seen);
    let of = of(fields.take("of"));
    let when = when(&mut fields);
    if let Some(node) = fields.take("renew_from") {
        node.note(
            "neither `now` nor `end` is the tighter one; set it in the terms of a partner, series \
             or title",
        );
    }
    if let Some(node) = fields.take("end_with_availability")
        && node.flag() == Some(false)
    {
        node.note("does not tighten; write `true`, or leave it out");
    }
    let terms = term_fields(&mut fields);
    if terms == TermsPatch::default() {
        fields.note("tightens nothing; set a term, like `finish_within = \"24h\"`".to_owned());
    }
    let uses = when.as_ref().map(applies);
    let needs = needs(&mut fields, id.as_ref(), uses, seen);
    fields.finish();
    Some(Tighten { id: id?, of: of?, when: when?, terms, needs })
}

/// The id of a gate or cap: once at one level, and of one kind in the whole policy.
pub(super) fn rule_id(
    fields: &mut Fields<'_>,
    kind: &'static str,
    level: &mut BTreeMap<RuleId, Place>,
    seen: &mut Seen,
) -> Option<RuleId> {
    let node = fields.need("id", "name it, like `id = \"downloads-per-month\"`")?;
    let id = node.id("an id", RuleId::new)?;
    let used = level.insert(id.clone(), node.place());
    let (other, (file, line)) = seen.ids.entry(id.clone()).or_insert_with(|| (kind, node.place()));
    if *other != kind {
        node.note(format!(
            "`{id}` is a {other} in {file}, line {line}, and a {kind} here; give one of them \
             another id"
        ));
    } else if let Some((_, line)) = used {
        node.note(format!(
            "`{id}` is used in line {line} of the same level; give one of them another id"
        ));
    }
    Some(id)
}

const CONDITIONS: &str = "`plans`, `territories`, `not_territories`, `device_classes`, \
     `security_levels`, `accounts`, `concurrent_streams`, `not_elsewhere_for`, `maturity`, \
     `downloadable` or `closed`";

fn gate(
    mut fields: Fields<'_>,
    level: &mut BTreeMap<RuleId, Place>,
    seen: &mut Seen,
    at_top: bool,
) -> Option<Gate> {
    let id = rule_id(&mut fields, "gate", level, seen);
    let of_node = fields.take("of");
    let of = of(of_node.clone());
    let when = when(&mut fields);
    let mut stated = 0;
    let mut condition = |node: Option<Node<'_>>, read: fn(&Node<'_>) -> Option<Condition>| {
        let node = node?;
        stated += 1;
        if stated > 1 {
            node.note("a gate has one condition; make a second gate of this one");
        }
        read(&node)
    };
    let conditions = [
        condition(fields.take("plans"), |node| Some(Condition::Plans(plans(node)?))),
        condition(fields.take("territories"), |node| {
            Some(Condition::Territories(territories(node)?))
        }),
        condition(fields.take("not_territories"), |node| {
            Some(Condition::NotTerritories(territories(node)?))
        }),
        condition(fields.take("device_classes"), |node| Some(Condition::Classes(classes(node)?))),
        condition(fields.take("security_levels"), |node| {
            Some(Condition::SecurityLevels(security_levels(node)?))
        }),
        condition(fields.take("accounts"), |node| Some(Condition::Accounts(accounts(node)?))),
        condition(fields.take("concurrent_streams"), |node| {
            limit(node).map(Condition::ConcurrentStreams)
        }),
        condition(fields.take("not_elsewhere_for"), apart),
        condition(fields.take("maturity"), |node| yes(node, Condition::Maturity)),
        condition(fields.take("downloadable"), |node| yes(node, Condition::Downloadable)),
        condition(fields.take("closed"), |node| yes(node, Condition::Closed)),
    ];
    if stated == 0 {
        fields.note(format!("a gate has a condition; write {CONDITIONS}"));
    }
    let condition = conditions.into_iter().flatten().next();
    if let (Some(condition), Some(of)) = (&condition, &of)
        && condition.is_of_devices()
    {
        check_of_devices(&fields, of, of_node.as_ref(), at_top);
        without_title(when.as_ref(), &mut fields);
    }
    let used = |when: &When, condition: &Condition| {
        let by_limit = condition.limit().and_then(Limit::fact);
        let selects = when.facts().into_iter().chain(by_limit).map(|fact| (fact, Use::Applies));
        let decides = condition.facts().into_iter().map(|fact| (fact, Use::Decides));
        selects.chain(decides).collect()
    };
    let uses = when.as_ref().zip(condition.as_ref()).map(|(when, condition)| used(when, condition));
    let needs = needs(&mut fields, id.as_ref(), uses, seen);
    fields.finish();
    Some(Gate { id: id?, of: of?, when: when?, condition: condition?, needs })
}

fn apart(node: &Node<'_>) -> Option<Condition> {
    let length = bounded(node)?;
    if length == Duration::ZERO {
        node.note("keeps nobody apart; write for how long a device has to be with nobody else");
    }
    Some(Condition::NotElsewhereFor(length))
}

/// What a gate that is asked when a device comes cannot go by.
fn check_of_devices(gate: &Fields<'_>, of: &Of, node: Option<&Node<'_>>, at_top: bool) {
    if !at_top {
        let message = "a device comes without a title; ask this in the rules for all titles";
        gate.note(message.to_owned());
    }
    if let Some(node) = node.filter(|_| !of.tags.is_empty()) {
        node.note("a device that comes has no tags; leave `tags` out");
    }
}

/// A guard of what is asked where a device comes or goes.
pub(super) fn without_title(when: Option<&When>, fields: &mut Fields<'_>) {
    let guard = when.and_then(|when| when.guard.as_ref());
    if let Some(node) = fields.take("guard")
        && guard.is_some_and(Guard::is_of_titles)
    {
        node.note("a device that comes or goes is of no title; ask nothing of `title` here");
    }
}

/// A condition that is either stated or left out.
fn yes(node: &Node<'_>, condition: Condition) -> Option<Condition> {
    if !node.flag()? {
        node.note("says nothing when `false`; write `true` or remove the gate");
    }
    Some(condition)
}

pub(super) fn of(node: Option<Node<'_>>) -> Option<Of> {
    let Some(node) = node else { return Some(Of::default()) };
    let mut fields = node.fields("a table with `tags` or `device_classes`")?;
    if fields.is_empty() {
        node.note("selects nothing; give it `tags` or `device_classes`, or remove it");
    }
    let tag = |node: &Node<'_>| node.id("a tag", Tag::new);
    let tags = fields.take("tags").map(|node| node.list("tags", tag));
    let listed = fields.take("device_classes").map(|node| classes(&node));
    fields.finish();
    Some(Of { tags: tags.unwrap_or(Some(vec![]))?, classes: listed.unwrap_or(Some(vec![]))? })
}

/// Which requests a rule is for, by `when` and `guard`.
pub(super) fn when(fields: &mut Fields<'_>) -> Option<When> {
    let listed = fields.take("when");
    let guarded = fields.take("guard");
    let listed = listed.map_or(Some(When::default()), |node| listed_when(&node));
    let guard = guarded.map(|node| guard(&node));
    Some(When { guard: guard.map_or(Some(None), |guard| guard.map(Some))?, ..listed? })
}

fn listed_when(node: &Node<'_>) -> Option<When> {
    const WHAT: &str = "`plans`, `territories`, `security_levels` or `accounts`";
    let mut fields = node.fields(&format!("a table with {WHAT}"))?;
    if fields.is_empty() {
        node.note(format!("selects nothing; give it {WHAT}, or remove it"));
    }
    let listed_plans = fields.take("plans").map(|node| plans(&node));
    let listed_territories = fields.take("territories").map(|node| territories(&node));
    let listed_levels = fields.take("security_levels").map(|node| security_levels(&node));
    let listed_accounts = fields.take("accounts").map(|node| accounts(&node));
    fields.finish();
    Some(When {
        plans: listed_plans.unwrap_or(Some(vec![]))?,
        territories: listed_territories.unwrap_or(Some(vec![]))?,
        security_levels: listed_levels.unwrap_or(Some(vec![]))?,
        accounts: listed_accounts.unwrap_or(Some(vec![]))?,
        guard: None,
    })
}

fn security_levels(node: &Node<'_>) -> Option<Vec<SecurityLevel>> {
    node.list("security levels", |node| node.id("a security level", SecurityLevel::new))
}

fn accounts(node: &Node<'_>) -> Option<Vec<Account>> {
    node.list("kinds of accounts", |node| node.id("a kind of account", Account::new))
}

fn plans(node: &Node<'_>) -> Option<Vec<Plan>> {
    node.list("plans", |node| node.id("a plan", Plan::new))
}

fn territories(node: &Node<'_>) -> Option<Vec<Territory>> {
    node.list("territories", |node| node.id("a territory", Territory::new))
}

fn classes(node: &Node<'_>) -> Option<Vec<DeviceClass>> {
    let names = DeviceClass::ALL.map(DeviceClass::name);
    node.list("device classes", |node| node.word("a device class", &names, DeviceClass::named))
}

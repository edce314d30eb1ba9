//! `carnet policy replay`: what a draft would have answered.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::Timestamp;
use domain::member::what_if::Reason;
use engine::what_if::{self, Differing, Go, Kind, Progress, Report, WhatIf};
use store_embedded::{EmbeddedStore, OpenError, Options};

use super::load;
use crate::arguments::Replay;

const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How many of a list a person is shown.
const SHOWN_MAX: usize = 5;

pub(crate) fn replay(typed: &Replay) -> anyhow::Result<()> {
    let draft = load(&typed.draft)?.policy;
    let since = typed.since.unwrap_or(Timestamp::MIN);
    let until = typed.until.unwrap_or(Timestamp::MAX);
    anyhow::ensure!(since < until, "nothing lies between `--since {since}` and `--until {until}`");
    // Opening would make a store where there is none, and find nothing in it.
    anyhow::ensure!(typed.store.is_dir(), "`{}` is not a directory", typed.store.display());
    let store = EmbeddedStore::open(&typed.store, &Options::default()).map_err(|error| {
        let is_open_elsewhere = matches!(error, OpenError::Locked(_));
        let error = anyhow::Error::from(error)
            .context(format!("the store `{}` was not opened", typed.store.display()));
        if is_open_elsewhere {
            error.context("ask the running service instead: `POST /v1/operator/replays`")
        } else {
            error
        }
    })?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let what_if =
        WhatIf { draft: Arc::new(draft), since, until, partner: typed.partner.clone(), threads };
    let mut rows = typed.csv.as_deref().map(|path| csv_to(path)).transpose()?;
    let mut failed = None;
    let mut visit = |kind, difference: &what_if::Difference| {
        if let Some(rows) = &mut rows
            && let Err(error) = rows.write_record(service::csv_row(kind, difference))
        {
            failed.get_or_insert(error);
        }
    };
    let mut told = Instant::now();
    let events = store.stats().events;
    let mut progress = |Progress { members, events: done }| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            let percent = done * 100 / events.max(1);
            eprintln!("asked {members} members, {done} of about {events} events ({percent} %)");
        }
        Go::On
    };
    let report = what_if::run(&store, &what_if, &mut progress, &mut visit)?;
    if let Some(error) = failed {
        return Err(error).context("writing the CSV");
    }
    if let Some(mut rows) = rows {
        rows.flush().context("writing the CSV")?;
    }
    if let Some(path) = &typed.json {
        let report = service::WhatIfReport::new(&what_if, &report);
        let mut out = out_to(path)?;
        serde_json::to_writer_pretty(&mut out, &report).context("writing the report")?;
        writeln!(out).context("writing the report")?;
    }
    let to_standard_output = |path: &Option<_>| path.as_deref() == Some(Path::new("-"));
    if !to_standard_output(&typed.json) && !to_standard_output(&typed.csv) {
        print(&what_if, &report);
    }
    Ok(())
}

fn out_to(path: &Path) -> anyhow::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).with_context(|| format!("creating `{}`", path.display()))?;
    Ok(Box::new(io::BufWriter::new(file)))
}

fn csv_to(path: &Path) -> anyhow::Result<csv::Writer<Box<dyn Write + Send>>> {
    let mut rows = csv::Writer::from_writer(out_to(path)?);
    rows.write_record(service::CSV_HEADER).context("writing the CSV")?;
    Ok(rows)
}

fn print(what_if: &WhatIf, report: &Report) {
    let Report { members, events, requests, .. } = report;
    say!("draft {}", what_if.draft.version);
    say!("{members} members, {events} events; {requests} requests asked again");
    match &what_if.partner {
        Some(partner) if *requests == 0 => {
            say!("no request was about a title of the partner `{partner}` then");
        }
        None if *requests == 0 => say!("nothing that a policy decides was asked then"),
        _ if report.is_unchanged() => say!("everything would have been answered as it was"),
        _ => {}
    }
    for (kind, words) in [
        (Kind::RefusedInstead, "accepted, and would be refused"),
        (Kind::AcceptedInstead, "refused, and would be accepted"),
        (Kind::RefusedOtherwise, "refused both times, for other reasons"),
        (Kind::OtherTerms, "accepted both times, with other clocks"),
        (Kind::Moot, "would not have been asked, for want of their license or device"),
    ] {
        print_differing(words, report.differing(kind));
    }
    say!();
    for sentence in service::WhatIfReport::cannot_know() {
        say!("{sentence}");
    }
}

fn print_differing(words: &str, differing: &Differing) {
    let Differing { requests, members, titles, partners, reasons, examples } = differing;
    if *requests == 0 {
        return;
    }
    say!();
    // Devices that come and go are about none.
    let about = match titles.len() {
        0 => String::new(),
        count => format!(" for {count} titles of {} partners", partners.len()),
    };
    say!("{requests} requests of {members} members{about}: {words}");
    for (Reason { code, rule }, count) in what_if::most(reasons).into_iter().take(SHOWN_MAX) {
        let rule = rule.as_ref().map(|rule| format!(" `{rule}`")).unwrap_or_default();
        say!("  {count:>8}  {}{rule}", code.name());
    }
    for what_if::Difference { member, compared } in examples.iter().take(SHOWN_MAX) {
        let asked: Vec<_> = compared.commands.iter().map(|command| command.name()).collect();
        let titles = compared.titles.iter().map(|(title, _)| format!(" `{title}`"));
        let answers = if compared.other_terms {
            "accepted both times".to_owned()
        } else {
            let (was, would_be) = (&compared.was, &compared.would_be);
            let (was, would_be) = (service::in_words(was), service::in_words(would_be));
            format!("{was} then, {would_be} under the draft")
        };
        let titles = titles.collect::<Vec<_>>().join(",");
        say!("  {}  `{member}` asked to {}{titles}: {answers}", compared.at, asked.join(", "));
    }
}

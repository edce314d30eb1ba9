//! `carnet policy test`: tries scenarios and shows what was expected beside what was found.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{anyhow, ensure};
use codec::policy::SCENARIO_ENDING;
use codec::policy::scenario::{self, Outcome, Row, Scenario};

use super::{has_scenarios, load};

pub(crate) fn test(path: &Path, policy: Option<&Path>) -> anyhow::Result<()> {
    let (scenarios, beside) = if path.is_dir() {
        (scenario::load_dir(path), path)
    } else {
        ensure!(
            has_scenarios(path) || !path.exists(),
            "`{}` is not a file of scenarios, whose name ends with `{SCENARIO_ENDING}`; name \
             the directory, or one of those",
            path.display()
        );
        // `a.scenario.toml` lies in no folder but the one we are in.
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        (scenario::load_file(path), parent.unwrap_or(Path::new(".")))
    };
    let scenarios = scenarios.map_err(|errors| anyhow!("{errors}"))?;
    ensure!(
        !scenarios.is_empty(),
        "`{}` has no scenarios; write some in a file whose name ends with `{SCENARIO_ENDING}`",
        path.display()
    );
    let loaded = load(policy.unwrap_or(beside))?;
    let mut failed = 0;
    for scenario in &scenarios {
        let outcome = scenario::run(scenario, &loaded.policy);
        if let Some(told) = told(scenario, &outcome) {
            failed += 1;
            say!("{told}");
        }
    }
    let all = scenarios.len();
    ensure!(
        failed == 0,
        "{failed} of {all} scenarios failed under policy {}",
        loaded.policy.version
    );
    say!("{all} of {all} scenarios pass under policy {}", loaded.policy.version);
    Ok(())
}

/// What a failed scenario has to say; nothing of one that passed.
fn told(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    let Scenario { file, line, name, .. } = scenario;
    match outcome {
        Outcome::Passed => None,
        Outcome::Impossible { line, message } => {
            Some(format!("{file}, line {line}: {name}\n  {message}\n"))
        }
        Outcome::Failed(rows) => Some(format!("{file}, line {line}: {name}\n{}", table(rows))),
    }
}

/// Side by side; what differs is marked.
fn table(rows: &[Row]) -> String {
    let wide = |cell: fn(&Row) -> &str, head: &str| {
        let cells = rows.iter().map(|row| cell(row).chars().count());
        cells.chain([head.len()]).max().unwrap_or(0)
    };
    let what = wide(|row| &row.what, "");
    let expected = wide(|row| &row.expected, "expected");
    let mut table = String::new();
    let mut line = |mark, cells: [&str; 3]| {
        let [first, second, third] = cells;
        // Writing to a string does not fail.
        let _ = writeln!(table, "{mark} {first:what$}  {second:expected$}  {third}");
    };
    line(' ', ["", "expected", "found"]);
    for row in rows {
        line(if row.same { ' ' } else { '>' }, [&row.what, &row.expected, &row.found]);
    }
    table
}

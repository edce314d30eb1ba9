//! Where log lines go and how they look: for people in the demo, JSON for machines else. Always
//! to standard error; `RUST_LOG` chooses what is told.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    ForPeople,
    Json,
}

pub(crate) fn start(style: Style) {
    let told = match style {
        // A line for each request would push the addresses off the screen.
        Style::ForPeople => "info,carnet::request=warn",
        Style::Json => "info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(told));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A subscriber that is already there stays; only tests have one.
    let _ = match style {
        Style::ForPeople => builder.with_target(false).compact().try_init(),
        // There is one span, the request's, and once on a line is enough.
        Style::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

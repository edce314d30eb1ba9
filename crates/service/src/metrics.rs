//! Numbers about the process, in the text format of Prometheus.
//!
//! Labels come from closed sets (routes, methods, codes), never from a request's content: their
//! number is bounded, and nobody's id is in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::member::{Answer, Held, Outcome};

/// Upper bounds in microseconds; an answer takes 0.1 to 100 ms when all is well.
const BUCKETS_US: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
];

/// Of one route, by method and status: few.
type Answered = BTreeMap<(&'static str, u16), Histogram>;

#[derive(Debug, Default)]
pub struct Metrics {
    requests: RwLock<BTreeMap<String, Answered>>,
    in_flight: AtomicI64,
    counters: RwLock<BTreeMap<Counted, Arc<AtomicU64>>>,
}

/// A counter and the value of its one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Outcome(&'static str),
    Finding(&'static str),
    DrmLicense(&'static str),
    ClockBehind,
    ClockJump(&'static str),
    Panics,
}

#[derive(Debug, Default)]
struct Histogram {
    /// One for each bound, and one for everything above.
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    pub(crate) fn request(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let key = (method, status);
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = requests.get(route).and_then(|answered| answered.get(&key)) {
            return known.observe(took);
        }
        drop(requests);
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        let answered = requests.entry(route.to_owned()).or_default();
        answered.entry(key).or_default().observe(took);
    }

    pub(crate) fn answer(&self, answer: &Answer) {
        match answer {
            Answer::Accepted { repeated: true, .. } => self.count(Counted::Outcome("repeated")),
            Answer::Accepted { outcomes, .. } => {
                outcomes.iter().for_each(|outcome| self.count(Counted::Outcome(name(outcome))));
            }
            Answer::Refused(refused) => {
                self.count(Counted::Outcome("refused"));
                for finding in &refused.findings {
                    self.count(Counted::Finding(finding.code.name()));
                }
            }
            Answer::KeyReused => self.count(Counted::Outcome("key_reused")),
        }
    }

    pub(crate) fn drm_license(&self, outcome: &'static str) {
        self.count(Counted::DrmLicense(outcome));
    }

    pub(crate) fn clock_behind(&self) {
        self.count(Counted::ClockBehind);
    }

    /// Of the wall clock, forward or back.
    pub(crate) fn clock_jump(&self, ms: i64) {
        self.count(Counted::ClockJump(if ms < 0 { "back" } else { "forward" }));
    }

    pub(crate) fn panic(&self) {
        self.count(Counted::Panics);
    }

    fn count(&self, counted: Counted) {
        series(&self.counters, counted).fetch_add(1, Ordering::Relaxed);
    }

    /// The whole page. `gauges` are read off at this moment: name, help and value.
    pub(crate) fn render(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut page = String::with_capacity(8 * 1024);
        self.render_requests(&mut page);
        self.render_counters(&mut page);
        let in_flight = u64::try_from(self.in_flight.load(Ordering::Relaxed)).unwrap_or(0);
        let own = ("carnet_http_requests_in_flight", "HTTP requests under way", in_flight);
        for (name, help, value) in gauges.iter().chain([&own]) {
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        page
    }

    fn render_requests(&self, page: &mut String) {
        const NAME: &str = "carnet_http_request_duration_seconds";
        let _ = write!(page, "# HELP {NAME} Time to the answer\n# TYPE {NAME} histogram\n");
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let each = requests.iter().flat_map(|(route, answered)| {
            answered
                .iter()
                .map(move |((method, status), histogram)| (route, method, status, histogram))
        });
        for (route, method, status, histogram) in each {
            let labels = format!(r#"route="{route}",method="{method}",status="{status}""#);
            let mut total = 0;
            for (position, bucket) in histogram.buckets.iter().enumerate() {
                total += bucket.load(Ordering::Relaxed);
                let bound = BUCKETS_US.get(position);
                let le = bound.map_or("+Inf".to_owned(), |us| seconds(*us));
                let _ = writeln!(page, r#"{NAME}_bucket{{{labels},le="{le}"}} {total}"#);
            }
            let sum = seconds(histogram.sum_us.load(Ordering::Relaxed));
            let _ =
                write!(page, "{NAME}_sum{{{labels}}} {sum}\n{NAME}_count{{{labels}}} {total}\n");
        }
    }

    fn render_counters(&self, page: &mut String) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let mut last = "";
        for (counted, value) in counters.iter() {
            let (name, help, label) = match counted {
                Counted::Outcome(outcome) => (
                    "carnet_outcomes_total",
                    "What commands came to",
                    format!(r#"{{outcome="{outcome}"}}"#),
                ),
                Counted::Finding(code) => (
                    "carnet_refusal_findings_total",
                    "What stood in the way of refused requests",
                    format!(r#"{{code="{code}"}}"#),
                ),
                Counted::DrmLicense(outcome) => (
                    "carnet_drm_licenses_total",
                    "DRM licenses asked for",
                    format!(r#"{{outcome="{outcome}"}}"#),
                ),
                Counted::ClockBehind => (
                    "carnet_clock_behind_total",
                    "Decisions taken while the wall clock stood behind the member's last event",
                    String::new(),
                ),
                Counted::ClockJump(direction) => (
                    "carnet_clock_jumps_total",
                    "Times that the wall clock was set while the process ran",
                    format!(r#"{{direction="{direction}"}}"#),
                ),
                Counted::Panics => {
                    ("carnet_panics_total", "Requests that failed by a bug", String::new())
                }
            };
            if name != last {
                let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} counter\n");
                last = name;
            }
            let _ = writeln!(page, "{name}{label} {}", value.load(Ordering::Relaxed));
        }
    }
}

/// The series of a key; made when it is new, which ends after the first minutes of a process.
fn series<K: Ord, V: Default>(map: &RwLock<BTreeMap<K, Arc<V>>>, key: K) -> Arc<V> {
    if let Some(known) = map.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(known);
    }
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(key).or_default())
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::DeviceRegistered { .. } => "device_registered",
        Outcome::DeviceRemoved { .. } => "device_removed",
        Outcome::Held { how: Held::Acquired, .. } => "acquired",
        Outcome::Held { how: Held::Reissued, .. } => "reissued",
        Outcome::Held { how: Held::Renewed, .. } => "renewed",
        Outcome::Released { .. } => "released",
        Outcome::CheckedIn(_) => "checked_in",
        Outcome::PlaysRecorded { .. } => "plays_recorded",
        Outcome::DrmFailureRecorded { .. } => "drm_failure_recorded",
        Outcome::MemberChanged { .. } => "member_changed",
        Outcome::MembershipLapsed { .. } => "membership_lapsed",
        Outcome::MembershipResumed { .. } => "membership_resumed",
        Outcome::Revoked { .. } => "revoked",
        Outcome::TitleWithdrawn { .. } => "title_withdrawn",
        Outcome::ExceptionGranted { .. } => "exception_granted",
        Outcome::ExceptionEnded { .. } => "exception_ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_request_in_every_bucket_it_fits() {
        let metrics = Metrics::default();
        for us in [250, 251, 20_000_000] {
            metrics.request("/v1/licenses", "POST", 201, Duration::from_micros(us));
        }
        let page = metrics.render(&[("carnet_members_cached", "Members in memory", 3)]);
        let labels = r#"route="/v1/licenses",method="POST",status="201""#;
        for line in [
            format!(r#"carnet_http_request_duration_seconds_bucket{{{labels},le="0.000250"}} 1"#),
            format!(r#"carnet_http_request_duration_seconds_bucket{{{labels},le="0.000500"}} 2"#),
            format!(r#"carnet_http_request_duration_seconds_bucket{{{labels},le="10.000000"}} 2"#),
            format!(r#"carnet_http_request_duration_seconds_bucket{{{labels},le="+Inf"}} 3"#),
            format!("carnet_http_request_duration_seconds_sum{{{labels}}} 20.000501"),
            format!("carnet_http_request_duration_seconds_count{{{labels}}} 3"),
            "carnet_members_cached 3".to_owned(),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}

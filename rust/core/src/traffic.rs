//! Calls counted by method, version and status, with their durations and sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::call::{Code, Decision, Nanos, Outcome, Role, UNIMPLEMENTED, VersionId, code_name};
use crate::histogram::{CALL_SECONDS, Histogram, OVERHEAD_SECONDS};
use crate::sketch::exponential::{ExponentialHistogram, ExponentialSnapshot};
use crate::version::Register;

/// Methods that are told apart; more are counted as [`OTHER`]. A method is recognised once a call of it has ended with a
/// status that only a server which has it gives, so that a stranger cannot fill the list.
const MOST_METHODS: usize = 64;

/// Statuses that calls of any path may end with, whether or not the server has the method: cancelled, out of time,
/// without permission, over a limit, unimplemented, unreachable, without identity.
const SAY_NOTHING: [Code; 7] = [1, 4, 7, 8, UNIMPLEMENTED, 14, 16];

/// Stands for all versions that are not told apart any more; no version has this number.
const FORGOTTEN: VersionId = VersionId::MAX;

/// The name of methods that are not told apart (OpenTelemetry semantic conventions, `rpc.method`).
pub const OTHER: &str = "_OTHER";

#[derive(Debug)]
pub struct Traffic {
    active: u64,
    total: u64,
    methods: Vec<Arc<str>>,
    series: BTreeMap<Key, Series>,
    overhead: Histogram,
    request_size: ExponentialHistogram,
    response_size: ExponentialHistogram,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Index into `methods`; None is [`OTHER`].
    method: Option<usize>,
    version: VersionId,
    role: Role,
    code: Code,
}

#[derive(Debug)]
struct Series {
    count: u64,
    duration: Histogram,
    upstream: Histogram,
}

/// What leaves the core of [`Traffic`].
#[derive(Clone, Debug, Serialize)]
pub struct TrafficSnapshot {
    pub total: u64,
    pub active: u64,
    pub series: Vec<SeriesSnapshot>,
    pub overhead: Histogram,
    pub request_size: Option<ExponentialSnapshot>,
    pub response_size: Option<ExponentialSnapshot>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeriesSnapshot {
    /// `package.Service/Method`, or `_OTHER`.
    pub method: String,
    pub version: String,
    pub role: Role,
    pub code: String,
    pub count: u64,
    pub duration: Histogram,
    pub upstream: Histogram,
}

// === impl Traffic ===

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            active: 0,
            total: 0,
            methods: Vec::new(),
            series: BTreeMap::new(),
            overhead: Histogram::new(OVERHEAD_SECONDS),
            request_size: ExponentialHistogram::new(),
            response_size: ExponentialHistogram::new(),
        }
    }
}

impl Traffic {
    pub fn begin(&mut self) {
        self.active += 1;
    }

    pub fn end(&mut self, decision: &Decision, outcome: &Outcome) {
        self.active = self.active.saturating_sub(1);
        self.total += 1;
        let key = Key {
            method: self.method(&decision.method, outcome.code),
            version: decision.version,
            role: decision.role,
            // Codes above 16 are counted together: they are a stranger's to invent.
            code: if code_name(outcome.code).is_some() { outcome.code } else { Code::MAX },
        };
        let series = self.series.entry(key).or_insert_with(Series::new);
        series.count += 1;
        series.duration.record(seconds(outcome.duration));
        series.upstream.record(seconds(outcome.upstream));
        self.overhead.record(seconds(outcome.duration.saturating_sub(outcome.upstream)));
        self.request_size.record(outcome.request_bytes as f64);
        self.response_size.record(outcome.response_bytes as f64);
    }

    /// Series of versions that the register does not know any more are added up as one.
    pub fn snapshot(&mut self, register: &Register) -> TrafficSnapshot {
        self.forget(register);
        let series = self.series.iter().map(|(key, series)| SeriesSnapshot {
            method: key.method.map_or(OTHER, |index| self.methods[index].trim_start_matches('/')).to_owned(),
            version: register.name(key.version).as_ref().to_owned(),
            role: key.role,
            code: code_name(key.code).unwrap_or(OTHER).to_owned(),
            count: series.count,
            duration: series.duration.clone(),
            upstream: series.upstream.clone(),
        });
        TrafficSnapshot {
            total: self.total,
            active: self.active,
            series: series.collect(),
            overhead: self.overhead.clone(),
            request_size: self.request_size.snapshot(),
            response_size: self.response_size.snapshot(),
        }
    }

    fn forget(&mut self, register: &Register) {
        let known = |key: &Key| key.version == FORGOTTEN || register.knows(key.version);
        if self.series.keys().all(known) {
            return;
        }
        for (key, series) in std::mem::take(&mut self.series) {
            let version = if known(&key) { key.version } else { FORGOTTEN };
            self.series.entry(Key { version, ..key }).or_insert_with(Series::new).absorb(&series);
        }
    }

    fn method(&mut self, method: &Arc<str>, code: Code) -> Option<usize> {
        let known = self.methods.iter().position(|known| known == method);
        if known.is_none() && !SAY_NOTHING.contains(&code) && self.methods.len() < MOST_METHODS {
            self.methods.push(Arc::clone(method));
            return Some(self.methods.len() - 1);
        }
        known
    }
}

impl Series {
    fn new() -> Series {
        Series { count: 0, duration: Histogram::new(CALL_SECONDS), upstream: Histogram::new(CALL_SECONDS) }
    }

    fn absorb(&mut self, other: &Series) {
        self.count += other.count;
        self.duration.absorb(&other.duration);
        self.upstream.absorb(&other.upstream);
    }
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Strategy;
    use crate::version::VersionConfig;

    fn register(names: &[&str]) -> Register {
        let mut register = Register::default();
        register.enrol(configs(names));
        register
    }

    fn configs(names: &[&str]) -> Vec<VersionConfig> {
        names.iter().map(|name| VersionConfig { name: (*name).into(), upstream: String::new() }).collect()
    }

    fn end(traffic: &mut Traffic, method: &str, code: Code) {
        let decision = Decision {
            call_id: "a".into(),
            method: method.into(),
            route: 0,
            version: 0,
            role: Role::Primary,
            strategy: Strategy::Static,
            shadow: None,
            traceparent: None,
        };
        traffic.begin();
        let outcome =
            Outcome { code, duration: 3_000_000, upstream: 2_000_000, request_bytes: 10, response_bytes: 20 };
        traffic.end(&decision, &outcome);
    }

    #[test]
    fn calls_are_counted_by_method_version_and_status() {
        let mut traffic = Traffic::default();
        end(&mut traffic, "/s/a", 0);
        end(&mut traffic, "/s/a", 0);
        end(&mut traffic, "/s/a", 5);
        end(&mut traffic, "/s/a", 99);
        let snapshot = traffic.snapshot(&register(&["v1"]));
        let rows: Vec<_> =
            snapshot.series.iter().map(|s| (s.method.as_str(), s.code.as_str(), s.count)).collect();
        assert_eq!(rows, [("s/a", "OK", 2), ("s/a", "NOT_FOUND", 1), ("s/a", "_OTHER", 1)]);
        assert_eq!((snapshot.total, snapshot.active), (4, 0));
    }

    #[test]
    fn methods_that_nobody_implements_are_not_told_apart() {
        let mut traffic = Traffic::default();
        for i in 0..1000 {
            end(&mut traffic, &format!("/garbage/{i}"), UNIMPLEMENTED);
            end(&mut traffic, &format!("/unreachable/{i}"), 14);
        }
        for i in 0..1000 {
            end(&mut traffic, &format!("/real/{i}"), 0);
        }
        let snapshot = traffic.snapshot(&register(&["v1"]));
        assert_eq!(snapshot.series.len(), MOST_METHODS + 3);
    }

    #[test]
    fn calls_of_versions_that_are_long_gone_are_added_up() {
        let mut traffic = Traffic::default();
        end(&mut traffic, "/s/a", 0);
        let mut register = register(&["v1"]);
        for next in 0..100 {
            register.enrol(configs(&[&format!("next-{next}")]));
        }
        let snapshot = traffic.snapshot(&register);
        let rows: Vec<_> = snapshot.series.iter().map(|s| (s.version.as_str(), s.count)).collect();
        assert_eq!((rows, snapshot.total), (vec![("_OTHER", 1)], 1));
    }
}

//! How one route's calls were decided, and which versions got them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::call::{Decision, Strategy, VersionId};

#[derive(Clone, Debug, Default)]
pub struct Tally {
    calls: BTreeMap<VersionId, u64>,
    /// The calls when the present weights came into force: the share that was reached is counted from there.
    before: BTreeMap<VersionId, u64>,
    decisions: DecisionCounts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DecisionCounts {
    #[serde(rename = "static")]
    pub fixed: u64,
    pub canary: u64,
    pub fallback: u64,
}

// === impl Tally ===

impl Tally {
    pub fn count(&mut self, decision: &Decision) {
        *self.calls.entry(decision.version).or_default() += 1;
        match decision.strategy {
            Strategy::Static => self.decisions.fixed += 1,
            Strategy::Canary => self.decisions.canary += 1,
            Strategy::Fallback => self.decisions.fallback += 1,
        }
    }

    /// Other weights are in force from now on.
    pub fn restart(&mut self) {
        self.before.clone_from(&self.calls);
    }

    /// Forgets the versions that do not pass.
    pub fn retain(&mut self, keep: impl Fn(VersionId) -> bool) {
        self.calls.retain(|version, _| keep(*version));
        self.before.retain(|version, _| keep(*version));
    }

    pub fn calls(&self, version: VersionId) -> u64 {
        self.calls.get(&version).copied().unwrap_or(0)
    }

    /// The part of the calls that a version got since its weight came into force; None before the first.
    pub fn share(&self, version: VersionId) -> Option<f64> {
        let since = |version| self.calls(version) - self.before.get(&version).copied().unwrap_or(0);
        let total: u64 = self.calls.keys().map(|version| since(*version)).sum();
        (total > 0).then(|| since(version) as f64 / total as f64)
    }

    pub fn decisions(&self) -> DecisionCounts {
        self.decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Role;

    fn decided(version: VersionId) -> Decision {
        Decision {
            call_id: "a".into(),
            method: "/s/m".into(),
            route: 0,
            version,
            role: Role::Primary,
            strategy: Strategy::Canary,
            shadow: None,
            traceparent: None,
        }
    }

    #[test]
    fn shares_are_counted_from_the_last_change_of_the_weights_and_calls_from_the_start() {
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.count(&decided(0)));
        assert_eq!((tally.share(0), tally.share(1)), (Some(1.0), Some(0.0)));
        tally.restart();
        assert_eq!(tally.share(0), None);
        tally.count(&decided(0));
        tally.count(&decided(1));
        assert_eq!((tally.share(0), tally.share(1)), (Some(0.5), Some(0.5)));
        assert_eq!((tally.calls(0), tally.calls(1), tally.decisions().canary), (10, 1, 11));
    }
}

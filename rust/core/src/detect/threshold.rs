//! Alarm above a threshold, with hysteresis. The familiar way, made quiet.
//!
//! ```text
//!            raise_after panes in a row at or above the limit
//!   Quiet ────────────────────────────────────────────────────▶ Raised
//!     ▲                                                            │
//!     └────────────────────────────────────────────────────────────┘
//!            clear_after panes in a row below clear_ratio · limit
//! ```
//!
//! The limit is the threshold or the noise floor, whichever is higher: with small panes chance alone exceeds any
//! customary threshold, and an alarm that chance can raise teaches people to ignore alarms.

use super::{Alarm, AlarmState, Change, Detector, Evidence, Mark};
use serde::{Deserialize, Serialize};

/// When to raise and when to clear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Scores from here on are a breach, if they are above the noise as well.
    pub threshold: f64,
    /// Panes in a row that must breach before the alarm is raised; at least one.
    pub raise_after: u32,
    /// Panes in a row that must be calm before it is cleared; at least one.
    pub clear_after: u32,
    /// A pane is calm below this share of the limit.
    pub clear_ratio: f64,
}

/// A threshold on one distance of one feature.
#[derive(Clone, Debug)]
pub struct Threshold {
    method: &'static str,
    limits: Limits,
    state: State,
}

/// What a threshold has seen: plain data, for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    raised: bool,
    /// Panes in a row: breaches while quiet, calm ones while raised.
    streak: u32,
    since: Mark,
    score: f64,
}

#[derive(Clone, Debug)]
enum State {
    /// No alarm; so many panes in a row have breached, the first of which began at the mark.
    Quiet { breaches: u32, since: Mark },
    /// The alarm stands; so many panes in a row have been calm.
    Raised { calm: u32, since: Mark, alarm: Alarm },
}

// === impl Threshold ===

impl Threshold {
    pub fn new(method: &'static str, limits: Limits) -> Threshold {
        Threshold { method, limits, state: State::quiet() }
    }

    pub fn stored(&self) -> Stored {
        match &self.state {
            State::Quiet { breaches, since } => {
                Stored { raised: false, streak: *breaches, since: *since, score: 0.0 }
            }
            State::Raised { calm, since, alarm } => {
                Stored { raised: true, streak: *calm, since: *since, score: alarm.score }
            }
        }
    }

    /// Goes on with what was stored.
    pub fn resume(&mut self, stored: Stored) {
        let Stored { raised, streak, since, score } = stored;
        self.state = if raised {
            State::Raised { calm: streak, since, alarm: self.raised(score, since) }
        } else {
            State::Quiet { breaches: streak, since }
        };
    }

    /// Adds what another worker has seen: a breach of one is a breach. Of two the longer, then the larger, then the
    /// earlier one stands, whatever the order.
    pub fn merge(&mut self, other: Stored) {
        let mine = self.stored();
        let further = (other.raised, other.streak).cmp(&(mine.raised, mine.streak));
        let further = further.then(other.score.total_cmp(&mine.score));
        let since = |stored: &Stored| (stored.since.row, stored.since.call);
        if further.then(since(&mine).cmp(&since(&other))).is_gt() {
            self.resume(other);
        }
    }

    fn raised(&self, score: f64, since: Mark) -> Alarm {
        Alarm {
            method: self.method,
            score,
            threshold: self.limits.threshold,
            since_row: since.row,
            shape: None,
        }
    }

    fn change(&self, state: AlarmState, evidence: &Evidence<'_>, since: Mark) -> Change {
        Change {
            state,
            score: evidence.score,
            threshold: self.limits.threshold,
            noise: evidence.noise,
            since,
            finding: None,
        }
    }

    fn step_quiet(&mut self, evidence: &Evidence<'_>, breaches: u32, since: Mark) -> Option<Change> {
        if evidence.score < self.limits.threshold.max(evidence.noise) {
            self.state = State::quiet();
            return None;
        }
        let since = if breaches == 0 { evidence.start } else { since };
        if breaches + 1 < self.limits.raise_after {
            self.state = State::Quiet { breaches: breaches + 1, since };
            return None;
        }
        let alarm = self.raised(evidence.score, since);
        self.state = State::Raised { calm: 0, since, alarm };
        Some(self.change(AlarmState::Raised, evidence, since))
    }

    fn step_raised(&mut self, evidence: &Evidence<'_>) -> Option<Change> {
        let State::Raised { calm, since, alarm } = &mut self.state else { return None };
        alarm.score = evidence.score;
        let limit = self.limits.clear_ratio * self.limits.threshold.max(evidence.noise);
        *calm = if evidence.score < limit { *calm + 1 } else { 0 };
        if *calm < self.limits.clear_after {
            return None;
        }
        let since = *since;
        self.state = State::quiet();
        Some(self.change(AlarmState::Cleared, evidence, since))
    }
}

impl Detector for Threshold {
    fn method(&self) -> &'static str {
        self.method
    }

    fn step(&mut self, evidence: &Evidence<'_>) -> Option<Change> {
        match self.state {
            State::Quiet { breaches, since } => self.step_quiet(evidence, breaches, since),
            State::Raised { .. } => self.step_raised(evidence),
        }
    }

    fn alarm(&self) -> Option<&Alarm> {
        match &self.state {
            State::Quiet { .. } => None,
            State::Raised { alarm, .. } => Some(alarm),
        }
    }
}

impl State {
    fn quiet() -> State {
        State::Quiet { breaches: 0, since: Mark::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { threshold: 0.2, raise_after: 2, clear_after: 2, clear_ratio: 0.5 };

    /// Feeds panes of 100 rows; returns the changes with the number of the pane that made them.
    fn changes(scores: &[f64], noise: f64) -> Vec<(usize, Change)> {
        let mut detector = Threshold::new("psi", LIMITS);
        let step = |(pane, &score): (usize, &f64)| {
            let start = Mark { row: pane as u64 * 100, call: pane as u64 * 10 };
            let evidence = Evidence { reference: &[], pane: &[], score, noise, start };
            Some((pane, detector.step(&evidence)?))
        };
        scores.iter().enumerate().filter_map(step).collect()
    }

    #[test]
    fn one_pane_above_the_threshold_is_not_an_alarm() {
        assert_eq!(changes(&[0.1, 0.9, 0.1, 0.9, 0.1], 0.0), []);
    }

    #[test]
    fn a_run_of_breaches_raises_once_and_names_its_first_row() {
        let changes = changes(&[0.1, 0.2, 0.4, 0.9, 0.9], 0.0);
        assert_eq!(changes.len(), 1);
        let (pane, change) = changes[0];
        assert_eq!((pane, change.state, change.score), (2, AlarmState::Raised, 0.4));
        assert_eq!(change.since, Mark { row: 100, call: 10 });
    }

    #[test]
    fn scores_between_the_two_limits_neither_raise_nor_clear() {
        assert_eq!(changes(&[0.9, 0.9, 0.15, 0.15, 0.15, 0.15], 0.0).len(), 1);
        assert_eq!(changes(&[0.15, 0.15, 0.15], 0.0), []);
    }

    #[test]
    fn a_calm_run_clears_and_an_interrupted_one_does_not() {
        let states: Vec<_> =
            changes(&[0.9, 0.9, 0.05, 0.9, 0.05, 0.05], 0.0).into_iter().map(|(p, c)| (p, c.state)).collect();
        assert_eq!(states, [(1, AlarmState::Raised), (5, AlarmState::Cleared)]);
    }

    #[test]
    fn what_chance_explains_is_no_breach() {
        assert_eq!(changes(&[0.5; 10], 0.6), []);
        assert_eq!(changes(&[0.7; 10], 0.6).len(), 1);
    }

    #[test]
    fn a_raised_alarm_shows_its_latest_score() {
        let mut detector = Threshold::new("ks", LIMITS);
        for score in [0.3, 0.4, 0.5] {
            let evidence = Evidence { reference: &[], pane: &[], score, noise: 0.0, start: Mark::default() };
            detector.step(&evidence);
        }
        let expected = Alarm { method: "ks", score: 0.5, threshold: 0.2, since_row: 0, shape: None };
        assert_eq!(detector.alarm(), Some(&expected));
    }
}

//! The shadows of the routes: how many may run at once, and what came of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::bucket::{Placement, Stretch};
use crate::call::{Code, DEADLINE_EXCEEDED, Nanos, OK, VersionId};
use crate::compare::{Comparison, Tolerance, compare};
use crate::lock::lock;
use crate::tensor::Tensor;

/// Tensor names that are told apart in the differences; a stranger could invent more.
const MOST_TENSORS: usize = 64;

/// A version that sees a share of the calls but never answers, as it is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowConfig {
    pub version: String,
    pub share_ppm: u32,
    pub max_in_flight: u32,
    /// What the copies under way may hold together; one alone may hold more.
    pub max_bytes: usize,
    pub timeout_ns: Nanos,
    /// Methods that may be repeated without harm.
    pub methods: Vec<String>,
    /// Two numbers agree when they differ by at most `absolute + relative * |primary|`.
    pub absolute: f64,
    pub relative: f64,
}

/// One route's shadow, ready to choose calls.
#[derive(Clone, Debug)]
pub struct Shadow {
    pub version: VersionId,
    pub config: ShadowConfig,
    placement: Placement,
    stretch: Stretch,
    account: Arc<Mutex<ShadowAccount>>,
}

/// The account of one route's shadow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShadowAccount {
    pub in_flight: u32,
    /// Bytes that the copies under way hold: their requests, and the answers that theirs are compared with.
    #[serde(skip)]
    held: usize,
    pub ok: u64,
    pub error: u64,
    pub timeout: u64,
    /// Not started: too many were in flight, or too large ones, or the request was not kept.
    pub dropped: u64,
    #[serde(rename = "match")]
    pub matches: u64,
    pub mismatch: u64,
    /// Answers that were not compared because one of them could not be read, or the comparison was dropped.
    pub undecodable: u64,
    /// The two answers had different statuses.
    pub status_mismatch: u64,
    pub max_difference: BTreeMap<String, f64>,
}

// === impl Shadow ===

impl Shadow {
    /// `before` is what the route had until now; its account goes on if it is the same version.
    pub fn new(config: ShadowConfig, version: VersionId, salt: &str, before: Option<&Shadow>) -> Shadow {
        let same = before.filter(|before| before.version == version);
        Shadow {
            placement: Placement::new("shadow", salt),
            stretch: Stretch::new(0, config.share_ppm),
            account: same.map_or_else(Arc::default, |before| Arc::clone(&before.account)),
            version,
            config,
        }
    }

    /// Whether a call is to be copied.
    pub fn chooses(&self, method: &str, call_id: &str) -> bool {
        self.config.methods.iter().any(|allowed| allowed == method)
            && self.stretch.contains(self.placement.bucket(call_id.as_bytes()))
    }

    /// Whether a copy that holds so many bytes may start now.
    pub fn admit(&self, bytes: usize) -> bool {
        lock(&self.account).admit(bytes, &self.config)
    }

    /// Counts a copy that cannot be made.
    pub fn pass_over(&self) {
        lock(&self.account).dropped += 1;
    }

    /// Counts an admitted copy that has ended, with the bytes it held; true when the two answers can be compared.
    pub fn ended(&self, code: Code, primary: Code, bytes: usize) -> bool {
        lock(&self.account).ended(code, primary, bytes)
    }

    /// Compares two answers; `None` when one of them could not be read.
    pub fn compare(&self, answers: Option<(&[Tensor<'_>], &[Tensor<'_>])>) {
        let tolerance = Tolerance { absolute: self.config.absolute, relative: self.config.relative };
        let comparison = answers.map(|(primary, shadow)| compare(primary, shadow, tolerance));
        lock(&self.account).compared(comparison);
    }

    pub fn account(&self) -> ShadowAccount {
        lock(&self.account).clone()
    }
}

// === impl ShadowAccount ===

impl ShadowAccount {
    /// Whether another shadow call may start; counts it as in flight or as dropped.
    fn admit(&mut self, bytes: usize, config: &ShadowConfig) -> bool {
        let fits = self.held.saturating_add(bytes) <= config.max_bytes || self.in_flight == 0;
        let admitted = fits && self.in_flight < config.max_in_flight;
        if admitted {
            self.in_flight += 1;
            self.held = self.held.saturating_add(bytes);
        } else {
            self.dropped += 1;
        }
        admitted
    }

    /// A shadow call ended. True when both answers are OK, so that their messages can be compared.
    fn ended(&mut self, code: Code, primary: Code, bytes: usize) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.held = self.held.saturating_sub(bytes);
        match code {
            OK => self.ok += 1,
            DEADLINE_EXCEEDED => self.timeout += 1,
            _ => self.error += 1,
        }
        if code != primary {
            self.status_mismatch += 1;
        }
        code == OK && primary == OK
    }

    /// The answers were compared, or could not be (`None`).
    fn compared(&mut self, comparison: Option<Comparison>) {
        let Some(comparison) = comparison else {
            self.undecodable += 1;
            return;
        };
        if comparison.matches {
            self.matches += 1;
        } else {
            self.mismatch += 1;
        }
        for (name, difference) in comparison.differences {
            if self.max_difference.len() < MOST_TENSORS || self.max_difference.contains_key(&name) {
                let largest = self.max_difference.entry(name).or_default();
                *largest = largest.max(difference);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(max_in_flight: u32, max_bytes: usize) -> ShadowConfig {
        let (version, methods) = (String::new(), Vec::new());
        let (share_ppm, timeout_ns, absolute, relative) = (0, 0, 0.0, 0.0);
        ShadowConfig { version, share_ppm, max_in_flight, max_bytes, timeout_ns, methods, absolute, relative }
    }

    #[test]
    fn no_more_than_the_allowed_shadows_run_at_once() {
        let (mut account, one) = (ShadowAccount::default(), allowing(1, 100));
        assert!(account.admit(1, &one));
        assert!(!account.admit(1, &one));
        account.ended(OK, OK, 1);
        assert!(account.admit(1, &one));
        assert_eq!((account.dropped, account.ok), (1, 1));
    }

    #[test]
    fn shadows_hold_no_more_than_the_allowed_bytes_unless_there_is_only_one() {
        let (mut account, config) = (ShadowAccount::default(), allowing(4, 100));
        assert!(account.admit(1000, &config));
        assert!(!account.admit(1, &config));
        account.ended(OK, OK, 1000);
        assert!(account.admit(60, &config));
        assert!(account.admit(40, &config));
        assert!(!account.admit(1, &config));
        account.ended(OK, OK, 40);
        assert!(account.admit(40, &config));
        assert_eq!((account.in_flight, account.dropped), (2, 2));
    }

    #[test]
    fn only_two_good_answers_are_compared() {
        let mut account = ShadowAccount::default();
        assert!(account.ended(OK, OK, 0));
        assert!(!account.ended(DEADLINE_EXCEEDED, OK, 0));
        assert!(!account.ended(13, 13, 0));
        assert_eq!((account.timeout, account.error, account.status_mismatch), (1, 1, 1));
    }
}

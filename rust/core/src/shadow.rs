//! The shadows of the routes: how many may run at once, and what came of them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::call::{Code, DEADLINE_EXCEEDED, OK};
use crate::compare::Comparison;

/// Tensor names that are told apart in the differences; a stranger could invent more.
const MOST_TENSORS: usize = 64;

/// The account of one route's shadow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ShadowAccount {
    pub in_flight: u32,
    pub ok: u64,
    pub error: u64,
    pub timeout: u64,
    /// Not started because too many were in flight.
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

impl ShadowAccount {
    /// Whether another shadow call may start; counts it as in flight or as dropped.
    pub fn admit(&mut self, max_in_flight: u32) -> bool {
        let admitted = self.in_flight < max_in_flight;
        if admitted {
            self.in_flight += 1;
        } else {
            self.dropped += 1;
        }
        admitted
    }

    /// A shadow call ended. True when both answers are OK, so that their messages can be compared.
    pub fn ended(&mut self, code: Code, primary: Code) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
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
    pub fn compared(&mut self, comparison: Option<Comparison>) {
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

    #[test]
    fn no_more_than_the_allowed_shadows_run_at_once() {
        let mut account = ShadowAccount::default();
        assert!(account.admit(1));
        assert!(!account.admit(1));
        account.ended(OK, OK);
        assert!(account.admit(1));
        assert_eq!((account.dropped, account.ok), (1, 1));
    }

    #[test]
    fn only_two_good_answers_are_compared() {
        let mut account = ShadowAccount::default();
        assert!(account.ended(OK, OK));
        assert!(!account.ended(DEADLINE_EXCEEDED, OK));
        assert!(!account.ended(13, 13));
        assert_eq!((account.timeout, account.error, account.status_mismatch), (1, 1, 1));
    }
}

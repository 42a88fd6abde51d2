//! Several detectors of one plan that watched different rows: the mean of what they hold.
//!
//! The mean of e-detectors is an e-detector, whatever their rows had to do with each other, if the weights have nothing
//! to do with what was seen: here each counts the same. Weights by rows would not do: how many rows a detector has seen
//! when it is pooled may hang together with what they were. Pools of pools, in any order, are the pool of all, to the last
//! bit: sums are exact, and are divided when the pool goes on as one detector.

use super::State;
use super::growth::{self, Capital};
use crate::sketch::exact::Sum;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Detectors added up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// How many.
    detectors: u32,
    /// What they hold, by bet.
    sums: Vec<Sum>,
    /// The one that holds most: its dates, and how its rows hang together, are those of the pool.
    lead: State,
}

// === impl Pool ===

impl Pool {
    /// One detector.
    pub fn of(state: State) -> Pool {
        let sums = state.capital.each().iter().map(|capital| Sum::of(capital.get())).collect();
        Pool { detectors: 1, sums, lead: state }
    }

    /// Adds those of another pool; false, and nothing has changed, when they are of another plan.
    pub fn merge(&mut self, other: &Pool) -> bool {
        if self.sums.len() != other.sums.len() {
            return false;
        }
        self.detectors = self.detectors.saturating_add(other.detectors);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
        if self.lead.cmp_by_capital(&other.lead).is_lt() {
            self.lead.clone_from(&other.lead);
        }
        true
    }

    /// The detector to go on with.
    pub fn mean(&self) -> State {
        let count = f64::from(self.detectors.max(1));
        let capital: Vec<Capital> = self.sums.iter().map(|sum| Capital::of(sum.value() / count)).collect();
        State { capital: capital.into(), ..self.lead.clone() }
    }
}

// === impl State ===

impl State {
    /// Which of two holds more: in the same order for everybody, and equal only if they are the same.
    fn cmp_by_capital(&self, other: &State) -> Ordering {
        let held = |state: &State| growth::sum(&state.capital.each());
        let bytes = |state: &State| postcard::to_stdvec(state).unwrap_or_default();
        held(self).total_cmp(&held(other)).then_with(|| bytes(self).cmp(&bytes(other)))
    }
}

//! What is normal for the number of calls in an interval: what it was in the same part of the cycle.
//!
//! A count becomes its rank among those of its slot (an hour of the day, say), spread evenly over the counts that are
//! equal to it (the randomised probability integral transform; Brockwell, "Universal residuals", Statistics and Probability
//! Letters 2007). As long as the counts of every slot come from the distribution that was learned for it, ranks are
//! uniform whatever the slot: bursts, a quiet night and a busy noon need no model.

use crate::profile::autocorrelation::Series;
use crate::random::Random;
use crate::sketch::Sketch;
use crate::sketch::binning::Binning;
use crate::sketch::bins::Bins;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Ranges of ranks that are told apart.
pub const BINS: usize = 16;

/// Counts of the intervals of each slot, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    slots: Vec<Vec<u32>>,
    /// Intervals that are worth one independent interval.
    pub time: f64,
}

// === impl Norm ===

impl Norm {
    /// Of successive intervals, the first of which is number 0; `slot_of` says where each belongs.
    pub fn learn(counts: &[u32], slots: usize, slot_of: impl Fn(u64) -> usize) -> Norm {
        let mut norm = Norm { slots: vec![Vec::new(); slots], time: 1.0 };
        for (number, &count) in (0..).zip(counts) {
            if let Some(slot) = norm.slots.get_mut(slot_of(number)) {
                slot.push(count);
            }
        }
        norm.slots.iter_mut().for_each(|slot| slot.sort_unstable());
        let mut series = Series::default();
        for (number, &count) in (0..).zip(counts) {
            series.push(norm.rank(slot_of(number), count, number));
        }
        norm.time = series.time();
        norm
    }

    /// From 0 to 1; below and above that, of a count below and above all that the slot had. `number` decides where among
    /// equal counts it lies.
    pub fn rank(&self, slot: usize, count: u32, number: u64) -> f64 {
        let Some(known) = self.slots.get(slot).filter(|known| !known.is_empty()) else { return 0.5 };
        let below = known.partition_point(|&other| other < count);
        let equal = known.partition_point(|&other| other <= count) - below;
        let total = known.len() as f64;
        match (below, equal) {
            (0, 0) => -1.0,
            (below, 0) if below == known.len() => 2.0,
            _ => (below as f64 + equal as f64 * Random(number).uniform()) / total,
        }
    }

    /// The middle count of a slot.
    pub fn median(&self, slot: usize) -> Option<u32> {
        let known = self.slots.get(slot)?;
        known.get(known.len() / 2).copied()
    }

    /// The reference of the ranks: uniform, and known no better than the slot with the fewest intervals. What is bet
    /// against then holds within each slot, whatever follows it.
    pub fn reference(&self) -> Option<Bins> {
        let edges: Vec<f64> = (0..=BINS).map(|edge| edge as f64 / BINS as f64).collect();
        let mut bins = Bins::new(Arc::new(Binning::numeric(&edges)?));
        let middles: Vec<f64> = (0..BINS).map(|bin| (bin as f64 + 0.5) / BINS as f64).collect();
        let fewest = self.slots.iter().map(Vec::len).min().unwrap_or(0);
        (0..fewest / BINS).for_each(|_| bins.update(&middles));
        Some(bins)
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether it can be what was stored: in order, with that many slots.
    pub fn is_sound(&self, slots: usize) -> bool {
        self.slots.len() == slots && self.time >= 1.0 && self.slots.iter().all(|slot| slot.is_sorted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_each_slot_are_uniform_though_slots_and_ties_differ() {
        let mut random = Random(3);
        // A busy slot, and one in which most intervals have no call at all.
        let counts: Vec<u32> = (0..40_000u32)
            .map(|number| {
                let u = random.uniform();
                if number / 10 % 2 == 0 { 500 + (100.0 * u) as u32 } else { u32::from(u > 0.9) }
            })
            .collect();
        let slot_of = |number: u64| (number / 10 % 2) as usize;
        let norm = Norm::learn(&counts, 2, slot_of);
        for slot in 0..2 {
            let of_slot = (0..).zip(&counts).filter(|&(number, _)| slot_of(number) == slot);
            let ranks: Vec<f64> = of_slot.map(|(number, &count)| norm.rank(slot, count, number)).collect();
            for quarter in 0..4 {
                let low = f64::from(quarter) / 4.0;
                let inside = ranks.iter().filter(|&&rank| (low..low + 0.25).contains(&rank)).count();
                assert!((4_700..5_300).contains(&inside), "{slot} {quarter}: {inside}");
            }
        }
        assert_eq!(norm.time, 1.0);
        assert!(norm.rank(0, 0, 1) < 0.0 && norm.rank(0, 9_999, 1) > 1.0 && norm.rank(1, 2, 1) > 1.0);
        assert_eq!((norm.median(1), norm.median(2)), (Some(0), None));
    }
}

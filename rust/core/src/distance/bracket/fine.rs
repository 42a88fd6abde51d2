//! Counts on more bins than one feature of a profile has, where a closer bracket is worth the memory.

use super::{Brackets, Part};
use crate::sketch::Sketch;
use crate::sketch::binning::{BINS_MAX, Binning};
use crate::sketch::bins::Bins;
use std::sync::Arc;

/// Most bins.
pub const FINE_BINS_MAX: usize = 4 * BINS_MAX;

/// Up to 256 ranges, as parts of up to 64 that continue each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Fine {
    parts: Vec<Bins>,
    /// Where the parts but the first begin.
    starts: Vec<f64>,
}

// === impl Fine ===

impl Fine {
    /// Bins between ascending finite edges. `None` unless there are 2 to 257 in that order.
    pub fn new(edges: &[f64]) -> Option<Fine> {
        let last = edges.len().checked_sub(1).filter(|&bins| bins <= FINE_BINS_MAX)?;
        let starts: Vec<usize> = (0..last).step_by(BINS_MAX).collect();
        let part = |&start: &usize| {
            let binning = Binning::numeric(&edges[start..=(start + BINS_MAX).min(last)])?;
            Some(Bins::new(Arc::new(binning)))
        };
        let parts = starts.iter().map(part).collect::<Option<Vec<Bins>>>()?;
        (!parts.is_empty())
            .then(|| Fine { parts, starts: starts.iter().skip(1).map(|&start| edges[start]).collect() })
    }

    /// Counts finite values.
    pub fn update(&mut self, finite: &[f64]) {
        if self.starts.is_empty() {
            return self.parts.iter_mut().for_each(|bins| bins.update(finite));
        }
        let mut sorted: Vec<Vec<f64>> = vec![Vec::new(); self.parts.len()];
        for &value in finite {
            sorted[self.starts.partition_point(|&start| start <= value)].push(value);
        }
        for (bins, values) in self.parts.iter_mut().zip(&sorted) {
            bins.update(&values[..]);
        }
    }

    /// The brackets of the distances of `current`, which has the same bins, from this.
    pub fn brackets(&self, current: &Fine) -> Option<Brackets> {
        let pairs: Vec<Part<'_>> = self.parts.iter().zip(&current.parts).collect();
        (self.parts.len() == current.parts.len()).then(|| Brackets::of_parts(&pairs))?
    }
}

//! The base-2 exponential histogram of OpenTelemetry: buckets that need no configuration and keep a relative error.
//!
//! Bucket `i` at scale `s` holds `base^i < |value| <= base^(i+1)` with `base = 2^(2^-s)`, positive and negative
//! values apart, zero on its own (OpenTelemetry data model, "ExponentialHistogram"). When the values seen do not fit
//! into [`BUCKETS`] buckets, neighbours are added up in pairs and the scale falls by one: exact, and independent of
//! the order in which the values came.
//!
//! ```
//! use pilotfish_core::sketch::exponential::ExponentialHistogram;
//!
//! let mut sizes = ExponentialHistogram::new();
//! [1.0, 2.0, 1_000.0, f64::NAN].into_iter().for_each(|size| sizes.record(size));
//! let snapshot = sizes.snapshot().unwrap();
//! assert_eq!((snapshot.count, snapshot.max, snapshot.scale), (3, 1_000.0, 3));
//! ```

mod boundaries;
mod buckets;
mod index;
mod recent;

pub(super) use buckets::ZERO;
pub use buckets::{BUCKETS, Buckets};
pub use index::{Bucketed, Scale};

use super::Sketch;
use super::real::Real;
use serde::Serialize;

/// A histogram with the sum and the extremes that OpenTelemetry sends with it.
#[derive(Clone, Debug)]
pub struct ExponentialHistogram {
    buckets: Buckets,
    sum: f64,
    min: f64,
    max: f64,
}

/// What leaves the core; the fields of an OpenTelemetry data point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExponentialSnapshot {
    pub scale: i32,
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub zero_count: u64,
    pub positive: BucketRange,
    pub negative: BucketRange,
}

/// Consecutive buckets; the first one has index `offset`, and neither end is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BucketRange {
    pub offset: i32,
    pub counts: Vec<u64>,
}

// === impl ExponentialHistogram ===

impl Default for ExponentialHistogram {
    fn default() -> ExponentialHistogram {
        ExponentialHistogram {
            buckets: Buckets::default(),
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl ExponentialHistogram {
    pub fn new() -> ExponentialHistogram {
        ExponentialHistogram::default()
    }

    /// Counts one value; NaN and infinities are left out.
    pub fn record(&mut self, value: f64) {
        if value.is_finite() {
            self.update(&[value]);
        }
    }

    /// `None` when nothing was recorded.
    pub fn snapshot(&self) -> Option<ExponentialSnapshot> {
        self.buckets.snapshot(self.sum, self.min, self.max)
    }
}

impl Sketch for ExponentialHistogram {
    fn update<R: Real>(&mut self, finite: &[R]) {
        self.buckets.update(finite);
        for value in finite.iter().map(|value| value.wide()) {
            self.sum += value;
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }

    fn merge(&mut self, other: &ExponentialHistogram) {
        self.buckets.merge(&other.buckets);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let mut histogram = ExponentialHistogram::new();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            histogram.record(value);
        }
        assert_eq!(histogram.snapshot(), None);
        histogram.record(3.0);
        let snapshot = histogram.snapshot().unwrap();
        assert_eq!((snapshot.count, snapshot.sum, snapshot.min, snapshot.max), (1, 3.0, 3.0, 3.0));
    }

    #[test]
    fn merging_adds_everything_up() {
        let (mut left, mut right) = (ExponentialHistogram::new(), ExponentialHistogram::new());
        left.record(1.0);
        right.record(-4.0);
        right.record(0.0);
        left.merge(&right);
        let snapshot = left.snapshot().unwrap();
        assert_eq!((snapshot.count, snapshot.zero_count, snapshot.sum), (3, 1, -3.0));
        assert_eq!((snapshot.min, snapshot.max), (-4.0, 1.0));
        assert_eq!(snapshot.positive.counts, [1]);
        assert_eq!(snapshot.negative.counts, [1]);
    }
}

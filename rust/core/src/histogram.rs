//! A histogram with fixed bounds, as OpenTelemetry and Prometheus have it for durations.

use serde::Serialize;

/// Bounds of `rpc.server.call.duration` in seconds (OpenTelemetry semantic conventions, RPC metrics).
pub const CALL_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bounds for what the sidecar itself adds, in seconds: 10 µs to 100 ms.
pub const OVERHEAD_SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
];

/// Counts per bucket; a value equal to a bound belongs below it.
#[derive(Clone, Debug, Serialize)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], count: 0, sum: 0.0, min: None, max: None }
    }

    pub fn record(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket] += 1;
        self.count += 1;
        self.sum += value;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    /// Adds another histogram's values; the two must have the same bounds.
    pub fn absorb(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.into_iter().chain(other.min).reduce(f64::min);
        self.max = self.max.into_iter().chain(other.max).reduce(f64::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.record(value);
        }
        assert_eq!(histogram.counts, [2, 2, 1]);
        assert_eq!((histogram.min, histogram.max, histogram.sum), (Some(0.5), Some(9.0), 14.0));
    }

    #[test]
    fn absorbing_another_is_recording_its_values() {
        let values = [0.5, 1.0, 1.5, 2.0, 9.0];
        let of = |values: &[f64]| {
            let mut histogram = Histogram::new(&[1.0, 2.0]);
            values.iter().for_each(|value| histogram.record(*value));
            histogram
        };
        let mut parts = of(&values[..2]);
        parts.absorb(&of(&values[2..]));
        parts.absorb(&of(&[]));
        let whole = of(&values);
        assert_eq!(
            (parts.counts, parts.count, parts.min, parts.max),
            (whole.counts, 5, whole.min, whole.max)
        );
    }
}

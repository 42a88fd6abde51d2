//! How far means and shares may lie from the reference's without any change.

use super::super::choice::Choice;
use super::super::directions::{Aspect, Sense, Shape};
use super::super::functions::{DIRECTIONS, Functions, Ranks};
use super::super::slack::{self, Sample};
use super::Null;
use super::shares::Share;
use crate::sketch::binning::{self, Kind, Others};
use crate::sketch::bins::Bins;

/// A reference, and how far it can be trusted.
pub struct Table<'a> {
    reference: &'a Bins,
    functions: Functions,
    null: &'a Null,
    /// Independent rows.
    size: f64,
    log_odds: f64,
    choice: Choice,
}

// === impl Table ===

impl Table<'_> {
    /// Doubt is shared by all directions: functions, and so many groups of cells.
    pub fn of<'a>(reference: &'a Bins, ranks: &Ranks, null: &'a Null, groups: usize) -> Table<'a> {
        let functions = ranks.functions();
        let on_shapes = if functions.iter().next().is_some() { DIRECTIONS.len() } else { 0 };
        let directions = on_shapes + 2 * groups;
        Table {
            reference,
            functions,
            null,
            size: reference.total() as f64 / null.autocorrelation_time.max(1.0),
            log_odds: (directions.max(1) as f64 / null.delta).ln(),
            choice: Choice::of(reference, null.autocorrelation_time),
        }
    }

    /// Words for a function whose mean grows or falls. Of two values all that can change is which of them comes more often:
    /// there every shape is location.
    pub fn words(&self, (function, sense, shape): (usize, Sense, Shape)) -> Shape {
        let binning = self.reference.binning();
        let values = self.functions.of_width(function);
        let (low, high) = (values[binning::FIRST], values[binning::FIRST + 1]);
        if binning.kind() != Kind::Discrete || binning.bins() != 2 || low == high {
            return shape;
        }
        if (sense == Sense::Up) == (high > low) {
            Shape::up(Aspect::Location)
        } else {
            Shape::down(Aspect::Location)
        }
    }

    /// The largest mean of each of [`DIRECTIONS`] that is no change; infinite where none would be evidence of one.
    pub fn slacks(&self) -> Vec<f64> {
        if self.functions.iter().next().is_none() {
            return Vec::new();
        }
        let shares = self.shares();
        let slack = |(function, sense, _)| {
            let values = self.functions.iter().nth(function).unwrap_or_default();
            match sense {
                Sense::Up => self.slack(&shares, values),
                Sense::Down => self.slack(&shares, &values.iter().map(|value| -value).collect::<Vec<f64>>()),
            }
        };
        DIRECTIONS.into_iter().map(slack).collect()
    }

    fn slack(&self, shares: &[f64], values: &[f64]) -> f64 {
        let sample = self.sample(values);
        let tolerated = slack::tolerated_mean(shares, values, self.null.tolerance);
        let slack = slack::mean_above(&sample, self.log_odds).max(tolerated);
        // Where nothing is impossible under the null, nothing is evidence against it.
        if sample.least >= sample.most || slack >= sample.most { f64::INFINITY } else { slack }
    }

    /// Of the cells, in the reference.
    fn shares(&self) -> Vec<f64> {
        let total = self.reference.total().max(1) as f64;
        self.reference.cells().iter().map(|&count| count as f64 / total).collect()
    }

    fn sample(&self, values: &[f64]) -> Sample {
        let total = self.reference.total().max(1) as f64;
        let average = |of: &dyn Fn(f64) -> f64| {
            let terms = self.reference.cells().iter().zip(values).map(|(&n, &value)| n as f64 * of(value));
            terms.sum::<f64>() / total
        };
        let mean = average(&|value| value);
        Sample {
            size: self.size,
            mean,
            variance: average(&|value| (value - mean).powi(2)),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Bounds of a share that may grow, and that may shrink, where either can be bet on.
    pub fn bounds(&self, aspect: Aspect, group: usize, cells: &[usize]) -> Vec<(Share, f32)> {
        let total = self.reference.total().max(1) as f64;
        let count: u64 = cells.iter().map(|&cell| self.reference.cells()[cell]).sum();
        let share = |count: u64| (count as f64 / total).min(1.0);
        // Where all that came are known, which of them have a bin does not matter to those that did not.
        let doubt = self.reference.binning().others().map(Others::doubt);
        let (above, below) = match (aspect, doubt) {
            (Aspect::Unseen, Some(doubt)) => (self.log_odds * doubt, self.log_odds),
            (Aspect::Unseen | Aspect::Others, _) => (self.log_odds + self.choice.ways(), self.log_odds),
            (Aspect::Bin(_), _) => (self.log_odds, self.log_odds + self.choice.each()),
            _ => (self.log_odds, self.log_odds),
        };
        let most = slack::share_above(share(count + self.unseen(aspect)), self.size, above);
        let least = slack::share_below(share(count), self.size, below);
        let most = most.max(slack::tolerated_above(share(count), self.null.tolerance));
        let least = least.min(slack::tolerated_below(share(count), self.null.tolerance)).max(0.0);
        // Categories that came, rare as they are, will come less than they did, for others will that have not come yet.
        let is_rising =
            matches!(aspect, Aspect::Tails | Aspect::LowerTail | Aspect::UpperTail | Aspect::Others);
        let side = |sense| Share { group: group as u8, sense };
        let grows = (most < 1.0).then(|| (side(Sense::Up), not_below(most)));
        let falls = (least > 0.0 && !is_rising).then(|| (side(Sense::Down), -not_below(-least)));
        grows.into_iter().chain(falls).collect()
    }

    /// Rows to add to those counted in a share, because the bins were drawn around the very values that were seen:
    /// what was seen once stands for what was not seen yet (Good, Biometrika 1953).
    fn unseen(&self, aspect: Aspect) -> u64 {
        let by_value = self.reference.binning().kind() != Kind::Numeric;
        let is_beside = matches!(aspect, Aspect::Unseen | Aspect::Below | Aspect::Above | Aspect::Outside);
        if !(by_value && is_beside) {
            return 0;
        }
        if let Some(others) = self.reference.binning().others() {
            return others.once();
        }
        self.reference.bins().iter().filter(|&&count| count == 1).count() as u64
    }
}

/// A shorter float, at most the next one above, that is not below.
fn not_below(exact: f64) -> f32 {
    let nearest = exact as f32;
    if f64::from(nearest) < exact { nearest.next_up() } else { nearest }
}

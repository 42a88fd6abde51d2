//! Harm: does a model lose more than it did? An e-detector on the mean of a bounded loss.
//!
//! Once labels are known every row has a loss, 0 or 1 for a class, anything up to a bound for a number. A change counts as
//! harm when the mean loss is above the reference's by more than a tolerance (after Podkopaev and Ramdas, "Tracking the
//! risk of a deployed model and detecting harmful distribution shifts", ICLR 2022, arXiv 2110.06177, here as an
//! e-detector). Bets multiply by 1 + λ(loss - s), where s bounds the mean loss of every distribution that is no harm: the
//! reference's mean with its own error ([`slack::mean_of`]) and the tolerance. Nothing else is assumed of the loss.
//!
//! **Counts.** A loss between two knots k/64 and (k + 1)/64 is shared out between them, as much of the row to each as keeps
//! the mean. The logarithm of a factor is concave in the loss, so the shared row never wins more than the row would have:
//! the bound on false alarms stays, and panes are counts that merge exactly. Losses of 0 and 1 are knots, and lose
//! nothing.

use super::edetector::bets::{Bets, on_more};
use super::edetector::directions::{Aspect, Shape};
use super::edetector::slack::{self, Sample};
use super::edetector::tempo::Probe;
use super::edetector::terms::Terms;
use super::edetector::{EDetector, Plan};
use crate::error::ConfigurationError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Intervals between knots.
const INTERVALS: usize = 64;

/// Parts of a row that are shared out.
const PARTS: u64 = 1 << 20;

/// Shares of the largest stake.
const STAKES: [f64; 9] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.95];

/// Losses counted at knots from 0 to the largest possible loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Losses {
    /// The loss that is counted as 1; larger ones count as that much.
    bound: f64,
    /// Parts of rows, by knot.
    parts: Vec<u64>,
    /// Rows without a loss: NaN.
    beside: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    bound: f64,
    parts: Vec<u64>,
    beside: u64,
}

// === impl Losses ===

impl Losses {
    /// # Errors
    /// A bound that is no finite number above zero.
    pub fn new(bound: f64) -> Result<Losses, ConfigurationError> {
        if !(bound.is_finite() && bound > 0.0) {
            return Err(ConfigurationError(format!(
                "loss bound {bound}: write the largest loss that counts, a number above 0"
            )));
        }
        Ok(Losses { bound, parts: vec![0; INTERVALS + 1], beside: 0 })
    }

    /// Counts rows; losses below 0 and above the bound count as those.
    pub fn update(&mut self, losses: &[f64]) {
        for &loss in losses {
            self.add(loss);
        }
    }

    fn add(&mut self, loss: f64) {
        if loss.is_nan() {
            self.beside += 1;
            return;
        }
        let place = (loss / self.bound).clamp(0.0, 1.0) * INTERVALS as f64;
        let knot = (place as usize).min(INTERVALS - 1);
        // Rounded down: a little less loss than there was, which raises no false alarm.
        let above = ((place - knot as f64) * PARTS as f64) as u64;
        self.parts[knot] += PARTS - above.min(PARTS);
        self.parts[knot + 1] += above.min(PARTS);
    }

    /// Adds what was counted elsewhere.
    ///
    /// # Errors
    /// Losses with another bound.
    pub fn merge(&mut self, other: &Losses) -> Result<(), ConfigurationError> {
        if self.bound != other.bound {
            return Err(ConfigurationError(format!(
                "losses up to {} and up to {}: count them with the same bound",
                self.bound, other.bound
            )));
        }
        self.parts.iter_mut().zip(&other.parts).for_each(|(sum, part)| *sum += part);
        self.beside += other.beside;
        Ok(())
    }

    /// The same, empty.
    #[must_use]
    pub fn cleared(&self) -> Losses {
        Losses { bound: self.bound, parts: vec![0; self.parts.len()], beside: 0 }
    }

    /// Rows with a loss.
    pub fn rows(&self) -> u64 {
        self.parts.iter().sum::<u64>() / PARTS
    }

    /// Rows without one.
    pub fn beside(&self) -> u64 {
        self.beside
    }

    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// What a detector counts.
    pub fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// Mean loss; none without rows.
    pub fn mean(&self) -> Option<f64> {
        (self.rows() > 0).then(|| self.average(|loss| loss) * self.bound)
    }

    fn average(&self, of: impl Fn(f64) -> f64) -> f64 {
        let terms = self.parts.iter().enumerate().map(|(knot, &part)| part as f64 * of(at(knot)));
        terms.sum::<f64>() / self.parts.iter().sum::<u64>().max(1) as f64
    }

    /// A detector of harm against these losses, of which so many rows are worth one independent row.
    ///
    /// # Errors
    /// Without rows, for a tolerance below 0, and where no loss would be harm.
    pub fn detector(
        &self,
        terms: &Terms,
        autocorrelation_time: Option<f64>,
    ) -> Result<EDetector, ConfigurationError> {
        let limit = self.limit(terms, autocorrelation_time)?;
        let bets = STAKES.map(|stake| {
            let factor = |knot| growth_at(at(knot), stake, limit).ln();
            let row = (0..=INTERVALS).map(factor).collect();
            (Shape::up(Aspect::Loss), 1.0, row)
        });
        let rows_per_count = 1.0 / PARTS as f64;
        let bets = Bets::placed(INTERVALS + 1, rows_per_count, &bets);
        let knots = (0..=INTERVALS).map(at).collect();
        let probe = Probe::on(vec![knots], &self.parts, rows_per_count);
        Ok(EDetector::new(Arc::new(Plan::placed(bets, probe, autocorrelation_time))))
    }

    /// The largest mean loss that is no harm, as a share of the bound.
    fn limit(&self, terms: &Terms, time: Option<f64>) -> Result<f64, ConfigurationError> {
        let Terms { tolerance, delta, .. } = *terms;
        Terms { tolerance: 0.0, ..*terms }.check()?; // this one is no entropy
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(ConfigurationError(format!(
                "tolerance is {tolerance}; use a number from 0, in the unit of the loss"
            )));
        }
        if self.rows() == 0 {
            return Err(ConfigurationError(
                "the reference has no loss: give it rows whose labels are known".into(),
            ));
        }
        let mean = self.average(|loss| loss);
        let sample = Sample {
            size: self.rows() as f64 / time.unwrap_or(1.0).max(1.0),
            mean: mean + 1.0 / PARTS as f64, // what rounding may have taken
            variance: self.average(|loss| (loss - mean).powi(2)),
            least: 0.0,
            most: 1.0,
        };
        let limit = slack::mean_above(&sample, (2.0 / delta).ln()) + tolerance / self.bound;
        if limit < 1.0 {
            return Ok(limit);
        }
        Err(ConfigurationError(format!(
            "no loss up to {} would be harm: the reference's mean of {}, known from {} rows, and the tolerance of \
             {tolerance} add up to more; lower the tolerance, or give the reference more rows",
            self.bound,
            mean * self.bound,
            self.rows()
        )))
    }
}

impl TryFrom<Stored> for Losses {
    type Error = String;

    fn try_from(Stored { bound, parts, beside }: Stored) -> Result<Losses, String> {
        let whole = parts.iter().try_fold(0u64, |sum, &part| sum.checked_add(part));
        if parts.len() != INTERVALS + 1 || whole.is_none_or(|whole| whole % PARTS != 0) {
            return Err("losses are not whole rows at 65 knots".to_owned());
        }
        Losses::new(bound).map(|losses| Losses { parts, beside, ..losses }).map_err(|error| error.0)
    }
}

/// The loss of a knot, as a share of the bound.
fn at(knot: usize) -> f64 {
    knot as f64 / INTERVALS as f64
}

/// The factor of a loss between 0 and 1: on the line between those of a coin with these two faces.
fn growth_at(loss: f64, stake: f64, limit: f64) -> f64 {
    let (one, zero) = on_more(stake, limit);
    zero + (one - zero) * loss
}

#[cfg(test)]
mod tests {
    use super::super::AlarmState;
    use super::super::harm::HarmDetector;
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn counted(losses: &[f64]) -> Losses {
        let mut counted = Losses::new(1.0).unwrap();
        counted.update(losses);
        counted
    }

    fn terms(tolerance: f64) -> Terms {
        Terms { tolerance, arl: 1e6, ..Terms::default() }
    }

    /// Rows until the alarm, and where the change is said to be: `calm` rows at the first rate, then the second.
    fn watch(rates: (f64, f64), calm: usize, rows: usize, seed: u64) -> Option<(u64, u64)> {
        let mut random = Random(seed);
        let reference = counted(&random.coins(20_000, 0.1));
        let mut detector = HarmDetector::new(&reference, terms(0.01), Some(1.0)).unwrap();
        let mut losses = random.coins(calm, rates.0);
        losses.extend(random.coins(rows - calm, rates.1));
        let alarm = detector.update(&losses).into_iter().next()?;
        assert_eq!(alarm.state, AlarmState::Raised);
        Some((alarm.row, alarm.finding?.onset.estimate.row))
    }

    #[test]
    fn more_loss_than_tolerated_is_found_and_dated() {
        let (row, change) = watch((0.1, 0.2), 20_000, 40_000, 3).expect("an alarm");
        assert!((20_000..21_500).contains(&row) && change.abs_diff(20_000) <= 400, "{row} {change}");
    }

    #[test]
    fn harm_within_the_tolerance_and_improvements_are_silent() {
        for (seed, rates) in [(1, (0.1, 0.1)), (2, (0.1, 0.109)), (3, (0.1, 0.02))] {
            assert_eq!(watch(rates, 10_000, 300_000, seed), None, "{rates:?}");
        }
    }

    #[test]
    fn numbers_between_knots_win_no_more_than_their_factor_and_nearly_as_much() {
        let limit = 0.3;
        for stake in STAKES {
            for step in 0..=1_000 {
                let loss = f64::from(step) / 1_000.0;
                let parts = counted(&[loss]).parts;
                let shared: f64 = parts
                    .iter()
                    .enumerate()
                    .map(|(knot, &part)| part as f64 / PARTS as f64 * growth_at(at(knot), stake, limit).ln())
                    .sum();
                let whole = growth_at(loss, stake, limit).ln();
                assert!(shared <= whole + 1e-12 && whole - shared < 0.06, "{stake} {loss} {shared} {whole}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_loss_with_a_harmless_mean_lets_a_bet_gain(weights in prop::collection::vec(0.01f64..1.0, 65)) {
            let limit = counted(&[0.0, 0.1, 0.4].repeat(300)).limit(&terms(0.01), None).unwrap();
            // Tilt the weights towards 0 until the mean is the limit.
            let tilted = |eta: f64| {
                let raw: Vec<f64> =
                    weights.iter().enumerate().map(|(knot, w)| w * (-eta * at(knot)).exp()).collect();
                let sum: f64 = raw.iter().sum();
                raw.into_iter().map(|mass| mass / sum).collect::<Vec<f64>>()
            };
            let mean = |q: &[f64]| q.iter().enumerate().map(|(knot, mass)| mass * at(knot)).sum::<f64>();
            let (mut low, mut high) = (-400.0, 400.0);
            for _ in 0..80 {
                let middle = 0.5 * (low + high);
                if mean(&tilted(middle)) > limit { low = middle } else { high = middle }
            }
            let q = tilted(high);
            for stake in STAKES {
                let expected: f64 =
                    q.iter().enumerate().map(|(knot, mass)| mass * growth_at(at(knot), stake, limit)).sum();
                prop_assert!(expected <= 1.0 + 1e-9, "{}", expected);
            }
        }

        #[test]
        fn any_split_merges_to_the_same_counts(losses in prop::collection::vec(-0.2f64..1.2, 0..100), cut in 0usize..100) {
            let (a, b) = losses.split_at(cut.min(losses.len()));
            let mut merged = counted(b);
            merged.merge(&counted(a)).unwrap();
            prop_assert_eq!(&merged, &counted(&losses));
            prop_assert_eq!(merged.rows(), losses.len() as u64);
            let text = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(serde_json::from_str::<Losses>(&text).unwrap(), merged);
        }
    }

    #[test]
    fn the_mean_is_kept_in_the_unit_of_the_loss() {
        let mut losses = Losses::new(50.0).unwrap();
        losses.update(&[0.0, 12.34, 49.0, 80.0, f64::NAN]);
        assert!((losses.mean().unwrap() - (12.34 + 49.0 + 50.0) / 4.0).abs() < 1e-4);
        assert_eq!((losses.rows(), losses.beside()), (4, 1));
    }

    #[test]
    fn what_cannot_be_watched_is_refused_with_the_remedy() {
        for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Losses::new(bound).is_err());
        }
        let words =
            |losses: &Losses, tolerance| losses.detector(&terms(tolerance), None).unwrap_err().to_string();
        assert!(words(&Losses::new(1.0).unwrap(), 0.0).contains("has no loss"));
        assert!(words(&counted(&[0.5; 1_000]), 0.6).contains("lower the tolerance"));
        assert!(
            words(&counted(&[0.5; 1_000]), -0.1)
                .contains("tolerance is -0.1; use a number from 0, in the unit")
        );
        assert!(words(&counted(&[1.0; 3]), 0.0).contains("more rows"));
        assert!(Losses::new(1.0).unwrap().merge(&Losses::new(2.0).unwrap()).is_err());
    }
}

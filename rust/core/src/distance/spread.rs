//! How widely the reference of a feature is spread: what the noise of a distance in the feature's unit depends on.

use crate::profile::Reference;
use crate::sketch::binning::{self, Binning, Kind};
use crate::sketch::bins::Bins;

/// Spread of the finite values of a reference, in the feature's unit (upper bounds where the bins leave it open).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub std: f64,
    /// E|X - X'|, Gini's mean difference: 2 ∫ F(1 - F) dx.
    pub mean_difference: f64,
    /// ∫ sqrt(F(1 - F)) dx.
    pub root_area: f64,
}

// === impl Spread ===

impl Spread {
    /// Zero for categories, and where nothing finite was counted.
    ///
    /// F is replaced by its mean over each bin, which is known exactly and, both integrands being concave in F, never
    /// gives too little (Jensen).
    pub fn of(reference: &Reference) -> Spread {
        let (bins, binning) = (&reference.bins, reference.bins.binning());
        let counted = bins.under() + bins.over() + bins.bins().iter().sum::<u64>();
        let std = reference.moments.std().unwrap_or(0.0);
        if binning.kind() == Kind::Category || binning.bins() == 0 || counted == 0 {
            return Spread { std, ..Spread::default() };
        }
        let mut spread = Spread { std, mean_difference: 0.0, root_area: 0.0 };
        let total = counted as f64;
        let mut add = |width: f64, share: f64| {
            let share = share.clamp(0.0, 1.0);
            if width > 0.0 {
                spread.mean_difference += 2.0 * width * share * (1.0 - share);
                spread.root_area += width * (share * (1.0 - share)).sqrt();
            }
        };
        let mut below = bins.under();
        for (bin, area) in areas(bins).into_iter().enumerate() {
            let count = bins.bins()[bin];
            let (width, inside) = area;
            add(width, (below as f64 + inside * count as f64) / total);
            below += count;
        }
        let (low, high) = ends(binning);
        if let (Some(min), Some(max)) = (reference.moments.min(), reference.moments.max()) {
            let [under, over] = bins.tails().map(|sum| sum as f64 / binning.scale().max(f64::MIN_POSITIVE));
            add(low - min, under / total / (low - min));
            add(max - high, over / total / (max - high));
        }
        spread
    }
}

/// For each bin, the width over which its values spread (discrete: the gap that follows), and the mean share of its
/// values that lie below a point of it.
fn areas(bins: &Bins) -> Vec<(f64, f64)> {
    let binning = bins.binning();
    let range = |bin| binning.range(bin).unwrap_or((0.0, 0.0));
    if binning.kind() == Kind::Discrete {
        return (0..binning.bins()).map(|bin| ((range(bin + 1).0 - range(bin).0).max(0.0), 1.0)).collect();
    }
    let of = |(bin, offset): (usize, Option<u64>)| {
        let (low, high) = range(bin);
        let count = bins.cells()[binning::FIRST + bin] as f64;
        let place =
            offset.map_or(f64::NAN, |offset| offset as f64) / binning.scale() / (count * (high - low));
        (high - low, if place.is_finite() { 1.0 - place } else { 0.5 })
    };
    bins.certain_offsets().enumerate().map(of).collect()
}

/// The lowest and the highest edge.
fn ends(binning: &Binning) -> (f64, f64) {
    let range = |bin| binning.range(bin).unwrap_or((0.0, 0.0));
    (range(0).0, range(binning.bins().saturating_sub(1)).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileBuilder;
    use crate::tensor::Direction;

    fn spread(values: &[f64]) -> Spread {
        let mut builder = ProfileBuilder::new("m", 64);
        builder.add_column_f64("x", Direction::Input, values).unwrap();
        let profile = builder.finish().unwrap();
        Spread::of(&profile.references()[0])
    }

    #[test]
    fn uniform_values_have_the_spread_of_the_textbook() {
        // On [0, 1]: std 1/√12, E|X - X'| = 1/3, ∫ sqrt(x(1-x)) = π/8.
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7_919 % 10_000) / 9_999.0).collect();
        let found = spread(&values);
        for (found, known) in [(found.std, 12f64.sqrt().recip()), (found.mean_difference, 1.0 / 3.0)] {
            assert!((found / known - 1.0).abs() < 2e-3, "{found} {known}");
        }
        assert!((found.root_area / (std::f64::consts::PI / 8.0) - 1.0).abs() < 5e-3, "{found:?}");
    }

    #[test]
    fn two_values_have_the_spread_of_a_coin() {
        let found = spread(&[3.0, 5.0].repeat(500));
        assert_eq!(found, Spread { std: 1.0, mean_difference: 1.0, root_area: 1.0 });
    }

    #[test]
    fn a_constant_has_none() {
        assert_eq!(spread(&[7.0; 100]), Spread::default());
    }
}

//! What may change: the functions of a value that a detector bets on, and the words for them.
//!
//! * **Shape**, for what has an order: Legendre polynomials of the reference mid-rank, 1 to 4, up and down. The
//!   mid-rank of a reference value is uniform on [-1, 1], where these polynomials are orthogonal: location, scale,
//!   skew and tails, in any unit and for any distribution.
//! * **Ends**: sums and differences of location and scale, and of scale and skew: what happens on one side only.
//! * **Tilts**: exp(z) and exp(z²/4) of the normal score z of the mid-rank, the likelihood ratios of a large shift and
//!   of a wider spread; polynomials are too tame for those.
//! * **Holes**: the share of missing values, of values between or beside the known ones, below and above all of them.
//! * **Tails**: the share of the outermost bin and of the two outermost, with all beyond them.
//! * **Bins**: the share of each bin or category, and of two, four and eight neighbours, up and down.

use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::Bins;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A function of a cell, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Location,
    Scale,
    Skew,
    Tails,
    /// One side of the distribution, and the far part of it.
    UpperEnd,
    LowerEnd,
    UpperTail,
    LowerTail,
    /// Absent or NaN.
    Missing,
    /// A value or category the reference has no bin for.
    Unseen,
    /// Below and above all of the reference.
    Below,
    Above,
    /// On either side of all of the reference.
    Outside,
    /// A bin, by its number.
    Bin(u8),
    /// Neighbouring bins, by the first and the last number.
    Bins(u8, u8),
    /// The mean of a loss.
    Loss,
    /// How often a label follows scores of neighbouring bins: the label, the first and the last score bin.
    Label(u8, u8, u8),
    /// How much more often a label follows high scores than low ones.
    Slope(u8),
}

/// Whether its mean grew or fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    Up,
    Down,
}

/// A way in which a distribution can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub aspect: Aspect,
    pub sense: Sense,
}

/// Legendre polynomials of the mid-rank, one row per polynomial, one column per cell; empty for categories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polynomials(Vec<(Aspect, Vec<f64>)>);

/// Bins from which on the outermost ones are far from the middle.
const TAILED_BINS_MIN: usize = 8;

/// Largest normal score: that of values beyond the reference.
const SCORE_MAX: f64 = 3.5;

/// Likelihood ratios of large changes, scaled to at most 1, one value per cell; none for categories.
pub fn tilts(reference: &Bins) -> Vec<(Shape, Vec<f64>)> {
    if reference.binning().kind() == Kind::Category {
        return Vec::new();
    }
    let score = |rank: Option<f64>| {
        let rank = rank.unwrap_or(0.0);
        if rank.abs() >= 1.0 {
            SCORE_MAX.copysign(rank)
        } else {
            normal_score(rank).clamp(-SCORE_MAX, SCORE_MAX)
        }
    };
    let scores: Vec<f64> = mid_ranks(reference).into_iter().map(score).collect();
    let row = |(shape, logarithm): (Shape, Function)| {
        let most = scores.iter().map(|&z| logarithm(z)).fold(f64::NEG_INFINITY, f64::max);
        (shape, scores.iter().map(|&z| (logarithm(z) - most).exp()).collect())
    };
    let rows: [(Shape, Function); 3] = [
        (Shape::up(Aspect::Location), |z| z),
        (Shape::down(Aspect::Location), |z| -z),
        (Shape::up(Aspect::Scale), |z| 0.25 * z * z),
    ];
    rows.into_iter().map(row).collect()
}

/// The normal quantile of a rank in (-1, 1), to 0.5 % (Winitzki's approximation of the inverse error function, 2008).
fn normal_score(rank: f64) -> f64 {
    const A: f64 = 0.147;
    let logarithm = (1.0 - rank * rank).ln();
    let half = 2.0 / (std::f64::consts::PI * A) + 0.5 * logarithm;
    let erf_inverse = ((half * half - logarithm / A).sqrt() - half).max(0.0).sqrt();
    (std::f64::consts::SQRT_2 * erf_inverse).copysign(rank)
}

/// Of a rank, or of its normal score.
type Function = fn(f64) -> f64;

/// Cells that are counted together, in words.
pub type Share = (Aspect, Vec<usize>);

// === impl Shape ===

impl Shape {
    pub const fn up(aspect: Aspect) -> Shape {
        Shape { aspect, sense: Sense::Up }
    }

    pub const fn down(aspect: Aspect) -> Shape {
        Shape { aspect, sense: Sense::Down }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.aspect {
            Aspect::Location => f.write_str("location")?,
            Aspect::Scale => f.write_str("scale")?,
            Aspect::Skew => f.write_str("skew")?,
            Aspect::Tails => f.write_str("tails")?,
            Aspect::UpperEnd => f.write_str("upper end")?,
            Aspect::LowerEnd => f.write_str("lower end")?,
            Aspect::UpperTail => f.write_str("upper tail")?,
            Aspect::LowerTail => f.write_str("lower tail")?,
            Aspect::Missing => f.write_str("missing")?,
            Aspect::Unseen => f.write_str("unseen")?,
            Aspect::Below => f.write_str("below range")?,
            Aspect::Above => f.write_str("above range")?,
            Aspect::Outside => f.write_str("outside range")?,
            Aspect::Bin(bin) => write!(f, "bin {bin}")?,
            Aspect::Bins(first, last) => write!(f, "bins {first}-{last}")?,
            Aspect::Loss => f.write_str("loss")?,
            Aspect::Label(label, first, last) => write!(f, "label {label} given scores {first}-{last}")?,
            Aspect::Slope(label) => write!(f, "slope of label {label}")?,
        }
        f.write_str(match self.sense {
            Sense::Up => " up",
            Sense::Down => " down",
        })
    }
}

// === impl Polynomials ===

impl Polynomials {
    /// Those of a reference. Cells without a place on the axis, such as missing values, are 0.
    pub fn of(reference: &Bins) -> Polynomials {
        if reference.binning().kind() == Kind::Category {
            return Polynomials::default();
        }
        let ranks = mid_ranks(reference);
        let row = |(aspect, polynomial): (Aspect, Function)| {
            (aspect, ranks.iter().map(|rank| rank.map_or(0.0, polynomial)).collect())
        };
        let rows: [(Aspect, Function); 4] = [
            (Aspect::Location, |u| u),
            (Aspect::Scale, |u| 0.5 * (3.0 * u * u - 1.0)),
            (Aspect::Skew, |u| 0.5 * (5.0 * u * u - 3.0) * u),
            (Aspect::Tails, |u| 0.125 * ((35.0 * u * u - 30.0) * u * u + 3.0)),
        ];
        Polynomials(rows.into_iter().map(row).collect())
    }

    /// Sums and differences of neighbouring ones, each of them counting as much as the other, scaled to at most 1.
    pub fn ends(&self) -> Vec<(Aspect, Vec<f64>)> {
        let [(_, location), (_, scale), (_, skew), _] = &self.0[..] else { return Vec::new() };
        let sum = |first: (&[f64], f64), second: (&[f64], f64)| {
            let most = first.1.abs() + second.1.abs();
            let pairs = first.0.iter().zip(second.0);
            pairs.map(|(a, b)| (first.1 * a + second.1 * b) / most).collect()
        };
        // Of uniform ranks, the k-th Legendre polynomial has the variance 1/(2k + 1).
        let [location, scale, skew] =
            [(location, 3f64), (scale, 5f64), (skew, 7f64)].map(|(of, weight)| (&of[..], weight.sqrt()));
        vec![
            (Aspect::UpperEnd, sum(scale, location)),
            (Aspect::LowerEnd, sum(scale, (location.0, -location.1))),
            (Aspect::UpperTail, sum(scale, skew)),
            (Aspect::LowerTail, sum(scale, (skew.0, -skew.1))),
        ]
    }

    /// Each with its value per cell.
    pub fn iter(&self) -> impl Iterator<Item = (Aspect, &[f64])> {
        self.0.iter().map(|(aspect, values)| (*aspect, values.as_slice()))
    }
}

/// The mid-rank of every cell among the ordered ones, from -1 to 1.
pub fn mid_ranks(reference: &Bins) -> Vec<Option<f64>> {
    let ordered = &reference.cells()[binning::NEG_INF..];
    let total = ordered.iter().sum::<u64>().max(1) as f64;
    let mut below = 0;
    let rank = |&count: &u64| {
        let middle = below as f64 + 0.5 * count as f64;
        below += count;
        Some((2.0 * middle / total - 1.0).clamp(-1.0, 1.0))
    };
    std::iter::repeat_n(None, binning::NEG_INF).chain(ordered.iter().map(rank)).collect()
}

/// The shares that are watched one by one: the holes, then the bins.
pub fn shares(reference: &Bins) -> Vec<Share> {
    let binning = reference.binning();
    let holes = [
        (Aspect::Missing, vec![binning::MISSING, binning::NAN]),
        (Aspect::Unseen, vec![binning::UNSEEN]),
        (Aspect::Below, vec![binning::NEG_INF, binning::UNDER]),
        (Aspect::Above, vec![binning.over(), binning.pos_inf()]),
    ];
    let bins = (0..binning.bins()).map(|bin| (Aspect::Bin(bin as u8), vec![binning::FIRST + bin]));
    if binning.kind() == Kind::Category {
        return holes.into_iter().take(2).chain(bins).collect();
    }
    let outside = [binning::NEG_INF, binning::UNDER, binning.over(), binning.pos_inf()];
    let neighbours = [2, 4, 8].into_iter().flat_map(|width| {
        (0..binning.bins() / width).map(move |block| {
            let (first, last) = (block * width, (block + 1) * width - 1);
            (
                Aspect::Bins(first as u8, last as u8),
                (binning::FIRST + first..=binning::FIRST + last).collect(),
            )
        })
    });
    // Before the sides: where one side has it all, the later of two equal bets names it.
    let outside = std::iter::once((Aspect::Outside, outside.to_vec()));
    outside.chain(holes).chain(tails(reference)).chain(bins).chain(neighbours).collect()
}

/// What lies in the outermost bins and beyond, on both sides and on either.
fn tails(reference: &Bins) -> Vec<Share> {
    let binning = reference.binning();
    if binning.kind() != Kind::Numeric || binning.bins() < TAILED_BINS_MIN {
        return Vec::new();
    }
    let of = |bins: usize| {
        let lower: Vec<usize> = (binning::NEG_INF..binning::FIRST + bins).collect();
        let upper: Vec<usize> = (binning.over() - bins..=binning.pos_inf()).collect();
        let both = [&lower[..], &upper[..]].concat();
        [(Aspect::Tails, both), (Aspect::LowerTail, lower), (Aspect::UpperTail, upper)]
    };
    [1, 2].into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    fn uniform(bins: u32) -> Bins {
        let edges: Vec<f64> = (0..=bins).map(f64::from).collect();
        let mut counts = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        counts.update(&(0..bins).map(|bin| f64::from(bin) + 0.5).collect::<Vec<_>>());
        counts
    }

    #[test]
    fn polynomials_are_centred_and_orthogonal_on_the_reference() {
        let reference = uniform(64);
        let polynomials = Polynomials::of(&reference);
        let rows: Vec<&[f64]> = polynomials.iter().map(|(_, values)| values).collect();
        let dot = |a: &[f64], b: &[f64]| {
            reference.cells().iter().zip(a).zip(b).map(|((&c, x), y)| c as f64 * x * y).sum::<f64>() / 64.0
        };
        for (i, row) in rows.iter().enumerate() {
            assert!(row.iter().all(|value| value.abs() <= 1.0));
            assert!(dot(row, &vec![1.0; row.len()]).abs() < 1e-3);
            for (j, other) in rows.iter().enumerate().take(i) {
                assert!(dot(row, other).abs() < 3e-3, "{i} {j}");
            }
        }
    }

    #[test]
    fn values_beyond_the_reference_have_the_outermost_ranks() {
        let reference = uniform(4);
        let location = Polynomials::of(&reference);
        let (_, ranks) = location.iter().next().unwrap();
        assert_eq!(ranks, [0.0, 0.0, 0.0, -1.0, -1.0, -0.75, -0.25, 0.25, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn categories_have_holes_and_bins_but_no_order() {
        let labels = vec![b"a"[..].into(), b"b"[..].into()];
        let reference = Bins::new(Arc::new(Binning::category(labels).unwrap()));
        assert_eq!(Polynomials::of(&reference).iter().count(), 0);
        let aspects: Vec<Aspect> = shares(&reference).into_iter().map(|(aspect, _)| aspect).collect();
        assert_eq!(aspects, [Aspect::Missing, Aspect::Unseen, Aspect::Bin(0), Aspect::Bin(1)]);
    }

    #[test]
    fn normal_scores_are_those_of_the_tables() {
        for (rank, score) in [(0.0, 0.0), (0.5, 0.6745), (-0.9, -1.6449), (0.968_75, 2.1539)] {
            assert!((normal_score(rank) - score).abs() < 0.005 * score.abs().max(0.1), "{rank}");
        }
    }

    #[test]
    fn neighbours_are_shares_too() {
        let aspects: Vec<Aspect> = shares(&uniform(5)).into_iter().map(|(aspect, _)| aspect).collect();
        assert!(aspects.ends_with(&[Aspect::Bins(0, 1), Aspect::Bins(2, 3), Aspect::Bins(0, 3)]));
    }

    #[test]
    fn shapes_are_words() {
        assert_eq!(Shape::up(Aspect::Location).to_string(), "location up");
        assert_eq!(Shape::down(Aspect::Bin(3)).to_string(), "bin 3 down");
        assert_eq!(Shape::up(Aspect::Above).to_string(), "above range up");
    }
}

//! What may change: the functions of a value that a detector bets on, and the words for them.
//!
//! * **Shape**, for what has an order: Legendre polynomials of the reference mid-rank, 1 to 4, up and down. The
//!   mid-rank of a reference value is uniform on [-1, 1], where these polynomials are orthogonal: location, scale,
//!   skew and tails, in any unit and for any distribution.
//! * **Holes**: the share of missing values, of values between or beside the known ones, below and above all of them.
//! * **Bins**: the share of each bin or category, up and down.

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
    /// Absent or NaN.
    Missing,
    /// A value or category the reference has no bin for.
    Unseen,
    /// Below and above all of the reference.
    Below,
    Above,
    /// A bin, by its number.
    Bin(u8),
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
            Aspect::Missing => f.write_str("missing")?,
            Aspect::Unseen => f.write_str("unseen")?,
            Aspect::Below => f.write_str("below range")?,
            Aspect::Above => f.write_str("above range")?,
            Aspect::Bin(bin) => write!(f, "bin {bin}")?,
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
        let row = |(aspect, polynomial): (Aspect, fn(f64) -> f64)| {
            (aspect, ranks.iter().map(|rank| rank.map_or(0.0, polynomial)).collect())
        };
        let rows: [(Aspect, fn(f64) -> f64); 4] = [
            (Aspect::Location, |u| u),
            (Aspect::Scale, |u| 0.5 * (3.0 * u * u - 1.0)),
            (Aspect::Skew, |u| 0.5 * (5.0 * u * u - 3.0) * u),
            (Aspect::Tails, |u| 0.125 * ((35.0 * u * u - 30.0) * u * u + 3.0)),
        ];
        Polynomials(rows.into_iter().map(row).collect())
    }

    /// Each with its value per cell.
    pub fn iter(&self) -> impl Iterator<Item = (Aspect, &[f64])> {
        self.0.iter().map(|(aspect, values)| (*aspect, values.as_slice()))
    }
}

/// The mid-rank of every cell among the ordered ones, from -1 to 1.
fn mid_ranks(reference: &Bins) -> Vec<Option<f64>> {
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
    let ordered = binning.kind() != Kind::Category;
    let has_order = |(aspect, _): &Share| ordered || !matches!(aspect, Aspect::Below | Aspect::Above);
    let bins = (0..binning.bins()).map(|bin| (Aspect::Bin(bin as u8), vec![binning::FIRST + bin]));
    holes.into_iter().filter(has_order).chain(bins).collect()
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
    fn shapes_are_words() {
        assert_eq!(Shape::up(Aspect::Location).to_string(), "location up");
        assert_eq!(Shape::down(Aspect::Bin(3)).to_string(), "bin 3 down");
        assert_eq!(Shape::up(Aspect::Above).to_string(), "above range up");
    }
}

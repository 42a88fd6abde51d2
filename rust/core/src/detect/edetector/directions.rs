//! What may change: the functions of a value that a detector bets on, and the words for them.
//!
//! * **Shape**, for what has an order: [`super::functions`] of the reference mid-rank, up and down.
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
    /// A value or category that the reference is not known to have.
    Unseen,
    /// All categories of the reference that have no bin.
    Others,
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

/// Bins from which on the outermost ones are far from the middle.
const TAILED_BINS_MIN: usize = 8;

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
            Aspect::Others => f.write_str("categories without a bin")?,
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
        let others = (Aspect::Others, vec![binning.over()]);
        let others = binning.others().is_some().then_some(others);
        return holes.into_iter().take(2).chain(others).chain(bins).collect();
    }
    let outside = [binning::NEG_INF, binning::UNDER, binning.over(), binning.pos_inf()];
    // All bins together have a name already: what is not in them is a hole.
    let narrower = [2, 4, 8].into_iter().filter(|&width| width < binning.bins());
    let neighbours = narrower.flat_map(|width| {
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
    use crate::detect::edetector::functions::tests::uniform;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    #[test]
    fn categories_have_holes_and_bins_but_no_order() {
        let labels = vec![b"a"[..].into(), b"b"[..].into()];
        let reference = Bins::new(Arc::new(Binning::category(labels).unwrap()));
        let aspects: Vec<Aspect> = shares(&reference).into_iter().map(|(aspect, _)| aspect).collect();
        assert_eq!(aspects, [Aspect::Missing, Aspect::Unseen, Aspect::Bin(0), Aspect::Bin(1)]);
    }

    #[test]
    fn neighbours_are_shares_too() {
        let aspects: Vec<Aspect> = shares(&uniform(5)).into_iter().map(|(aspect, _)| aspect).collect();
        assert!(aspects.ends_with(&[Aspect::Bins(0, 1), Aspect::Bins(2, 3), Aspect::Bins(0, 3)]));
        let all = shares(&uniform(4));
        assert!(all.iter().all(|(aspect, _)| *aspect != Aspect::Bins(0, 3)));
    }

    #[test]
    fn shapes_are_words() {
        assert_eq!(Shape::up(Aspect::Location).to_string(), "location up");
        assert_eq!(Shape::down(Aspect::Bin(3)).to_string(), "bin 3 down");
        assert_eq!(Shape::up(Aspect::Above).to_string(), "above range up");
    }
}

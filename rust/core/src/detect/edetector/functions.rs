//! The functions of a value whose means are bet on, by cell: worked out from the mid-ranks whenever they are needed.
//!
//! * **Polynomials**: the Legendre polynomials 1 to 4 of the reference mid-rank. The mid-rank of a reference value is
//!   uniform on [-1, 1], where they are orthogonal: location, scale, skew and tails, in any unit and for any distribution.
//! * **Ends**: sums and differences of location and scale, and of scale and skew: what happens on one side only.
//! * **Tilts**: exp(±z) and exp(z²/4) of the normal score z of the mid-rank, the likelihood ratios of a large shift and of
//!   a wider spread; polynomials are too tame for those.

use super::directions::{Aspect, Sense, Shape};
use super::growth::{exp, ln};
use crate::sketch::binning::{CELLS_MAX, Kind, NEG_INF};
use crate::sketch::bins::Bins;
use std::sync::Arc;

/// How many there are, and how many of them are polynomials, which come first.
pub const FUNCTIONS: usize = 11;
pub const POLYNOMIALS: usize = 4;
const ENDS: usize = 4;

/// The most cells of a feature, in whole lanes.
pub const WIDTH: usize = CELLS_MAX.next_multiple_of(super::growth::LANES);

/// Largest normal score: that of values beyond the reference.
const SCORE_MAX: f64 = 3.5;

/// Functions whose mean is bet to grow, or to fall, and what that is called.
pub const DIRECTIONS: [(usize, Sense, Shape); 19] = {
    const BOTH: [Aspect; POLYNOMIALS + ENDS] = [
        Aspect::Location,
        Aspect::Scale,
        Aspect::Skew,
        Aspect::Tails,
        Aspect::UpperEnd,
        Aspect::LowerEnd,
        Aspect::UpperTail,
        Aspect::LowerTail,
    ];
    const FIRST_TILT: usize = BOTH.len();
    let mut directions = [(FIRST_TILT, Sense::Up, Shape::up(Aspect::Location)); 19];
    let mut function = 0;
    while function < FIRST_TILT {
        directions[2 * function] = (function, Sense::Up, Shape::up(BOTH[function]));
        directions[2 * function + 1] = (function, Sense::Down, Shape::down(BOTH[function]));
        function += 1;
    }
    directions[2 * FIRST_TILT + 1] = (FIRST_TILT + 1, Sense::Up, Shape::down(Aspect::Location));
    directions[2 * FIRST_TILT + 2] = (FIRST_TILT + 2, Sense::Up, Shape::up(Aspect::Scale));
    directions
};

/// The mid-rank of every cell among the ordered ones, from -1 to 1, and 0 for those that have no place on the axis, such
/// as missing values. None for categories, which have no order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranks(Arc<[f64]>);

/// The values of all functions, by cell; 0 behind the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Functions {
    cells: usize,
    values: [[f64; WIDTH]; FUNCTIONS],
}

// === impl Ranks ===

impl Ranks {
    pub fn of(reference: &Bins) -> Ranks {
        if reference.binning().kind() == Kind::Category {
            return Ranks::default();
        }
        let ordered = &reference.cells()[NEG_INF..];
        let total = ordered.iter().sum::<u64>().max(1) as f64;
        let mut below = 0;
        let rank = |&count: &u64| {
            let middle = below as f64 + 0.5 * count as f64;
            below += count;
            (2.0 * middle / total - 1.0).clamp(-1.0, 1.0)
        };
        Ranks(std::iter::repeat_n(0.0, NEG_INF).chain(ordered.iter().map(rank)).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// Location or scale, of one cell.
    #[inline]
    pub fn polynomial(&self, number: usize, cell: usize) -> f64 {
        let Some(&u) = self.0.get(cell).filter(|_| cell >= NEG_INF) else { return 0.0 };
        if number == 0 { location(u) } else { scale(u) }
    }

    /// Location and scale, each added up over so many values per cell.
    pub fn sums(&self, counts: &[u64]) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for (&u, &count) in self.0.iter().zip(counts).skip(NEG_INF) {
            sums[0] += location(u) * count as f64;
            sums[1] += scale(u) * count as f64;
        }
        sums
    }

    #[inline(always)]
    pub fn functions(&self) -> Functions {
        let mut ranks = [0.0; WIDTH];
        ranks.iter_mut().zip(self.0.iter()).for_each(|(to, rank)| *to = *rank);
        let mut functions = Functions { cells: self.0.len(), values: [[0.0; WIDTH]; FUNCTIONS] };
        functions.polynomials(&ranks);
        functions.ends();
        functions.tilts(&ranks);
        functions
    }
}

// === impl Functions ===

impl Functions {
    pub fn of(reference: &Bins) -> Functions {
        Ranks::of(reference).functions()
    }

    /// The values of each, in order; none for categories.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        let known = if self.cells == 0 { 0 } else { FUNCTIONS };
        self.values[..known].iter().map(|values| &values[..self.cells])
    }

    #[inline(always)]
    pub fn of_width(&self, function: usize) -> &[f64; WIDTH] {
        &self.values[function.min(FUNCTIONS - 1)]
    }

    /// Cells without a place on the axis are 0.
    #[inline(always)]
    fn polynomials(&mut self, ranks: &[f64; WIDTH]) {
        let [locations, scales, skew, tails, ..] = &mut self.values;
        for cell in NEG_INF..WIDTH {
            let u = ranks[cell];
            locations[cell] = location(u);
            scales[cell] = scale(u);
            skew[cell] = 0.5 * (5.0 * u * u - 3.0) * u;
            tails[cell] = 0.125 * ((35.0 * u * u - 30.0) * u * u + 3.0);
        }
    }

    /// Sums and differences of neighbouring polynomials, each of them counting as much as the other, scaled to at most 1.
    #[inline(always)]
    fn ends(&mut self) {
        // Of uniform ranks, the k-th Legendre polynomial has the variance 1/(2k + 1).
        let [for_location, for_scale, for_skew] = [3f64, 5.0, 7.0].map(f64::sqrt);
        let [location, scale, skew, _, upper_end, lower_end, upper_tail, lower_tail, ..] = &mut self.values;
        for cell in 0..WIDTH {
            let (a, b, c) = (for_scale * scale[cell], for_location * location[cell], for_skew * skew[cell]);
            upper_end[cell] = (a + b) / (for_scale + for_location);
            lower_end[cell] = (a - b) / (for_scale + for_location);
            upper_tail[cell] = (a + c) / (for_scale + for_skew);
            lower_tail[cell] = (a - c) / (for_scale + for_skew);
        }
    }

    /// Likelihood ratios of large changes, scaled to at most 1.
    #[inline(always)]
    fn tilts(&mut self, ranks: &[f64; WIDTH]) {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut scores = [0.0; WIDTH];
        for cell in 0..WIDTH {
            scores[cell] = normal_score(ranks[cell]);
        }
        for &score in scores.iter().take(self.cells) {
            (least, most) = (score.min(least), score.max(most));
        }
        let widest = 0.25 * (least * least).max(most * most);
        let [.., up, down, wider] = &mut self.values;
        for cell in 0..WIDTH {
            let z = scores[cell];
            up[cell] = exp((z - most).min(0.0));
            down[cell] = exp((least - z).min(0.0));
            wider[cell] = exp((0.25 * z * z - widest).min(0.0));
        }
    }
}

#[inline(always)]
fn location(u: f64) -> f64 {
    u
}

#[inline(always)]
fn scale(u: f64) -> f64 {
    0.5 * (3.0 * u * u - 1.0)
}

/// The normal quantile of a rank, to 0.5 % (Winitzki's approximation of the inverse error function, 2008), at most
/// [`SCORE_MAX`] from the middle.
#[inline(always)]
fn normal_score(rank: f64) -> f64 {
    const A: f64 = 0.147;
    let rest = 1.0 - rank * rank;
    let logarithm = ln(if rest > f64::MIN_POSITIVE { rest } else { f64::MIN_POSITIVE });
    let half = 2.0 / (std::f64::consts::PI * A) + 0.5 * logarithm;
    let erf_inverse = ((half * half - logarithm / A).sqrt() - half).max(0.0).sqrt();
    (std::f64::consts::SQRT_2 * erf_inverse).min(SCORE_MAX).copysign(rank)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;

    /// One row in each of so many bins.
    pub fn uniform(bins: u32) -> Bins {
        let edges: Vec<f64> = (0..=bins).map(f64::from).collect();
        let mut counts = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        counts.update(&(0..bins).map(|bin| f64::from(bin) + 0.5).collect::<Vec<_>>());
        counts
    }

    #[test]
    fn polynomials_are_centred_and_orthogonal_on_the_reference() {
        let reference = uniform(64);
        let functions = Functions::of(&reference);
        let rows: Vec<&[f64]> = functions.iter().take(POLYNOMIALS).collect();
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
        let functions = Functions::of(&uniform(4));
        let ranks = [0.0, 0.0, 0.0, -1.0, -1.0, -0.75, -0.25, 0.25, 0.75, 1.0, 1.0];
        assert_eq!(functions.iter().next().unwrap(), ranks);
        assert!(functions.iter().all(|row| row.iter().all(|value| (-1.0..=1.0).contains(value))));
        assert!(functions.iter().skip(8).all(|row| row.contains(&1.0)));
    }

    #[test]
    fn categories_have_none() {
        let labels = vec![b"a"[..].into(), b"b"[..].into()];
        let reference = Bins::new(Arc::new(Binning::category(labels).unwrap()));
        assert_eq!(Functions::of(&reference).iter().count(), 0);
    }

    #[test]
    fn normal_scores_are_those_of_the_tables() {
        for (rank, score) in [(0.0, 0.0), (0.5, 0.6745), (-0.9, -1.6449), (0.968_75, 2.1539), (-1.0, -3.5)] {
            assert!((normal_score(rank) - score).abs() < 0.005 * score.abs().max(0.1), "{rank}");
        }
    }
}

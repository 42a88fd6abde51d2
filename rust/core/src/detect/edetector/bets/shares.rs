//! Bets on shares: one logarithm for a value inside, one for a value outside.

use super::super::directions::Sense;
use super::CELLS_MAX;

/// A share, and whether it is bet to grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub group: u8,
    pub sense: Sense,
}

/// The cells of a share: at most two ranges of neighbours, each from a cell up to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group([[u8; 2]; 2]);

/// How many values lie in the cells before each, and behind the last one.
pub fn running(counts: &[f64]) -> [f64; CELLS_MAX + 1] {
    let mut below = [0.0; CELLS_MAX + 1];
    let mut sum = 0.0;
    for (below, count) in below.iter_mut().skip(1).zip(counts.iter().chain(std::iter::repeat(&0.0))) {
        sum += count;
        *below = sum;
    }
    below
}

// === impl Group ===

impl Group {
    /// Of ascending cells with at most one gap.
    pub fn of(cells: &[usize]) -> Group {
        let mut ranges = cells.chunk_by(|one, next| one + 1 == *next);
        let mut range = || {
            let range =
                ranges.next().and_then(|range| Some([*range.first()? as u8, *range.last()? as u8 + 1]));
            range.unwrap_or_default()
        };
        let group = Group([range(), range()]);
        debug_assert!(ranges.next().is_none(), "a share of more than two ranges");
        group
    }

    #[inline(always)]
    pub fn held(&self, below: &[f64; CELLS_MAX + 1]) -> f64 {
        let within = |[from, to]: [u8; 2]| {
            below[usize::from(to).min(CELLS_MAX)] - below[usize::from(from).min(CELLS_MAX)]
        };
        let [first, second] = self.0;
        within(first) + within(second)
    }
}

/// Factors of a row inside and outside a share that is at most `most`, of a bet that it is more: with a share of the
/// largest stake, which is 1/most.
pub fn on_more(stake: f64, most: f64) -> (f64, f64) {
    let (inside, outside) = more(stake, most);
    (1.0 + inside, 1.0 + outside)
}

/// The same for a share that is at least `least` and a bet that it is less: f = -1 inside, s = -least, and the largest
/// stake is 1/(1 - least).
pub fn on_less(stake: f64, least: f64) -> (f64, f64) {
    let (inside, outside) = less(stake, least);
    (1.0 + inside, 1.0 + outside)
}

/// What [`on_more`] adds to 1.
#[inline(always)]
pub fn more(stake: f64, most: f64) -> (f64, f64) {
    (stake * (1.0 - most) / most, -stake)
}

/// What [`on_less`] adds to 1.
#[inline(always)]
pub fn less(stake: f64, least: f64) -> (f64, f64) {
    let certain = least >= 1.0 - f64::EPSILON;
    let rest = if certain { f64::EPSILON } else { 1.0 - least };
    (-stake, stake * least / rest)
}

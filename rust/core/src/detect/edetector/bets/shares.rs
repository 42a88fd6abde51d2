//! Bets on shares: one logarithm for a value inside, one for a value outside.

use super::super::growth::{LANES, rounded_down};
use super::CELLS_MAX;
use std::sync::Arc;

/// Bets on shares: the share, and the logarithms of the factors of a value in it and of one that is not; filled up
/// with zeros to whole lanes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareBets {
    pub group: Arc<[u8]>,
    pub inside: Vec<f32>,
    pub outside: Vec<f32>,
}

/// The cells of a share: at most two ranges of neighbours, each from a cell up to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group([[u8; 2]; 2]);

/// One of them.
pub struct ShareBet {
    pub group: usize,
    pub inside: f64,
    pub outside: f64,
}

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

// === impl ShareBets ===

impl ShareBets {
    pub fn of(bets: &[ShareBet]) -> ShareBets {
        let whole = bets.len().next_multiple_of(LANES);
        let filled = |log: fn(&ShareBet) -> f64| {
            let mut logs: Vec<f32> = bets.iter().map(|bet| rounded_down(log(bet))).collect();
            logs.resize(whole, 0.0);
            logs
        };
        let groups = bets.iter().map(|bet| bet.group as u8).chain(std::iter::repeat(0));
        ShareBets {
            group: groups.take(whole).collect(),
            inside: filled(|bet| bet.inside),
            outside: filled(|bet| bet.outside),
        }
    }
}

/// Factors of a row inside and outside a share that is at most `most`, of a bet that it is more: with a share of the
/// largest stake, which is 1/most.
pub fn on_more(stake: f64, most: f64) -> (f64, f64) {
    (1.0 + stake * (1.0 - most) / most, 1.0 - stake)
}

/// The same for a share that is at least `least` and a bet that it is less: f = -1 inside, s = -least, and the largest
/// stake is 1/(1 - least).
pub fn on_less(stake: f64, least: f64) -> (f64, f64) {
    let certain = least >= 1.0 - f64::EPSILON;
    let rest = if certain { f64::EPSILON } else { 1.0 - least };
    (1.0 - stake, 1.0 + stake * least / rest)
}

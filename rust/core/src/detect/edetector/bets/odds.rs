//! What every bet wins, cell by cell, for rows of which so many are worth one independent row.
//!
//! It follows from the [`Bets`] in a few microseconds, and takes kilobytes: so it is worked out when rows are weighed, and
//! forgotten. Logarithms are rounded down, so that rounding never wins anything.

use super::super::directions::Sense;
use super::super::functions::{DIRECTIONS, Functions, WIDTH};
use super::super::growth::{self, Capital, LANES, logs};
use super::shares::{less, more, running};
use super::{Bets, CELLS_MAX, Forms, SHARE_CAUTION, SHARES_MAX, stakes_of, stakes_on};
use fearless_simd::{Level, dispatch};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Odds {
    bets: Arc<Bets>,
    time: f64,
    /// Logarithms of the factors of bets on shapes: by block of bets, then by cell; the last block filled up with zeros.
    factors: Vec<f32>,
    /// Of bets on shares: the share, and the logarithms for a value in it and for one that is not; filled up with zeros to
    /// whole lanes.
    groups: Vec<u8>,
    inside: Vec<f32>,
    outside: Vec<f32>,
}

/// A bet on a shape that is being worked out: the function, whether it is bet to grow, against what, and the stake.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    function: usize,
    sign: f64,
    slack: f64,
    stake: f64,
}

// === impl Odds ===

impl Odds {
    pub fn of(bets: Arc<Bets>, time: f64) -> Odds {
        let nothing = Odds {
            bets: Arc::clone(&bets),
            time,
            factors: Vec::new(),
            groups: Vec::new(),
            inside: Vec::new(),
            outside: Vec::new(),
        };
        nothing.again(bets, time)
    }

    /// Those of other bets, in the same memory.
    #[must_use]
    pub fn again(mut self, bets: Arc<Bets>, time: f64) -> Odds {
        let stickiness = |time: f64| (time - 1.0) / (time + 1.0); // γ
        (self.bets, self.time) = (bets, time.max(1.0));
        let shape = stickiness(self.time);
        let share = stickiness(1.0 + SHARE_CAUTION * (self.time - 1.0));
        dispatch!(Level::new(), _simd => {
            self.on_shapes(shape);
            self.on_shares(share);
        });
        self
    }

    /// Whether they are those of these bets.
    pub fn are_of(&self, bets: &Arc<Bets>, time: f64) -> bool {
        Arc::ptr_eq(&self.bets, bets) && self.time == time.max(1.0)
    }

    pub fn bets(&self) -> &Bets {
        &self.bets
    }

    #[inline(always)]
    fn on_shapes(&mut self, stickiness: f64) {
        let Bets { cells, on_shapes, .. } = *self.bets;
        self.factors.clear();
        let ranks = match &self.bets.forms {
            Forms::Ranks(ranks) => ranks,
            Forms::Placed(factors) => {
                self.factors.extend_from_slice(factors);
                return growth::tune(&mut self.factors, stickiness);
            }
        };
        self.factors.resize(on_shapes.next_multiple_of(LANES) * cells, 0.0);
        let functions = ranks.functions();
        let mut lanes = lanes(&self.bets.slacks, &functions, cells);
        for factors in self.factors.chunks_exact_mut(cells.max(1) * LANES) {
            let mut block = [Lane::default(); LANES];
            block.iter_mut().zip(&mut lanes).for_each(|(to, lane)| *to = lane);
            fill(factors, &block, &functions, stickiness);
        }
    }

    #[inline(always)]
    fn on_shares(&mut self, stickiness: f64) {
        self.groups.clear();
        self.inside.clear();
        self.outside.clear();
        let bets = Arc::clone(&self.bets);
        let mut wins = [[0.0; LANES]; 2];
        let mut lane = 0;
        for (share, &bound) in bets.shares.iter().zip(&bets.bounds) {
            let bound = f64::from(bound);
            for &stake in stakes_of(share.sense) {
                let (inside, outside) = match share.sense {
                    Sense::Up => more(stake, bound),
                    Sense::Down => less(stake, bound),
                };
                (wins[0][lane], wins[1][lane]) = (inside, outside);
                self.groups.push(share.group);
                lane += 1;
                if lane == LANES {
                    self.extend(&wins, stickiness);
                    lane = 0;
                }
            }
        }
        if lane > 0 {
            wins.iter_mut().for_each(|wins| wins[lane..].fill(0.0));
            self.groups.resize(self.groups.len().next_multiple_of(LANES), 0);
            self.extend(&wins, stickiness);
        }
    }

    #[inline(always)]
    fn extend(&mut self, [inside, outside]: &[[f64; LANES]; 2], stickiness: f64) {
        self.inside.extend_from_slice(&logs(inside, stickiness));
        self.outside.extend_from_slice(&logs(outside, stickiness));
    }

    /// Gives every bet its `stake`, and multiplies what it then holds by what it wins on a pane of these `counts`.
    pub fn play(&self, counts: &[u64], stake: f64, capital: &mut [Capital]) {
        dispatch!(Level::new(), _simd => {
            self.each(counts, #[inline(always)] |first, gains| {
                // What fills up the last block of shapes stands where the first shares are: they have a block of their own.
                let end = if first < self.bets.on_shapes { self.bets.on_shapes } else { capital.len() };
                growth::grow(capital.get_mut(first..end).unwrap_or_default(), stake, gains);
            });
        });
    }

    /// Gives every bet what a `stake` becomes by what it wins on rows of these `counts`, and nothing that it held before.
    pub fn play_apart(&self, counts: &[u64], stake: f64, capital: &mut [Capital]) {
        dispatch!(Level::new(), _simd => {
            self.each(counts, #[inline(always)] |first, gains| {
                growth::win(capital.get_mut(first..).unwrap_or_default(), stake, gains);
            });
        });
    }

    /// Logarithm of the factor by which `counts` multiply each bet, in order.
    pub fn gains(&self, counts: &[u64]) -> Vec<f64> {
        let bets = self.bets.len();
        let mut gains = Vec::with_capacity(bets.next_multiple_of(LANES));
        self.each(counts, |first, block| {
            debug_assert_eq!(first, gains.len(), "blocks come in order");
            gains.extend(&block[..LANES.min(self.end_of(first) - first)]);
        });
        gains.resize(bets, 0.0); // counts of another reference win nothing
        gains
    }

    /// The end of the bets on shapes, or of all bets, whichever comes first after `first`.
    fn end_of(&self, first: usize) -> usize {
        if first < self.bets.on_shapes { self.bets.on_shapes } else { self.bets.len() }
    }

    /// Shows the logarithms of what the bets win, so many at a time, with the first one's number. Behind the last bet
    /// on a shape, and the last one of all, a block is filled up with zeros.
    #[inline(always)]
    fn each(&self, counts: &[u64], mut visit: impl FnMut(usize, &[f64; LANES])) {
        let Bets { cells, rows_per_count, on_shapes, .. } = *self.bets;
        if counts.len() != cells || cells > CELLS_MAX {
            return;
        }
        let mut floats = [0.0; CELLS_MAX];
        floats.iter_mut().zip(counts).for_each(|(float, &count)| *float = count as f64 * rows_per_count);
        let counts = &floats[..cells];
        for (block, factors) in self.factors.chunks_exact(cells.max(1) * LANES).enumerate() {
            visit(block * LANES, &growth::products(factors, counts));
        }
        let below = running(counts);
        let total = below[cells];
        let mut held = [0.0; SHARES_MAX];
        for (held, group) in held.iter_mut().zip(self.bets.groups.iter()) {
            *held = group.held(&below);
        }
        let (groups, _) = self.groups.as_chunks::<LANES>();
        let (inside, _) = self.inside.as_chunks::<LANES>();
        let (outside, _) = self.outside.as_chunks::<LANES>();
        for (block, ((groups, inside), outside)) in groups.iter().zip(inside).zip(outside).enumerate() {
            let held = groups.map(|group| held[usize::from(group)]);
            visit(on_shapes + block * LANES, &growth::split(&held, total, inside, outside));
        }
    }

    /// Logarithm of the factor by which `counts` multiply all bets together, each with its weight.
    pub fn evidence(&self, counts: &[u64]) -> f64 {
        let gains = self.gains(counts);
        let most = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weighted = self.bets.iter().zip(&gains);
        let sum: f64 = weighted.map(|((_, weight), gain)| weight * (gain - most).exp()).sum();
        if gains.is_empty() { 0.0 } else { most + sum.ln() }
    }

    /// Logarithm of the factor of one bet.
    pub fn gain(&self, bet: usize, counts: &[u64]) -> f64 {
        let Bets { cells, rows_per_count, on_shapes, .. } = *self.bets;
        let Some(share) = bet.checked_sub(on_shapes) else {
            let first = bet / LANES * LANES * cells + bet % LANES;
            let factors = self.factors.iter().skip(first).step_by(LANES);
            let won: f64 = factors.zip(counts).map(|(&log, &count)| f64::from(log) * count as f64).sum();
            return won * rows_per_count;
        };
        let of_bet = (self.groups.get(share), self.inside.get(share), self.outside.get(share));
        let (Some(&group), Some(&inside), Some(&outside)) = of_bet else { return 0.0 };
        let mut floats = [0.0; CELLS_MAX];
        floats.iter_mut().zip(counts).for_each(|(float, &count)| *float = count as f64);
        let below = running(&floats);
        let total = below[CELLS_MAX];
        let held = self.bets.groups.get(usize::from(group)).map_or(0.0, |group| group.held(&below));
        held * f64::from(inside) + (total - held) * f64::from(outside)
    }
}

/// All bets on shapes, in order. Stakes are shares of the largest that cannot lose everything, 1/(s - min f).
fn lanes<'a>(slacks: &'a [f64], functions: &'a Functions, cells: usize) -> impl Iterator<Item = Lane> + 'a {
    let offered = DIRECTIONS.into_iter().zip(slacks).filter(|(_, slack)| slack.is_finite());
    offered.flat_map(move |((function, sense, _), &slack)| {
        let sign = if sense == Sense::Up { 1.0 } else { -1.0 };
        let values = functions.of_width(function).iter().take(cells);
        let least = values.map(|value| sign * value).fold(f64::INFINITY, f64::min);
        let largest = 1.0 / (slack - least);
        stakes_on(function).iter().map(move |share| Lane { function, sign, slack, stake: share * largest })
    })
}

/// The logarithms of a block of bets, by cell.
#[inline(always)]
fn fill(factors: &mut [f32], block: &[Lane; LANES], functions: &Functions, stickiness: f64) {
    let values: [&[f64; WIDTH]; LANES] = std::array::from_fn(|lane| functions.of_width(block[lane].function));
    let (mut signs, mut slacks, mut stakes) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        (signs[lane], slacks[lane], stakes[lane]) = (block[lane].sign, block[lane].slack, block[lane].stake);
    }
    let (cells, _) = factors.as_chunks_mut::<LANES>();
    for (cell, of_cell) in cells.iter_mut().take(WIDTH).enumerate() {
        let mut wins = [0.0; LANES];
        for lane in 0..LANES {
            wins[lane] = stakes[lane] * (signs[lane] * values[lane][cell] - slacks[lane]);
        }
        *of_cell = logs(&wins, stickiness);
    }
}

//! What is bet on each value: for every cell, the factor by which a bet's capital grows.
//!
//! A bet on a function f with stake λ multiplies its capital by 1 + λ(f(cell) - s) for every value. Whatever the
//! stake, its expectation is at most one under every distribution whose mean of f is at most s; [`super::slack`] makes
//! s large enough for all distributions that count as unchanged. Rows multiply, so a pane's factor depends on its
//! counts alone: Π over cells of (1 + λ(f - s))^count. (Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting", JRSS-B 2023; Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2023.)
//!
//! Stakes are shares of the largest one that cannot lose everything, 1/(s - min f): so a bet on a rare category may be
//! large, as it should be.
//!
//! Rows that resemble the row before are bet on with less. Take a stream that repeats its last value with probability
//! γ and else draws a new one, so that its autocorrelation is γ^k and its autocorrelation time τ = (1 + γ)/(1 - γ). A
//! run of one value then has a geometric length, and a factor y per row has the expectation (1 - γ)y/(1 - γy) per run.
//! Setting that to g = 1 + λ(f - s) gives y = g/(1 - γ + γg), whose expectation per run is at most one exactly, not only
//! to second order as with g^(1/τ), which long runs of a rare value break. For small stakes both are the same.

mod shares;

pub use shares::{on_less, on_more};

use super::choice::Choice;
use super::directions::{Aspect, Polynomials, Sense, Shape, shares, tilts};
use super::growth::{self, Capital, LANES, rounded_down};
use super::slack::{self, Sample};
pub use crate::sketch::binning::CELLS_MAX;
use crate::sketch::binning::Kind;
use crate::sketch::bins::Bins;
use fearless_simd::{Level, dispatch};
use shares::{Group, ShareBet, ShareBets, running};
use std::sync::Arc;

/// Stakes on location and scale, on skew and tails, on an end or a tilt, on a share that grows, on a share that shrinks.
/// A stake that is one and a half times the best one, or half of it, still wins three quarters as fast.
const PLAIN_STAKES: [f64; 6] = [0.03, 0.07, 0.15, 0.3, 0.6, 0.95];
const FORM_STAKES: [f64; 4] = [0.08, 0.2, 0.45, 0.9];
const END_STAKES: [f64; 3] = [0.12, 0.35, 0.9];
const GROWTH_STAKES: [f64; 4] = [0.025, 0.1, 0.35, 0.85];
const LOSS_STAKES: [f64; 3] = [0.12, 0.4, 0.9];

/// How much longer rows are taken to resemble each other by bets on shares. The longer a run of a rare value, the likelier
/// it goes on (the runs of an autoregressive process above a level do so), and these bets win by runs.
const SHARE_CAUTION: f64 = 1.5;

/// Most shares that are watched: holes, tails, bins, pairs, fours and eights of them.
const SHARES_MAX: usize = 1 << u8::BITS;

/// Bets that share a part of the capital equally: the more often a change is of that family, the larger the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Location and scale.
    Plain,
    /// Skew, tails, ends and tilts.
    Form,
    /// Missing and unseen values, those outside the range, and the outermost.
    Holes,
    Bins,
    /// Two, four, eight neighbours.
    Neighbours,
}

/// How the first unit of capital is spread.
const SPREAD: [(Family, f64); 5] = [
    (Family::Plain, 0.3),
    (Family::Form, 0.22),
    (Family::Holes, 0.18),
    (Family::Bins, 0.15),
    (Family::Neighbours, 0.15),
];

/// What counts as unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Null {
    /// Relative entropy from the reference, in nats, that is no change.
    pub tolerance: f64,
    /// Probability that the reference misleads about any of the directions.
    pub delta: f64,
    /// Rows of the reference that are worth one independent row.
    pub autocorrelation_time: f64,
}

/// All bets on one feature. Logarithms are rounded down, so that rounding never wins anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Bets {
    cells: usize,
    /// What a count is worth: 1, or a part of a row.
    rows_per_count: f64,
    /// How many bets are on shapes; those on shares follow.
    on_shapes: usize,
    /// Logarithms of the factors of bets on shapes: by block of bets, then by cell; the last block filled up with zeros.
    factors: Vec<f32>,
    shares: ShareBets,
    /// The cells of each share.
    groups: Arc<[Group]>,
    /// Of every bet, in order.
    shapes: Arc<[Shape]>,
    /// Weights of successive bets, and how many have them.
    weights: Arc<[(f64, usize)]>,
}

/// Bets while they are being collected.
struct Offer {
    shape: Shape,
    family: Family,
    bet: Form,
}

enum Form {
    Cells(Vec<f64>),
    Share(ShareBet),
}

// === impl Bets ===

impl Bets {
    /// All bets against the null around a reference.
    pub fn against(reference: &Bins, null: &Null) -> Bets {
        let (polynomials, groups) = (Polynomials::of(reference), shares(reference));
        let (ends, tilts) = (polynomials.ends(), tilts(reference));
        let directions = 2 * (polynomials.iter().count() + ends.len() + groups.len()) + tilts.len();
        let table = Table {
            reference,
            null,
            size: reference.total() as f64 / null.autocorrelation_time.max(1.0),
            log_odds: (directions.max(1) as f64 / null.delta).ln(),
            choice: Choice::of(reference, null.autocorrelation_time),
        };
        let stakes = |aspect| if is_plain(aspect) { &PLAIN_STAKES[..] } else { &FORM_STAKES[..] };
        let on_shapes =
            polynomials.iter().flat_map(|(aspect, values)| table.on_shape(aspect, values, stakes(aspect)));
        let on_ends = ends.iter().flat_map(|(aspect, values)| table.on_shape(*aspect, values, &END_STAKES));
        let on_tilts = tilts
            .iter()
            .flat_map(|(shape, values)| table.on_growth(*shape, values, &END_STAKES, Family::Form));
        let on_shares = groups
            .iter()
            .enumerate()
            .flat_map(|(group, (aspect, cells))| table.on_share(*aspect, group, cells));
        let offers = on_shapes.chain(on_ends).chain(on_tilts).chain(on_shares).collect();
        let groups = groups.iter().map(|(_, cells)| Group::of(cells)).collect();
        Bets::assembled(reference.cells().len(), groups, offers)
    }

    fn assembled(cells: usize, groups: Arc<[Group]>, offers: Vec<Offer>) -> Bets {
        let members = |family: Family| offers.iter().filter(|offer| offer.family == family).count() as f64;
        let present: Vec<(Family, f64, f64)> =
            SPREAD.into_iter().map(|(family, part)| (family, part, members(family))).collect();
        let whole: f64 = present.iter().filter(|(.., members)| *members > 0.0).map(|(_, part, _)| part).sum();
        let weight = |of: Family| {
            let part = present.iter().find(|(family, ..)| *family == of);
            part.map_or(0.0, |(_, part, members)| part / whole / members)
        };
        let weights = offers.chunk_by(|one, other| one.family == other.family);
        let weights = weights.map(|alike| (alike.first().map_or(0.0, |bet| weight(bet.family)), alike.len()));
        let weights = weights.collect();
        let shapes = offers.iter().map(|offer| offer.shape).collect();
        let (mut rows, mut shares) = (Vec::new(), Vec::new());
        for offer in offers {
            match offer.bet {
                Form::Cells(row) => rows.push(row),
                Form::Share(bet) => shares.push(bet),
            }
        }
        let (on_shapes, factors, shares) = (rows.len(), by_block(&rows, cells), ShareBets::of(&shares));
        Bets { cells, rows_per_count: 1.0, on_shapes, factors, shares, groups, shapes, weights }
    }

    /// Bets whose factors were worked out elsewhere: shape, weight, logarithm of the factor of each cell. Of at most
    /// [`CELLS_MAX`] cells; bets on more never win.
    pub fn placed(cells: usize, rows_per_count: f64, bets: &[(Shape, f64, Vec<f64>)]) -> Bets {
        let whole: f64 = bets.iter().map(|(_, weight, _)| weight).sum();
        let alike = bets.chunk_by(|one, other| one.1 == other.1);
        let weights = alike.map(|alike| (alike.first().map_or(0.0, |bet| bet.1 / whole), alike.len()));
        let rows: Vec<&[f64]> = bets.iter().map(|(_, _, row)| row.as_slice()).collect();
        Bets {
            cells,
            rows_per_count,
            on_shapes: rows.len(),
            factors: by_block(&rows, cells),
            shares: ShareBets::default(),
            groups: Arc::default(),
            shapes: bets.iter().map(|(shape, ..)| *shape).collect(),
            weights: weights.collect(),
        }
    }

    /// The same bets, sharing with others what is equal: which shapes and shares are bet on is so for most features.
    #[must_use]
    pub fn beside(mut self, other: &Bets) -> Bets {
        share(&mut self.shapes, &other.shapes);
        share(&mut self.groups, &other.groups);
        share(&mut self.shares.group, &other.shares.group);
        share(&mut self.weights, &other.weights);
        self
    }

    /// How many cells a pane's counts have.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// How many bets there are.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Shape and weight of every bet; the weights add up to one.
    pub fn iter(&self) -> impl Iterator<Item = (Shape, f64)> {
        let weights = self.weights.iter().flat_map(|&(weight, bets)| std::iter::repeat_n(weight, bets));
        self.shapes.iter().copied().zip(weights)
    }

    /// What `capital`, in the order of the bets, adds up to by their weights.
    pub fn weighted(&self, mut capital: &[Capital]) -> f64 {
        let mut total = 0.0;
        for &(weight, bets) in self.weights.iter() {
            let (alike, rest) = capital.split_at(bets.min(capital.len()));
            total += weight * growth::sum(alike);
            capital = rest;
        }
        total
    }

    /// The same bets for rows of which `time` are worth one independent row.
    #[must_use]
    pub fn tuned(&self, time: f64) -> Bets {
        let stickiness = |time: f64| (time - 1.0) / (time + 1.0); // γ
        let time = time.max(1.0);
        let (shape, share) = (stickiness(time), stickiness(1.0 + SHARE_CAUTION * (time - 1.0)));
        let mut bets = self.clone();
        dispatch!(Level::new(), _simd => {
            growth::tune(&mut bets.factors, shape);
            growth::tune(&mut bets.shares.inside, share);
            growth::tune(&mut bets.shares.outside, share);
        });
        bets
    }

    /// Gives every bet its `stake`, and multiplies what it then holds by what it wins on a pane of these `counts`.
    pub fn play(&self, counts: &[u64], stake: f64, capital: &mut [Capital]) {
        dispatch!(Level::new(), _simd => {
            self.each(counts, #[inline(always)] |first, gains| {
                growth::grow(capital.get_mut(first..).unwrap_or_default(), stake, gains);
            });
        });
    }

    /// Logarithm of the factor by which `counts` multiply each bet, in order.
    pub fn gains(&self, counts: &[u64], gains: &mut Vec<f64>) {
        gains.clear();
        self.each(counts, |first, block| {
            debug_assert_eq!(first, gains.len(), "blocks come in order");
            gains.extend(&block[..LANES.min(self.end_of(first) - first)]);
        });
        gains.resize(self.len(), 0.0); // counts of another reference win nothing
    }

    /// The end of the bets on shapes, or of all bets, whichever comes first after `first`.
    fn end_of(&self, first: usize) -> usize {
        if first < self.on_shapes { self.on_shapes } else { self.len() }
    }

    /// Shows the logarithms of what the bets win, so many at a time, with the first one's number. Behind the last bet
    /// on a shape, and the last one of all, a block is filled up with zeros.
    #[inline(always)]
    fn each(&self, counts: &[u64], mut visit: impl FnMut(usize, &[f64; LANES])) {
        if counts.len() != self.cells || self.cells > CELLS_MAX {
            return;
        }
        let mut floats = [0.0; CELLS_MAX];
        let rows_per_count = self.rows_per_count;
        floats.iter_mut().zip(counts).for_each(|(float, &count)| *float = count as f64 * rows_per_count);
        let counts = &floats[..self.cells];
        for (block, factors) in self.factors.chunks_exact(self.cells.max(1) * LANES).enumerate() {
            visit(block * LANES, &growth::products(factors, counts));
        }
        let below = running(counts);
        let total = below[self.cells];
        let mut held = [0.0; SHARES_MAX];
        for (held, group) in held.iter_mut().zip(self.groups.iter()) {
            *held = group.held(&below);
        }
        let (groups, _) = self.shares.group.as_chunks::<LANES>();
        let (inside, _) = self.shares.inside.as_chunks::<LANES>();
        let (outside, _) = self.shares.outside.as_chunks::<LANES>();
        for (block, ((groups, inside), outside)) in groups.iter().zip(inside).zip(outside).enumerate() {
            let held = groups.map(|group| held[usize::from(group)]);
            visit(self.on_shapes + block * LANES, &growth::split(&held, total, inside, outside));
        }
    }

    /// Logarithm of the factor by which `counts` multiply all bets together, each with its weight.
    pub fn evidence(&self, counts: &[u64]) -> f64 {
        let mut gains = Vec::with_capacity(self.len());
        self.gains(counts, &mut gains);
        let most = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.iter().zip(&gains).map(|((_, weight), gain)| weight * (gain - most).exp()).sum();
        if gains.is_empty() { 0.0 } else { most + sum.ln() }
    }

    /// Logarithm of the factor of one bet.
    pub fn gain(&self, bet: usize, counts: &[u64]) -> f64 {
        let Some(share) = bet.checked_sub(self.on_shapes) else {
            let first = bet / LANES * LANES * self.cells + bet % LANES;
            let factors = self.factors.iter().skip(first).step_by(LANES);
            let won: f64 = factors.zip(counts).map(|(&log, &count)| f64::from(log) * count as f64).sum();
            return won * self.rows_per_count;
        };
        let ShareBets { group, inside, outside } = &self.shares;
        let (Some(&group), Some(&inside), Some(&outside)) =
            (group.get(share), inside.get(share), outside.get(share))
        else {
            return 0.0;
        };
        let mut floats = [0.0; CELLS_MAX];
        floats.iter_mut().zip(counts).for_each(|(float, &count)| *float = count as f64);
        let below = running(&floats);
        let total = below[CELLS_MAX];
        let held = self.groups.get(usize::from(group)).map_or(0.0, |group| group.held(&below));
        held * f64::from(inside) + (total - held) * f64::from(outside)
    }
}

fn share<T: PartialEq>(mine: &mut Arc<[T]>, other: &Arc<[T]>) {
    if mine == other {
        *mine = Arc::clone(other);
    }
}

fn is_plain(aspect: Aspect) -> bool {
    matches!(aspect, Aspect::Location | Aspect::Scale)
}

/// Rows of logarithms, one per bet, by block of bets and then by cell; the last block filled up with zeros.
fn by_block(rows: &[impl AsRef<[f64]>], cells: usize) -> Vec<f32> {
    let mut factors = vec![0.0; rows.len().next_multiple_of(LANES) * cells];
    for (bet, row) in rows.iter().enumerate() {
        let first = bet / LANES * LANES * cells + bet % LANES;
        let logs = row.as_ref().iter().take(cells).enumerate();
        logs.for_each(|(cell, &log)| factors[first + cell * LANES] = rounded_down(log));
    }
    factors
}

/// A reference, and how far it can be trusted.
struct Table<'a> {
    reference: &'a Bins,
    null: &'a Null,
    /// Independent rows.
    size: f64,
    log_odds: f64,
    choice: Choice,
}

// === impl Table ===

impl Table<'_> {
    /// Bets that the mean of a function grows, and that it falls.
    fn on_shape(&self, aspect: Aspect, values: &[f64], stakes: &[f64]) -> Vec<Offer> {
        let family = if is_plain(aspect) { Family::Plain } else { Family::Form };
        let fallen: Vec<f64> = values.iter().map(|value| -value).collect();
        let mut offers = self.on_growth(Shape::up(aspect), values, stakes, family);
        offers.extend(self.on_growth(Shape::down(aspect), &fallen, stakes, family));
        offers
    }

    fn on_growth(&self, shape: Shape, values: &[f64], stakes: &[f64], family: Family) -> Vec<Offer> {
        let sample = self.sample(values);
        let tolerated = slack::tolerated_mean(&self.shares(), values, self.null.tolerance);
        let slack = slack::mean_above(&sample, self.log_odds).max(tolerated);
        if sample.least >= sample.most || slack >= sample.most {
            return Vec::new(); // nothing is impossible under the null, so nothing is evidence against it
        }
        let largest = 1.0 / (slack - sample.least);
        let offer = |share: &f64| {
            let stake = share * largest;
            let row = values.iter().map(|value| (stake * (value - slack)).ln_1p()).collect();
            Offer { shape, family, bet: Form::Cells(row) }
        };
        stakes.iter().map(offer).collect()
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

    /// Bets that a share grows, and that it shrinks.
    fn on_share(&self, aspect: Aspect, group: usize, cells: &[usize]) -> Vec<Offer> {
        let total = self.reference.total().max(1) as f64;
        let count: u64 = cells.iter().map(|&cell| self.reference.cells()[cell]).sum();
        let share = |count: u64| (count as f64 / total).min(1.0);
        let (above, below) = match aspect {
            Aspect::Unseen => (self.log_odds + self.choice.ways(), self.log_odds),
            Aspect::Bin(_) => (self.log_odds, self.log_odds + self.choice.each()),
            _ => (self.log_odds, self.log_odds),
        };
        let most = slack::share_above(share(count + self.unseen(aspect)), self.size, above);
        let least = slack::share_below(share(count), self.size, below);
        let most = most.max(slack::tolerated_above(share(count), self.null.tolerance));
        let least = least.min(slack::tolerated_below(share(count), self.null.tolerance)).max(0.0);
        let family = match aspect {
            Aspect::Bin(_) => Family::Bins,
            Aspect::Bins(..) => Family::Neighbours,
            _ => Family::Holes,
        };
        let offer = |sense: Sense, inside: f64, outside: f64| {
            let bet = ShareBet { group, inside: inside.ln(), outside: outside.ln() };
            Offer { shape: Shape { aspect, sense }, family, bet: Form::Share(bet) }
        };
        let mut offers = Vec::new();
        if most < 1.0 {
            let offer = |(inside, outside)| offer(Sense::Up, inside, outside);
            offers.extend(GROWTH_STAKES.into_iter().map(|stake| offer(on_more(stake, most))));
        }
        let is_tail = matches!(aspect, Aspect::Tails | Aspect::LowerTail | Aspect::UpperTail);
        if least > 0.0 && !is_tail {
            let offer = |(inside, outside)| offer(Sense::Down, inside, outside);
            offers.extend(LOSS_STAKES.into_iter().map(|stake| offer(on_less(stake, least))));
        }
        offers
    }

    /// Rows to add to those counted in a share, because the bins were drawn around the very values that were seen:
    /// what was seen once stands for what was not seen yet (Good, Biometrika 1953).
    fn unseen(&self, aspect: Aspect) -> u64 {
        let by_value = self.reference.binning().kind() != Kind::Numeric;
        let is_beside = matches!(aspect, Aspect::Unseen | Aspect::Below | Aspect::Above | Aspect::Outside);
        if !(by_value && is_beside) {
            return 0;
        }
        self.reference.bins().iter().filter(|&&count| count == 1).count() as u64
    }
}

#[cfg(test)]
mod tests;

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

use super::directions::{Aspect, Polynomials, Sense, Shape, shares, tilts};
use super::growth::{self, LANES, rounded_down};
use super::slack::{self, Sample};
pub use crate::sketch::binning::CELLS_MAX;
use crate::sketch::binning::Kind;
use crate::sketch::bins::Bins;
use fearless_simd::{Level, dispatch};
use std::sync::Arc;

/// Stakes on a shape, on a tilt, on a share that grows, on a share that shrinks.
const SHAPE_STAKES: [f64; 7] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95];
const TILT_STAKES: [f64; 3] = [0.3, 0.6, 0.95];
const GROWTH_STAKES: [f64; 5] = [0.02, 0.1, 0.3, 0.6, 0.9];
const LOSS_STAKES: [f64; 4] = [0.1, 0.3, 0.6, 0.95];

/// Most shares that are watched: holes, bins, pairs and fours of them.
const SHARES_MAX: usize = 1 << u8::BITS;

/// How the first unit of capital is spread: over shapes, over holes, over bins.
const SPREAD: [f64; 3] = [0.5, 0.25, 0.25];

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
    groups: Arc<[Vec<u8>]>,
    /// Of every bet, in order.
    shapes: Arc<[Shape]>,
    /// Weights of successive bets, and how many have them.
    weights: Arc<[(f64, usize)]>,
}

/// Bets on shares: the share, and the logarithms of the factors of a value in it and of one that is not; filled up
/// with zeros to whole lanes.
#[derive(Clone, Debug, Default, PartialEq)]
struct ShareBets {
    group: Vec<u8>,
    inside: Vec<f32>,
    outside: Vec<f32>,
}

/// One of them.
struct ShareBet {
    group: usize,
    inside: f64,
    outside: f64,
}

/// Bets while they are being collected.
struct Offer {
    shape: Shape,
    kind: usize,
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
        let tilts = tilts(reference);
        let directions = 2 * (polynomials.iter().count() + groups.len()) + tilts.len();
        let table = Table {
            reference,
            null,
            size: reference.total() as f64 / null.autocorrelation_time.max(1.0),
            log_odds: (directions.max(1) as f64 / null.delta).ln(),
        };
        let on_shapes = polynomials.iter().flat_map(|(aspect, values)| table.on_shape(aspect, values));
        let on_tilts = tilts.iter().flat_map(|(shape, values)| table.on_growth(*shape, values, &TILT_STAKES));
        let on_shares = groups
            .iter()
            .enumerate()
            .flat_map(|(group, (aspect, cells))| table.on_share(*aspect, group, cells));
        let groups = groups.iter().map(|(_, cells)| cells.iter().map(|&cell| cell as u8).collect()).collect();
        Bets::assembled(reference.cells().len(), groups, on_shapes.chain(on_tilts).chain(on_shares).collect())
    }

    fn assembled(cells: usize, groups: Arc<[Vec<u8>]>, offers: Vec<Offer>) -> Bets {
        let mut of_kind = [0.0; SPREAD.len()];
        offers.iter().for_each(|offer| of_kind[offer.kind] += 1.0);
        let whole: f64 = SPREAD.iter().zip(of_kind).filter(|&(_, n)| n > 0.0).map(|(share, _)| share).sum();
        let weight = |offer: &Offer| SPREAD[offer.kind] / whole / of_kind[offer.kind];
        let weights = offers.chunk_by(|one, other| one.kind == other.kind);
        let weights = weights.map(|alike| (alike.first().map_or(0.0, weight), alike.len())).collect();
        let shapes = offers.iter().map(|offer| offer.shape).collect();
        let (mut rows, mut shares) = (Vec::new(), ShareBets::default());
        for offer in offers {
            match offer.bet {
                Form::Cells(row) => rows.push(row),
                Form::Share(bet) => shares.push(&bet),
            }
        }
        shares.fill_up();
        let (on_shapes, factors) = (rows.len(), by_block(&rows, cells));
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
    pub fn weighted(&self, mut capital: &[f64]) -> f64 {
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
        let stickiness = (time.max(1.0) - 1.0) / (time.max(1.0) + 1.0); // γ
        let mut bets = self.clone();
        dispatch!(Level::new(), _simd => {
            growth::tune(&mut bets.factors, stickiness);
            growth::tune(&mut bets.shares.inside, stickiness);
            growth::tune(&mut bets.shares.outside, stickiness);
        });
        bets
    }

    /// Gives every bet its `stake`, and multiplies what it then holds by what it wins on a pane of these `counts`.
    pub fn play(&self, counts: &[u64], stake: f64, capital: &mut [f64]) {
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
        let total: f64 = counts.iter().sum();
        let mut held = [0.0; SHARES_MAX];
        for (held, cells) in held.iter_mut().zip(self.groups.iter()) {
            *held = cells.iter().map(|&cell| counts.get(usize::from(cell)).copied().unwrap_or(0.0)).sum();
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
        let total = counts.iter().sum::<u64>() as f64;
        let cells = self.groups.get(usize::from(group)).map_or(&[][..], Vec::as_slice);
        let held = cells.iter().filter_map(|&cell| counts.get(usize::from(cell))).sum::<u64>() as f64;
        held * f64::from(inside) + (total - held) * f64::from(outside)
    }
}

// === impl ShareBets ===

impl ShareBets {
    fn push(&mut self, bet: &ShareBet) {
        self.group.push(bet.group as u8);
        self.inside.push(rounded_down(bet.inside));
        self.outside.push(rounded_down(bet.outside));
    }

    fn fill_up(&mut self) {
        let whole = self.group.len().next_multiple_of(LANES);
        self.group.resize(whole, 0);
        self.inside.resize(whole, 0.0);
        self.outside.resize(whole, 0.0);
    }
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

/// A reference, and how far it can be trusted.
struct Table<'a> {
    reference: &'a Bins,
    null: &'a Null,
    /// Independent rows.
    size: f64,
    log_odds: f64,
}

// === impl Table ===

impl Table<'_> {
    /// Bets that the mean of a polynomial grows, and that it falls.
    fn on_shape(&self, aspect: Aspect, values: &[f64]) -> Vec<Offer> {
        let fallen: Vec<f64> = values.iter().map(|value| -value).collect();
        let mut offers = self.on_growth(Shape::up(aspect), values, &SHAPE_STAKES);
        offers.extend(self.on_growth(Shape::down(aspect), &fallen, &SHAPE_STAKES));
        offers
    }

    fn on_growth(&self, shape: Shape, values: &[f64], stakes: &[f64]) -> Vec<Offer> {
        let sample = self.sample(values);
        let most_likely = slack::mean_of(&sample, self.log_odds);
        let gap = sample.most - most_likely.low;
        let slack = most_likely.high + slack::transport(most_likely.variance, gap, self.null.tolerance);
        if sample.least >= sample.most || slack >= sample.most {
            return Vec::new(); // nothing is impossible under the null, so nothing is evidence against it
        }
        let largest = 1.0 / (slack - sample.least);
        let offer = |share: &f64| {
            let stake = share * largest;
            let row = values.iter().map(|value| (stake * (value - slack)).ln_1p()).collect();
            Offer { shape, kind: 0, bet: Form::Cells(row) }
        };
        stakes.iter().map(offer).collect()
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
        let most = slack::share_above(share(count + self.unseen(aspect)), self.size, self.log_odds);
        let least = slack::share_below(share(count), self.size, self.log_odds);
        let most = slack::tolerated_above(most.min(1.0), self.null.tolerance);
        let least = slack::tolerated_below(least.max(0.0), self.null.tolerance);
        let kind = if matches!(aspect, Aspect::Bin(_) | Aspect::Bins(..)) { 2 } else { 1 };
        let offer = |sense: Sense, inside: f64, outside: f64| {
            let bet = ShareBet { group, inside: inside.ln(), outside: outside.ln() };
            Offer { shape: Shape { aspect, sense }, kind, bet: Form::Share(bet) }
        };
        let mut offers = Vec::new();
        if most < 1.0 {
            let offer = |(inside, outside)| offer(Sense::Up, inside, outside);
            offers.extend(GROWTH_STAKES.into_iter().map(|stake| offer(on_more(stake, most))));
        }
        if least > 0.0 {
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
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use crate::sketch::screen::Specials;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn null(tolerance: f64) -> Null {
        Null { tolerance, delta: 0.01, autocorrelation_time: 1.0 }
    }

    fn reference(counts: &[u64], holes: [u64; 2]) -> Bins {
        let edges: Vec<f64> = (0..=counts.len()).map(|edge| edge as f64).collect();
        let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        for (bin, &count) in counts.iter().enumerate() {
            bins.update(&vec![bin as f64 + 0.5; count as usize]);
        }
        bins.add_specials(&Specials { missing: holes[0], ..Specials::default() });
        bins.update(&vec![-1.0; holes[1] as usize]);
        bins
    }

    /// The expectation of every bet's factor for one value that is distributed as `q`.
    fn expectations(bets: &Bets, q: &[f64]) -> Vec<f64> {
        let mut expectations = vec![0.0; bets.len()];
        let mut gains = Vec::new();
        for (cell, share) in q.iter().enumerate() {
            let mut one = vec![0; q.len()];
            one[cell] = 1;
            bets.gains(&one, &mut gains);
            expectations.iter_mut().zip(&gains).for_each(|(sum, gain)| *sum += share * gain.exp());
        }
        expectations
    }

    fn entropy(q: &[f64], p: &[f64]) -> f64 {
        q.iter().zip(p).filter(|&(&q, _)| q > 0.0).map(|(&q, &p)| q * (q / p).ln()).sum()
    }

    /// The distribution within `tolerance` of `p` that has the largest mean of `values`: p tilted by exp(ηf), with η
    /// where the relative entropy is the tolerance.
    fn worst(p: &[f64], values: &[f64], tolerance: f64) -> Vec<f64> {
        let tilted = |eta: f64| {
            let raw: Vec<f64> = p.iter().zip(values).map(|(p, f)| p * (eta * f).exp()).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(|mass| mass / sum).collect::<Vec<f64>>()
        };
        let (mut low, mut high) = (0.0, 400.0);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if entropy(&tilted(middle), p) <= tolerance { low = middle } else { high = middle }
        }
        tilted(low)
    }

    proptest! {
        #[test]
        fn no_distribution_within_the_tolerance_lets_any_bet_gain(
            counts in prop::collection::vec(1u64..400, 2..20), holes: [u8; 2],
            tolerance in prop_oneof![Just(0.0), 1e-4f64..0.05],
            function in prop::collection::vec(-1f64..1.0, 27),
        ) {
            let reference = reference(&counts, holes.map(u64::from));
            let bets = Bets::against(&reference, &null(tolerance));
            let p: Vec<f64> =
                reference.cells().iter().map(|&n| n as f64 / reference.total() as f64).collect();
            // The worst case of every bet itself, and of a function nobody bets on.
            let mut functions: Vec<Vec<f64>> = vec![function[..p.len()].to_vec()];
            for bet in 0..bets.len() {
                let factor = |cell: usize| {
                    let mut one = vec![0; p.len()];
                    one[cell] = 1;
                    bets.gain(bet, &one).exp()
                };
                let factors: Vec<f64> = (0..p.len()).map(factor).collect();
                let most = factors.iter().copied().fold(0.0, f64::max);
                functions.push(factors.iter().map(|factor| factor / most).collect());
            }
            for function in functions {
                let q = worst(&p, &function, tolerance);
                for expectation in expectations(&bets, &q) {
                    prop_assert!(expectation <= 1.0 + 1e-9, "{}", expectation);
                }
            }
        }

        #[test]
        fn counts_multiply(
            a in prop::collection::vec(0u64..50, 11), b in prop::collection::vec(0u64..50, 11),
        ) {
            let bets = Bets::against(&reference(&[40, 30, 20, 10], [3, 0]), &null(0.001));
            let sum: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            let gains = |counts: &[u64]| {
                let mut gains = Vec::new();
                bets.gains(counts, &mut gains);
                gains
            };
            for (bet, ((a, b), sum)) in gains(&a).iter().zip(gains(&b)).zip(gains(&sum)).enumerate() {
                prop_assert!((a + b - sum).abs() < 1e-9);
                prop_assert_eq!(bets.gain(bet, &[0; 11]), 0.0);
            }
        }
    }

    #[test]
    fn runs_of_one_value_do_not_let_any_bet_gain() {
        let reference = reference(&[990, 10], [2, 0]);
        let p: Vec<f64> = reference.cells().iter().map(|&n| n as f64 / reference.total() as f64).collect();
        for time in [1.0, 3.0, 9.0, 99.0] {
            let stickiness = (time - 1.0) / (time + 1.0);
            let bets = Bets::against(&reference, &null(0.0)).tuned(time);
            for bet in 0..bets.len() {
                let of_run = |cell: usize| {
                    let mut one = vec![0; p.len()];
                    one[cell] = 1;
                    let factor = bets.gain(bet, &one).exp();
                    (1.0 - stickiness) * factor / (1.0 - stickiness * factor)
                };
                let expectation: f64 = p.iter().enumerate().map(|(cell, share)| share * of_run(cell)).sum();
                assert!(expectation <= 1.0 + 1e-9, "{time}: {expectation}");
            }
        }
    }

    #[test]
    fn weights_add_up_to_one_and_every_bet_has_its_row() {
        for counts in [&[10, 20, 30][..], &[5], &[1_000; 64]] {
            let bets = Bets::against(&reference(counts, [0, 0]), &null(0.0));
            assert!((bets.iter().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-12);
            let mut gains = Vec::new();
            let counted = reference(counts, [1, 1]);
            bets.gains(counted.cells(), &mut gains);
            assert_eq!(gains.len(), bets.len());
            for (bet, gain) in gains.iter().enumerate() {
                assert!((bets.gain(bet, counted.cells()) - gain).abs() < 1e-9 && gain.is_finite());
            }
        }
    }

    #[test]
    fn an_autocorrelated_reference_is_trusted_less() {
        let reference = reference(&[500, 500], [0, 0]);
        let gain = |time: f64| {
            let bets = Bets::against(&reference, &Null { autocorrelation_time: time, ..null(0.0) });
            let mut gains = Vec::new();
            bets.gains(&[0, 0, 0, 0, 0, 30, 70, 0, 0], &mut gains);
            gains.into_iter().fold(f64::NEG_INFINITY, f64::max)
        };
        assert!(gain(1.0) > gain(10.0));
    }
}

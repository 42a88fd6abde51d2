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
use super::slack::{self, Sample};
use crate::sketch::binning::{BINS_MAX, Kind};
use crate::sketch::bins::Bins;

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

/// Most cells of a feature: its bins, and those beside them.
pub const CELLS_MAX: usize = BINS_MAX + 7;

/// Most shares that are watched: holes, bins, pairs, fours and eights of them.
const SHARES_MAX: usize = 3 * BINS_MAX;

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

/// All bets on one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Bets {
    cells: usize,
    /// Logarithms of factors: one row of cells per bet on a shape.
    factors: Vec<f64>,
    /// Bets on shares, behind those on shapes.
    shares: Vec<ShareBet>,
    groups: Vec<Vec<usize>>,
    /// Shape and weight of every bet, in order.
    bets: Vec<(Shape, f64)>,
}

/// Logarithms of the factors of a value that is in a share and of one that is not.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ShareBet {
    group: usize,
    inside: f64,
    outside: f64,
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
        let groups = groups.iter().map(|(_, cells)| cells.clone()).collect();
        Bets::assembled(reference.cells().len(), groups, offers)
    }

    fn assembled(cells: usize, groups: Vec<Vec<usize>>, offers: Vec<Offer>) -> Bets {
        let members = |family: Family| offers.iter().filter(|offer| offer.family == family).count() as f64;
        let present: Vec<(Family, f64, f64)> =
            SPREAD.into_iter().map(|(family, part)| (family, part, members(family))).collect();
        let whole: f64 = present.iter().filter(|(.., members)| *members > 0.0).map(|(_, part, _)| part).sum();
        let weight = |of: Family| {
            let part = present.iter().find(|(family, ..)| *family == of);
            part.map_or(0.0, |(_, part, members)| part / whole / members)
        };
        let bets = offers.iter().map(|offer| (offer.shape, weight(offer.family))).collect();
        let (mut factors, mut shares) = (Vec::new(), Vec::new());
        for offer in offers {
            match offer.bet {
                Form::Cells(row) => factors.extend(row),
                Form::Share(bet) => shares.push(bet),
            }
        }
        Bets { cells, factors, shares, groups, bets }
    }

    /// How many bets there are.
    pub fn len(&self) -> usize {
        self.bets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bets.is_empty()
    }

    /// Shape and weight of every bet; the weights add up to one.
    pub fn iter(&self) -> impl Iterator<Item = (Shape, f64)> {
        self.bets.iter().copied()
    }

    /// The same bets for rows of which `time` are worth one independent row.
    #[must_use]
    pub fn tuned(&self, time: f64) -> Bets {
        let tuned = |log: f64, time: f64| {
            let stickiness = (time - 1.0) / (time + 1.0); // γ
            log - (1.0 - stickiness + stickiness * log.exp()).ln()
        };
        let time = time.max(1.0);
        let of_share = 1.0 + SHARE_CAUTION * (time - 1.0);
        let mut bets = self.clone();
        bets.factors.iter_mut().for_each(|factor| *factor = tuned(*factor, time));
        for share in &mut bets.shares {
            (share.inside, share.outside) = (tuned(share.inside, of_share), tuned(share.outside, of_share));
        }
        bets
    }

    /// Logarithm of the factor by which `counts` multiply each bet, in order.
    pub fn gains(&self, counts: &[u64], gains: &mut Vec<f64>) {
        gains.clear();
        if counts.len() != self.cells {
            gains.resize(self.len(), 0.0);
            return;
        }
        let (mut floats, mut inside) = ([0.0; CELLS_MAX], [0.0; SHARES_MAX]);
        floats.iter_mut().zip(counts).for_each(|(float, &count)| *float = count as f64);
        let counts = &floats[..self.cells.min(CELLS_MAX)];
        gains.extend(self.factors.chunks_exact(self.cells).map(|row| dot(row, counts)));
        let total: f64 = counts.iter().sum();
        for (inside, cells) in inside.iter_mut().zip(&self.groups) {
            *inside = cells.iter().map(|&cell| counts[cell]).sum();
        }
        gains.extend(self.shares.iter().map(|bet| {
            let inside = inside[bet.group];
            inside * bet.inside + (total - inside) * bet.outside
        }));
    }

    /// The same for one bet.
    pub fn gain(&self, bet: usize, counts: &[u64]) -> f64 {
        let row = self.factors.chunks_exact(self.cells).nth(bet);
        let on_shapes = self.factors.len() / self.cells.max(1);
        match (row, bet.checked_sub(on_shapes).and_then(|share| self.shares.get(share))) {
            (Some(row), _) => row.iter().zip(counts).map(|(factor, &count)| factor * count as f64).sum(),
            (None, Some(share)) => {
                let total = counts.iter().sum::<u64>() as f64;
                let inside = self.groups[share.group].iter().map(|&cell| counts[cell]).sum::<u64>() as f64;
                inside * share.inside + (total - inside) * share.outside
            }
            (None, None) => 0.0,
        }
    }
}

fn is_plain(aspect: Aspect) -> bool {
    matches!(aspect, Aspect::Location | Aspect::Scale)
}

/// Four sums at once, so that the additions need not wait for each other.
fn dot(row: &[f64], counts: &[f64]) -> f64 {
    let (rows, row_rest) = row.as_chunks::<4>();
    let (cells, cells_rest) = counts.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (row, counts) in rows.iter().zip(cells) {
        for lane in 0..4 {
            sums[lane] += row[lane] * counts[lane];
        }
    }
    let rest: f64 = row_rest.iter().zip(cells_rest).map(|(factor, count)| factor * count).sum();
    sums.iter().sum::<f64>() + rest
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
        let most = slack::share_above(share(count + self.unseen(aspect)), self.size, self.log_odds);
        let least = slack::share_below(share(count), self.size, self.log_odds);
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
            let growth = |stake: f64| offer(Sense::Up, 1.0 + stake * (1.0 - most) / most, 1.0 - stake);
            offers.extend(GROWTH_STAKES.into_iter().map(growth));
        }
        let is_tail = matches!(aspect, Aspect::Tails | Aspect::LowerTail | Aspect::UpperTail);
        if least > 0.0 && !is_tail {
            // f = -1 inside, s = -least, the largest stake is 1/(1 - least).
            let certain = least >= 1.0 - f64::EPSILON;
            let rest = if certain { f64::EPSILON } else { 1.0 - least };
            let loss = |stake: f64| offer(Sense::Down, 1.0 - stake, 1.0 + stake * least / rest);
            offers.extend(LOSS_STAKES.into_iter().map(loss));
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

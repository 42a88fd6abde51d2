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

mod bounds;
mod odds;
mod shares;

pub use odds::Odds;
pub use shares::{on_less, on_more};

use super::directions::{Aspect, Sense, Shape, shares};
use super::functions::{DIRECTIONS, POLYNOMIALS, Ranks};
use super::growth::{self, Capital, LANES, rounded_down};
pub use crate::sketch::binning::CELLS_MAX;
use crate::sketch::bins::Bins;
use bounds::Table;
use shares::{Group, Share};
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

/// How many functions are location and scale.
const PLAIN: usize = 2;

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

/// All bets on one feature: what is bet on, and against what. What each multiplies by is worked out when rows are weighed
/// ([`Odds`]), for it takes a hundred times the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Bets {
    cells: usize,
    /// What a count is worth: 1, or a part of a row.
    rows_per_count: f64,
    /// How many bets are on shapes; those on shares follow.
    on_shapes: usize,
    forms: Forms,
    /// The largest mean that is no change, of each of [`DIRECTIONS`]; infinite where nothing is bet. None for categories.
    slacks: Box<[f64]>,
    shares: Arc<[Share]>,
    /// The largest part of each share that is no change, or the smallest if bets are that it falls; rounded outwards.
    bounds: Box<[f32]>,
    /// The cells of each share.
    groups: Arc<[Group]>,
    /// Of every bet, in order.
    shapes: Arc<[Shape]>,
    /// Weights of successive bets, and how many have them.
    weights: Arc<[(f64, usize)]>,
}

/// What bets on shapes are on.
#[derive(Clone, Debug, PartialEq)]
enum Forms {
    /// Functions of the mid-ranks.
    Ranks(Ranks),
    /// Logarithms of factors that were worked out elsewhere: by block of bets, then by cell.
    Placed(Arc<[f32]>),
}

/// Bets of some stakes on one direction, while they are being collected.
struct Offer {
    shape: Shape,
    family: Family,
    stakes: &'static [f64],
}

// === impl Bets ===

impl Bets {
    /// All bets against the null around a reference.
    pub fn against(reference: &Bins, ranks: &Ranks, null: &Null) -> Bets {
        let groups = shares(reference);
        let table = Table::of(reference, ranks, null, groups.len());
        let slacks = table.slacks();
        let on_shapes = DIRECTIONS.iter().zip(&slacks).filter(|(_, slack)| slack.is_finite());
        let on_shapes = on_shapes.map(|(&direction, _)| Offer::on_shape(direction.0, table.words(direction)));
        let mut offers: Vec<Offer> = on_shapes.collect();
        let count = |offers: &[Offer]| offers.iter().map(|offer| offer.stakes.len()).sum();
        let on_shapes = count(&offers);
        let bounds: Vec<(Share, f32)> = groups
            .iter()
            .enumerate()
            .flat_map(|(group, (aspect, cells))| table.bounds(*aspect, group, cells))
            .collect();
        let aspects = bounds.iter().map(|(share, _)| (groups[usize::from(share.group)].0, share.sense));
        offers.extend(aspects.map(|(aspect, sense)| Offer::on_share(aspect, sense)));
        let shapes = offers.iter().flat_map(|offer| offer.stakes.iter().map(|_| offer.shape));
        Bets {
            cells: reference.cells().len(),
            rows_per_count: 1.0,
            on_shapes,
            forms: Forms::Ranks(ranks.clone()),
            slacks: slacks.into(),
            shares: bounds.iter().map(|(share, _)| *share).collect(),
            bounds: bounds.iter().map(|(_, bound)| *bound).collect(),
            groups: groups.iter().map(|(_, cells)| Group::of(cells)).collect(),
            shapes: shapes.collect(),
            weights: weights(&offers),
        }
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
            forms: Forms::Placed(by_block(&rows, cells).into()),
            slacks: Box::default(),
            shares: Arc::default(),
            bounds: Box::default(),
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
        share(&mut self.shares, &other.shares);
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
}

// === impl Offer ===

impl Offer {
    fn on_shape(function: usize, shape: Shape) -> Offer {
        let family = if function < PLAIN { Family::Plain } else { Family::Form };
        Offer { shape, family, stakes: stakes_on(function) }
    }

    fn on_share(aspect: Aspect, sense: Sense) -> Offer {
        let family = match aspect {
            Aspect::Bin(_) => Family::Bins,
            Aspect::Bins(..) => Family::Neighbours,
            _ => Family::Holes,
        };
        Offer { shape: Shape { aspect, sense }, family, stakes: stakes_of(sense) }
    }
}

/// Stakes on a function, by its number.
fn stakes_on(function: usize) -> &'static [f64] {
    match function {
        ..PLAIN => &PLAIN_STAKES,
        PLAIN..POLYNOMIALS => &FORM_STAKES,
        _ => &END_STAKES,
    }
}

/// Stakes on a share, that it grows or falls.
fn stakes_of(sense: Sense) -> &'static [f64] {
    match sense {
        Sense::Up => &GROWTH_STAKES,
        Sense::Down => &LOSS_STAKES,
    }
}

/// The part of every family among all bets, each of which counts the same in it.
fn weights(offers: &[Offer]) -> Arc<[(f64, usize)]> {
    let members = |family: Family| {
        let alike = offers.iter().filter(|offer| offer.family == family);
        alike.map(|offer| offer.stakes.len()).sum::<usize>() as f64
    };
    let present: Vec<(Family, f64, f64)> =
        SPREAD.into_iter().map(|(family, part)| (family, part, members(family))).collect();
    let whole: f64 = present.iter().filter(|(.., members)| *members > 0.0).map(|(_, part, _)| part).sum();
    let weight = |of: Family| {
        let part = present.iter().find(|(family, ..)| *family == of);
        part.map_or(0.0, |(_, part, members)| part / whole / members)
    };
    let weights = offers.chunk_by(|one, other| one.family == other.family).map(|alike| {
        let bets = alike.iter().map(|offer| offer.stakes.len()).sum();
        (alike.first().map_or(0.0, |offer| weight(offer.family)), bets)
    });
    weights.collect()
}

fn share<T: PartialEq>(mine: &mut Arc<[T]>, other: &Arc<[T]>) {
    if mine == other {
        *mine = Arc::clone(other);
    }
}

/// Rows of logarithms, one per bet, by block of bets and then by cell; the last block filled up with zeros.
fn by_block(rows: &[&[f64]], cells: usize) -> Vec<f32> {
    let mut factors = vec![0.0; rows.len().next_multiple_of(LANES) * cells];
    for (bet, row) in rows.iter().enumerate() {
        let first = bet / LANES * LANES * cells + bet % LANES;
        let logs = row.iter().take(cells).enumerate();
        logs.for_each(|(cell, &log)| factors[first + cell * LANES] = rounded_down(log));
    }
    factors
}

#[cfg(test)]
mod tests;

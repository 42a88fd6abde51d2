//! How many rows are worth one independent row: the autocorrelation time, from the panes themselves.
//!
//! Rows that resemble the row before carry less evidence than they seem to; without a correction every detector that
//! assumes independence raises false alarms (at ρ = 0.8 a thousand times too many). So bets are placed for rows of
//! which so many are worth one independent row, the autocorrelation time τ = 1 + 2 Σ ρ_k: see [`super::bets`].
//!
//! The reference's own τ comes with the profile. Training data may have been shuffled, or come in another order than
//! live rows, so it is also measured live: means of successive panes differ by a variance of 2τV/n (von Neumann,
//! "Distribution of the ratio of the mean square successive difference to the variance", 1941). They are
//! averaged, the largest ones clipped, so that one change of level does not count. It replaces the profile's where chance does not explain that the two
//! differ, and is taken only from the past: a pane is never judged by itself.

use super::bets::CELLS_MAX;
use super::functions::Ranks;
use crate::prefetch::prefetch;
use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::Bins;
use serde::{Deserialize, Serialize};

/// Differences that are remembered, and after how many the median is taken anew.
const REMEMBERED: usize = 64;
const EVERY: usize = 8;

/// Differences without which live panes say nothing.
const LEAST: usize = 16;

/// 3.5 standard errors of the mean of squared normal differences, times the root of their number.
const DOUBT: f64 = 5.0;

/// Times the mean beyond which a difference is a change of level and not chance.
const CLIP: f64 = 8.0;

/// Steps per doubling of the time.
const STEPS: f64 = 4.0;

/// Fewest values a pane must hold, times the variance of what is looked at, for its mean to be nearly normal.
const WEIGHT_MIN: f64 = 3.0;

/// Cells of rows that are missing.
const HOLES: [usize; 2] = [binning::MISSING, binning::NAN];

/// Categories that are looked at.
const CATEGORIES_MAX: usize = 8;

/// What is looked at: how the mean of a few functions moves from pane to pane.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    functions: Functions,
    variances: Box<[f64]>,
    /// What a count is worth.
    rows_per_count: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Functions {
    /// Location, scale and, where some are, whether it is missing.
    Shape(Ranks, bool),
    /// Whether it is a certain category, of the most frequent ones.
    Cells(Box<[u8]>),
    /// By cell.
    Other(Vec<Vec<f64>>),
}

/// What the panes so far say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tempo {
    /// From the profile.
    known: Option<f64>,
    /// The last pane: its values, and the means of what is looked at.
    total: f64,
    means: Vec<f64>,
    /// Squared differences in units of their expectation, per function.
    moves: Moves,
    seen: usize,
    time: f64,
}

/// The latest of so many series of numbers, oldest first, one series after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<f32>>", into = "Vec<Vec<f32>>")]
struct Moves {
    values: Vec<f32>,
    /// How many there are of each.
    lengths: Vec<u8>,
}

// === impl Probe ===

impl Probe {
    pub fn of(reference: &Bins, ranks: &Ranks) -> Probe {
        let functions = if reference.binning().kind() == Kind::Category {
            Functions::Cells(most_frequent(reference.cells()))
        } else {
            Functions::Shape(ranks.clone(), HOLES.iter().any(|&cell| reference.cells()[cell] > 0))
        };
        Probe::looking_at(functions, reference.cells(), 1.0)
    }

    /// Looks at the means of these functions of a cell, which vary as in `reference`.
    pub fn on(functions: Vec<Vec<f64>>, reference: &[u64], rows_per_count: f64) -> Probe {
        Probe::looking_at(Functions::Other(functions), reference, rows_per_count)
    }

    fn looking_at(functions: Functions, reference: &[u64], rows_per_count: f64) -> Probe {
        let total = reference.iter().sum::<u64>().max(1) as f64;
        let average = |of: &dyn Fn(usize) -> f64| {
            let terms = reference.iter().enumerate().map(|(cell, &count)| count as f64 / total * of(cell));
            terms.sum::<f64>()
        };
        let variance = |function: usize| {
            let mean = average(&|cell| functions.value(function, cell));
            average(&|cell| (functions.value(function, cell) - mean).powi(2))
        };
        let variances = (0..functions.count()).map(variance).collect();
        Probe { functions, variances, rows_per_count }
    }

    /// Writes the means of what is looked at; how many there are.
    fn means(&self, counts: &[u64], total: f64, means: &mut [f64; CELLS_MAX]) -> usize {
        let first = match &self.functions {
            Functions::Shape(ranks, _) => {
                [means[0], means[1]] = ranks.sums(counts).map(|sum| sum / total);
                2
            }
            Functions::Cells(_) | Functions::Other(_) => 0,
        };
        for (function, mean) in means.iter_mut().enumerate().take(self.functions.count()).skip(first) {
            let terms = counts.iter().enumerate();
            *mean =
                terms.map(|(cell, &count)| self.functions.value(function, cell) * count as f64).sum::<f64>()
                    / total;
        }
        self.functions.count()
    }
}

impl Functions {
    fn count(&self) -> usize {
        match self {
            Functions::Shape(_, missing) => 2 + usize::from(*missing),
            Functions::Cells(cells) => cells.len(),
            Functions::Other(functions) => functions.len(),
        }
    }

    #[inline]
    fn value(&self, function: usize, cell: usize) -> f64 {
        let is = |yes: bool| f64::from(u8::from(yes));
        match self {
            Functions::Shape(ranks, _) if function < 2 => ranks.polynomial(function, cell),
            Functions::Shape(_, missing) => is(*missing && HOLES.contains(&cell)),
            Functions::Cells(cells) => is(cells.get(function).is_some_and(|&of| usize::from(of) == cell)),
            Functions::Other(functions) => {
                functions.get(function).and_then(|values| values.get(cell)).copied().unwrap_or(0.0)
            }
        }
    }
}

/// The most frequent cells.
fn most_frequent(cells: &[u64]) -> Box<[u8]> {
    let mut order: Vec<usize> = (0..cells.len()).filter(|&cell| cells[cell] > 0).collect();
    order.sort_by_key(|&cell| std::cmp::Reverse(cells[cell]));
    order.truncate(CATEGORIES_MAX);
    order.into_iter().map(|cell| cell as u8).collect()
}

// === impl Tempo ===

impl Tempo {
    /// `known` is the autocorrelation time of the reference.
    pub fn new(known: Option<f64>) -> Tempo {
        Tempo {
            known,
            total: 0.0,
            means: Vec::new(),
            moves: Moves::default(),
            seen: 0,
            time: known.unwrap_or(1.0).max(1.0),
        }
    }

    /// Asks for the cache lines that it points to.
    pub fn prefetch(&self) {
        prefetch(self.means.as_slice());
        prefetch(self.moves.values.as_slice());
    }

    /// The autocorrelation time, at least one, by what was seen so far.
    pub fn time(&self) -> f64 {
        self.time
    }

    /// Takes in a pane.
    pub fn observe(&mut self, probe: &Probe, counts: &[u64]) {
        let total = counts.iter().sum::<u64>() as f64;
        if total == 0.0 {
            return;
        }
        let mut means = [0.0; CELLS_MAX];
        let count = probe.means(counts, total, &mut means);
        let means = &means[..count];
        let total = total * probe.rows_per_count;
        let before = std::mem::replace(&mut self.total, total);
        if before > 0.0 {
            self.remember(probe, means, 1.0 / before + 1.0 / total);
        }
        self.means.clear();
        self.means.reserve_exact(count);
        self.means.extend_from_slice(means);
        if before == 0.0 {
            return;
        }
        self.seen += 1;
        if self.seen >= LEAST && self.seen.is_multiple_of(EVERY) {
            self.time = stepped(self.time, self.estimate());
        }
    }

    /// Keeps the squared differences from the last pane, each one τ on average: `noise` is 1/n + 1/m.
    fn remember(&mut self, probe: &Probe, means: &[f64], noise: f64) {
        let differences = self.means.iter().zip(means).zip(&probe.variances);
        let moves = differences.map(|((a, b), variance)| {
            // The mean of a few rows of which hardly any is the one looked for says nothing, not even that it is calm.
            (*variance > WEIGHT_MIN * noise).then(|| (a - b).powi(2) / (noise * variance))
        });
        moves.enumerate().for_each(|(series, value)| self.moves.keep(series, value));
    }

    fn estimate(&self) -> f64 {
        let known = self.known.unwrap_or(1.0).max(1.0);
        let telling = self.moves.iter().filter(|series| series.len() >= LEAST);
        let Some(fewest) = telling.clone().map(<[f32]>::len).min() else { return known };
        let live = telling.map(clipped_mean).fold(0.0, f64::max);
        let doubt = 1.0 + DOUBT / (fewest as f64).sqrt();
        if self.known.is_none() || live > doubt * known {
            live.max(known)
        } else {
            known.min(live * doubt).max(1.0)
        }
    }
}

/// The time to go on with: it moves in steps, upwards at once and downwards when it is two steps too long, because a time
/// that is too long costs little and all bets are made anew for another one.
fn stepped(time: f64, estimate: f64) -> f64 {
    let step = |time: f64| (time.log2() * STEPS).ceil();
    let next = step(estimate);
    let moves = estimate > time || next + 1.0 < step(time);
    if moves { (next / STEPS).exp2() } else { time }
}

/// The mean of squared differences, of which none counts for more than [`CLIP`] times the mean.
fn clipped_mean(series: &[f32]) -> f64 {
    let clipped = |most: f64| series.iter().map(|&value| f64::from(value).min(most)).sum::<f64>();
    let count = series.len().max(1) as f64;
    (0..4).fold(1.0, |mean: f64, _| (clipped(CLIP * mean.max(1.0)) / count).max(1.0))
}

// === impl Moves ===

impl Moves {
    fn iter(&self) -> impl Iterator<Item = &[f32]> + Clone {
        let mut rest = self.values.as_slice();
        self.lengths.iter().map(move |&length| {
            let series;
            (series, rest) = rest.split_at(usize::from(length).min(rest.len()));
            series
        })
    }

    /// Puts a number behind a series, which is one of those there are or the next one; where it is full its first one is
    /// forgotten.
    fn keep(&mut self, series: usize, value: Option<f64>) {
        if series == self.lengths.len() {
            self.lengths.push(0);
        }
        let start: usize = self.lengths.iter().take(series).map(|&length| usize::from(length)).sum();
        let (Some(value), Some(length)) = (value, self.lengths.get_mut(series)) else { return };
        let end = start + usize::from(*length);
        if usize::from(*length) < REMEMBERED {
            if self.values.len() == self.values.capacity() {
                self.values.reserve_exact(LEAST);
            }
            self.values.insert(end, value as f32);
            *length += 1;
        } else {
            self.values[start..end].rotate_left(1);
            self.values[end - 1] = value as f32;
        }
    }
}

impl From<Vec<Vec<f32>>> for Moves {
    fn from(series: Vec<Vec<f32>>) -> Moves {
        let mut moves = Moves::default();
        for (number, values) in series.iter().take(CELLS_MAX).enumerate() {
            moves.keep(number, None);
            values.iter().for_each(|&value| moves.keep(number, Some(value.into())));
        }
        moves
    }
}

impl From<Moves> for Vec<Vec<f32>> {
    fn from(moves: Moves) -> Vec<Vec<f32>> {
        moves.iter().map(<[f32]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    fn probe(reference: &Bins) -> Probe {
        Probe::of(reference, &Ranks::of(reference))
    }

    /// Values that repeat the one before with probability ρ: autocorrelation ρ^k, τ = (1 + ρ)/(1 - ρ).
    fn sticky(rows: usize, stickiness: f64, seed: u64) -> Vec<f64> {
        let mut random = Random(seed);
        let mut value = random.uniform();
        let mut next = || {
            if random.uniform() >= stickiness {
                value = random.uniform();
            }
            value
        };
        (0..rows).map(|_| next()).collect()
    }

    fn counted(values: &[f64]) -> Bins {
        let edges: Vec<f64> = (0..=20).map(|edge| f64::from(edge) / 20.0).collect();
        let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        bins.update(values);
        bins
    }

    fn live(known: Option<f64>, stickiness: f64) -> f64 {
        let probe = probe(&counted(&sticky(20_000, 0.0, 1)));
        let mut tempo = Tempo::new(known);
        for pane in sticky(200 * 64, stickiness, 7).chunks(200) {
            tempo.observe(&probe, counted(pane).cells());
        }
        tempo.time()
    }

    #[test]
    fn independent_rows_keep_the_time_of_the_profile() {
        assert_eq!(live(Some(1.0), 0.0), 1.0);
        assert!((3.0..=4.0).contains(&live(Some(4.0), 0.75)));
    }

    #[test]
    fn a_reference_that_was_sorted_does_not_silence_a_live_stream_that_is_not() {
        let time = live(Some(500.0), 0.0);
        assert!(time < 3.0, "{time}");
    }

    #[test]
    fn rows_that_follow_each_other_live_are_noticed_though_the_reference_was_shuffled() {
        let time = live(Some(1.0), 0.8);
        assert!((5.0..16.0).contains(&time), "{time} instead of 9");
        assert!(live(None, 0.8) > 5.0);
    }

    #[test]
    fn a_change_of_level_is_no_autocorrelation() {
        let probe = probe(&counted(&sticky(20_000, 0.0, 1)));
        let mut tempo = Tempo::new(Some(1.0));
        let values: Vec<f64> = sticky(200 * 64, 0.0, 3)
            .iter()
            .enumerate()
            .map(|(i, v)| if i < 6_000 { *v } else { v.sqrt() })
            .collect();
        values.chunks(200).for_each(|pane| tempo.observe(&probe, counted(pane).cells()));
        assert_eq!(tempo.time(), 1.0);
    }

    #[test]
    fn panes_too_small_to_tell_leave_the_time_of_the_profile() {
        let rare: Vec<f64> =
            sticky(20_000, 0.0, 1).iter().map(|value| f64::from(u8::from(*value > 0.99))).collect();
        let mut reference = Bins::new(Arc::new(Binning::discrete(&[0.0, 1.0]).unwrap()));
        reference.update(&rare);
        let (probe, mut tempo) = (probe(&reference), Tempo::new(Some(9.0)));
        for pane in rare.chunks(100) {
            let mut counts = Bins::new(Arc::clone(reference.binning()));
            counts.update(pane);
            tempo.observe(&probe, counts.cells());
        }
        assert_eq!(tempo.time(), 9.0);
    }

    #[test]
    fn empty_panes_and_constants_say_nothing() {
        let constant = {
            let mut bins = Bins::new(Arc::new(Binning::discrete(&[3.0]).unwrap()));
            bins.update(&[3.0; 100]);
            bins
        };
        let (probe, mut tempo) = (probe(&constant), Tempo::new(None));
        for _ in 0..100 {
            tempo.observe(&probe, constant.cells());
            tempo.observe(&probe, &vec![0; constant.cells().len()]);
        }
        assert_eq!(tempo.time(), 1.0);
    }
}

//! How many rows of the reference are worth one independent row, from the order they came in.
//!
//! Sums of 1, 2, 4, 8, … rows in a row: were the rows independent, the variance of the sums would grow as their
//! length. What it grows more is the integrated autocorrelation time τ = 1 + 2 Σ ρ_k (method of batch means; Flegal and
//! Jones, "Batch means and spectral variance estimators in Markov chain Monte Carlo", Annals of Statistics 2010). The
//! largest excess over all lengths counts, so that slow waves and rows that hold many values are noticed too, if it is
//! more than chance explains.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Fewest sums of one length that say something.
const SUMS_MIN: f64 = 64.0;

/// Standard errors beyond which an excess is not chance.
const DOUBT: f64 = 5.0;

/// Longest sums: 2^24 rows.
const LENGTHS_MAX: usize = 25;

/// Signs a category gets, so that two frequent ones do not share all of them.
const SIGNS: usize = 4;

/// Rows of a category below which it says nothing.
const OCCURRENCES_MIN: f64 = 100.0;

/// Blocks without which nothing is known of missing values.
const BLOCKS_MIN: f64 = 16.0;

/// Categories, the first ones seen, whose coming and going is looked at one by one.
const SINGLED_OUT: usize = 12;

/// Sums of one series.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Length>);

/// Sums of 2^k rows.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    sums: f64,
    total: f64,
    squares: f64,
    /// A sum that waits for the next one, to become one of double the length.
    waiting: Option<f64>,
}

/// Series of a categorical feature: plus or minus one, drawn by the hash of the category; and whether it is a certain
/// one.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    signs: [Series; SIGNS],
    /// By hash, from the row on in which it was seen first.
    singled_out: Vec<(u64, Series)>,
}

/// Ranks that are told apart, by rows and by values.
const RANKS_MAX: usize = 64;

/// Series of a numeric feature: its ranks among the values that came first, and their squares.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Where ranges of values begin, and the rank in the middle of each.
    starts: Vec<f64>,
    ranks: Vec<f64>,
    location: Series,
    scale: Series,
    last: Option<f64>,
    /// Whether no value has been smaller than the one before; or larger.
    rises: bool,
    falls: bool,
}

/// How missing values come: alone, or in runs. Of blocks of rows it is known how many are missing, not which.
#[derive(Clone, Debug, Default)]
pub struct Holes {
    blocks: f64,
    rows: f64,
    missing: f64,
    /// Sum of squared missing rows, each by the rows of its block.
    squares: f64,
    /// Shares of missing rows: how blocks follow each other.
    shares: Series,
}

// === impl Series ===

impl Series {
    pub fn push(&mut self, value: f64) {
        let mut sum = value;
        for position in 0..LENGTHS_MAX {
            if position == self.0.len() {
                self.0.push(Length::default());
            }
            let length = &mut self.0[position];
            length.sums += 1.0;
            length.total += sum;
            length.squares += sum * sum;
            match length.waiting.take() {
                Some(before) => sum += before,
                None => {
                    length.waiting = Some(sum);
                    return;
                }
            }
        }
    }

    fn sum(&self) -> f64 {
        self.0.first().map_or(0.0, |single| single.total)
    }

    /// The autocorrelation time, at least one.
    pub fn time(&self) -> f64 {
        let Some(single) = self.0.first().map(Length::variance).filter(|&variance| variance > 1e-12) else {
            return 1.0;
        };
        let excess = self.0.iter().enumerate().skip(1).filter(|(_, length)| length.sums >= SUMS_MIN);
        let excess = excess.filter_map(|(k, length)| {
            let ratio = length.variance() / ((1u64 << k) as f64 * single);
            (ratio > 1.0 + DOUBT * (2.0 / (length.sums - 1.0)).sqrt()).then_some(ratio)
        });
        excess.fold(1.0, f64::max)
    }
}

// === impl Holes ===

impl Holes {
    /// A block of so many rows, of which some are missing.
    pub fn push(&mut self, missing: u64, rows: u64) {
        if rows == 0 {
            return;
        }
        let (missing, rows) = (missing as f64, rows as f64);
        self.blocks += 1.0;
        self.rows += rows;
        self.missing += missing;
        self.squares += missing * missing / rows;
        self.shares.push(missing / rows);
    }

    /// The autocorrelation time of being missing: within blocks, by how much more their numbers differ than chance
    /// explains (as batch means do), times that of the blocks.
    pub fn time(&self) -> f64 {
        let share = self.missing / self.rows.max(1.0);
        let chance = share * (1.0 - share) * (self.blocks - 1.0);
        if self.missing < OCCURRENCES_MIN || self.blocks < BLOCKS_MIN || chance <= 0.0 {
            return 1.0;
        }
        let excess = (self.squares - share * self.missing) / chance;
        let within = if excess > 1.0 + DOUBT * (2.0 / self.blocks).sqrt() { excess } else { 1.0 };
        within * self.shares.time()
    }
}

// === impl Length ===

impl Length {
    fn variance(&self) -> f64 {
        let mean = self.total / self.sums;
        (self.squares - mean * self.total).max(0.0) / (self.sums - 1.0).max(1.0)
    }
}

// === impl Signs ===

impl Signs {
    pub fn push(&mut self, label: &[u8]) {
        let mut hasher = SipHasher13::new();
        hasher.write(label);
        let hash = hasher.finish();
        for (position, series) in self.signs.iter_mut().enumerate() {
            series.push(if hash >> position & 1 == 1 { 1.0 } else { -1.0 });
        }
        if self.singled_out.len() < SINGLED_OUT && !self.singled_out.iter().any(|(known, _)| *known == hash) {
            self.singled_out.push((hash, Series::default()));
        }
        for (known, series) in &mut self.singled_out {
            series.push(f64::from(u8::from(*known == hash)));
        }
    }

    pub fn time(&self) -> f64 {
        let singled_out = self.singled_out.iter().map(|(_, series)| series);
        let singled_out = singled_out.filter(|series| series.sum() >= OCCURRENCES_MIN);
        self.signs.iter().chain(singled_out).map(Series::time).fold(1.0, f64::max)
    }
}

// === impl Ranked ===

impl Ranked {
    /// Ranks among these values, in ascending order: between values that have the same number of rows between them, and
    /// between those that have the same number of different ones, so that what is rare has a rank too.
    pub fn among(sorted: &[f64]) -> Ranked {
        let mut different = sorted.to_vec();
        different.dedup();
        let spaced = |values: &[f64]| -> Vec<f64> {
            values.iter().step_by(values.len().div_ceil(RANKS_MAX).max(1)).copied().collect()
        };
        let mut starts = [spaced(sorted), spaced(&different)].concat();
        starts.sort_unstable_by(f64::total_cmp);
        starts.dedup();
        let total = sorted.len() as f64;
        let below = |value: &f64| sorted.partition_point(|other| other < value) as f64;
        let ends = starts.iter().skip(1).map(below).chain([total]);
        let ranks = starts.iter().zip(ends).map(|(start, end)| (below(start) + end) / total - 1.0).collect();
        Ranked {
            starts,
            ranks,
            location: Series::default(),
            scale: Series::default(),
            last: None,
            rises: true,
            falls: true,
        }
    }

    /// Takes in values, in the order in which they came.
    pub fn update(&mut self, values: &[f64]) {
        for &value in values {
            if let Some(last) = self.last.replace(value) {
                self.rises &= last <= value;
                self.falls &= last >= value;
            }
            let rank = self.rank(value);
            self.location.push(rank);
            self.scale.push(rank * rank);
        }
    }

    /// From -1 to 1.
    fn rank(&self, value: f64) -> f64 {
        match self.starts.partition_point(|start| *start <= value) {
            0 => -1.0,
            place => self.ranks.get(place - 1).copied().unwrap_or(1.0),
        }
    }

    /// Of location or scale, whichever is longer. `None` for values that came in order, whose order says nothing about how
    /// live rows come.
    pub fn time(&self) -> Option<f64> {
        let in_order = self.rises != self.falls; // constant values do both
        (!in_order).then(|| self.location.time().max(self.scale.time()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn autoregressive(rows: usize, rho: f64, seed: u64) -> Vec<f64> {
        let mut random = Random(seed);
        let mut value = random.normal();
        let mut next = || {
            value = rho * value + (1.0 - rho * rho).sqrt() * random.normal();
            value
        };
        (0..rows).map(|_| next()).collect()
    }

    fn time(values: &[f64]) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut ranked = Ranked::among(&sorted);
        ranked.update(values);
        ranked.time()
    }

    #[test]
    fn independent_rows_have_a_time_of_one() {
        let chance = (0..50).filter(|&seed| time(&autoregressive(2_000, 0.0, seed)) != Some(1.0)).count();
        assert!(chance <= 5, "{chance} of 50");
    }

    #[test]
    fn autoregressive_rows_have_the_time_of_the_formula() {
        for (rho, expected) in [(0.2, 1.5), (0.5, 3.0), (0.8, 9.0), (0.95, 39.0)] {
            let found = time(&autoregressive(65_536, rho, 3)).unwrap();
            assert!((0.75..1.5).contains(&(found / expected)), "{rho}: {found} instead of {expected}");
        }
    }

    #[test]
    fn the_distribution_of_the_values_does_not_matter() {
        let normal = autoregressive(20_000, 0.8, 4);
        let heavy: Vec<f64> = normal.iter().map(|value| (3.0 * value).exp()).collect();
        assert_eq!(time(&heavy), time(&normal));
    }

    #[test]
    fn what_is_rare_and_comes_in_clusters_is_noticed() {
        let mut random = Random(11);
        let mut is_rare = false;
        let mut next = |of_rare: &mut dyn FnMut(&mut Random) -> f64| {
            is_rare = if random.uniform() < 0.8 { is_rare } else { random.uniform() < 0.01 };
            if is_rare { of_rare(&mut random) } else { 0.0 }
        };
        for of_rare in [(|_: &mut Random| 1.0) as fn(&mut Random) -> f64, |random| 1.0 + random.uniform()] {
            let values: Vec<f64> = (0..60_000).map(|_| next(&mut { of_rare })).collect();
            let found = time(&values).unwrap();
            assert!((5.0..16.0).contains(&found), "{found} instead of 9");
        }
    }

    #[test]
    fn bursts_of_spread_are_noticed() {
        let sizes = autoregressive(20_000, 0.9, 5);
        let signs = autoregressive(20_000, 0.0, 6);
        let values: Vec<f64> = sizes.iter().zip(signs).map(|(size, sign)| size.exp() * sign).collect();
        assert!(time(&values).unwrap() > 3.0);
    }

    #[test]
    fn categories_that_come_in_runs_are_noticed() {
        let (mut runs, mut mixed, mut random) = (Signs::default(), Signs::default(), Random(1));
        for row in 0..20_000u32 {
            runs.push(&[b'a' + (row / 20 * 7 % 5) as u8]);
            mixed.push(&[b'a' + (random.uniform() * 5.0) as u8]);
        }
        assert!(runs.time() > 5.0 && mixed.time() < 1.5, "{} {}", runs.time(), mixed.time());
    }

    #[test]
    fn values_that_are_missing_in_runs_are_noticed_and_single_ones_are_not() {
        let mut random = Random(9);
        let mut time = |length: f64| {
            let (mut holes, mut missing) = (Holes::default(), false);
            for _ in 0..200 {
                let mut block = 0;
                for _ in 0..512 {
                    let leaves = if missing { 1.0 / length } else { 0.05 / 0.95 / length };
                    missing ^= random.uniform() < leaves;
                    block += u64::from(missing);
                }
                holes.push(block, 512);
            }
            holes.time()
        };
        // Of a chain that leaves with p and q: (2 - p - q)/(p + q).
        assert_eq!(time(0.95), 1.0);
        let found = time(20.0);
        assert!((25.0..60.0).contains(&found), "{found} instead of 37");
        assert!(time(200.0) > 100.0);
    }

    #[test]
    fn sorted_constant_and_absent_values_say_nothing() {
        let ascending: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert_eq!(time(&ascending), None);
        assert_eq!(time(&ascending.iter().rev().copied().collect::<Vec<_>>()), None);
        assert_eq!((time(&[2.0; 500]), time(&[])), (Some(1.0), Some(1.0)));
    }
}

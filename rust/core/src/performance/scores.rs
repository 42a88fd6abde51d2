//! Rows counted by score, predicted class and, once it is known, label.
//!
//! The bins are the same for every model, so tables merge whoever filled them: 64 of them between 0 and 1 at t²(3 - 2t),
//! t = k/64, narrow at both ends, where a score of 0.001 and one of 0.01 mean different things, and with an edge at 0.5.
//! All edges are exact binary fractions. Beside its count every cell has the sum of its scores in whole quanta, so
//! that any split and order of the rows merges to the same table.

use serde::{Deserialize, Serialize};

/// Bins of a score.
pub const SCORE_BINS: usize = 64;

/// Quanta in a score of one.
const QUANTA: f64 = QUANTA_EXACT as f64;
const QUANTA_EXACT: u64 = 1 << 24;

/// Rows by score bin and predicted class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct ScoreTable {
    /// By bin; rows not predicted, and predicted, to be of the class.
    counts: Vec<[u64; 2]>,
    /// Scores added up, in quanta.
    sums: Vec<[u64; 2]>,
    /// Rows whose score is no number from 0 to 1.
    beside: u64,
}

/// Rows by score bin, predicted class and label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredLabels")]
pub struct LabelTable {
    scores: ScoreTable,
    /// Of the rows counted in `scores`, those that were of the class.
    positives: Vec<[u64; 2]>,
}

/// Rows of one bin and predicted class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub bin: usize,
    pub predicted: bool,
    pub rows: u64,
    /// Their scores added up.
    pub sum: f64,
}

/// As it is read from a file, before it is known to make sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    counts: Vec<[u64; 2]>,
    sums: Vec<[u64; 2]>,
    beside: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLabels {
    scores: ScoreTable,
    positives: Vec<[u64; 2]>,
}

/// Lower end of a bin; of bin 64, 1.
pub fn edge(bin: usize) -> f64 {
    let t = bin as f64 / SCORE_BINS as f64;
    t * t * (3.0 - 2.0 * t)
}

/// The bin of a score; none of what is no number from 0 to 1.
pub fn bin_of(score: f64) -> Option<usize> {
    if !(0.0..=1.0).contains(&score) {
        return None;
    }
    let (mut low, mut high) = (0, SCORE_BINS);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if score >= edge(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

// === impl ScoreTable ===

impl Default for ScoreTable {
    fn default() -> ScoreTable {
        ScoreTable { counts: vec![[0; 2]; SCORE_BINS], sums: vec![[0; 2]; SCORE_BINS], beside: 0 }
    }
}

impl ScoreTable {
    /// Counts a row; the bin it is in, if its score is one.
    pub fn add(&mut self, score: f64, predicted: bool) -> Option<usize> {
        let Some(bin) = bin_of(score) else {
            self.beside += 1;
            return None;
        };
        self.counts[bin][usize::from(predicted)] += 1;
        self.sums[bin][usize::from(predicted)] += (score * QUANTA).round() as u64;
        Some(bin)
    }

    pub fn merge(&mut self, other: &ScoreTable) {
        add_up(&mut self.counts, &other.counts);
        add_up(&mut self.sums, &other.sums);
        self.beside += other.beside;
    }

    /// Rows with a score.
    pub fn rows(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Rows whose score was no number from 0 to 1: in none of the figures.
    pub fn beside(&self) -> u64 {
        self.beside
    }

    /// By bin: rows not predicted, and predicted, to be of the class.
    pub fn counts(&self) -> &[[u64; 2]] {
        &self.counts
    }

    /// Rows of a bin.
    pub fn of_bin(&self, bin: usize) -> u64 {
        self.counts.get(bin).map_or(0, |rows| rows[0] + rows[1])
    }

    /// All cells, lowest scores first.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        let both = [false, true];
        self.counts.iter().zip(&self.sums).enumerate().flat_map(move |(bin, (rows, sums))| {
            both.map(|predicted| Cell {
                bin,
                predicted,
                rows: rows[usize::from(predicted)],
                sum: sums[usize::from(predicted)] as f64 / QUANTA,
            })
        })
    }
}

impl TryFrom<Stored> for ScoreTable {
    type Error = String;

    fn try_from(stored: Stored) -> Result<ScoreTable, String> {
        let Stored { counts, sums, beside } = stored;
        if counts.len() != SCORE_BINS || sums.len() != SCORE_BINS {
            return Err(format!(
                "a score table has {SCORE_BINS} bins, not {} and {}",
                counts.len(),
                sums.len()
            ));
        }
        let too_large = |(rows, sums): (&[u64; 2], &[u64; 2])| {
            (0..2).any(|side| sums[side] > rows[side].saturating_mul(QUANTA_EXACT))
        };
        if counts.iter().zip(&sums).any(too_large) {
            return Err("a score table has scores above 1".to_owned());
        }
        Ok(ScoreTable { counts, sums, beside })
    }
}

// === impl LabelTable ===

impl Default for LabelTable {
    fn default() -> LabelTable {
        LabelTable { scores: ScoreTable::default(), positives: vec![[0; 2]; SCORE_BINS] }
    }
}

impl LabelTable {
    /// Counts a row whose label is known.
    pub fn add(&mut self, score: f64, predicted: bool, label: bool) {
        if let Some(bin) = self.scores.add(score, predicted) {
            self.positives[bin][usize::from(predicted)] += u64::from(label);
        }
    }

    pub fn merge(&mut self, other: &LabelTable) {
        self.scores.merge(&other.scores);
        add_up(&mut self.positives, &other.positives);
    }

    /// The same rows without their labels.
    pub fn scores(&self) -> &ScoreTable {
        &self.scores
    }

    /// Rows of a bin, and those of them that were of the class.
    pub fn of_bin(&self, bin: usize) -> (u64, u64) {
        let positives = self.positives.get(bin).map_or(0, |positives| positives[0] + positives[1]);
        (self.scores.of_bin(bin), positives)
    }

    /// All cells, with how many of their rows were of the class.
    pub fn cells(&self) -> impl Iterator<Item = (Cell, u64)> + '_ {
        self.scores.cells().map(|cell| {
            let positives = self.positives[cell.bin][usize::from(cell.predicted)];
            (cell, positives)
        })
    }

    /// A part of the rows: `taken` says how many rows and positive rows of each cell.
    pub(super) fn part(&self, mut taken: impl FnMut(u64, u64) -> (u64, u64)) -> LabelTable {
        let mut table = LabelTable::default();
        for (cell, positives) in self.cells() {
            let (bin, side) = (cell.bin, usize::from(cell.predicted));
            let (rows, positives) = taken(cell.rows, positives);
            table.positives[bin][side] = positives;
            table.scores.counts[bin][side] = rows;
            let mean = self.scores.sums[bin][side] / cell.rows.max(1);
            table.scores.sums[bin][side] = mean * rows;
        }
        table
    }
}

impl TryFrom<StoredLabels> for LabelTable {
    type Error = String;

    fn try_from(stored: StoredLabels) -> Result<LabelTable, String> {
        let StoredLabels { scores, positives } = stored;
        let fits =
            |(positive, rows): (&[u64; 2], &[u64; 2])| positive[0] <= rows[0] && positive[1] <= rows[1];
        if positives.len() == SCORE_BINS && positives.iter().zip(&scores.counts).all(fits) {
            return Ok(LabelTable { scores, positives });
        }
        Err("a label table has more positive rows than rows, or not one count per bin".to_owned())
    }
}

fn add_up(sums: &mut [[u64; 2]], others: &[[u64; 2]]) {
    for (sums, others) in sums.iter_mut().zip(others) {
        (sums[0], sums[1]) = (sums[0] + others[0], sums[1] + others[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_are_narrow_at_the_ends_and_have_an_edge_in_the_middle() {
        assert_eq!((edge(0), edge(32), edge(64)), (0.0, 0.5, 1.0));
        assert_eq!(
            (bin_of(0.0), bin_of(0.5), bin_of(0.499_999), bin_of(1.0)),
            (Some(0), Some(32), Some(31), Some(63))
        );
        assert!(edge(1) < 0.001 && edge(33) - edge(32) > 0.02);
        for nothing in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(bin_of(nothing), None);
        }
    }

    #[test]
    fn a_table_survives_json_and_a_false_one_is_refused() {
        let mut table = LabelTable::default();
        [(0.2, false, false), (0.9, true, true), (f64::NAN, true, true)]
            .into_iter()
            .for_each(|(score, predicted, label)| table.add(score, predicted, label));
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<LabelTable>(&text).unwrap(), table);
        assert_eq!((table.scores().rows(), table.scores().beside()), (2, 1));
        let scores = table.scores().counts.clone();
        let stored = |positives| StoredLabels { scores: table.scores.clone(), positives };
        assert!(LabelTable::try_from(stored(scores)).is_ok());
        assert!(LabelTable::try_from(stored(vec![[9; 2]; SCORE_BINS])).is_err());
        assert!(LabelTable::try_from(stored(Vec::new())).is_err());
        assert!(serde_json::from_str::<ScoreTable>(r#"{"counts": [], "sums": [], "beside": 0}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_split_and_order_merges_to_the_same_table(
            rows in prop::collection::vec((-0.1f64..1.1, any::<bool>(), any::<bool>()), 0..200),
            cut in 0usize..200,
        ) {
            let counted = |rows: &[(f64, bool, bool)]| {
                let mut table = LabelTable::default();
                rows.iter().for_each(|&(score, predicted, label)| table.add(score, predicted, label));
                table
            };
            let (a, b) = rows.split_at(cut.min(rows.len()));
            let mut merged = counted(b);
            merged.merge(&counted(a));
            prop_assert_eq!(merged, counted(&rows));
        }
    }
}

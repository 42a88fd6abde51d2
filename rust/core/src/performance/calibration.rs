//! What a score is worth: the probability of the class, by score bin, learned from rows whose labels are known.
//!
//! Isotonic regression on the bins by pooling adjacent violators (Ayer, Brunk, Ewing, Reid and Silverman, Annals of
//! Mathematical Statistics 1955): the shares of positive rows that never fall with the score and fit the counts best.
//! It is used only if it lowers the expected calibration error on rows it was not learned from (as nannyml does; Naeini,
//! Cooper and Hauskrecht, AAAI 2015): the counts are split in half at random, each half judges what the other taught.
//! The random bits are fixed, so that the same counts always give the same calibration.

use super::scores::{Cell, LabelTable, SCORE_BINS, ScoreTable};
use crate::random::Random;
use serde::{Deserialize, Serialize};

/// Bins of a score that are judged together.
const JUDGED: usize = 4;

/// The probability of the class given its score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Calibration {
    /// By score bin; none where scores are taken for probabilities as they are.
    probabilities: Option<Vec<f64>>,
    /// Rows it was learned from, by score bin; empty where there were none.
    rows: Vec<u64>,
    /// Expected calibration error on rows that were held out: of the scores as they are, and of isotonic regression.
    error_before: Option<f64>,
    error_after: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    probabilities: Option<Vec<f64>>,
    rows: Vec<u64>,
    error_before: Option<f64>,
    error_after: Option<f64>,
}

// === impl Calibration ===

impl Calibration {
    /// Learned from rows whose labels are known. Without any, scores are taken for probabilities.
    pub fn learn(table: &LabelTable) -> Calibration {
        let rows: Vec<u64> = (0..SCORE_BINS).map(|bin| table.of_bin(bin).0).collect();
        let halves = halves(table);
        let error = |of: &dyn Fn(&LabelTable) -> Option<Vec<f64>>| {
            let judged = [(&halves.0, &halves.1), (&halves.1, &halves.0)]
                .map(|(learned, judged)| calibration_error(judged, of(learned).as_deref()));
            judged[0].zip(judged[1]).map(|(a, b)| 0.5 * (a + b))
        };
        let (error_before, error_after) = (error(&|_| None), error(&|half| isotonic(half)));
        let helps = error_before.zip(error_after).is_some_and(|(before, after)| after < before);
        let probabilities = if helps { isotonic(table) } else { None };
        Calibration { probabilities, rows, error_before, error_after }
    }

    /// Expected calibration error of the scores, and of isotonic regression, each on rows that were held out.
    pub fn errors(&self) -> (Option<f64>, Option<f64>) {
        (self.error_before, self.error_after)
    }

    /// Probability of the class by score bin; none where scores are taken as they are.
    pub fn probabilities(&self) -> Option<&[f64]> {
        self.probabilities.as_deref()
    }

    /// Rows of a cell that are expected to be of the class.
    pub fn positives(&self, cell: &Cell) -> f64 {
        match &self.probabilities {
            Some(probabilities) => cell.rows as f64 * probabilities.get(cell.bin).copied().unwrap_or(0.0),
            None => cell.sum,
        }
    }

    /// Standard deviation of realised accuracy around the expected one, if labels follow the scores as they did: the
    /// luck of the labels, and of those that were learned from.
    pub fn accuracy_noise(&self, table: &ScoreTable) -> f64 {
        let all = table.rows().max(1) as f64;
        let mut variance = 0.0;
        let mut bins = [(0.0, 0.0, 0.0); SCORE_BINS]; // rows, positives, rows predicted minus rows not predicted
        for cell in table.cells() {
            let (rows, sign) = (cell.rows as f64, if cell.predicted { 1.0 } else { -1.0 });
            let bin = &mut bins[cell.bin];
            *bin = (bin.0 + rows, bin.1 + self.positives(&cell), bin.2 + sign * rows);
        }
        for (bin, (rows, positives, sided)) in bins.into_iter().enumerate().filter(|(_, bin)| bin.0 > 0.0) {
            let share = (positives / rows).clamp(0.0, 1.0);
            let learned = self.rows.get(bin).copied().unwrap_or(0).max(1) as f64;
            let of_learning = if self.rows.is_empty() { 0.0 } else { (sided / all).powi(2) / learned };
            variance += share * (1.0 - share) * (rows / (all * all) + of_learning);
        }
        variance.sqrt()
    }
}

impl TryFrom<Stored> for Calibration {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Calibration, String> {
        let Stored { probabilities, rows, error_before, error_after } = stored;
        let is_map = |map: &Vec<f64>| {
            map.len() == SCORE_BINS && map.is_sorted() && map.iter().all(|p| (0.0..=1.0).contains(p))
        };
        if !probabilities.as_ref().is_none_or(is_map) {
            return Err(format!("a calibration is {SCORE_BINS} probabilities that never fall"));
        }
        if !(rows.is_empty() || rows.len() == SCORE_BINS) {
            return Err(format!("a calibration has {SCORE_BINS} counts of rows, not {}", rows.len()));
        }
        Ok(Calibration { probabilities, rows, error_before, error_after })
    }
}

/// Mean distance between share and probability, over groups of bins; none without rows.
fn calibration_error(table: &LabelTable, probabilities: Option<&[f64]>) -> Option<f64> {
    let calibration =
        Calibration { probabilities: probabilities.map(<[f64]>::to_vec), ..Calibration::default() };
    let mut groups = [0.0; SCORE_BINS / JUDGED];
    for (cell, positives) in table.cells() {
        groups[cell.bin / JUDGED] += positives as f64 - calibration.positives(&cell);
    }
    let rows = table.scores().rows();
    (rows > 0).then(|| groups.into_iter().map(f64::abs).sum::<f64>() / rows as f64)
}

/// The share of positive rows by bin, made never to fall; between bins with rows on a straight line. None without rows.
fn isotonic(table: &LabelTable) -> Option<Vec<f64>> {
    let counts: Vec<(u64, u64)> = (0..SCORE_BINS).map(|bin| table.of_bin(bin)).collect();
    let known: Vec<usize> = (0..SCORE_BINS).filter(|&bin| counts[bin].0 > 0).collect();
    let shares = pooled(known.iter().map(|&bin| (counts[bin].1 as f64, counts[bin].0 as f64)));
    let (first, last) = (*known.first()?, *known.last()?);
    let mut map = vec![0.0; SCORE_BINS];
    map[..first].fill(shares[0]);
    map[last..].fill(shares[shares.len() - 1]);
    for (pair, ends) in known.windows(2).zip(shares.windows(2)) {
        let steps = (pair[1] - pair[0]) as f64;
        for (step, probability) in map[pair[0]..pair[1]].iter_mut().enumerate() {
            *probability = ends[0] + (ends[1] - ends[0]) * step as f64 / steps;
        }
    }
    Some(map)
}

/// Pools adjacent violators: the ratios of the pairs (part, whole), made never to fall.
pub fn pooled(pairs: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (part, whole) in pairs {
        let mut block = (part, whole, 1);
        while let Some(&(before, of, length)) = blocks.last()
            && before * block.1 >= block.0 * of
        {
            block = (block.0 + before, block.1 + of, block.2 + length);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(part, whole, length)| std::iter::repeat_n(part / whole, length)).collect()
}

/// The rows in two halves, each row in one of them at random; the same halves for the same counts.
fn halves(table: &LabelTable) -> (LabelTable, LabelTable) {
    let mut coins = Random(0x9e37_79b9_7f4a_7c15);
    let mut taken = Vec::new();
    let first = table.part(|rows, positives| {
        let (positive, negative) = (half_of(positives, &mut coins), half_of(rows - positives, &mut coins));
        taken.push((positive + negative, positive));
        (positive + negative, positive)
    });
    let mut taken = taken.into_iter();
    let second = table.part(|rows, positives| {
        let (gone, positive) = taken.next().unwrap_or((0, 0));
        (rows - gone, positives - positive)
    });
    (first, second)
}

/// How many of `rows` fall into one half when each does by a coin: bit by bit for the first 4,096 of them, in
/// proportion for more (whose error is then far below that of one bin).
fn half_of(rows: u64, coins: &mut Random) -> u64 {
    const TOSSED: u64 = 4_096;
    let tossed = rows.min(TOSSED);
    let mut heads = 0;
    for start in (0..tossed).step_by(64) {
        let mask = if tossed - start >= 64 { u64::MAX } else { (1 << (tossed - start)) - 1 };
        heads += u64::from((coins.bits() & mask).count_ones());
    }
    if rows <= TOSSED {
        return heads;
    }
    // The luck of 4,096 tosses, scaled to the standard deviation of `rows` of them.
    let luck = (heads as f64 - 0.5 * TOSSED as f64) * (rows as f64 / TOSSED as f64).sqrt();
    (0.5 * rows as f64 + luck).clamp(0.0, rows as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `each` rows in every score bin, of which a share of `probability(score)` is positive.
    fn table(each: u64, probability: impl Fn(f64) -> f64) -> LabelTable {
        let mut table = LabelTable::default();
        for bin in 0..SCORE_BINS {
            let score = 0.5 * (super::super::scores::edge(bin) + super::super::scores::edge(bin + 1));
            let positives = (each as f64 * probability(score)).round() as u64;
            (0..each).for_each(|row| table.add(score, score >= 0.5, row < positives));
        }
        table
    }

    #[test]
    fn scores_that_are_probabilities_are_left_alone() {
        // Exactly calibrated: only the luck of the halves is left to correct.
        let calibration = Calibration::learn(&table(4_000, |score| score));
        let (before, after) = calibration.errors();
        assert!(before.unwrap() < 0.01 && (after.unwrap() - before.unwrap()).abs() < 0.02);
        let worse = Calibration::learn(&table(7, |score| score));
        assert!(worse.errors().0.unwrap() < 0.2);
    }

    #[test]
    fn scores_that_are_too_bold_are_corrected() {
        let calibration = Calibration::learn(&table(1_000, |score| 0.3 + 0.4 * score));
        let map = calibration.probabilities().expect("isotonic regression lowers the error");
        for (bin, probability) in map.iter().enumerate() {
            let score = 0.5 * (super::super::scores::edge(bin) + super::super::scores::edge(bin + 1));
            assert!((probability - 0.3 - 0.4 * score).abs() < 0.01, "{bin}");
        }
        let (before, after) = calibration.errors();
        assert!(after.unwrap() < 0.02 && before.unwrap() > 0.1);
    }

    #[test]
    fn without_labels_scores_are_probabilities() {
        let calibration = Calibration::learn(&LabelTable::default());
        assert_eq!((calibration.probabilities(), calibration.errors()), (None, (None, None)));
        let cell = Cell { bin: 3, predicted: true, rows: 10, sum: 2.5 };
        assert_eq!(calibration.positives(&cell), 2.5);
    }

    #[test]
    fn bins_without_rows_lie_on_the_line_between_their_neighbours() {
        let mut table = LabelTable::default();
        for (score, positives) in [(0.1, 1), (0.9, 9)] {
            (0..10).for_each(|row| table.add(score, false, row < positives));
        }
        let map = isotonic(&table).unwrap();
        assert_eq!((map[0], map[63]), (0.1, 0.9));
        assert!(map.is_sorted() && map[32] > 0.45 && map[32] < 0.55);
    }

    #[test]
    fn a_calibration_survives_json_and_a_false_one_is_refused() {
        let calibration = Calibration::learn(&table(50, |score| 0.5 * score));
        let text = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), calibration);
        for broken in [r#""probabilities":[0.5]"#, r#""probabilities":[2.0]"#] {
            let text = format!(r#"{{{broken},"rows":[],"error_before":null,"error_after":null}}"#);
            assert!(serde_json::from_str::<Calibration>(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn pooling_never_falls_and_keeps_the_total(pairs in prop::collection::vec((0u32..50, 0u32..50), 1..40)) {
            let pairs: Vec<(f64, f64)> =
                pairs.into_iter().map(|(part, rest)| (f64::from(part), f64::from(part + rest + 1))).collect();
            let pooled = pooled(pairs.iter().copied());
            prop_assert!(pooled.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
            let total: f64 = pooled.iter().zip(&pairs).map(|(share, pair)| share * pair.1).sum();
            prop_assert!((total - pairs.iter().map(|pair| pair.0).sum::<f64>()).abs() < 1e-6);
        }

        #[test]
        fn halves_add_up_to_the_table(counts in prop::collection::vec((0u64..9_000, 0u64..9_000), 1..20)) {
            let mut table = LabelTable::default();
            for (bin, (positive, negative)) in counts.into_iter().enumerate() {
                let score = super::super::scores::edge(bin);
                (0..positive % 50).for_each(|_| table.add(score, true, true));
                (0..negative % 50).for_each(|_| table.add(score, false, false));
            }
            let (mut a, b) = halves(&table);
            prop_assert!(table.scores().rows() < 60 || a.scores().rows() > 0 && b.scores().rows() > 0);
            a.merge(&b);
            prop_assert_eq!(a.scores().counts(), table.scores().counts());
        }
    }
}

//! Is it the inputs or the concept: how much of a change is X, and how much is Y given X.
//!
//! X is seen through the model's score, the one number the model makes of it. On cells (score bin, label) the relative
//! entropy of a joint distribution is that of the scores plus the mean one of the labels given the score, exactly (the
//! chain rule; Cover and Thomas, *Elements of Information Theory*, theorem 2.5.3):
//!
//! KL(q(x, y) ‖ p(x, y)) = KL(q(x) ‖ p(x)) + Σ q(x) KL(q(y | x) ‖ p(y | x))
//!
//! E-values factorise the same way. A bet on labels whose factor has an expectation of at most one *given the score*,
//! whatever the score, may be multiplied with any bet on scores: E e(x) e(y | x) = E e(x) E[e(y | x) | x] ≤ 1. So from any
//! start the joint evidence is the evidence about X plus the evidence about Y given X, in bits, without a rest, and the
//! second is valid under any change of the first.
//!
//! Both detectors see scores in the same groups of neighbouring bins, each with about a sixteenth of the reference. What
//! a group does not tell apart cannot be attributed: if inputs move within one, between rows whose labels differ, labels
//! given the score change, and it is called concept.

pub mod detector;
pub mod given;

use crate::performance::scores::{SCORE_BINS, bin_of};
use serde::{Deserialize, Serialize};

/// Most labels.
pub const LABELS_MAX: usize = 16;

/// Rows by score bin and label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Cells {
    labels: usize,
    /// Score bin by score bin.
    counts: Vec<u64>,
    /// Rows whose score is no number from 0 to 1, or whose label is none of them.
    beside: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    labels: usize,
    counts: Vec<u64>,
    beside: u64,
}

/// A relative entropy in its two parts, in nats; `joint` is their sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Divergence {
    pub score: f64,
    pub label_given_score: f64,
    pub joint: f64,
}

/// Neighbouring score bins that are taken together, so that each holds enough rows to know its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The first score bin of each group, ascending, from 0.
    firsts: Vec<usize>,
}

// === impl Cells ===

impl Cells {
    /// Of labels 0 to `labels` - 1, from 2 to 16 of them; none for another number.
    pub fn new(labels: usize) -> Option<Cells> {
        let counts = vec![0; SCORE_BINS * labels];
        (2..=LABELS_MAX).contains(&labels).then_some(Cells { labels, counts, beside: 0 })
    }

    /// Counts a row.
    pub fn add(&mut self, score: f64, label: usize) {
        match bin_of(score).filter(|_| label < self.labels) {
            Some(bin) => self.counts[bin * self.labels + label] += 1,
            None => self.beside += 1,
        }
    }

    /// Adds what was counted elsewhere; `false`, and nothing, for other labels.
    #[must_use]
    pub fn merge(&mut self, other: &Cells) -> bool {
        if self.labels != other.labels {
            return false;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.beside += other.beside;
        true
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.beside = 0;
    }

    pub fn labels(&self) -> usize {
        self.labels
    }

    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn beside(&self) -> u64 {
        self.beside
    }

    /// Rows of a score bin, by label.
    pub fn of_bin(&self, bin: usize) -> &[u64] {
        &self.counts[bin * self.labels..(bin + 1) * self.labels]
    }

    /// Rows by score bin.
    pub fn scores(&self) -> Vec<u64> {
        self.counts.chunks_exact(self.labels).map(|labels| labels.iter().sum()).collect()
    }

    /// Rows by group and label.
    pub fn grouped(&self, groups: &Groups) -> Vec<u64> {
        let mut sums = vec![0; groups.len() * self.labels];
        for (bin, labels) in self.counts.chunks_exact(self.labels).enumerate() {
            let start = groups.of_bin(bin) * self.labels;
            sums[start..start + self.labels].iter_mut().zip(labels).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// How far `live` is from these rows, and in what: on groups of scores, with half a row added to every cell of
    /// both. None for other labels, and without rows.
    pub fn divergence(&self, live: &Cells) -> Option<Divergence> {
        if self.labels != live.labels || self.rows() == 0 || live.rows() == 0 {
            return None;
        }
        let groups = Groups::of(self, SCORE_BINS / 4);
        Some(Divergence::of(&self.grouped(&groups), &live.grouped(&groups), self.labels))
    }
}

impl TryFrom<Stored> for Cells {
    type Error = String;

    fn try_from(Stored { labels, counts, beside }: Stored) -> Result<Cells, String> {
        let empty = Cells::new(labels).ok_or(format!("{labels} labels: 2 to {LABELS_MAX} are possible"))?;
        if counts.len() != empty.counts.len() {
            return Err(format!("{} cells: {} are needed", counts.len(), empty.counts.len()));
        }
        Ok(Cells { counts, beside, ..empty })
    }
}

// === impl Divergence ===

impl Divergence {
    /// `joint` is worked out on the cells, not from the parts.
    fn of(reference: &[u64], live: &[u64], labels: usize) -> Divergence {
        let smooth = |counts: &[u64]| counts.iter().map(|&count| count as f64 + 0.5).collect::<Vec<f64>>();
        let (p, q) = (smooth(reference), smooth(live));
        let sum_of = |counts: &[f64]| -> Vec<f64> {
            counts.chunks_exact(labels).map(|labels| labels.iter().sum()).collect()
        };
        let (p_scores, q_scores) = (sum_of(&p), sum_of(&q));
        let rows: f64 = q_scores.iter().sum();
        let cells = p.chunks_exact(labels).zip(q.chunks_exact(labels)).zip(&q_scores);
        Divergence {
            score: entropy(&q_scores, &p_scores),
            label_given_score: cells.map(|((p, q), all)| all / rows * entropy(q, p)).sum(),
            joint: entropy(&q, &p),
        }
    }
}

/// Relative entropy of two counts, each taken as shares of its sum.
fn entropy(q: &[f64], p: &[f64]) -> f64 {
    let (q_all, p_all): (f64, f64) = (q.iter().sum(), p.iter().sum());
    q.iter().zip(p).map(|(q, p)| q / q_all * (q / q_all * p_all / p).ln()).sum()
}

// === impl Groups ===

impl Groups {
    /// At most `most` groups with about equally many rows of `reference`.
    pub fn of(reference: &Cells, most: usize) -> Groups {
        let (scores, rows) = (reference.scores(), reference.rows().max(1));
        let (mut firsts, mut below, mut next) = (vec![0], 0, 1);
        for (bin, count) in scores.iter().enumerate().take(SCORE_BINS - 1) {
            below += count;
            // The last group may not be left without rows.
            if next < most && below < rows && below * most as u64 >= next as u64 * rows {
                firsts.push(bin + 1);
                next = (below * most as u64 / rows) as usize + 1;
            }
        }
        Groups { firsts }
    }

    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// The group of a score bin.
    pub fn of_bin(&self, bin: usize) -> usize {
        self.firsts.partition_point(|&first| first <= bin).saturating_sub(1)
    }

    /// The first and the last score bin of groups `first` to `last`.
    pub fn bins(&self, first: usize, last: usize) -> (u8, u8) {
        let end = self.firsts.get(last + 1).copied().unwrap_or(SCORE_BINS);
        (self.firsts.get(first).copied().unwrap_or(0) as u8, end.saturating_sub(1) as u8)
    }
}

#[cfg(test)]
mod tests;

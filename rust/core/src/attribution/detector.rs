//! Two e-detectors on the same rows, one on scores and one on labels given the score, and what each of them knows.
//!
//! Both are judged together by the e-detector Benjamini-Hochberg rule (Dandapanthula and Ramdas, arXiv 2501.04130): whatever
//! is flagged, the mean of the two has reached the level, so that one false alarm of either comes on average after at
//! least that many rows.

use super::given::Given;
use super::{Cells, Divergence, Groups};
use crate::detect::discovery::discover;
use crate::detect::edetector::terms::Terms;
use crate::detect::edetector::{EDetector, Finding, Pane, Plan};
use crate::detect::{AlarmState, Mark};
use crate::error::ConfigurationError;
use crate::sketch::binning::{self, Binning};
use crate::sketch::bins::Bins;
use serde::Serialize;
use std::sync::Arc;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The scores: X.
    Score,
    /// The labels given the score: Y given X.
    LabelGivenScore,
}

/// Evidence from a start until now in its two parts, in bits; `joint` is their sum. Below zero, that part speaks for no
/// change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Split {
    pub since: Mark,
    pub score_bits: f64,
    pub label_given_score_bits: f64,
    pub joint_bits: f64,
    /// How far the rows since then are from the reference.
    pub divergence: Option<Divergence>,
}

/// An alarm raised or cleared.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    pub part: Part,
    pub state: AlarmState,
    pub row: u64,
    pub finding: Option<Finding>,
    pub split: Split,
}

/// Watches rows whose labels are known.
#[derive(Clone, Debug)]
pub struct Attribution {
    terms: Terms,
    reference: Cells,
    groups: Groups,
    score_bins: Bins,
    score: EDetector,
    label: EDetector,
    open: Cells,
    /// Rows in closed panes.
    row: u64,
    /// The latest closed panes, and where each begins.
    recent: Vec<(Mark, Cells)>,
}

/// Panes kept for a divergence; older ones are added to the oldest.
const RECENT_MAX: usize = 64;

// === impl Attribution ===

impl Attribution {
    /// `time` is how many rows of the reference are worth one independent row, where their order is known. The tolerance
    /// is that of the scores, and of the labels given a score.
    ///
    /// # Errors
    /// Without rows, and for terms out of range.
    pub fn new(
        reference: &Cells,
        terms: Terms,
        time: Option<f64>,
    ) -> Result<Attribution, ConfigurationError> {
        terms.check()?;
        if reference.rows() == 0 {
            return Err(ConfigurationError(
                "the reference has no row with a score and a label: give it some".into(),
            ));
        }
        let Terms { tolerance, delta, .. } = terms;
        let delta = 0.5 * delta;
        let given = Given::new(reference, tolerance, delta, time);
        let label = given.plan(reference, time);
        let score_bins = bins_of(reference, &given.groups);
        let score = Plan::new(&score_bins, time, tolerance, delta);
        let mut open = reference.clone();
        open.clear();
        Ok(Attribution {
            terms,
            reference: reference.clone(),
            groups: given.groups,
            score_bins,
            score: EDetector::new(Arc::new(score)),
            label: EDetector::new(Arc::new(label)),
            open,
            row: 0,
            recent: Vec::new(),
        })
    }

    /// Takes in rows; alarms raised and cleared by them.
    pub fn update(&mut self, rows: impl IntoIterator<Item = (f64, usize)>) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for (score, label) in rows {
            self.open.add(score, label);
            if self.open.rows() >= self.terms.pane_rows {
                self.close(&mut alarms);
            }
        }
        alarms
    }

    fn close(&mut self, alarms: &mut Vec<Alarm>) {
        let mark = |row| Mark { row, call: row };
        let (start, rows) = (mark(self.row), self.open.rows());
        self.row += rows;
        let (end, stake) = (mark(self.row), rows as f64);
        let scores = self.scores_of(&self.open);
        let labels = self.open.grouped(&self.groups);
        self.score.update(&Pane { counts: scores.cells(), start, end, stake });
        self.label.update(&Pane { counts: &labels, start, end, stake });
        self.remember(start);
        let mut evidence = [self.score.capital(), self.label.capital()];
        let level = discover(&mut evidence, self.terms.arl).level;
        self.judge(level, alarms);
    }

    fn judge(&mut self, level: f64, alarms: &mut Vec<Alarm>) {
        let clear_after = self.terms.clear_after;
        if [&self.score, &self.label].iter().all(|detector| detector.verdict(level, clear_after).is_none()) {
            return;
        }
        let split = self.split();
        let both = [(Part::Score, &mut self.score), (Part::LabelGivenScore, &mut self.label)];
        for (part, detector) in both {
            let before = detector.finding();
            let Some(state) = detector.judge(level, clear_after) else { continue };
            let finding = if state == AlarmState::Raised { detector.finding() } else { before };
            alarms.push(Alarm { part, state, row: self.row, finding, split });
        }
    }

    /// The evidence since the likeliest start of a change, in parts.
    pub fn split(&self) -> Split {
        let known: Vec<Mark> = self.label.starts().collect();
        let shared = self.score.starts().filter(|start| known.contains(start));
        let at = |since: Mark| {
            let (score, label) = (self.score.evidence_since(since), self.label.evidence_since(since));
            (since, score / std::f64::consts::LN_2, label / std::f64::consts::LN_2)
        };
        let best = shared.map(at).max_by(|a, b| (a.1 + a.2).total_cmp(&(b.1 + b.2)));
        let (since, score_bits, label_given_score_bits) =
            best.unwrap_or((Mark { row: self.row, call: self.row }, 0.0, 0.0));
        Split {
            since,
            score_bits,
            label_given_score_bits,
            joint_bits: score_bits + label_given_score_bits,
            divergence: self.divergence_since(since),
        }
    }

    fn divergence_since(&self, since: Mark) -> Option<Divergence> {
        let mut cells = self.reference.clone();
        cells.clear();
        for (_, pane) in self.recent.iter().filter(|(start, _)| start.row >= since.row) {
            let _same_labels = cells.merge(pane);
        }
        self.reference.divergence(&cells)
    }

    fn remember(&mut self, start: Mark) {
        let mut empty = self.open.clone();
        empty.clear();
        self.recent.push((start, std::mem::replace(&mut self.open, empty)));
        if self.recent.len() > RECENT_MAX {
            let (_, second) = self.recent.remove(1);
            let _same_labels = self.recent[0].1.merge(&second);
        }
    }

    fn scores_of(&self, cells: &Cells) -> Bins {
        counted(self.score_bins.binning(), cells, &self.groups)
    }

    /// Evidence of either part, in bits in units of a pane.
    pub fn evidence_bits(&self) -> (f64, f64) {
        (self.score.evidence_bits(), self.label.evidence_bits())
    }

    /// Rows seen in closed panes.
    pub fn row(&self) -> u64 {
        self.row
    }
}

/// Scores as a feature, whose value is the number of the group: the very groups that labels are conditioned on, or the
/// product of both parts would be no e-value of the joint distribution.
fn bins_of(cells: &Cells, groups: &Groups) -> Bins {
    let values: Vec<f64> = (0..groups.len()).map(|group| group as f64).collect();
    let binning = Binning::discrete(&values).expect("at most 16 ascending whole numbers");
    counted(&Arc::new(binning), cells, groups)
}

fn counted(binning: &Arc<Binning>, cells: &Cells, groups: &Groups) -> Bins {
    let mut counts = vec![0; binning.cells()];
    for (bin, rows) in cells.scores().into_iter().enumerate() {
        if let Some(count) = counts.get_mut(binning::FIRST + groups.of_bin(bin)) {
            *count += rows;
        }
    }
    let bins = Bins::from_cells(Arc::clone(binning), counts, &[], [0; 2]);
    bins.unwrap_or_else(|| Bins::new(Arc::clone(binning)))
}

#[cfg(test)]
impl Attribution {
    /// Logarithm of the e-value of rows by bets on (score, label) cells: every pair of a bet on scores and one on labels
    /// given the score multiplies row by row, and holds the product of the two weights.
    pub(super) fn joint_evidence(&self, rows: &[(f64, usize)]) -> f64 {
        let of_row = |&(score, label): &(f64, usize)| {
            let mut cells = self.open.clone();
            cells.clear();
            cells.add(score, label);
            let on_score = self.score.odds().gains(self.scores_of(&cells).cells());
            (on_score, self.label.odds().gains(&cells.grouped(&self.groups)))
        };
        let factors: Vec<(Vec<f64>, Vec<f64>)> = rows.iter().map(of_row).collect();
        let mut total = 0.0;
        for (i, (_, weight)) in self.score.odds().bets().iter().enumerate() {
            for (j, (_, other)) in self.label.odds().bets().iter().enumerate() {
                let won: f64 = factors.iter().map(|(score, label)| score[i] + label[j]).sum();
                total += weight * other * won.exp();
            }
        }
        total.ln()
    }
}

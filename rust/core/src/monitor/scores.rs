//! What the model's scores promise of its performance, pane by pane, while labels are missing.

use super::snapshot::PerformanceSnapshot;
use crate::performance::calibration::Calibration;
use crate::performance::reference::Scores;
use crate::performance::scores::ScoreTable;
use crate::performance::{self, Performance};
use crate::profile::Profile;
use crate::tensor::{Datatype, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::Range;

/// Scores of the output that the profile has a reference of.
#[derive(Clone, Debug)]
pub struct ScoreWatch {
    output: String,
    label_age_s: Option<u64>,
    calibrations: Vec<Calibration>,
    /// What was realised on the reference.
    realised: Option<Performance>,
    /// By class: one table for two classes.
    open: Vec<ScoreTable>,
    panes: VecDeque<Vec<ScoreTable>>,
    /// Closed panes that are kept.
    window: usize,
    row: Vec<f64>,
}

/// Scores at rest: the tables of the open pane and of those that are closed, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    open: Vec<ScoreTable>,
    panes: Vec<Vec<ScoreTable>>,
}

// === impl ScoreWatch ===

impl ScoreWatch {
    /// `None` when the profile knows no scores. `window` is how many closed panes are looked at.
    pub fn of(profile: &Profile, window: usize) -> Option<ScoreWatch> {
        let scores = profile.section::<Scores>().ok().flatten()?;
        let realised: Vec<Performance> = scores.classes.iter().map(performance::realised).collect();
        Some(ScoreWatch {
            calibrations: scores.calibrations(),
            realised: of_classes(&realised),
            open: vec![ScoreTable::default(); scores.classes.len()],
            output: scores.output,
            label_age_s: scores.label_age_s,
            panes: VecDeque::new(),
            window,
            row: Vec::new(),
        })
    }

    /// Counts a range of the rows of an output, if that is the one.
    pub fn observe(&mut self, tensor: &Tensor<'_>, rows: Range<usize>) {
        let (columns, classes) = (tensor.columns(), self.open.len());
        // Two classes may come as one column, that of the positive class, or as two.
        let fits = columns == classes || (classes == 1 && columns == 2);
        if tensor.name != self.output || tensor.datatype == Datatype::Bytes || !fits {
            return;
        }
        self.row.resize(columns, 0.0);
        for row in rows {
            tensor.read(row * columns, &mut self.row);
            match self.row[..] {
                [score] => _ = self.open[0].add(score, score >= 0.5),
                [other, score] if classes == 1 => _ = self.open[0].add(score, score > other),
                _ => self.add_classes(),
            }
        }
    }

    fn add_classes(&mut self) {
        let mut best = 0;
        for (class, score) in self.row.iter().enumerate() {
            if *score > self.row[best] || self.row[best].is_nan() {
                best = class;
            }
        }
        for (class, (table, &score)) in self.open.iter_mut().zip(&self.row).enumerate() {
            table.add(score, class == best);
        }
    }

    /// Closes the pane.
    pub fn close(&mut self) {
        let classes = self.open.len();
        let closed = std::mem::replace(&mut self.open, vec![ScoreTable::default(); classes]);
        self.panes.push_back(closed);
        while self.panes.len() > self.window.max(1) {
            self.panes.pop_front();
        }
    }

    pub fn stored(&self) -> Stored {
        Stored { open: self.open.clone(), panes: self.panes.iter().cloned().collect() }
    }

    /// Goes on with what was stored; false when that has other classes.
    #[must_use]
    pub fn resume(&mut self, stored: Stored) -> bool {
        let classes = self.open.len();
        let fits = std::iter::once(&stored.open).chain(&stored.panes).all(|pane| pane.len() == classes);
        if fits {
            let forgotten = stored.panes.len().saturating_sub(self.window.max(1));
            self.open = stored.open;
            self.panes = stored.panes.into_iter().skip(forgotten).collect();
        }
        fits
    }

    /// Adds the panes of another worker, the latest to the latest.
    pub fn merge(&mut self, other: &ScoreWatch) {
        let add = |mine: &mut Vec<ScoreTable>, theirs: &[ScoreTable]| {
            mine.iter_mut().zip(theirs).for_each(|(sum, table)| sum.merge(table));
        };
        add(&mut self.open, &other.open);
        while self.panes.len() < other.panes.len() {
            self.panes.push_front(vec![ScoreTable::default(); self.open.len()]);
        }
        for (mine, theirs) in self.panes.iter_mut().rev().zip(other.panes.iter().rev()) {
            add(mine, theirs);
        }
    }

    /// The estimate for the closed panes that are kept; `None` before the first.
    pub fn snapshot(&self) -> Option<PerformanceSnapshot> {
        let mut window = self.panes.front()?.clone();
        for pane in self.panes.iter().skip(1) {
            window.iter_mut().zip(pane).for_each(|(sum, pane)| sum.merge(pane));
        }
        let classes = window.iter().zip(&self.calibrations);
        let classes: Vec<Performance> =
            classes.map(|(table, calibration)| performance::estimate(table, calibration)).collect();
        Some(PerformanceSnapshot {
            output: self.output.clone(),
            label_age_s: self.label_age_s,
            estimated: of_classes(&classes)?,
            reference: self.realised?,
        })
    }
}

/// Of one table, its own figures.
fn of_classes(classes: &[Performance]) -> Option<Performance> {
    match classes {
        [one] => Some(*one),
        many => performance::of_classes(many),
    }
}

//! Watches rows by a joint map: an e-detector on each of its numbers, judged together.

use super::builder::Block;
use super::comoments::{CoMoments, CorrelationDistance};
use super::joint::Joint;
use crate::detect::discovery::{Discovery, discover};
use crate::detect::edetector::terms::Terms;
use crate::detect::edetector::{EDetector, Finding, Pane, Plan, bits};
use crate::detect::{AlarmState, Mark};
use crate::error::ConfigurationError;
use crate::profile::Reference;
use crate::sketch::bins::Bins;
use crate::sketch::screen::screen;
use crate::sketch::{BLOCK, Sketch, Subtract};
use serde::Serialize;
use std::sync::Arc;

/// An alarm raised or cleared on one number.
#[derive(Clone, Debug, PartialEq)]
pub struct JointAlarm {
    /// Place of the number in the map.
    pub number: usize,
    pub state: AlarmState,
    pub row: u64,
    pub evidence_bits: f64,
    pub threshold_bits: f64,
    pub finding: Option<Finding>,
}

/// How far the rows of the latest pane are from the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct JointDistances {
    pub correlation: Option<CorrelationDistance>,
    /// Squared maximum mean discrepancy, by random Fourier features, and what chance alone makes of it on average.
    pub discrepancy: f64,
    pub discrepancy_expected: f64,
}

/// Watches the joint distribution of the columns of a row.
#[derive(Clone, Debug)]
pub struct JointDetector {
    joint: Joint,
    references: Vec<Reference>,
    terms: Terms,
    detectors: Vec<EDetector>,
    open: Vec<Bins>,
    block: Block,
    comoments: Option<CoMoments>,
    /// Fourier features added up over the open pane.
    sums: Vec<f64>,
    rows: u64,
    /// Rows in closed panes.
    row: u64,
    last: JointDistances,
}

// === impl JointDetector ===

impl JointDetector {
    /// The time between false alarms is that of all numbers together.
    ///
    /// # Errors
    /// Terms out of range; references that are not those of the map.
    pub fn new(
        joint: Joint,
        references: Vec<Reference>,
        terms: Terms,
    ) -> Result<JointDetector, ConfigurationError> {
        terms.check()?;
        if references.len() != joint.width() {
            return Err(ConfigurationError(format!(
                "{} references for {} numbers: take those that were built with the map",
                references.len(),
                joint.width()
            )));
        }
        let delta = terms.delta / references.len().max(1) as f64;
        let detector = |reference: &Reference| {
            let time = reference.autocorrelation_time;
            EDetector::new(Arc::new(Plan::new(&reference.bins, time, terms.tolerance, delta)))
        };
        Ok(JointDetector {
            detectors: references.iter().map(detector).collect(),
            open: references.iter().map(|known| Bins::new(Arc::clone(known.bins.binning()))).collect(),
            block: Block::new(joint.width()),
            comoments: joint.comoments().and_then(|known| CoMoments::new(known.columns())),
            sums: vec![0.0; joint.features()],
            joint,
            references,
            terms,
            rows: 0,
            row: 0,
            last: JointDistances::default(),
        })
    }

    pub fn joint(&self) -> &Joint {
        &self.joint
    }

    /// Takes in rows, row-major; alarms raised and cleared by them.
    pub fn update(&mut self, rows: &[f64]) -> Vec<JointAlarm> {
        let mut alarms = Vec::new();
        let mut standard = vec![0.0; self.joint.columns()];
        let mut numbers = vec![0.0; self.joint.width()];
        for row in rows.chunks_exact(self.joint.columns()) {
            self.joint.standardise(row, &mut standard);
            self.joint.project(&standard, &mut numbers);
            self.count(&standard, &numbers);
            if self.rows == self.terms.pane_rows {
                self.close(&mut alarms);
            }
        }
        alarms
    }

    fn count(&mut self, standard: &[f64], numbers: &[f64]) {
        if let Some(comoments) = &mut self.comoments {
            comoments.add(standard);
        }
        self.sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        self.block.push(numbers);
        self.rows += 1;
        if self.block.is_full() {
            self.drain();
        }
    }

    fn drain(&mut self) {
        let open = &mut self.open;
        self.block.drain(|number, values| {
            let mut scratch = [0.0; BLOCK];
            let (finite, specials) = screen(values, &mut scratch);
            open[number].update(finite);
            open[number].add_specials(&specials);
        });
    }

    fn close(&mut self, alarms: &mut Vec<JointAlarm>) {
        self.drain();
        self.last = self.measured();
        let mark = |row| Mark { row, call: row };
        let (start, end, stake) = (mark(self.row), mark(self.row + self.rows), self.rows as f64);
        self.row += self.rows;
        for (detector, open) in self.detectors.iter_mut().zip(&mut self.open) {
            detector.update(&Pane { counts: open.cells(), start, end, stake });
            open.clear();
        }
        self.rows = 0;
        self.sums.fill(0.0);
        self.comoments = self.comoments.take().and_then(|known| CoMoments::new(known.columns()));
        let mut evidence: Vec<f64> = self.detectors.iter().map(EDetector::capital).collect();
        let Discovery { level, .. } = discover(&mut evidence, self.terms.arl);
        for (number, detector) in self.detectors.iter_mut().enumerate() {
            let (evidence_bits, before) = (detector.evidence_bits(), detector.finding());
            let Some(state) = detector.judge(level, self.terms.clear_after) else { continue };
            let finding = if state == AlarmState::Raised { detector.finding() } else { before };
            let threshold_bits = bits(level, stake);
            alarms.push(JointAlarm { number, state, row: self.row, evidence_bits, threshold_bits, finding });
        }
    }

    fn measured(&self) -> JointDistances {
        let (features, rows) = (self.sums.len().max(1) as f64, self.rows as f64);
        let (mut discrepancy, mut expected) = (0.0, 0.0);
        for (sum, reference) in self.sums.iter().zip(&self.references) {
            let moments = &reference.moments;
            let (mean, std) = (moments.mean().unwrap_or(0.0), moments.std().unwrap_or(0.0));
            discrepancy += 2.0 / features * (sum / rows - mean).powi(2);
            expected += 2.0 / features * std * std * (1.0 / rows + 1.0 / moments.count().max(1) as f64);
        }
        JointDistances {
            correlation: self.comoments.as_ref().and_then(|live| self.joint.correlation_distance(live)),
            discrepancy,
            discrepancy_expected: expected,
        }
    }

    /// Of the pane closed last.
    pub fn distances(&self) -> JointDistances {
        self.last
    }

    /// Evidence of each number, in bits, in units of a pane.
    pub fn evidence_bits(&self) -> Vec<f64> {
        self.detectors.iter().map(EDetector::evidence_bits).collect()
    }
}

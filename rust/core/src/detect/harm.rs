//! Watches the losses of rows as their labels come in.

use super::edetector::terms::Terms;
use super::edetector::{EDetector, Finding, Pane, bits};
use super::loss::Losses;
use super::{AlarmState, Mark};
use crate::error::ConfigurationError;

/// A detector of harm, and the pane it is filling.
#[derive(Clone, Debug)]
pub struct HarmDetector {
    terms: Terms,
    detector: EDetector,
    open: Losses,
    row: u64,
}

/// Raised, or cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HarmAlarm {
    pub state: AlarmState,
    pub row: u64,
    pub evidence_bits: f64,
    pub threshold_bits: f64,
    pub finding: Option<Finding>,
}

// === impl HarmDetector ===

impl HarmDetector {
    /// Watches for more loss than in `reference`, of which `time` rows are worth one independent row where their order is
    /// known. The tolerance is in the unit of the loss.
    ///
    /// # Errors
    /// Those of [`Losses::detector`], and terms out of range.
    pub fn new(
        reference: &Losses,
        terms: Terms,
        time: Option<f64>,
    ) -> Result<HarmDetector, ConfigurationError> {
        let detector = reference.detector(&terms, time)?;
        Ok(HarmDetector { terms, detector, open: reference.cleared(), row: 0 })
    }

    /// Takes in losses, in the order of their rows; alarms raised and cleared by them.
    pub fn update(&mut self, losses: &[f64]) -> Vec<HarmAlarm> {
        let mut alarms = Vec::new();
        for loss in losses {
            self.open.update(std::slice::from_ref(loss));
            if self.open.rows() >= self.terms.pane_rows {
                alarms.extend(self.close());
            }
        }
        alarms
    }

    fn close(&mut self) -> Option<HarmAlarm> {
        let (mark, rows) = (|row| Mark { row, call: row }, self.open.rows());
        let (start, end, stake) = (mark(self.row), mark(self.row + rows), rows as f64);
        self.detector.update(&Pane { counts: self.open.parts(), start, end, stake });
        self.row += rows;
        self.open = self.open.cleared();
        let before = self.detector.finding();
        let level = self.terms.arl;
        let evidence_bits = self.detector.evidence_bits();
        let state = self.detector.judge(level, self.terms.clear_after)?;
        let finding = if state == AlarmState::Raised { self.detector.finding() } else { before };
        Some(HarmAlarm { state, row: self.row, evidence_bits, threshold_bits: bits(level, stake), finding })
    }

    pub fn is_raised(&self) -> bool {
        self.detector.is_raised()
    }

    /// In units of a pane.
    pub fn evidence_bits(&self) -> f64 {
        self.detector.evidence_bits()
    }
}

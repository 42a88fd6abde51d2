//! The terms on which an e-detector watches: what it promises, what it ignores, and when an alarm ends.
//!
//! One set of defaults for everything that watches by e-detectors: the live monitor, a backtest, joint distributions,
//! attribution and harm.

use crate::error::ConfigurationError;

/// Rows that are judged together where nobody looks in between: as often as the monitor looks into an open pane.
pub const PANE_ROWS: u64 = 100;
/// Rows between false alarms. With more of them a change as weak as those of recorded tables is not found in 600 rows.
pub const ARL: u64 = 100_000;
/// Nats: a mean moved by 0.02 standard deviations.
pub const TOLERANCE: f64 = 0.000_2;
pub const DELTA: f64 = 0.01;
pub const CLEAR_AFTER: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Rows in a pane.
    pub pane_rows: u64,
    /// Mean time between false alarms, at least: in rows, or in whatever stakes are counted in.
    pub arl: f64,
    /// How far from the reference is no change: relative entropy in nats; of a loss, in its own unit.
    pub tolerance: f64,
    /// Probability that the reference misleads because its rows are few.
    pub delta: f64,
    /// Panes in a row without evidence of a change that end an alarm, at least.
    pub clear_after: u32,
}

// === impl Terms ===

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            pane_rows: PANE_ROWS,
            arl: ARL as f64,
            tolerance: TOLERANCE,
            delta: DELTA,
            clear_after: CLEAR_AFTER,
        }
    }
}

impl Terms {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// A sentence that names the value and the remedy.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let Terms { pane_rows, arl, tolerance, delta, clear_after } = *self;
        let wrong = if pane_rows == 0 {
            "pane_rows is 0; use a whole number from 1".into()
        } else if !(arl.is_finite() && arl > 0.0) {
            format!("arl is {arl}; use the rows, or the time, that shall pass between false alarms")
        } else if !(0.0..=10.0).contains(&tolerance) {
            format!("tolerance is {tolerance}; use a number from 0 to 10, such as {TOLERANCE}")
        } else if !(delta > 0.0 && delta <= 0.5) {
            format!("delta is {delta}; use a number above 0 and up to 0.5, such as {DELTA}")
        } else if !(1..=1_000_000).contains(&clear_after) {
            format!("clear_after is {clear_after}; use a whole number from 1 to 1000000")
        } else {
            return Ok(());
        };
        Err(ConfigurationError(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_number_is_named_with_its_remedy() {
        let terms = Terms::default();
        assert_eq!(terms.check(), Ok(()));
        for (wrong, words) in [
            (Terms { pane_rows: 0, ..terms }, "pane_rows is 0"),
            (Terms { arl: 0.0, ..terms }, "arl is 0; use the rows"),
            (Terms { arl: f64::NAN, ..terms }, "arl is NaN"),
            (
                Terms { tolerance: -0.1, ..terms },
                "tolerance is -0.1; use a number from 0 to 10, such as 0.0002",
            ),
            (Terms { tolerance: f64::NAN, ..terms }, "tolerance is NaN"),
            (Terms { delta: 0.9, ..terms }, "delta is 0.9"),
            (Terms { delta: 0.0, ..terms }, "delta is 0;"),
            (Terms { clear_after: 0, ..terms }, "clear_after is 0"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

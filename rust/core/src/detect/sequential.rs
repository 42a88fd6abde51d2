//! Detectors that look at one value at a time: the familiar ones, alarm for alarm as river 0.23 raises them.
//!
//! They need no profile, and compare a stream with its own past. None of them promises a rate of false alarms; they
//! are here because people know them, and so that a backtest can show them beside the e-detector.
//!
//! ```
//! use pilotfish_core::detect::sequential::{Verdict, named};
//!
//! let mut detector = named("page_hinkley", r#"{"threshold": 20}"#)?;
//! let level = |row: u64| if row < 500 { 10.0 } else { 12.0 };
//! let alarm = (0..1_000).find(|&row| matches!(detector.update(level(row)), Verdict::Drift(_)));
//! assert_eq!(alarm, Some(510));
//! # Ok::<(), pilotfish_core::error::ConfigurationError>(())
//! ```

use super::adwin::Adwin;
use super::cusum::Cusum;
use super::ddm::Ddm;
use super::eddm::Eddm;
use super::hddm_a::HddmA;
use super::hddm_w::HddmW;
use super::kswin::Kswin;
use super::page_hinkley::PageHinkley;
use crate::error::ConfigurationError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The names that [`named`] knows.
pub const NAMES: [&str; 8] = ["adwin", "cusum", "ddm", "eddm", "hddm_a", "hddm_w", "kswin", "page_hinkley"];

/// Watches a stream of numbers, one at a time.
pub trait Sequential: fmt::Debug + Send {
    /// The values it can judge.
    fn domain(&self) -> Domain {
        Domain::Numbers
    }

    /// Takes in the next value. Those outside the domain are passed over, and leave it as it was. After a
    /// [`Verdict::Drift`] it starts anew, with the next value as its first.
    fn update(&mut self, value: f64) -> Verdict;
}

/// What a detector thinks of the stream, after a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Quiet,
    /// Something may be changing.
    Warning,
    Drift(Drift),
}

/// A change that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Values since the change, as the detector estimates it, the one that gave it away included.
    pub since: u64,
    /// Where the values went; `None` for a detector that looks at whole distributions.
    pub side: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Up,
    Down,
}

/// Which values a detector can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any finite number.
    Numbers,
    /// From 0 to 1, such as a loss.
    Unit,
    /// 0 and 1, such as a wrong answer of a model.
    Bits,
}

// === impl Domain ===

impl Domain {
    pub fn contains(self, value: f64) -> bool {
        match self {
            Domain::Numbers => value.is_finite(),
            Domain::Unit => (0.0..=1.0).contains(&value),
            Domain::Bits => value == 0.0 || value == 1.0,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Domain::Numbers => "finite numbers",
            Domain::Unit => "numbers from 0 to 1",
            Domain::Bits => "0 and 1",
        })
    }
}

// === impl Drift ===

impl Drift {
    pub(super) fn verdict(since: u64, side: impl Into<Option<Side>>) -> Verdict {
        Verdict::Drift(Drift { since, side: side.into() })
    }
}

/// The detector of that name, with `settings` (a JSON object) instead of its defaults.
///
/// # Errors
/// A name, a setting or a value that does not exist or makes no sense, with those that do.
pub fn named(name: &str, settings: &str) -> Result<Box<dyn Sequential>, ConfigurationError> {
    Ok(match name {
        "adwin" => Box::new(Adwin::new(parsed(name, settings)?)?),
        "cusum" => Box::new(Cusum::new(parsed(name, settings)?)?),
        "ddm" => Box::new(Ddm::new(parsed(name, settings)?)?),
        "eddm" => Box::new(Eddm::new(parsed(name, settings)?)?),
        "hddm_a" => Box::new(HddmA::new(parsed(name, settings)?)?),
        "hddm_w" => Box::new(HddmW::new(parsed(name, settings)?)?),
        "kswin" => Box::new(Kswin::new(parsed(name, settings)?)?),
        "page_hinkley" => Box::new(PageHinkley::new(parsed(name, settings)?)?),
        _ => {
            return Err(ConfigurationError(format!(
                "no detector is called {name:?}; use one of {}",
                NAMES.join(", ")
            )));
        }
    })
}

fn parsed<T: DeserializeOwned>(name: &str, settings: &str) -> Result<T, ConfigurationError> {
    serde_json::from_str(settings).map_err(|error| ConfigurationError(format!("{name}: {error}")))
}

/// Refuses a setting that is not `within` what the last words name.
pub(super) fn require(
    within: bool,
    setting: &str,
    value: impl fmt::Display,
    remedy: &str,
) -> Result<(), ConfigurationError> {
    if within {
        return Ok(());
    }
    Err(ConfigurationError(format!("{setting} is {value}; use {remedy}")))
}

/// Refuses what is no probability that could be a confidence.
pub(super) fn require_confidence(setting: &str, value: f64) -> Result<(), ConfigurationError> {
    require(value > 0.0 && value < 1.0, setting, value, "a number between 0 and 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_detector_with_defaults() {
        for name in NAMES {
            assert_eq!(named(name, "{}").unwrap().update(0.0), Verdict::Quiet, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_or_setting_is_refused_with_those_there_are() {
        let refusal = |name, settings| named(name, settings).unwrap_err().to_string();
        assert!(refusal("adwim", "{}").contains("use one of adwin, cusum, ddm"));
        assert!(refusal("adwin", r#"{"detla": 1}"#).contains("expected one of `delta`, `clock`"));
        assert!(refusal("adwin", r#"{"delta": "small"}"#).starts_with("adwin: invalid type"));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_the_remedy() {
        for (name, settings, words) in [
            ("adwin", r#"{"delta": 0}"#, "delta is 0; use a number between 0 and 1"),
            ("adwin", r#"{"clock": 0}"#, "clock is 0; use"),
            ("adwin", r#"{"max_buckets": 1}"#, "max_buckets is 1; use"),
            ("cusum", r#"{"deviation": -1}"#, "deviation is -1; use"),
            ("ddm", r#"{"drift_threshold": -1}"#, "drift_threshold is -1; use"),
            ("eddm", r#"{"alpha": 0.5}"#, "alpha is 0.5; use"),
            ("hddm_a", r#"{"drift_confidence": 2}"#, "drift_confidence is 2; use"),
            ("hddm_w", r#"{"lambda_val": 2}"#, "lambda_val is 2; use"),
            ("kswin", r#"{"stat_size": 90}"#, "stat_size is 90; use"),
            ("page_hinkley", r#"{"alpha": 0}"#, "alpha is 0; use"),
        ] {
            let refusal = named(name, settings).unwrap_err().to_string();
            assert!(refusal.starts_with(words), "{refusal}");
        }
    }

    #[test]
    fn values_outside_the_domain_change_nothing() {
        let bits = |row: u64| f64::from(u8::from(row.wrapping_mul(2_654_435_761) % 100 < 20 + row / 50));
        for name in NAMES {
            let (mut clean, mut dirty) = (named(name, "{}").unwrap(), named(name, "{}").unwrap());
            for row in 0..3_000 {
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    dirty.update(value);
                }
                if dirty.domain() != Domain::Numbers {
                    dirty.update(-3.0);
                }
                assert_eq!(clean.update(bits(row)), dirty.update(bits(row)), "{name} at {row}");
            }
        }
    }
}

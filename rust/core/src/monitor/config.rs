//! How a model is watched.

use super::volume::VolumeConfig;
use crate::detect::edetector::terms::{self, Terms};
use crate::feature::TensorConfig;
use crate::sketch::binning::BINS_MAX;
use crate::window::cascade::{Horizon, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the traffic of a model version is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// Rows in a pane.
    pub pane_rows: u32,
    /// Nanoseconds after which a pane closes before it is full.
    pub pane_ns: Option<u64>,
    /// Closed panes that are kept.
    pub window_panes: u32,
    /// Longer windows that are kept: the last hour, day and month.
    pub windows: Horizon,
    /// Rows that stand for a minute in them.
    pub window_rows: Option<u64>,
    /// Ranges per numeric feature, 2 to 64.
    pub bins: u16,
    /// Most features of a model; further columns are pooled, further tensors are counted as unwatched.
    pub max_features: u32,
    /// Rows from which a reference is learned when no profile is given; 0: never.
    pub learn_rows: u64,
    /// What is known of tensors, by name.
    pub tensors: BTreeMap<String, TensorConfig>,
    /// How the number of calls is watched; `None`: not at all.
    pub volume: Option<VolumeConfig>,
    pub alarm: AlarmConfig,
}

/// When an alarm is raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmConfig {
    pub detector: DetectorKind,
    /// Mean rows between false alarms of the whole model, at least (e-detector).
    pub arl: u64,
    /// The same as a time, in nanoseconds; it takes the place of `arl`.
    pub arl_ns: Option<u64>,
    /// Relative entropy from the profile, in nats, below which nothing counts as a change (e-detector).
    pub tolerance: f64,
    /// Probability, over all features, that the profile misleads because its rows are few (e-detector).
    pub delta: f64,
    /// Thresholds of the distances. One without a threshold is computed, but raises no alarm.
    pub psi: Option<f64>,
    pub jensen_shannon: Option<f64>,
    pub ks: Option<f64>,
    /// Panes in a row at or above the threshold before the alarm is raised.
    pub raise_after: u32,
    /// Panes in a row below `clear_ratio` of the threshold before it is cleared.
    pub clear_after: u32,
    pub clear_ratio: f64,
}

/// What raises alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// Evidence, with a guaranteed time between false alarms.
    #[default]
    EDetector,
    /// Thresholds on distances.
    Threshold,
}

// === impl MonitorConfig ===

impl Default for MonitorConfig {
    fn default() -> MonitorConfig {
        MonitorConfig {
            pane_rows: 1_000,
            pane_ns: None,
            window_panes: 4,
            windows: Horizon::Full,
            window_rows: None,
            bins: 32,
            max_features: 4_096,
            learn_rows: 2_000,
            tensors: BTreeMap::new(),
            volume: None,
            alarm: AlarmConfig::default(),
        }
    }
}

impl MonitorConfig {
    /// Names of the windows that are kept, shortest first.
    pub fn window_names(&self) -> Vec<String> {
        let name = |span: &Span| match (self.window_rows, span.reach()) {
            (Some(rows), reach) => format!("{} rows", reach.saturating_mul(rows)),
            (None, minutes @ 0..1_440) => format!("{}h", minutes / 60),
            (None, minutes) => format!("{}d", minutes / 1_440),
        };
        self.windows.spans().iter().map(name).collect()
    }

    /// Whether every value makes sense.
    ///
    /// # Errors
    /// A sentence that names the value and the remedy.
    pub fn check(&self) -> Result<(), String> {
        within("pane_rows", self.pane_rows, 1, u32::MAX)?;
        within("window_panes", self.window_panes, 1, 10_000)?;
        if self.window_rows == Some(0) {
            return Err("window_rows is 0; use the rows that stand for a minute, or null for time".into());
        }
        within("bins", u32::from(self.bins), 2, BINS_MAX as u32)?;
        within("max_features", self.max_features, 1, 1_000_000)?;
        self.volume.as_ref().map_or(Ok(()), VolumeConfig::check)?;
        within("alarm.raise_after", self.alarm.raise_after, 1, 1_000_000)?;
        let AlarmConfig { psi, jensen_shannon, ks, clear_ratio, .. } = self.alarm;
        let terms = self.alarm.terms(u64::from(self.pane_rows));
        terms.check().map_err(|error| format!("alarm.{error}"))?;
        for (name, threshold) in [("psi", psi), ("jensen_shannon", jensen_shannon), ("ks", ks)] {
            if let Some(threshold) = threshold.filter(|&threshold| !threshold.is_finite() || threshold <= 0.0)
            {
                return Err(format!(
                    "alarm.{name} is {threshold}; use a number above 0, or null for no alarm"
                ));
            }
        }
        if !(clear_ratio > 0.0 && clear_ratio <= 1.0) {
            return Err(format!("alarm.clear_ratio is {clear_ratio}; use a number above 0 and up to 1"));
        }
        Ok(())
    }
}

fn within(name: &str, value: u32, least: u32, most: u32) -> Result<(), String> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is {value}; use a whole number from {least} to {most}"))
}

// === impl AlarmConfig ===

impl Default for AlarmConfig {
    fn default() -> AlarmConfig {
        AlarmConfig {
            detector: DetectorKind::EDetector,
            arl: terms::ARL,
            arl_ns: None,
            tolerance: terms::TOLERANCE,
            delta: terms::DELTA,
            psi: Some(0.2),
            jensen_shannon: None,
            ks: None,
            raise_after: 2,
            clear_after: terms::CLEAR_AFTER,
            clear_ratio: 0.8,
        }
    }
}

impl AlarmConfig {
    /// What its e-detectors are bound to.
    pub fn terms(&self, pane_rows: u64) -> Terms {
        let AlarmConfig { tolerance, delta, clear_after, .. } = *self;
        Terms { pane_rows, arl: self.level(), tolerance, delta, clear_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_configured_is_the_default() {
        let config: MonitorConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, MonitorConfig::default());
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(serde_json::from_str::<MonitorConfig>(r#"{"alarm": {"spi": 0.1}}"#).is_err());
    }

    #[test]
    fn a_bad_value_is_named_with_its_remedy() {
        for (json, words) in [
            (r#"{"pane_rows": 0}"#, "pane_rows is 0"),
            (r#"{"window_rows": 0}"#, "window_rows is 0"),
            (r#"{"bins": 65}"#, "bins is 65; use a whole number from 2 to 64"),
            (r#"{"alarm": {"psi": -1}}"#, "alarm.psi is -1"),
            (r#"{"alarm": {"clear_ratio": 1.5}}"#, "alarm.clear_ratio is 1.5"),
            (r#"{"alarm": {"arl": 0}}"#, "alarm.arl is 0"),
            (r#"{"alarm": {"tolerance": -0.1}}"#, "alarm.tolerance is -0.1"),
            (r#"{"alarm": {"delta": 0.9}}"#, "alarm.delta is 0.9"),
        ] {
            let config: MonitorConfig = serde_json::from_str(json).unwrap();
            assert!(config.check().unwrap_err().contains(words), "{json}");
        }
    }
}

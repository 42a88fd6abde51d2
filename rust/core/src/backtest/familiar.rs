//! A familiar detector for every numeric feature of a profile.

use super::FamiliarConfig;
use crate::detect::sequential::{Domain, NAMES, Sequential, Side, Verdict, named};
use crate::error::ConfigurationError;
use crate::profile::{Profile, Reference};
use crate::sketch::binning::Kind;
use crate::tensor::{Data, Direction, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;

/// An alarm of a familiar detector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FamiliarAlarm {
    pub feature: String,
    pub direction: Direction,
    pub method: &'static str,
    /// Rows seen when it was raised.
    pub row: u64,
    /// Where the detector estimates the change to have begun, not counting rows in which the value was missing.
    pub change_row: u64,
    /// Where the values went.
    pub side: Option<Side>,
}

/// The detectors.
#[derive(Debug)]
pub struct Familiar {
    method: &'static str,
    detectors: BTreeMap<(Direction, String), Box<dyn Sequential>>,
    /// Features by direction, tensor and width, in the order of the columns.
    layouts: BTreeMap<(Direction, String, usize), Vec<String>>,
}

// === impl Familiar ===

impl Familiar {
    /// # Errors
    /// A detector or a setting that does not exist, or a profile without a feature that it could watch.
    pub fn new(config: FamiliarConfig, profile: &Profile) -> Result<Familiar, ConfigurationError> {
        let settings = serde_json::Value::Object(config.settings).to_string();
        let domain = named(&config.name, &settings)?.domain();
        let watched = profile.references().iter().filter(|reference| fits(reference, domain));
        let detectors = watched
            .map(|of| Ok(((of.direction, of.name.clone()), named(&config.name, &settings)?)))
            .collect::<Result<BTreeMap<_, _>, ConfigurationError>>()?;
        let method = NAMES.into_iter().find(|name| *name == config.name);
        let method = method.filter(|_| !detectors.is_empty()).ok_or_else(|| {
            let name = &config.name;
            ConfigurationError(format!(
                "{name} takes {domain}, which no feature of the profile is; use another detector"
            ))
        })?;
        Ok(Familiar { method, detectors, layouts: BTreeMap::new() })
    }

    pub fn watched(&self) -> Vec<(Direction, String)> {
        self.detectors.keys().cloned().collect()
    }

    /// Shows the detectors the rows of a tensor, the first of which is row `first`; adds the alarms to `raised`.
    pub fn observe(
        &mut self,
        direction: Direction,
        tensor: &Tensor<'_>,
        first: u64,
        raised: &mut Vec<FamiliarAlarm>,
    ) {
        if tensor.is_empty() {
            return;
        }
        let (width, values) = (tensor.columns(), numbers(tensor));
        let key = (direction, tensor.name.to_owned(), width);
        let features = self.layouts.entry(key).or_insert_with(|| names(tensor));
        for (column, feature) in features.iter().enumerate() {
            let Some(detector) = self.detectors.get_mut(&(direction, feature.clone())) else { continue };
            for (row, &value) in (first + 1..).zip(values.iter().skip(column).step_by(width)) {
                if let Verdict::Drift(drift) = detector.update(value) {
                    raised.push(FamiliarAlarm {
                        feature: feature.clone(),
                        direction,
                        method: self.method,
                        row,
                        change_row: row.saturating_sub(drift.since),
                        side: drift.side,
                    });
                }
            }
        }
    }
}

/// The elements of a tensor, or how long they are.
fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    if let Data::Bytes(elements) = &tensor.data {
        let length = |element: &&[u8]| if element.is_empty() { f64::NAN } else { element.len() as f64 };
        return elements.iter().map(length).collect();
    }
    let mut values = vec![0.0; tensor.len()];
    tensor.read(0, &mut values);
    values
}

/// The features of the columns of a tensor.
fn names(tensor: &Tensor<'_>) -> Vec<String> {
    let (name, width) = (tensor.name, tensor.columns());
    let suffix = if matches!(tensor.data, Data::Bytes(_)) { ".length" } else { "" };
    match width {
        1 => vec![format!("{name}{suffix}")],
        _ => (0..width).map(|column| format!("{name}[{column}]{suffix}")).collect(),
    }
}

/// Whether what is known of a feature is what a detector can judge.
fn fits(reference: &Reference, domain: Domain) -> bool {
    let binning = reference.bins.binning();
    let range = [reference.moments.min(), reference.moments.max()];
    let judges = |value: &f64| domain.contains(*value);
    match domain {
        _ if binning.kind() == Kind::Category => false,
        Domain::Numbers => true,
        Domain::Unit => range.iter().flatten().all(judges),
        Domain::Bits => !binning.values().is_empty() && binning.values().iter().all(judges),
    }
}

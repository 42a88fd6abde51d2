//! From distances to alarms: when is a difference worth waking somebody?
//!
//! A detector is told of every closed pane and answers with a change of state, if any. It keeps no clock and no
//! counts of its own; what it needs to know of a pane is in the [`Evidence`], counts included, so that detectors that
//! bet on counts fit the same seam as those that watch a score.

pub mod adwin;
pub mod cusum;
pub mod ddm;
pub mod discovery;
pub mod eddm;
pub mod edetector;
pub mod harm;
pub mod hddm_a;
pub mod hddm_w;
pub mod kswin;
pub mod loss;
mod mersenne;
pub mod page_hinkley;
mod running;
pub mod sequential;
pub mod threshold;

use crate::tensor::Direction;
use edetector::Finding;
use serde::{Deserialize, Serialize};

/// What a detector is shown when a pane closes.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Counts of the reference and of the pane, over the same cells.
    pub reference: &'a [u64],
    pub pane: &'a [u64],
    /// The distance between them that the detector watches, and what chance alone exceeds too rarely to matter.
    pub score: f64,
    pub noise: f64,
    /// When the pane began.
    pub start: Mark,
}

/// A point in the traffic: how many rows and calls came before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub row: u64,
    pub call: u64,
}

/// Watches one feature by one method.
pub trait Detector {
    /// Name under which its alarms go out.
    fn method(&self) -> &'static str;

    /// Takes in a closed pane; `Some` when the state changes.
    fn step(&mut self, evidence: &Evidence<'_>) -> Option<Change>;

    /// The alarm that is raised now.
    fn alarm(&self) -> Option<&Alarm>;
}

/// What a pane changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub state: AlarmState,
    pub score: f64,
    pub threshold: f64,
    pub noise: f64,
    /// Where the change is estimated to have begun.
    pub since: Mark,
    /// What an e-detector knows beyond that; its score and threshold are evidence, in bits.
    pub finding: Option<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmState {
    Raised,
    Cleared,
}

/// An alarm that is raised: part of the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    pub method: &'static str,
    /// Score of the pane closed last.
    pub score: f64,
    pub threshold: f64,
    /// Where the change is estimated to have begun.
    pub since_row: u64,
    /// What has changed, in words, where the detector knows it: "location up".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
}

/// An alarm was raised or cleared: what is told to the outside. Rows are those of the feature's direction, calls are
/// input messages, both counted from the start of the monitor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlarmEvent {
    pub state: AlarmState,
    pub feature: String,
    pub direction: Direction,
    pub method: &'static str,
    /// "edetector", or "threshold" on the distance that the method names.
    pub detector: &'static str,
    pub score: f64,
    pub threshold: f64,
    /// What chance alone exceeds in less than one pane of a thousand, over all features of the model. `None` for an
    /// e-detector, whose threshold takes care of chance.
    pub noise: Option<f64>,
    /// Of an e-detector: the evidence, and what has changed, in words ("location up").
    pub evidence_bits: Option<f64>,
    pub shape: Option<String>,
    /// Rows seen when it happened.
    pub row: u64,
    /// Where the change is estimated to have begun: the first row of a pane.
    pub change_row: u64,
    /// Of an e-detector: rows between which the change lies, as far as can be told.
    pub change_from_row: Option<u64>,
    pub change_to_row: Option<u64>,
    /// Calls seen when it happened.
    pub call: u64,
    /// Calls seen before `change_row`.
    pub change_call: u64,
    /// Monotonic nanoseconds, as handed in.
    pub at_ns: u64,
}

//! What a monitor shows of itself: plain data, ready to be serialised.

use super::schema::SchemaAlarm;
use super::texts::TextsSnapshot;
use crate::detect::Alarm;
use crate::distance::Distances;
use crate::performance::Performance;
use crate::sketch::binning::Kind;
use crate::sketch::exponential::ExponentialSnapshot;
use crate::tensor::Direction;
use serde::Serialize;

/// How much is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Bins and exponential histograms as well.
    pub detail: bool,
    /// Names of the windows, shortest first.
    pub windows: &'a [String],
}

/// One model version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonitorSnapshot {
    pub state: MonitorState,
    pub profile: Option<ProfileSnapshot>,
    /// Input messages.
    pub calls: u64,
    /// Rows of the inputs (of the outputs, where no input was ever seen).
    pub rows: u64,
    pub batch: BatchSnapshot,
    /// Values that were absent or NaN, over all elements.
    pub missing: u64,
    /// Tensors since the start of which nothing was counted, because there is no room or they have too long a name.
    pub unwatched: u64,
    /// Closed panes.
    pub panes: u64,
    /// What the evidence of all features adds up to; none before the first pane, and with thresholds.
    pub evidence: Option<ModelEvidence>,
    /// Features that are gone, new or of another type, as long as they are.
    pub schema: Vec<SchemaAlarm>,
    /// How many calls come; none unless it is configured.
    pub volume: Option<VolumeSnapshot>,
    /// What the scores promise; none where the profile knows no scores, and before the first pane.
    pub performance: Option<PerformanceSnapshot>,
    /// In order of direction and name.
    pub features: Vec<FeatureSnapshot>,
}

/// Evidence that anything in the model has changed: the mean over its features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelEvidence {
    pub bits: f64,
    pub threshold_bits: f64,
    pub alarm: bool,
    /// Features with enough evidence of their own, by the e-detector Benjamini-Hochberg rule.
    pub flagged: Vec<String>,
}

/// Calls in the interval closed last, and how many there usually are in this part of the cycle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeSnapshot {
    /// Whether there is a norm to compare with.
    pub learned: bool,
    pub interval_seconds: f64,
    pub calls: u32,
    pub usual_calls: Option<u32>,
    /// Evidence of a change, in units of an interval, and what raises the alarm.
    pub evidence_bits: Option<f64>,
    pub threshold_bits: f64,
    /// What has changed, while an alarm is raised: "fewer calls".
    pub shape: Option<String>,
}

/// How well the model is expected to do, by its scores alone; blind to labels that no longer follow the scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerformanceSnapshot {
    /// The tensor that holds the scores.
    pub output: String,
    /// How old the labels of the reference were when they were read.
    pub label_age_s: Option<u64>,
    /// In the closed panes that are kept.
    pub estimated: Performance,
    /// Realised on the reference.
    pub reference: Performance,
}

/// Evidence that a feature has changed, in bits, in units of the latest pane; at least 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidenceSnapshot {
    pub bits: f64,
    /// What raises its alarm.
    pub threshold_bits: f64,
    /// The likeliest change, in words ("location up"), and its first row; none without evidence.
    pub shape: Option<String>,
    pub change_row: Option<u64>,
    /// Rows that are worth one independent row.
    pub autocorrelation_time: f64,
    /// All of the evidence, by shape, in bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_shape: Option<Vec<(String, f64)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MonitorState {
    /// The reference is being learned from live rows.
    Learning,
    /// Panes are compared with the profile, if there is one.
    Watching,
}

/// The profile that the features are compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProfileSnapshot {
    pub hash: String,
    pub rows: u64,
    /// Features of the profile that have not been seen live.
    pub absent: u64,
    /// Live features that the profile does not know: counted, but not compared.
    pub unprofiled: u64,
}

/// Rows per call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BatchSnapshot {
    pub min: u64,
    pub max: u64,
    pub mean: f64,
}

/// One feature; all counts are since the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureSnapshot {
    pub name: String,
    pub direction: Direction,
    pub kind: Kind,
    /// Values seen, those that are missing or infinite included.
    pub count: u64,
    /// Absent or NaN.
    pub missing: u64,
    pub nan: u64,
    pub pos_inf: u64,
    pub neg_inf: u64,
    /// Below and above all of the reference.
    pub under: u64,
    pub over: u64,
    /// Between its discrete values, and categories that it is not known to have.
    pub unseen: u64,
    /// Categories that it has and that have no bin.
    pub others: u64,
    /// Of the finite values.
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The pane closed last against the reference.
    pub drift: Option<DriftSnapshot>,
    pub evidence: Option<EvidenceSnapshot>,
    /// The last hour, day and month against the reference, shortest first; those without rows are left out.
    pub windows: Vec<WindowSnapshot>,
    pub alarm: Option<Alarm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bins: Option<BinsSnapshot>,
    /// Only with detail, where it is null for a feature without numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Option<ExponentialSnapshot>>,
    /// Different strings, to a few percent; left out for a feature without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cardinality: Option<u64>,
    /// Only with detail, of a feature with strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<TextsSnapshot>,
}

/// Distances of a pane from the reference, each with what chance alone exceeds in less than one pane of a thousand,
/// over all features of the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftSnapshot {
    pub psi: f64,
    pub psi_noise: f64,
    pub jensen_shannon: f64,
    pub jensen_shannon_noise: f64,
    /// Null for categories, which have no order.
    pub ks: Option<f64>,
    pub ks_noise: Option<f64>,
    /// Values in the pane.
    pub pane_rows: u64,
    /// The first distance with a threshold, else PSI.
    pub score: f64,
    /// All distances by name; their noise is what chance exceeds in one pane of a thousand, for this feature alone.
    pub distances: Distances,
}

/// Distances of a window from the reference, with the same noise floors as those of a pane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowSnapshot {
    /// How far back it reaches: "1h", "1d", "30d", or "60000 rows".
    pub window: String,
    /// Values in it.
    pub rows: u64,
    pub psi: f64,
    pub psi_noise: f64,
    pub jensen_shannon: f64,
    pub jensen_shannon_noise: f64,
    pub ks: Option<f64>,
    pub ks_noise: Option<f64>,
    /// All distances by name, only with detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distances: Option<Distances>,
}

/// The bins of a feature: `edges` of ranges, or `labels` of values and categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BinsSnapshot {
    pub edges: Vec<f64>,
    pub labels: Vec<String>,
    pub reference: Vec<u64>,
    /// Of the panes kept and the open one.
    pub window: Vec<u64>,
}

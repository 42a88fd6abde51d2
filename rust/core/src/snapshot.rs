//! What leaves the core: plain data, in the shape in which it is served as JSON.

use serde::Serialize;

use crate::call::Role;
use crate::fleet::{AlarmCounts, ModelSnapshot, Unfitting};
use crate::ledger::{JournalAccount, StateAccount, StatisticsAccount};
use crate::monitor::FeatureSnapshot;
use crate::shadow::ShadowAccount;
use crate::tally::DecisionCounts;
use crate::traffic::TrafficSnapshot;
use crate::version::VersionSnapshot;

/// All numbers of one sidecar. Each account in it was read under its own lock, so each balances.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Of pilotfish itself.
    pub version: &'static str,
    pub plane: String,
    pub uptime_seconds: f64,
    /// Of the routing: 1 at the start, and one more with every reload that took effect.
    pub generation: u64,
    pub versions: Vec<VersionSnapshot>,
    pub calls: TrafficSnapshot,
    pub routes: Vec<RouteSnapshot>,
    pub shadows: Vec<ShadowSnapshot>,
    pub journal: JournalAccount,
    pub statistics: StatisticsSnapshot,
    pub state: StateAccount,
    pub models: Vec<ModelSnapshot>,
    pub unfitting: Vec<Unfitting>,
    pub alarms: AlarmCounts,
    /// Messages of models that are not watched, because they are too many, were never answered, or because their
    /// version is no longer in force.
    pub series_overflow: u64,
}

/// Some of the features of a model.
#[derive(Clone, Debug, Serialize)]
pub struct FeaturesPiece {
    /// Its place among the models of the snapshot.
    pub model: usize,
    pub features: Vec<FeatureSnapshot>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RouteSnapshot {
    pub name: String,
    pub sticky: Vec<String>,
    pub versions: Vec<WeightSnapshot>,
    pub decisions: DecisionCounts,
}

/// One version of a route: its planned weight, and the share of the calls it got.
#[derive(Clone, Debug, Serialize)]
pub struct WeightSnapshot {
    pub version: String,
    pub role: Role,
    pub weight_ppm: u32,
    /// Since this weight came into force; None before the first call.
    pub share: Option<f64>,
    pub calls: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct StatisticsSnapshot {
    #[serde(flatten)]
    pub account: StatisticsAccount,
    /// Part of the messages that are counted at present; below 1 where the budget does not suffice.
    pub counted_share: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShadowSnapshot {
    pub route: String,
    pub version: String,
    pub share_ppm: u32,
    #[serde(flatten)]
    pub account: ShadowAccount,
}

// === impl Snapshot ===

impl Snapshot {
    /// The features of the models, in order, at most so many at a time, and the snapshot without them: for a reader that
    /// holds up others while it reads a piece.
    pub fn in_pieces(mut self, most: usize) -> (Snapshot, Vec<FeaturesPiece>) {
        let mut pieces = Vec::new();
        for (model, of) in self.models.iter_mut().enumerate() {
            let mut features = std::mem::take(&mut of.monitor.features).into_iter().peekable();
            while features.peek().is_some() {
                pieces.push(FeaturesPiece { model, features: features.by_ref().take(most.max(1)).collect() });
            }
        }
        (self, pieces)
    }
}

//! A monitor as it is at one moment, for whoever takes longer to look at it than a message may wait.

use super::Monitor;
use super::joint::JointWatches;
use std::collections::VecDeque;
use std::sync::Arc;

impl Monitor {
    /// What [`Monitor::snapshot`] and [`Monitor::stored`] show of it now; histograms, which a plain snapshot does not
    /// show, only if asked for. It costs a small part of either, so that whoever holds a lock may let it go first.
    #[must_use]
    pub fn copied(&self, histograms: bool) -> Monitor {
        Monitor {
            config: Arc::clone(&self.config),
            named: Arc::clone(&self.named),
            model: self.model.clone(),
            profile: self.profile.clone(),
            phase: self.phase,
            inputs: self.inputs,
            outputs: self.outputs,
            roster: self.roster.copied(histograms),
            schema: self.schema.clone(),
            joints: JointWatches::default(),
            scores: self.scores.clone(),
            volume: self.volume.clone(),
            discovery: self.discovery,
            evidence: Vec::new(),
            events: VecDeque::new(),
        }
    }
}

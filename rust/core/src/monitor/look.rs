//! Looks into a pane that is not full: an alarm need not wait for its end.

use super::comparison::Closing;
use super::{DetectorKind, Monitor, Phase};
use crate::detect::Mark;
use crate::feature::stage::{Errand, rows_together};
use crate::profile::Profile;
use crate::tensor::Direction;
use std::sync::Arc;

/// Rows of a model with this profile after which one looks whether what waits should be weighed.
pub(crate) fn look_rows(profile: Option<&Profile>) -> u64 {
    rows_together(profile.map_or(0, |profile| profile.references().len())) as u64
}

impl Monitor {
    pub(super) fn look_rows(&self) -> u64 {
        look_rows(self.profile.as_deref())
    }

    /// Rows until one looks into the open pane.
    pub(super) fn look_room(&self, direction: Direction) -> usize {
        if self.phase == Phase::Learning || self.config.alarm.detector != DetectorKind::EDetector {
            return usize::MAX;
        }
        let look_rows = self.look_rows();
        (look_rows - self.clock(direction).open_rows() % look_rows) as usize
    }

    /// Looks whether the open pane has an alarm in it already, if it is time.
    pub(super) fn look(&mut self, direction: Direction, now: u64) {
        let look_rows = self.look_rows();
        if self.look_room(direction) as u64 != look_rows {
            return;
        }
        let (config, clock) = (Arc::clone(&self.config), *self.clock(direction));
        let (start, end) = (clock.start, Mark { row: clock.rows, call: self.inputs.calls });
        let stake = config.alarm.stake(clock.open_rows(), clock.open_seconds(now));
        let unit = stake * f64::from(config.pane_rows) / clock.open_rows().max(1) as f64;
        let so_far = Closing { alarm: &config.alarm, start, end, stake, unit, look_rows };
        let mut weighed = false;
        self.roster.drain_and_visit(direction, Errand::Look(end.row), |feature| {
            weighed |= feature.look(&so_far, false);
        });
        if weighed && self.weigh_all(&so_far, direction) {
            self.judge(direction, &so_far, now);
        }
    }

    /// Weighs all rows of a direction if an alarm may be raised; whether it did. What is to be compared, and judged, must
    /// have been weighed at the same time: who waits for some rows to be weighed may choose when to stop by their looks.
    pub(super) fn weigh_all(&mut self, so_far: &Closing<'_>, direction: Direction) -> bool {
        let has_evidence = self.has_evidence(direction);
        if has_evidence {
            self.roster.visit(direction, |feature| _ = feature.look(so_far, true));
        }
        has_evidence
    }

    /// Whether the model as a whole, or a feature of a direction whose alarm is not raised, would be flagged.
    fn has_evidence(&mut self, direction: Direction) -> bool {
        let discovery = self.discover();
        if self.roster.is_suspect(direction, discovery.level) {
            return true;
        }
        let level = self.config.alarm.level();
        discovery.mean >= level && self.discovery.is_none_or(|(before, _)| before.mean < level)
    }
}

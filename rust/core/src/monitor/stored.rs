//! What a monitor must not forget: counts, windows, detectors, schema alarms, score tables and a learned profile with its
//! joint maps, as plain data for a restart.
//!
//! Layouts are part of it, so that a column that was seen before is the same feature afterwards. A reference that is
//! still being learned is not: learning begins anew.

use super::config::{AlarmConfig, MonitorConfig};
use super::roster::{self, Roster};
use super::scores::{self, ScoreWatch};
use super::volume::{self, Volume};
use super::{Clock, Monitor, Phase, Schema};
use crate::detect::discovery::Discovery;
use crate::profile::Profile;
use crate::tensor::Direction;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A monitor at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The settings without which the numbers would mean something else.
    settings: String,
    profile: StoredProfile,
    inputs: Clock,
    outputs: Clock,
    pub(super) roster: roster::Stored,
    schema: Schema,
    pub(super) scores: Option<scores::Stored>,
    volume: Option<volume::Stored>,
    discovery: Option<(Discovery, f64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StoredProfile {
    Nothing,
    /// It was given; its hash.
    Given(String),
    /// It was learned; its file.
    Learned(Vec<u8>),
}

/// Where a monitor goes on: what its clock shows, what it showed when it was stored, and how long it rested.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resumption {
    pub then: u64,
    pub now: u64,
    pub gap: u64,
}

/// Why stored state is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// Not a state file, cut short, or altered: its checksum is wrong.
    Damaged,
    /// Of a later version of pilotfish.
    Newer,
    /// Of an earlier one.
    Older,
    /// The version is no longer configured.
    UnknownVersion,
    /// The version has another profile now.
    OtherProfile,
    /// Settings have changed that the numbers depend on.
    OtherSettings,
    /// More features than may be watched, as several sidecars have seen together.
    TooMany,
    /// The file could not be read.
    Unreadable,
}

// === impl Lost ===

impl Lost {
    pub fn name(self) -> &'static str {
        match self {
            Lost::Damaged => "damaged",
            Lost::Newer => "newer",
            Lost::Older => "older",
            Lost::UnknownVersion => "unknown_version",
            Lost::OtherProfile => "other_profile",
            Lost::OtherSettings => "other_settings",
            Lost::TooMany => "too_many_features",
            Lost::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Damaged => "it is cut short or altered, or no state file: its checksum is wrong",
            Lost::Newer => "it was written by a later version of pilotfish: upgrade this one",
            Lost::Older => "it was written by an earlier version of pilotfish, which counted otherwise",
            Lost::UnknownVersion => "its version of the model is not configured",
            Lost::OtherProfile => "it was compared with another profile",
            Lost::OtherSettings => "it was counted with other settings of the monitor",
            Lost::TooMany => "it has more features than monitor.max_features",
            Lost::Unreadable => "it could not be read",
        })
    }
}

// === impl Monitor ===

impl Monitor {
    /// All there is to keep; `None` while the reference is being learned. Counts the rows that wait first.
    pub fn stored(&mut self) -> Option<Stored> {
        if self.phase == Phase::Learning {
            return None;
        }
        self.settle();
        let profile = match (&self.profile, self.phase) {
            (None, _) => StoredProfile::Nothing,
            (Some(profile), Phase::Learned) => StoredProfile::Learned(profile.to_bytes()),
            (Some(profile), _) => StoredProfile::Given(profile.hash().to_owned()),
        };
        Some(Stored {
            settings: self.config.meaning(),
            profile,
            inputs: self.inputs,
            outputs: self.outputs,
            roster: self.roster.stored(),
            schema: self.schema.clone(),
            scores: self.scores.as_ref().map(ScoreWatch::stored),
            volume: self.volume.as_ref().map(Volume::stored),
            discovery: self.discovery,
        })
    }

    /// Adds what another worker, or another sidecar, has counted of the same model. Counts, windows,
    /// histograms and moments are those of one pass over all rows, to the last bit; the evidence is the mean of all that
    /// were added up. The order and the grouping show in no byte of what is [stored](Monitor::stored).
    ///
    /// # Errors
    /// [`Lost::OtherProfile`] when they were compared with different bins, [`Lost::OtherSettings`]; nothing has changed.
    pub fn merge(&mut self, mut other: Monitor) -> Result<(), Lost> {
        let hash = |monitor: &Monitor| monitor.profile.as_ref().map(|profile| profile.hash().to_owned());
        if self.config.meaning() != other.config.meaning() {
            return Err(Lost::OtherSettings);
        }
        let learning = Phase::Learning;
        if hash(self) != hash(&other) || self.phase == learning || other.phase == learning {
            return Err(Lost::OtherProfile);
        }
        if other.phase == Phase::Learned {
            self.phase = Phase::Learned; // the profile is kept, for those that were not given it
        }
        self.settle();
        other.settle();
        // What is usual for one sidecar is nothing for two.
        self.volume = Volume::of(&self.config);
        let sees = |monitor: &Monitor| {
            let panes = [monitor.inputs.panes, monitor.outputs.panes];
            move |direction| panes[usize::from(direction == Direction::Output)] > 0
        };
        self.schema.merge(std::mem::take(&mut other.schema), [sees(self), sees(&other)]);
        self.inputs.merge(&other.inputs, &self.config);
        self.outputs.merge(&other.outputs, &self.config);
        self.roster.merge(other.roster);
        if let (Some(mine), Some(theirs)) = (&mut self.scores, &other.scores) {
            mine.merge(theirs);
        }
        let stakes = self.discovery.into_iter().chain(other.discovery).map(|(_, stake)| stake);
        let stake = stakes.reduce(f64::max);
        self.discovery =
            stake.map(|stake| (self.roster.weigh(&mut self.evidence, self.config.alarm.level()), stake));
        Ok(())
    }

    /// Whether there are more features than may be watched, as there may be when several were added up.
    pub fn is_overfull(&self) -> bool {
        self.roster.exceeds(self.config.max_features as usize)
    }

    /// A stored monitor that is only looked at, or added up, by whoever has its profile.
    ///
    /// # Errors
    /// [`Lost::OtherProfile`] when its profile is none of these, [`Lost::Damaged`].
    pub fn at_rest(stored: Stored, profiles: &[Arc<Profile>], at: Resumption) -> Result<Monitor, Lost> {
        let config: MonitorConfig = serde_json::from_str(&stored.settings).map_err(|_| Lost::Damaged)?;
        let profile = match &stored.profile {
            StoredProfile::Given(hash) => profiles.iter().find(|profile| profile.hash() == hash).cloned(),
            StoredProfile::Learned(_) | StoredProfile::Nothing => None,
        };
        Monitor::resumed(Arc::new(config), profile, stored, at)
    }

    /// A monitor that goes on where another one stopped; `profile` is the one that is given now.
    ///
    /// # Errors
    /// Why it cannot: the settings or the profile are others, or the state is damaged.
    pub fn resumed(
        config: Arc<MonitorConfig>,
        profile: Option<Arc<Profile>>,
        stored: Stored,
        at: Resumption,
    ) -> Result<Monitor, Lost> {
        let Stored { settings, profile: then, inputs, outputs, roster, schema, scores, volume, discovery } =
            stored;
        if settings != config.meaning() {
            return Err(Lost::OtherSettings);
        }
        let (profile, phase) = then.matched(profile, &config)?;
        if roster.exceeds(config.max_features as usize) {
            return Err(Lost::TooMany);
        }
        let roster = Roster::resumed(roster, profile.as_deref(), &config).ok_or(Lost::Damaged)?;
        let resumed = |clock: Clock| clock.resumed(&config, at.then, at.now, at.gap);
        let (inputs, outputs) = (resumed(inputs), resumed(outputs));
        let mut monitor = Monitor::new(config, profile);
        let resumed = match (&mut monitor.scores, scores) {
            (Some(mine), Some(stored)) => mine.resume(stored),
            (None, None) => true,
            _ => false,
        };
        let counted = match (&mut monitor.volume, volume) {
            (Some(mine), Some(stored)) => mine.resume(stored, at.then, at.now, at.gap),
            (None, None) => true,
            _ => false,
        };
        if !resumed || !counted || schema.len() > monitor.config.max_features as usize * 2 {
            return Err(Lost::Damaged);
        }
        Ok(Monitor { phase, inputs, outputs, roster, schema, discovery, ..monitor })
    }
}

// === impl StoredProfile ===

impl StoredProfile {
    /// The profile to go on with, if it is the one that the state belongs to.
    fn matched(
        self,
        given: Option<Arc<Profile>>,
        config: &MonitorConfig,
    ) -> Result<(Option<Arc<Profile>>, Phase), Lost> {
        match (self, given) {
            (StoredProfile::Given(hash), Some(given)) if given.hash() == hash => {
                Ok((Some(given), Phase::Watching))
            }
            (StoredProfile::Learned(bytes), None) => {
                let learned = Profile::from_bytes(&bytes).map_err(|_| Lost::Damaged)?;
                Ok((Some(Arc::new(learned)), Phase::Learned))
            }
            (StoredProfile::Nothing, None) if config.learn_rows == 0 => Ok((None, Phase::Watching)),
            _ => Err(Lost::OtherProfile),
        }
    }
}

// === impl MonitorConfig ===

impl MonitorConfig {
    /// The settings that stored numbers depend on, in one text.
    fn meaning(&self) -> String {
        let alarm = AlarmConfig { arl: 1, arl_ns: self.alarm.arl_ns.map(|_| 1), ..self.alarm.clone() };
        let kept =
            MonitorConfig { pane_rows: 1, pane_ns: None, bins: 2, learn_rows: 0, alarm, ..self.clone() };
        serde_json::to_string(&kept).unwrap_or_default()
    }
}

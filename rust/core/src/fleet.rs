//! The monitors of all models and versions seen, and the alarms they raised.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use crate::call::{Nanos, VersionId};
use crate::detect::{AlarmEvent, AlarmState};
use crate::monitor::{Lost, Monitor, MonitorConfig, MonitorSnapshot, Resumption};
use crate::profile::Profile;
use crate::state::{Entry, Left, State};
use crate::tensor::{Defect, Direction, Tensor};

/// Model × version pairs that are watched; the name of a model is a stranger's to choose.
const MOST_MONITORS: usize = 64;

/// Longest model name that is watched, in bytes.
const LONGEST_NAME: usize = 256;

/// Alarm events that are remembered.
const MOST_EVENTS: usize = 1024;

#[derive(Debug)]
pub struct Fleet {
    config: Arc<MonitorConfig>,
    watched: BTreeMap<VersionId, Watched>,
    /// By the name of the model.
    monitors: BTreeMap<VersionId, BTreeMap<String, Monitor>>,
    /// Messages that no monitor was made for.
    overflow: u64,
    events: VecDeque<NumberedEvent>,
    raised: u64,
    cleared: u64,
}

/// A version in force, and what its traffic is compared with.
#[derive(Clone, Debug)]
pub struct Watched {
    pub name: Arc<str>,
    pub profile: Option<Arc<Profile>>,
}

/// An alarm event with its place in the sequence, and whose it is.
#[derive(Clone, Debug, Serialize)]
pub struct NumberedEvent {
    pub sequence: u64,
    pub model: String,
    pub version: String,
    #[serde(flatten)]
    pub event: AlarmEvent,
}

/// One model × version as it was at one moment.
#[derive(Debug)]
pub struct ModelCopy {
    model: String,
    version: String,
    monitor: Monitor,
}

#[derive(Clone, Debug, Serialize)]
pub struct ModelSnapshot {
    pub model: String,
    pub version: String,
    #[serde(flatten)]
    pub monitor: MonitorSnapshot,
}

/// A model that is not compared with the profile given for its version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unfitting {
    pub model: String,
    pub version: String,
    /// The model that the profile was made for.
    pub profile_of: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct AlarmCounts {
    pub active: usize,
    pub raised: u64,
    pub cleared: u64,
}

/// One decoded message on its way to a monitor.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'m> {
    pub model: &'m str,
    pub version: VersionId,
    pub direction: Direction,
    pub tensors: &'m [Tensor<'m>],
    /// Names of those that cannot be observed, and why.
    pub defects: &'m [(&'m str, Defect)],
    /// Whether the call succeeded. Only then is a model that was never seen before believed to exist.
    pub answered: bool,
    pub now: Nanos,
}

// === impl Fleet ===

impl Fleet {
    pub fn new(config: Arc<MonitorConfig>) -> Fleet {
        Fleet {
            config,
            watched: BTreeMap::new(),
            monitors: BTreeMap::new(),
            overflow: 0,
            events: VecDeque::new(),
            raised: 0,
            cleared: 0,
        }
    }

    /// Watches these versions from now on. Those that stay go on with what they have seen; one whose profile is
    /// another one begins anew.
    pub fn watch(&mut self, watched: BTreeMap<VersionId, Watched>) {
        let before = std::mem::replace(&mut self.watched, watched);
        let same = |version: &VersionId| match (before.get(version), self.watched.get(version)) {
            (Some(before), Some(now)) => before.hash() == now.hash(),
            _ => false,
        };
        self.monitors.retain(|version, _| same(version));
    }

    pub fn observe(&mut self, observation: Observation<'_>) {
        let Observation { model, version, direction, tensors, defects, answered, now } = observation;
        let Some(monitor) = self.monitor(model, version, answered) else {
            self.overflow += 1;
            return;
        };
        monitor.observe_beside(direction, tensors, defects, now);
        let events = monitor.take_events();
        self.remember_all(events, model, version);
    }

    /// A message that is left out of the statistics: of its volume alone.
    pub fn pass_over(&mut self, observation: Observation<'_>) {
        let Observation { model, version, direction, answered, now, tensors: _, defects: _ } = observation;
        let Some(monitor) = self.monitor(model, version, answered) else {
            self.overflow += 1;
            return;
        };
        monitor.pass_over(direction, now);
        let events = monitor.take_events();
        self.remember_all(events, model, version);
    }

    /// Time has passed, whether or not messages came.
    pub fn tick(&mut self, now: Nanos) {
        let mut events = Vec::new();
        for (version, models) in &mut self.monitors {
            for (model, monitor) in models {
                monitor.tick(now);
                events
                    .extend(monitor.take_events().into_iter().map(|event| (event, model.clone(), *version)));
            }
        }
        for (event, model, version) in events {
            self.remember(event, &model, version);
        }
    }

    /// All that is watched, as it is now: whoever looks at it holds up nobody. Histograms only if asked for.
    pub fn copied(&self, histograms: bool) -> Vec<ModelCopy> {
        let all = self.monitors.iter().flat_map(|(version, models)| {
            models.iter().map(|(model, monitor)| ModelCopy {
                model: model.clone(),
                version: self.name(*version),
                monitor: monitor.copied(histograms),
            })
        });
        let mut all: Vec<ModelCopy> = all.collect();
        all.sort_by(|one, other| one.model.cmp(&other.model)); // stable: versions of a model stay in their order
        all
    }

    /// Models and versions that are watched.
    pub fn keys(&self) -> Vec<(String, VersionId)> {
        let of = |(version, models): (&VersionId, &BTreeMap<String, Monitor>)| {
            models.keys().map(|model| (model.clone(), *version)).collect::<Vec<_>>()
        };
        self.monitors.iter().flat_map(of).collect()
    }

    /// One of them as it is now, with its histograms.
    pub fn copied_one(&self, key: &(String, VersionId)) -> Option<ModelCopy> {
        let monitor = self.monitors.get(&key.1)?.get(&key.0)?.copied(true);
        Some(ModelCopy { model: key.0.clone(), version: self.name(key.1), monitor })
    }

    /// Goes on where `state` stopped. What is watched already stays as it is; what cannot be taken up is named.
    pub fn resume(&mut self, state: State, at: Resumption) -> Vec<Left> {
        (self.raised, self.cleared) = (self.raised + state.raised, self.cleared + state.cleared);
        let mut left = Vec::new();
        for entry in state.monitors {
            let (model, version) = (entry.model.clone(), entry.version.clone());
            if let Err(lost) = self.take_up(entry, at) {
                left.push(Left { model, version, reason: lost.name(), says: lost.to_string() });
            }
        }
        left
    }

    fn take_up(&mut self, entry: Entry, at: Resumption) -> Result<(), Lost> {
        let Entry { model, version, monitor } = entry;
        let named = self.watched.iter().find(|(_, watched)| *watched.name == *version);
        let (&version, watched) = named.ok_or(Lost::UnknownVersion)?;
        if self.watching().count() >= MOST_MONITORS || model.len() > LONGEST_NAME {
            return Err(Lost::Damaged);
        }
        let profile = watched.profile_for(&model);
        let mut monitor = Monitor::resumed(Arc::clone(&self.config), profile, monitor, at)?;
        monitor.set_model(&model);
        self.monitors.entry(version).or_default().entry(model).or_insert(monitor);
        Ok(())
    }

    /// Messages of models that are not watched: too many, never answered, or of a version no longer in force.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    pub fn alarms(&self) -> AlarmCounts {
        let active = self.watching().map(Monitor::active_alarms).sum();
        AlarmCounts { active, raised: self.raised, cleared: self.cleared }
    }

    /// The remembered events with a sequence above `after`, oldest first.
    pub fn events(&self, after: u64) -> Vec<NumberedEvent> {
        self.events.iter().filter(|event| event.sequence > after).cloned().collect()
    }

    /// The profile that a version without one has learned from its first rows.
    pub fn learned(&self, version: VersionId) -> Option<Arc<Profile>> {
        self.monitors.get(&version)?.values().find_map(Monitor::learned)
    }

    /// Models that are not compared with the profile of their version, since it is of another one.
    pub fn unfitting(&self) -> Vec<Unfitting> {
        let all = self.monitors.iter().filter_map(|(version, models)| {
            let watched = self.watched.get(version)?;
            Some((watched, watched.profile.as_ref()?, models))
        });
        let unfitting = all.flat_map(|(watched, profile, models)| {
            let others = models.keys().filter(|model| watched.profile_for(model).is_none());
            others.map(|model| Unfitting {
                model: model.clone(),
                version: watched.name.as_ref().to_owned(),
                profile_of: profile.model().to_owned(),
            })
        });
        unfitting.collect()
    }

    fn monitor(&mut self, model: &str, version: VersionId, answered: bool) -> Option<&mut Monitor> {
        let is_known = self.monitors.get(&version).is_some_and(|models| models.contains_key(model));
        if !is_known {
            let watched = self.watched.get(&version)?;
            if !answered || self.watching().count() >= MOST_MONITORS || model.len() > LONGEST_NAME {
                return None;
            }
            let profile = watched.profile_for(model);
            let mut monitor = Monitor::new(Arc::clone(&self.config), profile);
            monitor.set_model(model);
            self.monitors.entry(version).or_default().insert(model.to_owned(), monitor);
        }
        self.monitors.get_mut(&version)?.get_mut(model)
    }

    fn watching(&self) -> impl Iterator<Item = &Monitor> {
        self.monitors.values().flat_map(BTreeMap::values)
    }

    fn remember_all(&mut self, events: Vec<AlarmEvent>, model: &str, version: VersionId) {
        events.into_iter().for_each(|event| self.remember(event, model, version));
    }

    fn remember(&mut self, event: AlarmEvent, model: &str, version: VersionId) {
        match event.state {
            AlarmState::Raised => self.raised += 1,
            AlarmState::Cleared => self.cleared += 1,
        }
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        let sequence = self.raised + self.cleared;
        let version = self.name(version);
        self.events.push_back(NumberedEvent { sequence, model: model.into(), version, event });
    }

    fn name(&self, version: VersionId) -> String {
        self.watched.get(&version).map(|watched| watched.name.as_ref().to_owned()).unwrap_or_default()
    }
}

// === impl ModelCopy ===

impl ModelCopy {
    pub fn snapshot(self, detail: bool) -> ModelSnapshot {
        ModelSnapshot { monitor: self.monitor.snapshot(detail), model: self.model, version: self.version }
    }

    /// What must not be forgotten of it; `None` while it is learning.
    pub fn stored(mut self) -> Option<Entry> {
        Some(Entry { monitor: self.monitor.stored()?, model: self.model, version: self.version })
    }
}

// === impl Watched ===

impl Watched {
    /// A profile made for a named model says nothing about another one.
    fn profile_for(&self, model: &str) -> Option<Arc<Profile>> {
        let fits = |profile: &&Arc<Profile>| profile.model().is_empty() || profile.model() == model;
        self.profile.as_ref().filter(fits).cloned()
    }

    fn hash(&self) -> Option<&str> {
        self.profile.as_ref().map(|profile| profile.hash())
    }
}

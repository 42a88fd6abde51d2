//! The monitors of all models and versions seen, and the alarms they raised.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use crate::call::{Nanos, VersionId};
use crate::detect::{AlarmEvent, AlarmState};
use crate::monitor::{Monitor, MonitorConfig, MonitorSnapshot};
use crate::profile::Profile;
use crate::tensor::{Direction, Tensor};

/// Model × version pairs that are watched; the name of a model is a stranger's to choose.
const MOST_MONITORS: usize = 64;

/// Longest model name that is watched, in bytes.
const LONGEST_NAME: usize = 256;

/// Alarm events that are remembered.
const MOST_EVENTS: usize = 1024;

#[derive(Debug)]
pub struct Fleet {
    config: Arc<MonitorConfig>,
    profiles: BTreeMap<VersionId, Arc<Profile>>,
    monitors: BTreeMap<(String, VersionId), Monitor>,
    /// Messages of models beyond [`MOST_MONITORS`].
    overflow: u64,
    events: VecDeque<NumberedEvent>,
    raised: u64,
    cleared: u64,
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

#[derive(Clone, Debug, Serialize)]
pub struct ModelSnapshot {
    pub model: String,
    pub version: String,
    #[serde(flatten)]
    pub monitor: MonitorSnapshot,
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
    /// Whether the call succeeded. Only then is a model that was never seen before believed to exist.
    pub answered: bool,
    pub now: Nanos,
}

// === impl Fleet ===

impl Fleet {
    pub fn new(config: Arc<MonitorConfig>, profiles: BTreeMap<VersionId, Arc<Profile>>) -> Fleet {
        Fleet {
            config,
            profiles,
            monitors: BTreeMap::new(),
            overflow: 0,
            events: VecDeque::new(),
            raised: 0,
            cleared: 0,
        }
    }

    pub fn observe(&mut self, observation: Observation<'_>, versions: &[String]) {
        let Observation { model, version, direction, tensors, answered, now } = observation;
        let Some(monitor) = self.monitor(model, version, answered) else {
            self.overflow += 1;
            return;
        };
        monitor.observe(direction, tensors, now);
        let events = monitor.take_events();
        for event in events {
            self.remember(event, model, &versions[version]);
        }
    }

    /// Time has passed, whether or not messages came.
    pub fn tick(&mut self, now: Nanos, versions: &[String]) {
        let mut events = Vec::new();
        for ((model, version), monitor) in &mut self.monitors {
            monitor.tick(now);
            events.extend(monitor.take_events().into_iter().map(|event| (event, model.clone(), *version)));
        }
        for (event, model, version) in events {
            self.remember(event, &model, &versions[version]);
        }
    }

    pub fn models(&self, versions: &[String], detail: bool) -> Vec<ModelSnapshot> {
        let snapshot = |((model, version), monitor): (&(String, VersionId), &Monitor)| ModelSnapshot {
            model: model.clone(),
            version: versions[*version].clone(),
            monitor: monitor.snapshot(detail),
        };
        self.monitors.iter().map(snapshot).collect()
    }

    /// Messages of models that are not watched, because they are too many or were never answered.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    pub fn alarms(&self) -> AlarmCounts {
        let active = self.monitors.values().map(Monitor::active_alarms).sum();
        AlarmCounts { active, raised: self.raised, cleared: self.cleared }
    }

    /// The remembered events with a sequence above `after`, oldest first.
    pub fn events(&self, after: u64) -> Vec<NumberedEvent> {
        self.events.iter().filter(|event| event.sequence > after).cloned().collect()
    }

    /// The profile that a version without one has learned from its first rows.
    pub fn learned(&self, version: VersionId) -> Option<Arc<Profile>> {
        self.monitors.iter().filter(|((_, of), _)| *of == version).find_map(|(_, monitor)| monitor.learned())
    }

    fn monitor(&mut self, model: &str, version: VersionId, answered: bool) -> Option<&mut Monitor> {
        let key = (model.to_owned(), version);
        if !self.monitors.contains_key(&key) {
            if !answered || self.monitors.len() >= MOST_MONITORS || model.len() > LONGEST_NAME {
                return None;
            }
            // A profile made for a named model says nothing about another one.
            let fits = |profile: &&Arc<Profile>| profile.model().is_empty() || profile.model() == model;
            let profile = self.profiles.get(&version).filter(fits).cloned();
            let mut monitor = Monitor::new(Arc::clone(&self.config), profile);
            monitor.set_model(model);
            self.monitors.insert(key.clone(), monitor);
        }
        self.monitors.get_mut(&key)
    }

    fn remember(&mut self, event: AlarmEvent, model: &str, version: &str) {
        match event.state {
            AlarmState::Raised => self.raised += 1,
            AlarmState::Cleared => self.cleared += 1,
        }
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        let sequence = self.raised + self.cleared;
        self.events.push_back(NumberedEvent {
            sequence,
            model: model.into(),
            version: version.into(),
            event,
        });
    }
}

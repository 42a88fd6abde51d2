//! Everything behind four calls: decide, observe, snapshot, apply.
//!
//! The data planes ask it before a call is forwarded and tell it when the call has ended; the observer hands it the
//! decoded messages. Each account has a lock of its own, held only to count, so that no reader holds up a call. What is
//! in force may be replaced while calls are under way: see [`crate::policy`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use serde::Deserialize;

use crate::call::{Nanos, Outcome, Role, VersionId};
use crate::error::ConfigurationError;
use crate::fleet::{AlarmCounts, Fleet, ModelCopy, NumberedEvent, Observation, Unfitting, Watched};
use crate::ledger::{JournalAccount, StateAccount, StatisticsAccount, Worked};
use crate::lock::lock;
use crate::monitor::{Lost, MonitorConfig, Resumption};
use crate::policy::{Policy, PolicyConfig, PolicyReader, Ruling};
use crate::profile::Profile;
use crate::route::{Metadata, Route, RouteConfig};
use crate::sample::{Reason, SamplingConfig};
use crate::snapshot::{RouteSnapshot, ShadowSnapshot, Snapshot, StatisticsSnapshot, WeightSnapshot};
use crate::state::{Left, State, StateError};
use crate::traffic::Traffic;
use crate::version::{Register, VersionConfig};

/// The configuration of one engine, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Name of the data plane, for the snapshot.
    pub plane: String,
    pub versions: Vec<VersionConfig>,
    pub routes: Vec<RouteConfig>,
    pub sampling: SamplingConfig,
    /// See [`PolicyConfig::values_per_second`].
    #[serde(default)]
    pub values_per_second: Option<u64>,
    /// None watches nothing: calls are routed, counted and sampled, their messages are not read.
    pub monitor: Option<MonitorConfig>,
    pub queue: QueueConfig,
}

/// Bounds of the queue between the data plane and the observer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    pub messages: usize,
    pub bytes: usize,
}

/// Reference profiles by the names of the versions.
pub type Profiles = BTreeMap<String, Profile>;

#[derive(Debug)]
pub struct Engine {
    plane: String,
    started: Nanos,
    watching: bool,
    counts_volume: bool,
    policy: Arc<ArcSwap<Policy>>,
    /// Held while a policy is replaced: two reloads at once follow each other.
    register: Mutex<Register>,
    traffic: Mutex<Traffic>,
    journal: Mutex<JournalAccount>,
    statistics: Mutex<StatisticsAccount>,
    fleet: Mutex<Fleet>,
    state: Mutex<StateAccount>,
}

// === impl EngineConfig ===

impl EngineConfig {
    /// # Errors
    /// Text that is not JSON of this shape; the message names line, column and field.
    pub fn from_json(text: &str) -> Result<EngineConfig, ConfigurationError> {
        Ok(serde_json::from_str(text)?)
    }
}

// === impl Engine ===

impl Engine {
    /// # Errors
    /// A configuration that cannot be used, or a profile for a version that does not exist.
    pub fn new(config: EngineConfig, profiles: Profiles, now: Nanos) -> Result<Engine, ConfigurationError> {
        let EngineConfig { plane, versions, routes, sampling, values_per_second, monitor, queue: _ } = config;
        let watching = monitor.is_some();
        let monitor = monitor.unwrap_or_default();
        monitor.check().map_err(ConfigurationError)?;
        let mut register = Register::default();
        let policy = PolicyConfig { versions, routes, sampling, values_per_second };
        let policy = Policy::new(policy, &mut register, None)?;
        let counts_volume = monitor.volume.is_some();
        let mut fleet = Fleet::new(Arc::new(monitor));
        fleet.watch(watched(&policy, profiles)?);
        Ok(Engine {
            plane,
            started: now,
            watching,
            counts_volume,
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            register: Mutex::new(register),
            traffic: Mutex::default(),
            journal: Mutex::default(),
            statistics: Mutex::default(),
            fleet: Mutex::new(fleet),
            state: Mutex::default(),
        })
    }

    /// Puts another policy in force, for calls that arrive from now on, and returns its generation. Calls under way
    /// keep theirs. Versions and routes that stay, by name, keep their statistics.
    ///
    /// # Errors
    /// A configuration that cannot be used; then everything is as it was before.
    pub fn apply(&self, config: PolicyConfig, profiles: Profiles) -> Result<u64, ConfigurationError> {
        let mut register = lock(&self.register);
        let before = self.policy.load_full();
        let mut enrolled = register.clone();
        let policy = Policy::new(config, &mut enrolled, Some(&before))?;
        let watched = watched(&policy, profiles)?;
        // From here on nothing can fail.
        *register = enrolled;
        for route in policy.routes() {
            if let Some(followed) = before.routes().iter().find(|it| it.name == route.name) {
                route.take_over(followed, |version| register.knows(version));
            }
        }
        lock(&self.fleet).watch(watched);
        let generation = policy.generation();
        self.policy.store(Arc::new(policy));
        Ok(generation)
    }

    /// What is in force now. A thread that asks for every call keeps a [`Engine::reader`].
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    pub fn reader(&self) -> PolicyReader {
        PolicyReader::new(&self.policy)
    }

    /// Chooses route, version and shadow of a call that has just arrived.
    pub fn decide(
        &self,
        policy: &Arc<Policy>,
        method: impl Into<Arc<str>>,
        metadata: &(impl Metadata + ?Sized),
        seed: u64,
    ) -> Ruling {
        let ruling = policy.decide(method, metadata, seed);
        lock(&self.traffic).begin();
        ruling.route().count(&ruling);
        ruling
    }

    /// Counts a call that has ended, and says whether and why it is kept. A kept call must be settled.
    pub fn ended(&self, ruling: &Ruling, outcome: &Outcome) -> Option<Reason> {
        lock(&self.traffic).end(ruling, outcome);
        let reason = ruling.policy().sampler().sample(ruling, outcome);
        lock(&self.journal).ended(reason);
        reason
    }

    /// A kept call reached the journal (`None`), or was dropped for a reason.
    pub fn settle(&self, dropped: Option<&str>) -> bool {
        lock(&self.journal).settle(dropped)
    }

    /// Whether messages are to be read at all.
    pub fn watching(&self) -> bool {
        self.watching
    }

    /// Whether messages that are left out of the statistics are to be read all the same, for the volume: how many calls a
    /// model gets is known only from their names.
    pub fn counts_volume(&self) -> bool {
        self.counts_volume
    }

    /// Messages to or from a version are offered to the statistics, of so many bytes, and are counted or left out for the
    /// sake of the budget.
    pub fn offered(&self, version: VersionId, bytes: u64, counted: bool, now: Nanos) {
        self.policy.load().offered(version, bytes, counted, now);
    }

    /// Messages that were offered are left out, unread.
    pub fn thinned(&self, messages: u64) {
        self.statistics().thinned(messages);
    }

    /// Hands one decoded message to its monitor.
    pub fn observe(&self, observation: Observation<'_>) {
        lock(&self.fleet).observe(observation);
    }

    /// Tells the monitor of a decoded message that is left out of its statistics.
    pub fn pass_over(&self, observation: Observation<'_>) {
        if self.counts_volume {
            lock(&self.fleet).pass_over(observation);
        }
    }

    /// Enters in the account what was worked off.
    pub fn worked_off(&self, worked: Worked) {
        let (bytes, values) = worked.read();
        self.statistics().enter(worked);
        self.policy.load().read(bytes, values);
    }

    /// The account of the messages offered to the statistics, for whoever keeps the queue.
    pub fn statistics(&self) -> MutexGuard<'_, StatisticsAccount> {
        lock(&self.statistics)
    }

    pub fn snapshot(&self, now: Nanos, detail: bool) -> Snapshot {
        let (policy, register) = {
            let register = lock(&self.register);
            (self.policy.load_full(), register.clone())
        };
        // In the order in which a call passes them, so that nothing is seen to have left one before it reached the next.
        let calls = lock(&self.traffic).snapshot(&register);
        let account = self.statistics().clone();
        let statistics = StatisticsSnapshot { account, counted_share: policy.counted_share() };
        let mut fleet = lock(&self.fleet);
        fleet.tick(now);
        let (copies, alarms, series_overflow) = (fleet.copied(detail), fleet.alarms(), fleet.overflow());
        let unfitting = fleet.unfitting();
        drop(fleet);
        let models = copies.into_iter().map(|copy| copy.snapshot(detail)).collect();
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            plane: self.plane.clone(),
            uptime_seconds: now.saturating_sub(self.started) as f64 / 1e9,
            generation: policy.generation(),
            versions: register.snapshot(),
            calls,
            routes: policy.routes().iter().map(|route| route_snapshot(&policy, route)).collect(),
            shadows: policy.routes().iter().filter_map(|route| shadow_snapshot(&policy, route)).collect(),
            journal: lock(&self.journal).clone(),
            statistics,
            state: lock(&self.state).clone(),
            models,
            unfitting,
            alarms,
            series_overflow,
        }
    }

    /// Everything that must survive a restart, as a file; `clock` names the clock of `now`. The observer waits only while
    /// one model is copied.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn state(&self, clock: &str, now: Nanos) -> Result<Vec<u8>, StateError> {
        let keys = lock(&self.fleet).keys();
        let monitors = keys.iter().filter_map(|key| self.copied(key)?.stored()).collect();
        // Read last: an alarm in between skips a number of the sequence, else it would take one twice.
        let AlarmCounts { raised, cleared, .. } = lock(&self.fleet).alarms();
        State { clock: clock.into(), at: now, raised, cleared, monitors }.to_bytes()
    }

    /// The lock is let go before whoever asked goes on with the copy.
    fn copied(&self, key: &(String, VersionId)) -> Option<ModelCopy> {
        lock(&self.fleet).copied_one(key)
    }

    /// Goes on where a state file stopped; what of it was lost, and why. Never fails: what cannot be taken up begins
    /// anew, and is counted.
    pub fn restore(&self, file: &[u8], clock: &str, now: Nanos) -> Vec<Left> {
        let state = match State::from_bytes(file) {
            Ok(state) => state,
            Err(lost) => return vec![self.state_lost(lost)],
        };
        let at = Resumption { then: state.at, now, gap: state.gap(clock, now) };
        let entries = state.monitors.len();
        let left = lock(&self.fleet).resume(state, at);
        let mut account = lock(&self.state);
        account.restored += (entries - left.len()) as u64;
        left.iter().for_each(|left| account.lost(left.reason));
        left
    }

    /// The whole state file is lost.
    pub fn state_lost(&self, lost: Lost) -> Left {
        lock(&self.state).lost(lost.name());
        Left { model: String::new(), version: String::new(), reason: lost.name(), says: lost.to_string() }
    }

    /// The state file was written, or could not be.
    pub fn state_written(&self, failed: Option<&str>) {
        lock(&self.state).written(failed);
    }

    /// Alarm events with a sequence above `after`, oldest first.
    pub fn alarms(&self, after: u64) -> Vec<NumberedEvent> {
        lock(&self.fleet).events(after)
    }

    /// Models that are not compared with the profile of their version.
    pub fn unfitting(&self) -> Vec<Unfitting> {
        lock(&self.fleet).unfitting()
    }

    /// The profile that a version without one has learned, once it has.
    pub fn learned(&self, version: &str) -> Option<Arc<Profile>> {
        let version = lock(&self.register).in_force(version)?;
        lock(&self.fleet).learned(version)
    }
}

/// The versions of a policy with their profiles.
fn watched(
    policy: &Policy,
    mut profiles: Profiles,
) -> Result<BTreeMap<VersionId, Watched>, ConfigurationError> {
    let versions = policy.versions().iter().map(|version| {
        let profile = profiles.remove(&*version.name).map(|profile| Arc::new(profile.watched()));
        (version.id, Watched { name: Arc::clone(&version.name), profile })
    });
    let watched = versions.collect();
    match profiles.into_keys().next() {
        None => Ok(watched),
        Some(name) => {
            let names: Vec<&str> = policy.versions().iter().map(|version| &*version.name).collect();
            Err(ConfigurationError(format!(
                "a profile is given for version '{name}', which is none of {}",
                names.join(", ")
            )))
        }
    }
}

fn route_snapshot(policy: &Policy, route: &Route) -> RouteSnapshot {
    let tally = route.tally();
    let weight = |version: VersionId, role, weight_ppm| WeightSnapshot {
        version: policy.version(version).name.as_ref().to_owned(),
        role,
        weight_ppm,
        share: tally.share(version),
        calls: tally.calls(version),
    };
    let stable = weight(route.stable, Role::Primary, route.stable_ppm());
    let candidates = route.candidates.iter().map(|it| weight(it.version, Role::Canary, it.weight_ppm));
    RouteSnapshot {
        name: route.name.clone(),
        sticky: route.sticky.iter().map(|key| key.spelled()).collect(),
        versions: std::iter::once(stable).chain(candidates).collect(),
        decisions: tally.decisions(),
    }
}

fn shadow_snapshot(policy: &Policy, route: &Route) -> Option<ShadowSnapshot> {
    route.shadow.as_ref().map(|shadow| ShadowSnapshot {
        route: route.name.clone(),
        version: policy.version(shadow.version).name.as_ref().to_owned(),
        share_ppm: shadow.config.share_ppm,
        account: shadow.account(),
    })
}

#[cfg(test)]
mod tests;

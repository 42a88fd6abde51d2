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
use crate::fleet::{AlarmCounts, Fleet, ModelCopy, NumberedEvent, Observation, Watched};
use crate::ledger::{JournalAccount, StateAccount, StatisticsAccount};
use crate::lock::lock;
use crate::monitor::{Lost, MonitorConfig, Resumption};
use crate::policy::{Policy, PolicyConfig, PolicyReader, Ruling};
use crate::profile::Profile;
use crate::route::{Metadata, Route, RouteConfig};
use crate::sample::{Reason, SamplingConfig};
use crate::snapshot::{RouteSnapshot, ShadowSnapshot, Snapshot, WeightSnapshot};
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
        let EngineConfig { plane, versions, routes, sampling, monitor, queue: _ } = config;
        let watching = monitor.is_some();
        let monitor = monitor.unwrap_or_default();
        monitor.check().map_err(ConfigurationError)?;
        let mut register = Register::default();
        let policy = Policy::new(PolicyConfig { versions, routes, sampling }, &mut register, None)?;
        let mut fleet = Fleet::new(Arc::new(monitor));
        fleet.watch(watched(&policy, profiles)?);
        Ok(Engine {
            plane,
            started: now,
            watching,
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

    /// Hands one decoded message to its monitor.
    pub fn observe(&self, observation: Observation<'_>) {
        lock(&self.fleet).observe(observation);
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
        let statistics = self.statistics().clone();
        let mut fleet = lock(&self.fleet);
        fleet.tick(now);
        let (copies, alarms, series_overflow) = (fleet.copied(detail), fleet.alarms(), fleet.overflow());
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
        let profile = profiles.remove(&*version.name).map(Arc::new);
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
mod tests {
    use super::*;
    use crate::call::Code;
    use crate::tensor::{Data, Datatype, Direction, Tensor};

    const CONFIG: &str = r#"{
        "plane": "test", "versions": [{"name": "v1"}, {"name": "v2"}, {"name": "v3"}],
        "routes": [{"name": "r", "stable": "v1", "candidates": [{"version": "v2", "weight_ppm": 250000}],
                    "sticky": ["metadata:user"],
                    "shadow": {"version": "v3", "share_ppm": 1000000, "max_in_flight": 1, "timeout_ns": 1,
                               "methods": ["/s/m"], "absolute": 0.1, "relative": 0.0}}],
        "sampling": {"share_ppm": 0, "errors": true},
        "queue": {"messages": 1, "bytes": 1}
    }"#;

    fn engine() -> Engine {
        Engine::new(EngineConfig::from_json(CONFIG).unwrap(), BTreeMap::new(), 0).unwrap()
    }

    fn outcome(code: Code) -> Outcome {
        Outcome { code, duration: 2_000, upstream: 1_000, request_bytes: 1, response_bytes: 1 }
    }

    #[test]
    fn planned_and_reached_shares_stand_side_by_side() {
        let engine = engine();
        for user in 0..4_000 {
            let decision = engine.decide(&engine.policy(), "/s/m", &[("user", user.to_string())][..], 1);
            engine.ended(&decision, &outcome(0));
        }
        let route = &engine.snapshot(0, false).routes[0];
        assert_eq!(route.versions[0].weight_ppm, 750_000);
        assert!((route.versions[1].share.unwrap() - 0.25).abs() < 0.03);
        assert_eq!(route.versions[0].calls + route.versions[1].calls, 4_000);
    }

    #[test]
    fn the_journal_balances_and_errors_are_kept() {
        let engine = engine();
        let none: &[(&str, &str)] = &[];
        for code in [0, 0, 13, 5] {
            engine.ended(&engine.decide(&engine.policy(), "/s/m", none, 1), &outcome(code));
        }
        engine.settle(None);
        let account = engine.snapshot(0, false).journal;
        assert!(account.balances());
        assert_eq!((account.observed, account.sampled_out, account.kept, account.queued), (4, 2, 1, 1));
    }

    #[test]
    fn a_shadow_is_bounded_and_compared() {
        let engine = engine();
        let none: &[(&str, &str)] = &[];
        let decision = engine.decide(&engine.policy(), "/s/m", none, 1);
        let shadow = decision.copied_to().unwrap();
        assert!(shadow.admit());
        assert!(!shadow.admit());
        assert!(shadow.ended(0, 0));
        let (left, right) = (1.0f32.to_le_bytes(), 1.5f32.to_le_bytes());
        let tensor = |bytes| [Tensor::new("y", Datatype::Fp32, vec![1], Data::Raw(bytes)).unwrap()];
        shadow.compare(Some((&tensor(&left), &tensor(&right))));
        let shadow = &engine.snapshot(0, false).shadows[0];
        assert_eq!((shadow.account.dropped, shadow.account.mismatch), (1, 1));
        assert_eq!(shadow.account.max_difference["y"], 0.5);
    }

    #[test]
    fn a_model_that_never_answered_is_not_watched() {
        let engine = engine();
        let bytes = 1.0f32.to_le_bytes();
        let tensors = [Tensor::new("x", Datatype::Fp32, vec![1], Data::Raw(&bytes)).unwrap()];
        let mut observation = Observation {
            model: "ghost",
            version: 0,
            direction: Direction::Input,
            tensors: &tensors,
            answered: false,
            now: 1,
        };
        engine.observe(observation);
        assert!(engine.snapshot(0, false).models.is_empty());
        observation.answered = true;
        engine.observe(observation);
        let snapshot = engine.snapshot(0, false);
        assert_eq!((snapshot.models.len(), snapshot.series_overflow), (1, 1));
    }

    #[test]
    fn an_unknown_field_of_the_configuration_is_named() {
        let error = EngineConfig::from_json(&CONFIG.replace("\"plane\"", "\"plain\"")).unwrap_err();
        assert!(error.0.contains("plain"), "{error}");
    }

    fn policy(versions: &str, routes: &str) -> PolicyConfig {
        let text = format!(
            r#"{{"versions": {versions}, "routes": {routes}, "sampling": {{"share_ppm": 0, "errors": false}}}}"#
        );
        PolicyConfig::from_json(&text).unwrap()
    }

    const ONLY_V2: &str = r#"[{"name": "r", "stable": "v2"}]"#;

    #[test]
    fn a_call_keeps_the_policy_it_was_decided_under() {
        let engine = engine();
        let none: &[(&str, &str)] = &[];
        let ruling = engine.decide(&engine.policy(), "/s/m", none, 1);
        assert_eq!(engine.apply(policy(r#"[{"name": "v2"}]"#, ONLY_V2), Profiles::new()), Ok(2));
        assert_eq!(&*ruling.copied_to().map(|it| ruling.policy().version(it.version)).unwrap().name, "v3");
        // The old policy keeps failures, the new one does not.
        assert_eq!(engine.ended(&ruling, &outcome(13)), Some(Reason::Error));
        let next = engine.decide(&engine.policy(), "/s/m", none, 1);
        assert_eq!((&*next.answering().name, next.copied_to().is_none()), ("v2", true));
        assert_eq!(engine.ended(&next, &outcome(13)), None);
    }

    #[test]
    fn versions_and_routes_that_stay_keep_their_statistics() {
        let engine = engine();
        let none: &[(&str, &str)] = &[];
        for seed in 0..100 {
            let ruling = engine.decide(&engine.policy(), "/s/m", none, seed);
            engine.ended(&ruling, &outcome(0));
        }
        let before = engine.snapshot(0, false);
        let canary = before.routes[0].versions[1].calls;
        let other = r#"{"name": "other", "stable": "v2"}"#;
        let stays = r#"{"name": "r", "stable": "v4", "candidates": [{"version": "v2", "weight_ppm": 1}]}"#;
        let versions = r#"[{"name": "v4"}, {"name": "v2"}]"#;
        engine.apply(policy(versions, &format!("[{other}, {stays}]")), Profiles::new()).unwrap();
        let after = engine.snapshot(0, false);
        let weights: Vec<_> =
            after.routes[1].versions.iter().map(|it| (it.version.as_str(), it.calls, it.share)).collect();
        assert_eq!(weights, [("v4", 0, None), ("v2", canary, None)]);
        assert_eq!(after.routes[1].decisions, before.routes[0].decisions);
        let names = |of: &Snapshot| of.calls.series.iter().map(|it| it.version.clone()).collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before));
        let in_force: Vec<_> = after.versions.iter().map(|it| (it.version.as_str(), it.in_force)).collect();
        assert_eq!(in_force, [("v1", false), ("v2", true), ("v3", false), ("v4", true)]);
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let engine = engine();
        let before = serde_json::to_value(engine.snapshot(0, true)).unwrap();
        let v9 = r#"[{"name": "v9"}]"#;
        for (versions, routes, words) in [
            (v9, ONLY_V2, "'v2', which is none of v9"),
            (v9, "[]", "no routes"),
            ("[]", ONLY_V2, "no versions"),
        ] {
            let error = engine.apply(policy(versions, routes), Profiles::new()).unwrap_err();
            assert!(error.0.contains(words), "{error}");
        }
        assert_eq!(serde_json::to_value(engine.snapshot(0, true)).unwrap(), before);
    }

    #[test]
    fn a_version_keeps_what_it_has_seen_unless_its_profile_changes() {
        let engine = engine();
        let bytes = 1.0f32.to_le_bytes();
        let tensors = [Tensor::new("x", Datatype::Fp32, vec![1], Data::Raw(&bytes)).unwrap()];
        let direction = Direction::Input;
        let see = |version| {
            let model = "m";
            engine.observe(Observation {
                model,
                version,
                direction,
                tensors: &tensors,
                answered: true,
                now: 1,
            });
        };
        (0..3).for_each(see);
        let profile = |rows: usize| {
            let mut builder = crate::profile::ProfileBuilder::new("m", 4);
            builder.add_column_f64("x", Direction::Input, &vec![1.0; rows]).unwrap();
            builder.finish().unwrap()
        };
        let seen = || {
            let models = engine.snapshot(0, false).models;
            models.into_iter().map(|it| (it.version, it.monitor.calls)).collect::<Vec<_>>()
        };
        let versions = r#"[{"name": "v1"}, {"name": "v2"}]"#;
        let apply = |rows| {
            let profiles = Profiles::from([("v1".to_owned(), profile(rows))]);
            engine.apply(policy(versions, ONLY_V2), profiles).unwrap();
        };
        apply(10);
        assert_eq!(seen(), [("v2".to_owned(), 1)]);
        (0..3).for_each(see);
        apply(10);
        assert_eq!(seen(), [("v1".to_owned(), 1), ("v2".to_owned(), 2)]);
        apply(20);
        assert_eq!(seen(), [("v2".to_owned(), 2)]);
    }

    #[test]
    fn a_reader_sees_every_policy_that_is_applied() {
        let engine = engine();
        let mut reader = engine.reader();
        assert_eq!(reader.current().generation(), 1);
        engine.apply(policy(r#"[{"name": "v2"}]"#, ONLY_V2), Profiles::new()).unwrap();
        assert_eq!(reader.current().generation(), 2);
    }
}

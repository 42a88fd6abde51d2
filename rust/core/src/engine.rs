//! Everything behind three calls: decide, observe, snapshot.
//!
//! The data planes ask it before a call is forwarded and tell it when the call has ended; the observer hands it the
//! decoded messages. Each account has a lock of its own, held only to count, so that no reader holds up a call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::call::{Code, Decision, Nanos, Outcome, Role, Strategy, VersionId};
use crate::compare::{Tolerance, compare};
use crate::error::ConfigurationError;
use crate::fleet::{Fleet, NumberedEvent, Observation};
use crate::ledger::{JournalAccount, StatisticsAccount};
use crate::monitor::MonitorConfig;
use crate::profile::Profile;
use crate::route::{Metadata, Route, RouteConfig, Table};
use crate::sample::{Reason, Sampler, SamplingConfig};
use crate::shadow::ShadowAccount;
use crate::snapshot::{DecisionCounts, RouteSnapshot, ShadowSnapshot, Snapshot, WeightSnapshot};
use crate::tensor::Tensor;
use crate::traffic::Traffic;

/// The configuration of one engine, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Name of the data plane, for the snapshot.
    pub plane: String,
    pub versions: Vec<String>,
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

#[derive(Debug)]
pub struct Engine {
    plane: String,
    versions: Vec<String>,
    table: Table,
    sampler: Sampler,
    started: Nanos,
    watching: bool,
    traffic: Mutex<Traffic>,
    routed: Mutex<Vec<Routed>>,
    shadows: Mutex<Vec<ShadowAccount>>,
    journal: Mutex<JournalAccount>,
    statistics: Mutex<StatisticsAccount>,
    fleet: Mutex<Fleet>,
}

/// How one route's calls were decided.
#[derive(Clone, Debug, Default)]
struct Routed {
    by_version: BTreeMap<VersionId, u64>,
    decisions: DecisionCounts,
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
    pub fn new(
        config: EngineConfig,
        profiles: BTreeMap<String, Profile>,
        now: Nanos,
    ) -> Result<Engine, ConfigurationError> {
        let EngineConfig { plane, versions, routes, sampling, monitor, queue: _ } = config;
        let watching = monitor.is_some();
        let monitor = monitor.unwrap_or_default();
        monitor.check().map_err(ConfigurationError)?;
        let table = Table::new(routes, &versions)?;
        let profiles = profiles
            .into_iter()
            .map(|(name, profile)| match versions.iter().position(|version| *version == name) {
                Some(version) => Ok((version, Arc::new(profile))),
                None => Err(ConfigurationError(format!(
                    "a profile is given for version '{name}', which is none of {}",
                    versions.join(", ")
                ))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Engine {
            sampler: Sampler::new(sampling)?,
            traffic: Mutex::default(),
            routed: Mutex::new(vec![Routed::default(); table.routes().len()]),
            shadows: Mutex::new(vec![ShadowAccount::default(); table.routes().len()]),
            journal: Mutex::default(),
            statistics: Mutex::default(),
            fleet: Mutex::new(Fleet::new(Arc::new(monitor), profiles)),
            started: now,
            watching,
            plane,
            versions,
            table,
        })
    }

    /// Chooses route, version and shadow of a call that has just arrived.
    pub fn decide(&self, method: &str, metadata: &(impl Metadata + ?Sized), seed: u64) -> Decision {
        let decision = self.table.decide(method, metadata, seed);
        lock(&self.traffic).begin();
        let mut routed = lock(&self.routed);
        let route = &mut routed[decision.route];
        *route.by_version.entry(decision.version).or_default() += 1;
        match decision.strategy {
            Strategy::Static => route.decisions.fixed += 1,
            Strategy::Canary => route.decisions.canary += 1,
            Strategy::Fallback => route.decisions.fallback += 1,
        }
        decision
    }

    /// Counts a call that has ended, and says whether and why it is kept. A kept call must be settled.
    pub fn ended(&self, decision: &Decision, outcome: &Outcome) -> Option<Reason> {
        lock(&self.traffic).end(decision, outcome);
        let reason = self.sampler.sample(decision, outcome);
        lock(&self.journal).ended(reason);
        reason
    }

    /// A kept call reached the journal (`None`), or was dropped for a reason.
    pub fn settle(&self, dropped: Option<&str>) -> bool {
        lock(&self.journal).settle(dropped)
    }

    /// Whether the shadow of this call may start now.
    pub fn admit_shadow(&self, decision: &Decision) -> bool {
        let Some(shadow) = &self.route(decision).shadow else { return false };
        lock(&self.shadows)[decision.route].admit(shadow.config.max_in_flight)
    }

    /// Counts an admitted shadow call that has ended; true when the two answers can be compared.
    pub fn shadow_ended(&self, decision: &Decision, code: Code, primary: Code) -> bool {
        lock(&self.shadows)[decision.route].ended(code, primary)
    }

    /// Compares two answers of a route's shadow; `None` when one of them could not be read.
    pub fn compare_shadow(&self, route: usize, answers: Option<(&[Tensor<'_>], &[Tensor<'_>])>) {
        let Some(shadow) = self.table.routes().get(route).and_then(|route| route.shadow.as_ref()) else {
            return;
        };
        let tolerance = Tolerance { absolute: shadow.config.absolute, relative: shadow.config.relative };
        let comparison = answers.map(|(primary, shadow)| compare(primary, shadow, tolerance));
        lock(&self.shadows)[route].compared(comparison);
    }

    /// Whether messages are to be read at all.
    pub fn watching(&self) -> bool {
        self.watching
    }

    /// Hands one decoded message to its monitor.
    pub fn observe(&self, observation: Observation<'_>) {
        lock(&self.fleet).observe(observation, &self.versions);
    }

    /// The account of the messages offered to the statistics, for whoever keeps the queue.
    pub fn statistics(&self) -> MutexGuard<'_, StatisticsAccount> {
        lock(&self.statistics)
    }

    pub fn snapshot(&self, now: Nanos, detail: bool) -> Snapshot {
        // In the order in which a call passes them, so that nothing is seen to have left one before it reached the next.
        let calls = lock(&self.traffic).snapshot(&self.versions);
        let statistics = self.statistics().clone();
        let mut fleet = lock(&self.fleet);
        fleet.tick(now, &self.versions);
        let (models, alarms) = (fleet.models(&self.versions, detail), fleet.alarms());
        let series_overflow = fleet.overflow();
        drop(fleet);
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            plane: self.plane.clone(),
            uptime_seconds: now.saturating_sub(self.started) as f64 / 1e9,
            calls,
            routes: self.routes(),
            shadows: self.shadows(),
            journal: lock(&self.journal).clone(),
            statistics,
            models,
            alarms,
            series_overflow,
        }
    }

    /// Alarm events with a sequence above `after`, oldest first.
    pub fn alarms(&self, after: u64) -> Vec<NumberedEvent> {
        lock(&self.fleet).events(after)
    }

    /// The profile that a version without one has learned, once it has.
    pub fn learned(&self, version: &str) -> Option<Arc<Profile>> {
        let version = self.versions.iter().position(|known| known == version)?;
        lock(&self.fleet).learned(version)
    }

    pub fn version_name(&self, version: VersionId) -> &str {
        &self.versions[version]
    }

    /// Whether the version sees copies of calls.
    pub fn is_shadow(&self, version: VersionId) -> bool {
        self.table.routes().iter().any(|route| route.shadow.as_ref().is_some_and(|it| it.version == version))
    }

    /// Whether any route copies calls to a version that looks on.
    pub fn shadows_calls(&self) -> bool {
        self.table.routes().iter().any(|route| route.shadow.is_some())
    }

    pub fn route(&self, decision: &Decision) -> &Route {
        &self.table.routes()[decision.route]
    }

    fn routes(&self) -> Vec<RouteSnapshot> {
        let routed = lock(&self.routed).clone();
        self.table
            .routes()
            .iter()
            .zip(routed)
            .map(|(route, routed)| self.route_snapshot(route, &routed))
            .collect()
    }

    fn route_snapshot(&self, route: &Route, routed: &Routed) -> RouteSnapshot {
        let total: u64 = routed.by_version.values().sum();
        let weight = |version: VersionId, role, weight_ppm| {
            let calls = routed.by_version.get(&version).copied().unwrap_or(0);
            let share = (total > 0).then(|| calls as f64 / total as f64);
            WeightSnapshot { version: self.versions[version].clone(), role, weight_ppm, share, calls }
        };
        let stable = weight(route.stable, Role::Primary, route.stable_ppm());
        let candidates = route.candidates.iter().map(|it| weight(it.version, Role::Canary, it.weight_ppm));
        RouteSnapshot {
            name: route.name.clone(),
            sticky: route.sticky.iter().map(|key| key.spelled()).collect(),
            versions: std::iter::once(stable).chain(candidates).collect(),
            decisions: routed.decisions,
        }
    }

    fn shadows(&self) -> Vec<ShadowSnapshot> {
        let accounts = lock(&self.shadows).clone();
        let shadow = |(route, account): (&Route, ShadowAccount)| {
            route.shadow.as_ref().map(|shadow| ShadowSnapshot {
                route: route.name.clone(),
                version: self.versions[shadow.version].clone(),
                share_ppm: shadow.config.share_ppm,
                account,
            })
        };
        self.table.routes().iter().zip(accounts).filter_map(shadow).collect()
    }
}

/// A panic while counting leaves counts that are at worst one short; better those than no counts at all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Data, Datatype, Direction};

    const CONFIG: &str = r#"{
        "plane": "test", "versions": ["v1", "v2", "v3"],
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
            let decision = engine.decide("/s/m", &[("user", user.to_string())][..], 1);
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
            engine.ended(&engine.decide("/s/m", none, 1), &outcome(code));
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
        let decision = engine.decide("/s/m", none, 1);
        assert!(engine.admit_shadow(&decision));
        assert!(!engine.admit_shadow(&decision));
        assert!(engine.shadow_ended(&decision, 0, 0));
        let (left, right) = (1.0f32.to_le_bytes(), 1.5f32.to_le_bytes());
        let tensor = |bytes| [Tensor::new("y", Datatype::Fp32, vec![1], Data::Raw(bytes)).unwrap()];
        engine.compare_shadow(decision.route, Some((&tensor(&left), &tensor(&right))));
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
}

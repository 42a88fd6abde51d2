//! What is in force: versions, routes, sampling and the budget for watching, as one value that is never changed, only replaced.
//!
//! A configuration that is reloaded becomes a complete new policy before anything is exchanged, and the exchange is
//! one pointer. A call keeps the policy it was decided under until its last byte, so no call sees two of them.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Cache};
use serde::Deserialize;

use crate::call::{Decision, Nanos, VersionId};
use crate::error::ConfigurationError;
use crate::lock::lock;
use crate::route::{Metadata, Route, RouteConfig, Table};
use crate::sample::{Sampler, SamplingConfig};
use crate::shadow::Shadow;
use crate::thinning::Thinner;
use crate::version::{Register, Version, VersionConfig};

/// The part of an engine's configuration that may change while it runs, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    pub versions: Vec<VersionConfig>,
    pub routes: Vec<RouteConfig>,
    pub sampling: SamplingConfig,
    /// Feature values that are counted in the statistics per second, at most; None counts all.
    #[serde(default)]
    pub values_per_second: Option<u64>,
}

#[derive(Debug)]
pub struct Policy {
    /// 1 for the first, and one more for each that has followed.
    generation: u64,
    versions: Vec<Version>,
    table: Table,
    sampler: Sampler,
    thinner: Option<Arc<Mutex<Thinner>>>,
}

/// A decision, and the policy it was made under: whatever is asked of the call later is answered by the same.
#[derive(Clone, Debug)]
pub struct Ruling {
    policy: Arc<Policy>,
    decision: Decision,
    counted: bool,
}

/// Reads the policy in force again and again, on one thread: costs one atomic load as long as it is the same.
#[derive(Debug)]
pub struct PolicyReader(Cache<Arc<ArcSwap<Policy>>, Arc<Policy>>);

// === impl PolicyConfig ===

impl PolicyConfig {
    /// # Errors
    /// Text that is not JSON of this shape; the message names line, column and field.
    pub fn from_json(text: &str) -> Result<PolicyConfig, ConfigurationError> {
        Ok(serde_json::from_str(text)?)
    }
}

// === impl Policy ===

impl Policy {
    /// Checks a configuration and makes it ready to decide. `before` is what it follows.
    ///
    /// # Errors
    /// Whatever of it cannot be used. The register has then been changed in vain: hand in a copy.
    pub fn new(
        config: PolicyConfig,
        register: &mut Register,
        before: Option<&Policy>,
    ) -> Result<Policy, ConfigurationError> {
        let PolicyConfig { versions, routes, sampling, values_per_second } = config;
        if versions.is_empty() {
            return Err(ConfigurationError("no versions: give at least one".into()));
        }
        let versions = register.enrol(versions);
        let table = Table::new(routes, &versions, before.map(|before| &before.table))?;
        let sampler = Sampler::new(sampling)?;
        Ok(Policy {
            generation: before.map_or(1, |before| before.generation + 1),
            versions,
            table,
            sampler,
            thinner: thinner(values_per_second, before.and_then(|before| before.thinner.as_ref()))?,
        })
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// In the order of the configuration.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    pub fn routes(&self) -> &[Route] {
        self.table.routes()
    }

    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Whether the version sees copies of calls.
    pub fn is_shadow(&self, version: VersionId) -> bool {
        self.routes().iter().any(|route| route.shadow.as_ref().is_some_and(|it| it.version == version))
    }

    /// Whether any route copies calls to a version that looks on.
    pub fn shadows_calls(&self) -> bool {
        self.routes().iter().any(|route| route.shadow.is_some())
    }

    /// The version with this number; the first one for a number that is not of this policy.
    pub fn version(&self, id: VersionId) -> &Version {
        let found = self.versions.iter().find(|version| version.id == id);
        found.unwrap_or(&self.versions[0])
    }

    /// Chooses route, version and shadow of a call.
    pub fn decide(
        self: &Arc<Policy>,
        method: impl Into<Arc<str>>,
        metadata: &(impl Metadata + ?Sized),
        seed: u64,
    ) -> Ruling {
        let decision = self.table.decide(method, metadata, seed);
        Ruling { policy: Arc::clone(self), counted: self.counts(decision.version), decision }
    }

    /// Whether the next message to or from a version is counted in the statistics, or left out for the sake of the budget.
    fn counts(&self, version: VersionId) -> bool {
        self.thinner.as_ref().is_none_or(|thinner| lock(thinner).draw(version))
    }

    /// Messages to or from a version were offered to the statistics, and are counted or left out.
    pub fn offered(&self, version: VersionId, bytes: u64, counted: bool, now: Nanos) {
        self.thinner.iter().for_each(|thinner| lock(thinner).offered(version, bytes, counted, now));
    }

    /// Messages that are counted were read.
    pub fn read(&self, bytes: u64, values: u64) {
        self.thinner.iter().for_each(|thinner| lock(thinner).read(bytes, values));
    }

    /// Part of the messages that are counted at present.
    pub fn counted_share(&self) -> f64 {
        self.thinner.as_ref().map_or(1.0, |thinner| lock(thinner).share_of_all())
    }
}

/// What keeps the budget: the one before, as long as the budget is the same.
fn thinner(
    budget: Option<u64>,
    before: Option<&Arc<Mutex<Thinner>>>,
) -> Result<Option<Arc<Mutex<Thinner>>>, ConfigurationError> {
    let Some(budget) = budget else { return Ok(None) };
    if budget == 0 {
        return Err(ConfigurationError(
            "values_per_second is 0: give the feature values that may be counted per second, or null for all"
                .into(),
        ));
    }
    let Some(before) = before else { return Ok(Some(Arc::new(Mutex::new(Thinner::new(budget))))) };
    let thinner = lock(before);
    if thinner.budget() == budget {
        return Ok(Some(Arc::clone(before)));
    }
    Ok(Some(Arc::new(Mutex::new(thinner.with_budget(budget)))))
}

// === impl Ruling ===

impl Ruling {
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Whether the messages of the call are counted in the statistics, if it is unary: all of them, or none.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The same for the next message, if the call is a stream.
    pub fn counts_next(&self) -> bool {
        self.policy.counts(self.decision.version)
    }

    pub fn route(&self) -> &Route {
        &self.policy.routes()[self.decision.route]
    }

    /// The version that answers.
    pub fn answering(&self) -> &Version {
        self.policy.version(self.decision.version)
    }

    /// The route's shadow, if the call is to be copied to it.
    pub fn copied_to(&self) -> Option<&Shadow> {
        self.decision.shadow.and(self.route().shadow.as_ref())
    }
}

impl Deref for Ruling {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.decision
    }
}

// === impl PolicyReader ===

impl PolicyReader {
    pub(crate) fn new(of: &Arc<ArcSwap<Policy>>) -> PolicyReader {
        PolicyReader(Cache::new(Arc::clone(of)))
    }

    /// What is in force now.
    pub fn current(&mut self) -> &Arc<Policy> {
        self.0.load()
    }
}

//! The routing table: which version answers a call, and which one looks on.
//!
//! A route is chosen by method and metadata, because those are known before the first message; the version by weights
//! in parts per million, drawn by the call's sticky key. Nothing a client sends can make it fail: what no route
//! matches goes to the first route's stable version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use crate::bucket::{Placement, Stretch, WHOLE_PPM};
use crate::call::{Decision, Role, Strategy, VersionId};
use crate::error::ConfigurationError;
use crate::lock::lock;
use crate::shadow::{Shadow, ShadowConfig};
use crate::tally::Tally;
use crate::version::Version;

/// Longest identity taken from `x-request-id`; a longer one is ignored.
const LONGEST_CALL_ID: usize = 128;

/// A route as it is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    pub name: String,
    /// Method path; a trailing `*` matches any ending. None matches every method.
    #[serde(default)]
    pub method: Option<String>,
    /// Metadata that must all be there, with exactly these values.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub stable: String,
    #[serde(default)]
    pub candidates: Vec<CandidateConfig>,
    /// Where the sticky key is taken from, first present one wins: `metadata:NAME` or `trace`.
    #[serde(default)]
    pub sticky: Vec<String>,
    #[serde(default)]
    pub salt: String,
    #[serde(default)]
    pub shadow: Option<ShadowConfig>,
}

/// A version that is being tried, with its share of the route's calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateConfig {
    pub version: String,
    pub weight_ppm: u32,
}

/// All routes, checked and ready to decide.
#[derive(Debug)]
pub struct Table {
    routes: Vec<Route>,
}

/// One route, ready to decide.
#[derive(Debug)]
pub struct Route {
    pub name: String,
    method: Pattern,
    metadata: Vec<(String, String)>,
    pub stable: VersionId,
    pub candidates: Vec<Candidate>,
    pub sticky: Vec<StickyKey>,
    placement: Placement,
    pub shadow: Option<Shadow>,
    /// Goes on when a route of the same name follows.
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug)]
pub struct Candidate {
    pub version: VersionId,
    pub weight_ppm: u32,
    stretch: Stretch,
}

/// Where a sticky key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyKey {
    Metadata(String),
    Trace,
}

#[derive(Debug)]
enum Pattern {
    Any,
    Exact(String),
    Prefix(String),
}

/// The metadata of a call, as pairs of name and value in the order they came. Values of `-bin` names are bytes.
pub trait Metadata {
    /// Calls `visit` for each pair; names are lower case, as HTTP/2 has them.
    fn for_each(&self, visit: &mut dyn FnMut(&str, &[u8]));
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Metadata for [(N, V)] {
    fn for_each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self {
            visit(name.as_ref(), value.as_ref());
        }
    }
}

/// What of a call's metadata the decision needs, gathered in one pass.
#[derive(Debug, Default)]
struct Seen {
    request_id: Option<Box<str>>,
    traceparent: Option<Box<str>>,
    /// Values of the names that any route asks for; the first of a repeated name counts.
    values: BTreeMap<usize, Vec<u8>>,
}

// === impl Table ===

impl Table {
    /// Checks the routes against the names of the versions. Routes go on counting where those of the same name in the
    /// table `before` have left off.
    ///
    /// # Errors
    /// A version that does not exist, weights above the whole, a name used twice, an unknown kind of sticky key.
    pub fn new(
        routes: Vec<RouteConfig>,
        versions: &[Version],
        before: Option<&Table>,
    ) -> Result<Table, ConfigurationError> {
        if routes.is_empty() {
            return Err(ConfigurationError("no routes: give at least one".into()));
        }
        let mut names = BTreeSet::new();
        for route in &routes {
            if !names.insert(route.name.as_str()) {
                return Err(ConfigurationError(format!(
                    "two routes are named '{}': give each a name of its own",
                    route.name
                )));
            }
        }
        let routes = routes
            .into_iter()
            .map(|config| {
                let same = |route: &&Route| route.name == config.name;
                let follows = before.and_then(|before| before.routes.iter().find(same));
                Route::new(config, versions, follows)
            })
            .collect::<Result<_, _>>()?;
        Ok(Table { routes })
    }

    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Chooses route, version and shadow. `seed` is 64 random bits, used where the client sent nothing to be sticky to.
    pub fn decide(
        &self,
        method: impl Into<Arc<str>>,
        metadata: &(impl Metadata + ?Sized),
        seed: u64,
    ) -> Decision {
        let method = method.into();
        let seen = self.look(metadata);
        let call_id = seen.call_id(seed);
        let found = self.routes.iter().position(|route| route.matches(&method, &seen, self));
        let route = &self.routes[found.unwrap_or(0)];
        let (version, role, strategy) = match found {
            None => (route.stable, Role::Primary, Strategy::Fallback),
            Some(_) => route.choose(&seen, self, seed),
        };
        Decision {
            shadow: route.shadow_of(&method, &call_id),
            call_id,
            method,
            route: found.unwrap_or(0),
            version,
            role,
            strategy,
            traceparent: seen.traceparent,
        }
    }

    /// The metadata names that any route asks for.
    fn wanted(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().flat_map(|route| {
            let matched = route.metadata.iter().map(|(name, _)| name.as_str());
            matched.chain(route.sticky.iter().filter_map(StickyKey::name))
        })
    }

    fn look(&self, metadata: &(impl Metadata + ?Sized)) -> Seen {
        let mut seen = Seen::default();
        metadata.for_each(&mut |name, value| {
            match name {
                "x-request-id" if seen.request_id.is_none() && value.len() <= LONGEST_CALL_ID => {
                    seen.request_id = printable(value);
                }
                "traceparent" if seen.traceparent.is_none() => {
                    seen.traceparent = printable(value).filter(|value| trace_id(value).is_some());
                }
                _ => {}
            }
            for (index, _) in self.wanted().enumerate().filter(|(_, wanted)| *wanted == name) {
                seen.values.entry(index).or_insert_with(|| value.to_vec());
            }
        });
        seen
    }

    fn value<'s>(&self, seen: &'s Seen, name: &str) -> Option<&'s [u8]> {
        let index = self.wanted().position(|wanted| wanted == name)?;
        seen.values.get(&index).map(Vec::as_slice)
    }
}

// === impl Route ===

impl Route {
    fn new(
        config: RouteConfig,
        versions: &[Version],
        before: Option<&Route>,
    ) -> Result<Route, ConfigurationError> {
        let RouteConfig { name, method, metadata, stable, candidates, sticky, salt, shadow } = config;
        let known = |version: &str| {
            versions.iter().find(|known| *known.name == *version).map(|known| known.id).ok_or_else(|| {
                let names: Vec<&str> = versions.iter().map(|version| &*version.name).collect();
                ConfigurationError(format!(
                    "route '{name}' names version '{version}', which is none of {}: add it or correct the name",
                    names.join(", ")
                ))
            })
        };
        let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight_ppm)).sum();
        if total > u64::from(WHOLE_PPM) {
            return Err(ConfigurationError(format!(
                "route '{name}' gives its candidates {total} ppm: at most {WHOLE_PPM} can be given"
            )));
        }
        let stretches = stretches(&candidates);
        let candidates = candidates
            .into_iter()
            .zip(stretches)
            .map(|(candidate, stretch)| {
                Ok(Candidate {
                    version: known(&candidate.version)?,
                    weight_ppm: candidate.weight_ppm,
                    stretch,
                })
            })
            .collect::<Result<_, ConfigurationError>>()?;
        let shadow = match shadow {
            None => None,
            Some(config) if config.share_ppm > WHOLE_PPM => {
                return Err(ConfigurationError(format!(
                    "route '{name}' shadows {} ppm of its calls: at most {WHOLE_PPM} can be shadowed",
                    config.share_ppm
                )));
            }
            Some(config) => {
                let version = known(&config.version)?;
                Some(Shadow::new(config, version, &salt, before.and_then(|before| before.shadow.as_ref())))
            }
        };
        Ok(Route {
            stable: known(&stable)?,
            method: Pattern::new(method),
            metadata: metadata.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            candidates,
            sticky: sticky.iter().map(|key| StickyKey::parse(key)).collect::<Result<_, _>>()?,
            placement: Placement::new("route", &salt),
            shadow,
            tally: before.map_or_else(Arc::default, |before| Arc::clone(&before.tally)),
            name,
        })
    }

    /// Counts a call that this route has taken.
    pub fn count(&self, decision: &Decision) {
        lock(&self.tally).count(decision);
    }

    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Goes on with the tally of the route it follows: a share counts from where its weight came into force, and
    /// versions that do not pass are forgotten.
    pub fn take_over(&self, before: &Route, known: impl Fn(VersionId) -> bool) {
        let mut tally = lock(&self.tally);
        tally.retain(known);
        if self.weights() != before.weights() {
            tally.restart();
        }
    }

    /// The versions that may answer, each with its part of the route.
    fn weights(&self) -> Vec<(VersionId, u32)> {
        let candidates = self.candidates.iter().map(|it| (it.version, it.weight_ppm));
        std::iter::once((self.stable, self.stable_ppm())).chain(candidates).collect()
    }

    fn matches(&self, method: &str, seen: &Seen, table: &Table) -> bool {
        self.method.matches(method)
            && self.metadata.iter().all(|(name, value)| table.value(seen, name) == Some(value.as_bytes()))
    }

    fn choose(&self, seen: &Seen, table: &Table, seed: u64) -> (VersionId, Role, Strategy) {
        if self.candidates.is_empty() {
            return (self.stable, Role::Primary, Strategy::Static);
        }
        let key = self.sticky.iter().find_map(|key| match key {
            StickyKey::Metadata(name) => table.value(seen, name),
            StickyKey::Trace => seen.traceparent.as_deref().and_then(trace_id).map(str::as_bytes),
        });
        let bucket = match key {
            Some(key) => self.placement.bucket(key),
            None => self.placement.bucket(&seed.to_le_bytes()),
        };
        match self.candidates.iter().find(|candidate| candidate.stretch.contains(bucket)) {
            Some(candidate) => (candidate.version, Role::Canary, Strategy::Canary),
            None => (self.stable, Role::Primary, Strategy::Canary),
        }
    }

    fn shadow_of(&self, method: &str, call_id: &str) -> Option<VersionId> {
        self.shadow.as_ref().filter(|shadow| shadow.chooses(method, call_id)).map(|shadow| shadow.version)
    }

    /// What the stable version is left with, in parts per million.
    pub fn stable_ppm(&self) -> u32 {
        WHOLE_PPM - self.candidates.iter().map(|candidate| candidate.weight_ppm).sum::<u32>()
    }
}

/// Each candidate grows from a start of its own, so that changing one weight moves no key of another candidate: the
/// line is divided equally as long as every weight fits, else in proportion to the weights.
fn stretches(candidates: &[CandidateConfig]) -> Vec<Stretch> {
    let count = u32::try_from(candidates.len()).unwrap_or(u32::MAX).max(1);
    let room = WHOLE_PPM / count;
    let fits = candidates.iter().all(|candidate| candidate.weight_ppm <= room);
    let mut next = 0;
    candidates
        .iter()
        .map(|candidate| {
            let stretch = Stretch::new(next, candidate.weight_ppm);
            next += if fits { room } else { candidate.weight_ppm };
            stretch
        })
        .collect()
}

// === impl StickyKey, Pattern, Seen ===

impl StickyKey {
    fn parse(text: &str) -> Result<StickyKey, ConfigurationError> {
        match text.split_once(':') {
            Some(("metadata", name)) if !name.is_empty() => Ok(StickyKey::Metadata(name.to_lowercase())),
            None if text == "trace" => Ok(StickyKey::Trace),
            _ => Err(ConfigurationError(format!(
                "sticky key '{text}' is none that is known: write 'metadata:NAME' or 'trace'"
            ))),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            StickyKey::Metadata(name) => Some(name),
            StickyKey::Trace => None,
        }
    }

    /// The spelling of the configuration.
    pub fn spelled(&self) -> String {
        match self {
            StickyKey::Metadata(name) => format!("metadata:{name}"),
            StickyKey::Trace => "trace".into(),
        }
    }
}

impl Pattern {
    fn new(text: Option<String>) -> Pattern {
        match text {
            None => Pattern::Any,
            Some(text) => match text.strip_suffix('*') {
                Some("") => Pattern::Any,
                Some(prefix) => Pattern::Prefix(prefix.into()),
                None => Pattern::Exact(text),
            },
        }
    }

    fn matches(&self, method: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Exact(exact) => method == exact,
            Pattern::Prefix(prefix) => method.starts_with(prefix.as_str()),
        }
    }
}

impl Seen {
    fn call_id(&self, seed: u64) -> Arc<str> {
        match (&self.request_id, self.traceparent.as_deref().and_then(trace_id)) {
            (Some(id), _) => Arc::from(&**id),
            (None, Some(id)) => Arc::from(id),
            (None, None) => drawn(seed),
        }
    }
}

/// An id of 16 hexadecimal digits.
fn drawn(seed: u64) -> Arc<str> {
    let digit = |place: usize| char::from_digit((seed >> (60 - 4 * place) & 15) as u32, 16);
    let mut digits = [0; 16];
    for (place, byte) in digits.iter_mut().enumerate() {
        *byte = digit(place).map_or(b'0', |digit| digit as u8);
    }
    String::from_utf8_lossy(&digits).into()
}

fn printable(value: &[u8]) -> Option<Box<str>> {
    let visible = !value.is_empty() && value.iter().all(|byte| (0x21..0x7f).contains(byte));
    visible.then(|| String::from_utf8_lossy(value).into())
}

/// The trace id of a W3C `traceparent` (`00-<32 hexadecimal digits>-<16>-<2>`, <https://www.w3.org/TR/trace-context/>).
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, _flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hexadecimal = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let valid = hexadecimal(version, 2)
        && version != "ff"
        && hexadecimal(trace, 32)
        && hexadecimal(parent, 16)
        && trace.bytes().any(|byte| byte != b'0');
    valid.then_some(trace)
}

#[cfg(test)]
mod tests;

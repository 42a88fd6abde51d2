//! The routing table: which version answers a call, and which one looks on.
//!
//! A route is chosen by method and metadata, because those are known before the first message; the version by weights
//! in parts per million, drawn by the call's sticky key. Nothing a client sends can make it fail: what no route
//! matches goes to the first route's stable version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::bucket::{Placement, Stretch, WHOLE_PPM};
use crate::call::{Decision, Nanos, Role, Strategy, VersionId};
use crate::error::ConfigurationError;

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

/// A version that sees a share of the calls but never answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowConfig {
    pub version: String,
    pub share_ppm: u32,
    pub max_in_flight: u32,
    pub timeout_ns: Nanos,
    /// Methods that may be repeated without harm.
    pub methods: Vec<String>,
    /// Two numbers agree when they differ by at most `absolute + relative * |primary|`.
    pub absolute: f64,
    pub relative: f64,
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
}

#[derive(Debug)]
pub struct Candidate {
    pub version: VersionId,
    pub weight_ppm: u32,
    stretch: Stretch,
}

#[derive(Debug)]
pub struct Shadow {
    pub version: VersionId,
    pub config: ShadowConfig,
    placement: Placement,
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
    /// Checks the routes against the names of the versions.
    ///
    /// # Errors
    /// A version that does not exist, weights above the whole, a name used twice, an unknown kind of sticky key.
    pub fn new(routes: Vec<RouteConfig>, versions: &[String]) -> Result<Table, ConfigurationError> {
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
        let routes =
            routes.into_iter().map(|config| Route::new(config, versions)).collect::<Result<_, _>>()?;
        Ok(Table { routes })
    }

    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Chooses route, version and shadow. `seed` is 64 random bits, used where the client sent nothing to be sticky to.
    pub fn decide(&self, method: &str, metadata: &(impl Metadata + ?Sized), seed: u64) -> Decision {
        let seen = self.look(metadata);
        let call_id = seen.call_id(seed);
        let found = self.routes.iter().position(|route| route.matches(method, &seen, self));
        let route = &self.routes[found.unwrap_or(0)];
        let (version, role, strategy) = match found {
            None => (route.stable, Role::Primary, Strategy::Fallback),
            Some(_) => route.choose(&seen, self, seed),
        };
        Decision {
            shadow: route.shadow_of(method, &call_id),
            call_id,
            method: Arc::from(method),
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
    fn new(config: RouteConfig, versions: &[String]) -> Result<Route, ConfigurationError> {
        let RouteConfig { name, method, metadata, stable, candidates, sticky, salt, shadow } = config;
        let known = |version: &str| {
            versions.iter().position(|known| known == version).ok_or_else(|| {
                ConfigurationError(format!(
                    "route '{name}' names version '{version}', which is none of {}: add it or correct the name",
                    versions.join(", ")
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
            Some(config) => Some(Shadow {
                version: known(&config.version)?,
                placement: Placement::new("shadow", &salt),
                stretch: Stretch::new(0, config.share_ppm),
                config,
            }),
        };
        Ok(Route {
            stable: known(&stable)?,
            method: Pattern::new(method),
            metadata: metadata.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            candidates,
            sticky: sticky.iter().map(|key| StickyKey::parse(key)).collect::<Result<_, _>>()?,
            placement: Placement::new("route", &salt),
            shadow,
            name,
        })
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
        let shadow = self.shadow.as_ref()?;
        let repeatable = shadow.config.methods.iter().any(|allowed| allowed == method);
        let chosen = repeatable && shadow.stretch.contains(shadow.placement.bucket(call_id.as_bytes()));
        chosen.then_some(shadow.version)
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
            (None, None) => Arc::from(format!("{seed:016x}")),
        }
    }
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
mod tests {
    use super::*;

    const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

    fn route(name: &str) -> RouteConfig {
        RouteConfig {
            name: name.into(),
            method: None,
            metadata: BTreeMap::new(),
            stable: "v1".into(),
            candidates: Vec::new(),
            sticky: vec!["metadata:x-user-id".into()],
            salt: "salt".into(),
            shadow: None,
        }
    }

    fn canary(weights: &[u32]) -> RouteConfig {
        let candidate = |(i, &weight_ppm)| CandidateConfig { version: format!("v{}", i + 2), weight_ppm };
        RouteConfig { candidates: weights.iter().enumerate().map(candidate).collect(), ..route("canary") }
    }

    fn table(routes: Vec<RouteConfig>) -> Result<Table, ConfigurationError> {
        Table::new(routes, &["v1".into(), "v2".into(), "v3".into()])
    }

    fn user(table: &Table, user: u32, seed: u64) -> VersionId {
        table.decide(INFER, &[("x-user-id", user.to_string())][..], seed).version
    }

    #[test]
    fn a_user_stays_with_a_version_and_the_weights_are_reached() {
        let table = table(vec![canary(&[100_000])]).unwrap();
        let chosen: Vec<_> = (0..20_000).map(|id| user(&table, id, u64::from(id))).collect();
        let canaries = chosen.iter().filter(|&&version| version == 1).count();
        assert!((1_830..=2_170).contains(&canaries), "{canaries}");
        for id in 0..1000 {
            assert_eq!(user(&table, id, 7), chosen[id as usize]);
        }
    }

    #[test]
    fn raising_one_candidate_moves_no_key_of_another() {
        let before = table(vec![canary(&[100_000, 200_000])]).unwrap();
        let after = table(vec![canary(&[300_000, 200_000])]).unwrap();
        for id in 0..20_000 {
            let (old, new) = (user(&before, id, 0), user(&after, id, 0));
            assert!(old == new || (old == 0 && new == 1), "user {id}: {old} to {new}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_equal_slots_are_still_reached() {
        let table = table(vec![canary(&[700_000, 200_000])]).unwrap();
        let count = |wanted| (0..20_000).filter(|&id| user(&table, id, 0) == wanted).count();
        assert!((13_700..=14_300).contains(&count(1)), "{}", count(1));
        assert!((3_770..=4_230).contains(&count(2)), "{}", count(2));
    }

    #[test]
    fn the_first_matching_route_wins_and_nothing_matching_falls_back() {
        let mut beta = RouteConfig { stable: "v2".into(), ..route("beta") };
        beta.metadata.insert("X-Env".into(), "beta".into());
        let infer = RouteConfig { method: Some("/inference.*".into()), ..route("infer") };
        let table = table(vec![beta, infer]).unwrap();
        let decide = |method: &str, metadata: &[(&str, &str)]| {
            let decision = table.decide(method, metadata, 1);
            (table.routes()[decision.route].name.clone(), decision.version, decision.strategy)
        };
        assert_eq!(decide(INFER, &[("x-env", "beta")]), ("beta".into(), 1, Strategy::Static));
        assert_eq!(decide(INFER, &[("x-env", "other")]), ("infer".into(), 0, Strategy::Static));
        assert_eq!(decide("/other/Method", &[]), ("beta".into(), 1, Strategy::Fallback));
    }

    #[test]
    fn without_a_sticky_key_each_call_is_drawn() {
        let table = table(vec![canary(&[500_000])]).unwrap();
        let none: &[(&str, &str)] = &[];
        let canaries = (0..10_000).filter(|&seed| table.decide(INFER, none, seed).version == 1).count();
        assert!((4_800..=5_200).contains(&canaries), "{canaries}");
    }

    #[test]
    fn the_call_id_is_the_request_id_else_the_trace_id_else_the_seed() {
        let table = table(vec![route("default")]).unwrap();
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let id = |metadata: &[(&str, &str)]| table.decide(INFER, metadata, 255).call_id.to_string();
        assert_eq!(id(&[("traceparent", trace), ("x-request-id", "abc")]), "abc");
        assert_eq!(id(&[("traceparent", trace)]), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(id(&[("traceparent", "00-xyz"), ("x-request-id", "a b\n")]), "00000000000000ff");
        assert_eq!(id(&[("x-request-id", &"x".repeat(200))]), "00000000000000ff");
    }

    #[test]
    fn only_repeatable_methods_are_shadowed() {
        let shadow = ShadowConfig {
            version: "v3".into(),
            share_ppm: WHOLE_PPM,
            max_in_flight: 4,
            timeout_ns: 1,
            methods: vec![INFER.into()],
            absolute: 0.0,
            relative: 0.0,
        };
        let table = table(vec![RouteConfig { shadow: Some(shadow), ..route("shadowed") }]).unwrap();
        let none: &[(&str, &str)] = &[];
        assert_eq!(table.decide(INFER, none, 1).shadow, Some(2));
        assert_eq!(table.decide("/inference.GRPCInferenceService/ModelLoad", none, 1).shadow, None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_name() {
        let unknown = RouteConfig { stable: "v9".into(), ..route("a") };
        assert!(table(vec![unknown]).unwrap_err().0.contains("'v9'"));
        assert!(table(vec![canary(&[600_000, 600_000])]).unwrap_err().0.contains("1200000 ppm"));
        assert!(table(vec![route("a"), route("a")]).unwrap_err().0.contains("'a'"));
        assert!(table(vec![]).unwrap_err().0.contains("no routes"));
        let sticky = RouteConfig { sticky: vec!["cookie:x".into()], ..route("a") };
        assert!(table(vec![sticky]).unwrap_err().0.contains("'cookie:x'"));
    }
}

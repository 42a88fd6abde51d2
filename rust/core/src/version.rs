//! The versions of the model, and the number each of them keeps for as long as the engine lives.
//!
//! Statistics are kept by number, so that a version which stays through a change of the configuration keeps them, and
//! a call that was decided before the change is counted for the version that answers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::call::VersionId;

/// Versions no longer in force that are still told apart; what came of older ones is added up as [`OTHER`].
const MOST_RETIRED: usize = 64;

/// The name of versions that are not told apart any more.
pub const OTHER: &str = "_OTHER";

/// A version as it is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionConfig {
    pub name: String,
    /// Where its model server listens; only the data planes read it.
    #[serde(default)]
    pub upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    pub name: Arc<str>,
    pub upstream: Arc<str>,
}

/// A version as the snapshot shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionSnapshot {
    pub version: String,
    pub upstream: String,
    /// False once a reload has removed it; its calls under way may still be counted.
    pub in_force: bool,
}

/// The versions in force, and those that were until not long ago.
#[derive(Clone, Debug, Default)]
pub struct Register {
    next: VersionId,
    known: BTreeMap<VersionId, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    version: Version,
    in_force: bool,
}

// === impl Register ===

impl Register {
    /// Puts versions in force, in the order given; all others are retired. A known name keeps its number.
    pub fn enrol(&mut self, configs: Vec<VersionConfig>) -> Vec<Version> {
        self.known.values_mut().for_each(|entry| entry.in_force = false);
        let versions: Vec<_> = configs.into_iter().map(|config| self.enter(config)).collect();
        let retired: Vec<_> =
            self.known.iter().filter(|(_, entry)| !entry.in_force).map(|(id, _)| *id).collect();
        for id in &retired[..retired.len().saturating_sub(MOST_RETIRED)] {
            self.known.remove(id);
        }
        versions
    }

    /// The name of a version, [`OTHER`] when it is not known any more.
    pub fn name(&self, id: VersionId) -> Arc<str> {
        self.known.get(&id).map_or_else(|| OTHER.into(), |entry| Arc::clone(&entry.version.name))
    }

    pub fn knows(&self, id: VersionId) -> bool {
        self.known.contains_key(&id)
    }

    /// The number of the version in force that has this name.
    pub fn in_force(&self, name: &str) -> Option<VersionId> {
        self.known
            .values()
            .find(|entry| entry.in_force && *entry.version.name == *name)
            .map(|it| it.version.id)
    }

    pub fn snapshot(&self) -> Vec<VersionSnapshot> {
        let shown = |Entry { version, in_force }: &Entry| VersionSnapshot {
            version: version.name.as_ref().to_owned(),
            upstream: version.upstream.as_ref().to_owned(),
            in_force: *in_force,
        };
        self.known.values().map(shown).collect()
    }

    fn enter(&mut self, config: VersionConfig) -> Version {
        let known = self.known.values().find(|entry| *entry.version.name == *config.name);
        let id = known.map_or(self.next, |entry| entry.version.id);
        self.next = self.next.max(id + 1);
        let version = Version { id, name: config.name.into(), upstream: config.upstream.into() };
        self.known.insert(id, Entry { version: version.clone(), in_force: true });
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(names: &[&str]) -> Vec<VersionConfig> {
        names.iter().map(|name| VersionConfig { name: (*name).into(), upstream: "a:1".into() }).collect()
    }

    fn ids(versions: &[Version]) -> Vec<VersionId> {
        versions.iter().map(|version| version.id).collect()
    }

    #[test]
    fn a_name_keeps_its_number_and_no_number_is_given_twice() {
        let mut register = Register::default();
        assert_eq!(ids(&register.enrol(configs(&["v1", "v2"]))), [0, 1]);
        assert_eq!(ids(&register.enrol(configs(&["v3", "v2"]))), [2, 1]);
        assert_eq!(ids(&register.enrol(configs(&["v1"]))), [0]);
        assert_eq!(register.in_force("v2"), None);
        assert_eq!(&*register.name(1), "v2");
    }

    #[test]
    fn versions_that_come_and_go_for_ever_are_not_all_remembered() {
        let mut register = Register::default();
        for version in 0..1000 {
            register.enrol(configs(&[&format!("v{version}"), "stable"]));
        }
        assert_eq!(register.snapshot().len(), MOST_RETIRED + 2);
        assert_eq!(&*register.name(0), OTHER);
        assert_eq!(register.in_force("stable"), Some(1));
    }
}

//! Several state files as one: what N sidecars have seen of a model, added up.
//!
//! Counts, windows, histograms and moments are those of one sidecar that saw everything, to the last bit. Evidence is the
//! mean of theirs: valid, but slower than one detector on all counts; and a mean of floats, so the files themselves
//! decide the order in which it is taken, and the result does not depend on the one in which they are named.

use super::{Entry, State};
use crate::fleet::ModelSnapshot;
use crate::monitor::{Lost, Monitor, Resumption};
use crate::profile::Profile;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A state file that cannot be read, shown or added to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError(pub String);

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StateError {}

/// A state with the name of its file, for messages.
type Named = (String, State);

// === impl State ===

impl State {
    /// Reads the bytes of the file `name`.
    ///
    /// # Errors
    /// It is no state file, damaged, or of another version.
    pub fn read(name: &str, bytes: &[u8]) -> Result<State, StateError> {
        State::from_bytes(bytes).map_err(|lost| StateError(format!("{name}: {lost}")))
    }

    /// Adds up states of several sidecars. `profiles` are those they were given; one that was learned is in its state.
    ///
    /// # Errors
    /// Models that were compared with different bins, or counted with other settings, do not add up.
    pub fn merged(mut states: Vec<Named>, profiles: &[Arc<Profile>]) -> Result<State, StateError> {
        states.sort_by_cached_key(|(_, state)| Sha256::digest(state.to_bytes().unwrap_or_default()));
        let at = states.iter().map(|(_, state)| state.at).max().unwrap_or(0);
        let clock = states.iter().find(|(_, state)| state.at == at).map(|(_, state)| state.clock.clone());
        let mut sum = State { clock: clock.unwrap_or_default(), at, ..State::default() };
        let mut monitors: BTreeMap<(String, String), Monitor> = BTreeMap::new();
        for (name, state) in states {
            (sum.raised, sum.cleared) = (sum.raised + state.raised, sum.cleared + state.cleared);
            let resumption = state.until(&sum.clock, at);
            for Entry { model, version, monitor } in state.monitors {
                let fails = |lost| refused(&name, &model, &version, lost);
                let monitor = Monitor::at_rest(monitor, profiles, resumption).map_err(fails)?;
                match monitors.get_mut(&(model.clone(), version.clone())) {
                    Some(mine) => mine.merge(monitor).map_err(fails)?,
                    None => drop(monitors.insert((model.clone(), version.clone()), monitor)),
                }
            }
        }
        let stored = |((model, version), mut monitor): ((String, String), Monitor)| {
            Some(Entry { model, version, monitor: monitor.stored()? })
        };
        sum.monitors = monitors.into_iter().filter_map(stored).collect();
        Ok(sum)
    }

    /// What the state of the file `name` holds, as a snapshot shows it.
    ///
    /// # Errors
    /// The profile of a model is none of `profiles`.
    pub fn models(
        self,
        name: &str,
        profiles: &[Arc<Profile>],
        detail: bool,
    ) -> Result<Vec<ModelSnapshot>, StateError> {
        let at = Resumption { then: self.at, now: self.at, gap: 0 };
        let shown = |Entry { model, version, monitor }: Entry| {
            let monitor = Monitor::at_rest(monitor, profiles, at);
            let monitor = monitor.map_err(|lost| refused(name, &model, &version, lost))?.snapshot(detail);
            Ok(ModelSnapshot { model, version, monitor })
        };
        self.monitors.into_iter().map(shown).collect()
    }

    /// Goes on until `now` of a clock.
    fn until(&self, clock: &str, now: u64) -> Resumption {
        Resumption { then: self.at, now, gap: self.gap(clock, now) }
    }
}

fn refused(name: &str, model: &str, version: &str, lost: Lost) -> StateError {
    let remedy = match lost {
        Lost::OtherProfile => {
            "counts on different bins do not add up; name the profile that all of them were given with --profile"
        }
        Lost::OtherSettings => {
            "counts of different settings do not add up; give all sidecars the same monitor"
        }
        _ => "take the file of a sidecar of this version of pilotfish",
    };
    StateError(format!("{name}: {model} {version}: {lost}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::MonitorConfig;
    use crate::profile::ProfileBuilder;
    use crate::tensor::{Data, Datatype, Direction, Tensor};

    fn profile(bins: u16) -> Arc<Profile> {
        let mut builder = ProfileBuilder::new("m", bins);
        let values: Vec<f64> = (0..2_000).map(|row| f64::from(row * 7_919 % 1_000)).collect();
        builder.add_column_f64("x", Direction::Input, &values).unwrap();
        Arc::new(builder.finish().unwrap())
    }

    fn state(bins: u16, seed: u64, calls: u64) -> State {
        let config = MonitorConfig { pane_rows: 20, learn_rows: 0, ..MonitorConfig::default() };
        let mut monitor = Monitor::new(Arc::new(config), Some(profile(bins)));
        for call in 0..calls {
            let value = (seed + call * 7_919 % 1_000) as f64 * 1.1;
            let bytes = value.to_le_bytes();
            let tensor = Tensor::new("x", Datatype::Fp64, vec![1], Data::Raw(&bytes)).unwrap();
            monitor.observe(Direction::Input, &[tensor], call);
        }
        let monitor = monitor.stored().unwrap();
        let entry = Entry { model: "m".into(), version: "v1".into(), monitor };
        State { clock: "here".into(), at: calls, raised: 1, cleared: 0, monitors: vec![entry] }
    }

    #[test]
    fn the_order_of_the_files_does_not_matter_to_a_single_byte() {
        let states = [("a", state(16, 0, 90)), ("b", state(16, 5, 70)), ("c", state(16, 9, 110))];
        let merged = |order: [usize; 3]| {
            let states = order.map(|which| (states[which].0.to_owned(), states[which].1.clone())).to_vec();
            State::merged(states, &[profile(16)]).unwrap()
        };
        let first = merged([0, 1, 2]);
        for order in [[2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            assert_eq!(merged(order).to_bytes(), first.to_bytes());
        }
        let models = first.clone().models("sum", &[profile(16)], false).unwrap();
        assert_eq!(
            (models[0].monitor.rows, models[0].monitor.features[0].count, first.raised),
            (270, 270, 3)
        );
        assert_eq!(models[0].monitor.features[0].windows[0].rows, 270);
    }

    #[test]
    fn states_of_different_edges_are_refused_by_name() {
        let states = vec![("a".to_owned(), state(16, 0, 50)), ("b".to_owned(), state(8, 0, 50))];
        let error = State::merged(states, &[profile(16), profile(8)]).unwrap_err();
        assert!(error.0.contains("m v1") && error.0.contains("different bins do not add up"), "{error}");
        let unknown = state(16, 0, 50).models("a.state", &[], false).unwrap_err();
        assert!(unknown.0.starts_with("a.state: m v1: ") && unknown.0.contains("--profile"), "{unknown}");
    }
}

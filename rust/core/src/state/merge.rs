//! Several state files as one: what N sidecars have seen of a model, added up.
//!
//! Counts, windows, histograms and moments are those of one sidecar that saw everything, to the last bit. Evidence is the
//! mean of theirs: valid, but slower than one detector on all counts. Files, and files of files, in any order and grouping
//! are the same file to the last byte. So no time passes for any of them: each counts as it was when it was written, its
//! latest pane and slice beside the latest of the others.

use super::{Entry, State};
use crate::fleet::ModelSnapshot;
use crate::monitor::{Lost, Monitor, Resumption};
use crate::profile::Profile;
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
    pub fn merged(states: Vec<Named>, profiles: &[Arc<Profile>]) -> Result<State, StateError> {
        let latest = states.iter().map(|(_, state)| (state.at, state.clock.clone())).max();
        let (at, clock) = latest.unwrap_or_default();
        let mut sum = State { clock, at, ..State::default() };
        let mut monitors: BTreeMap<(String, String), Monitor> = BTreeMap::new();
        for (name, state) in states {
            (sum.raised, sum.cleared) = (sum.raised + state.raised, sum.cleared + state.cleared);
            let resumption = Resumption { then: state.at, now: at, gap: 0 };
            for Entry { model, version, monitor } in state.monitors {
                let fails = |lost| refused(&name, &model, &version, lost);
                let monitor = Monitor::at_rest(monitor, profiles, resumption).map_err(fails)?;
                match monitors.get_mut(&(model.clone(), version.clone())) {
                    Some(mine) => mine.merge(monitor).map_err(fails)?,
                    None => drop(monitors.insert((model.clone(), version.clone()), monitor)),
                }
            }
        }
        for ((model, version), mut monitor) in monitors {
            if monitor.is_overfull() {
                return Err(refused("all together", &model, &version, Lost::TooMany));
            }
            let Some(monitor) = monitor.stored() else { continue };
            sum.monitors.push(Entry { model, version, monitor });
        }
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
            let mut monitor = monitor.map_err(|lost| refused(name, &model, &version, lost))?;
            monitor.tick(at.now);
            Ok(ModelSnapshot { model, version, monitor: monitor.snapshot(detail) })
        };
        self.monitors.into_iter().map(shown).collect()
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
        Lost::TooMany => {
            "features that only some of them have seen add up; watch fewer, or give all sidecars a larger one"
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
    use proptest::prelude::*;

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

    /// The files of sidecars on different machines, which drift apart, through bytes as on a disk.
    fn files(seeds: &[u64]) -> Vec<Named> {
        let file = |(place, &seed): (usize, &u64)| {
            let state =
                State { clock: format!("boot-{}", seed % 2), ..state(16, seed % 7 * 40, 60 + seed % 200) };
            (format!("{place}"), state)
        };
        seeds.iter().enumerate().map(file).collect()
    }

    fn read_again(state: &State) -> Named {
        ("merged".into(), State::read("merged", &state.to_bytes().unwrap()).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn files_in_any_order_and_grouping_are_the_same_file_to_the_last_byte(
            seeds in prop::collection::vec(0u64..10_000, 2..6), keys in prop::collection::vec(any::<u64>(), 6), cuts in (1usize..6, 1usize..6),
        ) {
            let merged = |states: Vec<Named>| State::merged(states, &[profile(16)]).unwrap();
            let whole = merged(files(&seeds));
            let mut shuffled: Vec<(u64, Named)> = keys.into_iter().zip(files(&seeds)).collect();
            shuffled.sort_by_key(|(key, _)| *key);
            let mut rest: Vec<Named> = shuffled.into_iter().map(|(_, named)| named).collect();
            // Groups of groups: some of them, with those the rest of some, and so on.
            for cut in [cuts.0, cuts.1] {
                let some = rest.split_off(rest.len() - cut.min(rest.len()));
                rest.insert(0, read_again(&merged(some)));
            }
            prop_assert!(merged(rest).to_bytes() == whole.to_bytes());
        }
    }

    #[test]
    fn what_several_have_seen_is_the_sum_and_their_evidence_the_mean() {
        let states = [("a", state(16, 0, 90)), ("b", state(16, 500, 70)), ("c", state(16, 9, 110))];
        let named = |(name, state): &(&str, State)| ((*name).to_owned(), state.clone());
        let sum = State::merged(states.iter().map(named).collect(), &[profile(16)]).unwrap();
        let evidence = |state: &State| {
            let models = state.clone().models("sum", &[profile(16)], false).unwrap();
            (models[0].monitor.features[0].evidence.as_ref().unwrap().bits * 2f64.ln()).exp()
        };
        let mean = states.iter().map(|(_, state)| evidence(state)).sum::<f64>() / 3.0;
        // Of those with less than a bit, the bits say only that.
        assert!(mean > 1e6 && (evidence(&sum) / mean - 1.0).abs() < 1e-5, "{mean}");
        let models = sum.clone().models("sum", &[profile(16)], false).unwrap();
        assert_eq!((models[0].monitor.rows, models[0].monitor.features[0].count, sum.raised), (270, 270, 3));
        assert_eq!(models[0].monitor.features[0].windows[0].rows, 270);
    }

    #[test]
    fn more_features_together_than_may_be_watched_are_refused_with_the_setting() {
        let sidecar = |tensor: &str| {
            let config = MonitorConfig { learn_rows: 0, max_features: 3, ..MonitorConfig::default() };
            let mut monitor = Monitor::new(Arc::new(config), None);
            let values = Tensor::new(tensor, Datatype::Fp64, vec![1, 2], Data::Raw(&[0; 16])).unwrap();
            monitor.observe(Direction::Input, &[values], 0);
            let monitor = monitor.stored().unwrap();
            let entry = Entry { model: "m".into(), version: "v1".into(), monitor };
            (format!("{tensor}.state"), State { monitors: vec![entry], ..State::default() })
        };
        assert!(State::merged(vec![sidecar("a"), sidecar("a")], &[]).is_ok());
        let error = State::merged(vec![sidecar("a"), sidecar("b")], &[]).unwrap_err();
        assert!(error.0.contains("m v1: it has more features than monitor.max_features; "), "{error}");
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

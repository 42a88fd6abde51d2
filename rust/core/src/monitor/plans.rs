//! What is bet on the features of a monitor: made once for all features whose references are alike.
//!
//! Bins hold equal numbers of the reference's values, so most features without ties have the same counts, and then the
//! same bets: working them out takes a good part of a millisecond, and keeping them more memory than all else.

use super::config::AlarmConfig;
use crate::detect::edetector::{Plan, tables::Tables};
use crate::profile::Reference;
use crate::sketch::bins::Bins;
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// For how many features odds are kept, and how many in any case.
const FEATURES_PER_TABLE: usize = 32;
const TABLES_MIN: usize = 2;

/// The plans of one profile's features.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// Among how many the doubt about the profile is shared.
    features: usize,
    /// By the hash of what they depend on, with the reference they were made for.
    known: HashMap<u64, (Arc<Reference>, Arc<Plan>), BuildHasherDefault<SipHasher13>>,
    /// What is worked out for all of them.
    tables: Tables,
    /// One of each number of cells: others bet on the same shapes, if not with the same stakes.
    examples: BTreeMap<usize, Arc<Plan>>,
}

// === impl Plans ===

impl Plans {
    /// For a model of so many features.
    pub fn of_model(features: usize) -> Plans {
        let tables = Tables::of(TABLES_MIN.max(features / FEATURES_PER_TABLE));
        Plans { features, tables, ..Plans::default() }
    }

    /// The model turns out to have so many features.
    pub fn set_model(&mut self, features: usize) {
        if self.features != features {
            *self = Plans::of_model(features);
        }
    }

    /// The plan for a reference; all are asked for with the same alarm settings.
    pub fn of(&mut self, reference: &Arc<Reference>, alarm: &AlarmConfig) -> Arc<Plan> {
        let key = key(reference);
        match self.known.get(&key) {
            Some((known, plan)) if are_alike(known, reference) => return Arc::clone(plan),
            _ => {}
        }
        let delta = alarm.delta / self.features.max(1) as f64;
        let plan = Plan::new(&reference.bins, reference.autocorrelation_time, alarm.tolerance, delta);
        let plan =
            plan.with_live_time(reference.live_autocorrelation_time()).with_tables(self.tables.clone());
        let cells = plan.bets().cells();
        let plan = Arc::new(match self.examples.get(&cells) {
            Some(example) => plan.beside(example),
            None => plan,
        });
        self.examples.entry(cells).or_insert_with(|| Arc::clone(&plan));
        self.known.insert(key, (Arc::clone(reference), Arc::clone(&plan)));
        plan
    }
}

fn key(reference: &Reference) -> u64 {
    let mut hasher = SipHasher13::new();
    traits(reference).hash(&mut hasher);
    hasher.finish()
}

/// Nothing but these decides about bets: see [`Plan::new`].
fn are_alike(one: &Reference, other: &Reference) -> bool {
    traits(one) == traits(other)
}

fn traits(reference: &Reference) -> (&[u64], &'static str, [Option<u64>; 2]) {
    let Reference { bins, autocorrelation_time, .. } = reference;
    let times = [*autocorrelation_time, reference.live_autocorrelation_time()];
    (Bins::cells(bins), bins.binning().kind().name(), times.map(|time| time.map(f64::to_bits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileBuilder;
    use crate::random::Random;
    use crate::tensor::Direction;

    fn references(columns: &[Vec<f64>]) -> Vec<Arc<Reference>> {
        let mut builder = ProfileBuilder::new("m", 8);
        for (number, values) in columns.iter().enumerate() {
            builder.add_column_f64(&format!("x{number}"), Direction::Input, values).unwrap();
        }
        builder.finish().unwrap().references().to_vec()
    }

    #[test]
    fn features_whose_references_are_alike_share_a_plan_which_is_the_one_each_would_have_alone() {
        let values = |seed: u64| {
            let mut random = Random(seed);
            (0..1_600).map(|_| random.uniform()).collect::<Vec<f64>>()
        };
        let ties = values(3).into_iter().map(|value| value.max(0.3)).collect();
        let references = references(&[values(1), values(2), ties]);
        let alarm = AlarmConfig::default();
        let mut plans = Plans::of_model(3);
        let shared: Vec<Arc<Plan>> = references.iter().map(|reference| plans.of(reference, &alarm)).collect();
        assert!(Arc::ptr_eq(&shared[0], &shared[1]) && !Arc::ptr_eq(&shared[0], &shared[2]));
        for (plan, reference) in shared.iter().zip(&references) {
            assert_eq!(*plan, Plans::of_model(3).of(reference, &alarm));
        }
    }
}

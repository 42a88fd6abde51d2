//! Does the traffic still have the features that the profile has? One that is gone, one that is new and one that is of
//! another kind are alarms of their own.
//!
//! No chance is involved, so there is nothing to weigh: a feature without a single value in a whole pane of rows is
//! absent. A direction of which the profile knows nothing is not judged.

use super::roster::Roster;
use crate::detect::{AlarmEvent, AlarmState, Mark};
use crate::profile::Profile;
use crate::tensor::Direction;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Name under which these alarms go out.
pub const METHOD: &str = "schema";

/// How a feature differs from the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// The profile has it, the traffic has not.
    Absent,
    /// The traffic has it, the profile has not.
    New,
    /// It was numbers and is strings, or the other way round.
    Retyped,
}

/// A breach that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaAlarm {
    pub feature: String,
    pub direction: Direction,
    pub breach: Breach,
    /// First row of the pane in which it was noticed first.
    pub since_row: u64,
}

/// The breaches that last, by feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema(BTreeMap<(Direction, String), (Breach, Mark)>);

/// The pane that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub direction: Direction,
    pub start: Mark,
    pub end: Mark,
    pub now: u64,
}

// === impl Schema ===

impl Schema {
    /// Judges a pane that has just been closed; the alarms it raises and clears.
    pub fn judge(&mut self, profile: &Profile, roster: &mut Roster, pane: Judged) -> Vec<AlarmEvent> {
        let found = breaches(profile, roster, pane.direction);
        let mut events = Vec::new();
        self.0.retain(|(direction, feature), (breach, since)| {
            let lasts = *direction != pane.direction || found.get(feature) == Some(breach);
            if !lasts {
                events.push(event(AlarmState::Cleared, feature, *breach, *since, pane));
            }
            lasts
        });
        for (feature, breach) in found {
            self.0.entry((pane.direction, feature)).or_insert_with_key(|(_, feature)| {
                events.push(event(AlarmState::Raised, feature, breach, pane.start, pane));
                (breach, pane.start)
            });
        }
        events
    }

    /// Adds the breaches that another worker sees. What is absent from one and not from the other is there, if that one
    /// has closed a pane of the direction: `sees` says so of both, mine first.
    pub fn merge(&mut self, mut other: Schema, sees: [impl Fn(Direction) -> bool; 2]) {
        let [mine, theirs] = [&*self, &other].map(|schema| schema.0.keys().cloned().collect::<BTreeSet<_>>());
        let [i_see, they_see] = sees;
        self.0
            .retain(|key, (breach, _)| *breach != Breach::Absent || theirs.contains(key) || !they_see(key.0));
        other.0.retain(|key, (breach, _)| *breach != Breach::Absent || mine.contains(key) || !i_see(key.0));
        for (key, (breach, since)) in other.0 {
            let known = self.0.entry(key).or_insert((breach, since));
            known.0 = known.0.max(breach);
            known.1 = std::cmp::min_by_key(known.1, since, |since| (since.row, since.call));
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn snapshot(&self) -> Vec<SchemaAlarm> {
        let alarm = |((direction, feature), (breach, since)): (&(Direction, String), &(Breach, Mark))| {
            let (feature, since_row) = (feature.clone(), since.row);
            SchemaAlarm { feature, direction: *direction, breach: *breach, since_row }
        };
        self.0.iter().map(alarm).collect()
    }
}

/// How the features of a direction differ from the profile, in the pane closed last. Allocates nothing while they do not.
fn breaches(profile: &Profile, roster: &mut Roster, direction: Direction) -> BTreeMap<String, Breach> {
    let known = || profile.references().iter().filter(|reference| reference.direction == direction);
    let mut found = BTreeMap::new();
    let mut missing = known().count();
    if missing == 0 {
        return found;
    }
    for feature in roster.of_direction(direction).filter(|feature| feature.was_seen()) {
        if feature.is_compared() {
            missing -= 1;
            continue;
        }
        match profile.get(direction, feature.name()) {
            None if feature.is_derived() => {}
            None => {
                found.insert(feature.name().to_owned(), Breach::New);
            }
            Some(reference) => {
                missing -= 1;
                if !feature.is_of_kind(reference) {
                    found.insert(feature.name().to_owned(), Breach::Retyped);
                }
            }
        }
    }
    if missing > 0 {
        let seen = roster.of_direction(direction).filter(|feature| feature.was_seen());
        let seen: BTreeSet<&str> = seen.map(|feature| feature.name()).collect();
        let absent = known().filter(|reference| !seen.contains(reference.name.as_str()));
        found.extend(absent.map(|reference| (reference.name.clone(), Breach::Absent)));
    }
    found
}

fn event(state: AlarmState, feature: &str, breach: Breach, since: Mark, pane: Judged) -> AlarmEvent {
    AlarmEvent {
        state,
        feature: feature.to_owned(),
        direction: pane.direction,
        method: METHOD,
        detector: METHOD,
        score: f64::from(u8::from(state == AlarmState::Raised)),
        threshold: 1.0,
        noise: None,
        evidence_bits: None,
        shape: Some(breach.words().to_owned()),
        row: pane.end.row,
        change_row: since.row,
        change_from_row: None,
        change_to_row: None,
        call: pane.end.call,
        change_call: since.call,
        at_ns: pane.now,
    }
}

// === impl Breach ===

impl Breach {
    pub const fn words(self) -> &'static str {
        match self {
            Breach::Absent => "absent",
            Breach::New => "not in the profile",
            Breach::Retyped => "of another type",
        }
    }
}

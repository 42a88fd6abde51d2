//! What strings a categorical feature had: how many different ones, and which most often.
//!
//! Bins know the categories of the reference; these sketches know the others too, in bounded memory. A feature of numbers
//! has none of this, and is not slowed down by it.

use crate::hex;
use crate::sketch::distinct::Distinct;
use crate::sketch::frequent::{Frequency, Frequent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Frequent strings that are shown.
const TOP: usize = 20;

/// Strings seen since the start. A copy shares the sketches until the next string.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    count: u64,
    /// From the first string on.
    sketches: Option<Arc<Sketches>>,
}

#[derive(Clone, Debug, Default)]
struct Sketches {
    distinct: Distinct,
    frequent: Frequent,
}

/// Strings at rest: the sketches in their portable formats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    count: u64,
    sketches: Option<(Vec<u8>, Vec<u8>)>,
}

/// The most frequent strings, and both sketches in the binary format of Apache DataSketches, in hexadecimal digits: for
/// other systems to merge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextsSnapshot {
    /// Counts lie between `low` and `high`.
    pub top: Vec<Frequency>,
    /// HyperLogLog ("hll_sketch").
    pub distinct_sketch: String,
    /// Frequent strings ("frequent_strings_sketch").
    pub frequent_sketch: String,
}

// === impl Texts ===

impl Texts {
    pub fn add(&mut self, text: &[u8]) {
        self.count += 1;
        let sketches = Arc::make_mut(self.sketches.get_or_insert_default());
        sketches.distinct.add_bytes(text);
        sketches.frequent.add(text, 1);
    }

    pub fn merge(&mut self, other: &Texts) {
        self.count += other.count;
        if let Some(theirs) = &other.sketches {
            let mine = Arc::make_mut(self.sketches.get_or_insert_default());
            mine.distinct.merge(&theirs.distinct);
            mine.frequent.merge(&theirs.frequent);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many different ones, to a few percent; `None` without any.
    pub fn cardinality(&self) -> Option<u64> {
        let estimate = self.sketches.as_ref()?.distinct.estimate().round() as u64;
        Some(estimate.min(self.count))
    }

    /// `None` without any.
    pub fn snapshot(&self) -> Option<TextsSnapshot> {
        let sketches = self.sketches.as_ref()?;
        Some(TextsSnapshot {
            top: sketches.frequent.top(TOP),
            distinct_sketch: hex::encode(&sketches.distinct.to_bytes()),
            frequent_sketch: hex::encode(&sketches.frequent.to_bytes()),
        })
    }

    pub fn stored(&self) -> Stored {
        let bytes = |sketches: &Sketches| (sketches.distinct.to_bytes(), sketches.frequent.to_bytes());
        Stored { count: self.count, sketches: self.sketches.as_deref().map(bytes) }
    }

    /// `None` for bytes that are no such sketches.
    pub fn resumed(stored: &Stored) -> Option<Texts> {
        let read = |(distinct, frequent): &(Vec<u8>, Vec<u8>)| {
            let (distinct, frequent) =
                (Distinct::from_bytes(distinct).ok()?, Frequent::from_bytes(frequent).ok()?);
            Some(Arc::new(Sketches { distinct, frequent }))
        };
        let sketches = match &stored.sketches {
            Some(bytes) => Some(read(bytes)?),
            None => None,
        };
        Some(Texts { count: stored.count, sketches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Texts {
        let mut seen = Texts::default();
        texts.iter().for_each(|text| seen.add(text.as_bytes()));
        seen
    }

    #[test]
    fn strings_are_counted_told_apart_and_ranked() {
        let seen = of(&["gold", "basic", "gold"]);
        assert_eq!((seen.count(), seen.cardinality()), (3, Some(2)));
        let top = seen.snapshot().unwrap().top;
        assert_eq!((top[0].label.as_str(), top[0].low, top.len()), ("gold", 2, 2));
        let none = Texts::default();
        assert_eq!((none.cardinality(), none.snapshot()), (None, None));
    }

    #[test]
    fn workers_add_up() {
        let mut sum = of(&["a", "b"]);
        sum.merge(&of(&["b", "c"]));
        sum.merge(&Texts::default());
        assert_eq!((sum.count(), sum.cardinality()), (4, Some(3)));
        assert_eq!(sum.snapshot().unwrap().top[0].label, "b");
    }

    #[test]
    fn a_restart_keeps_them_and_damage_is_noticed() {
        for seen in [of(&["a", "b", "a"]), Texts::default()] {
            let resumed = Texts::resumed(&seen.stored()).unwrap();
            assert_eq!((resumed.count(), resumed.snapshot()), (seen.count(), seen.snapshot()));
        }
        let damaged = Stored { count: 1, sketches: Some((vec![1, 2], vec![3])) };
        assert!(Texts::resumed(&damaged).is_none());
    }
}

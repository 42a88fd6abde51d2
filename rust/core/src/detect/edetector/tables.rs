//! Odds that were worked out of late: a few, whatever the number of features.
//!
//! Features whose references are alike bet on the same terms, and are looked at one after the other; and a feature that is
//! weighed is often weighed again soon. What all others would keep is not worth its memory.

use super::bets::{Bets, Odds};
use crate::lock::lock;
use std::sync::{Arc, Mutex};

/// Shared by the plans of a model.
#[derive(Clone, Debug)]
pub struct Tables(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    most: usize,
    /// The latest last.
    odds: Vec<Arc<Odds>>,
}

// === impl Tables ===

impl Tables {
    /// So many are kept, at least one.
    pub fn of(most: usize) -> Tables {
        Tables(Arc::new(Mutex::new(Kept { most: most.max(1), odds: Vec::new() })))
    }

    pub fn odds(&self, bets: &Arc<Bets>, time: f64) -> Arc<Odds> {
        let mut kept = lock(&self.0);
        if let Some(known) = kept.odds.iter().rposition(|odds| odds.are_of(bets, time)) {
            let known = kept.odds.remove(known);
            kept.odds.push(Arc::clone(&known));
            return known;
        }
        let oldest = (kept.odds.len() >= kept.most).then(|| kept.odds.remove(0));
        drop(kept);
        let odds = match oldest.and_then(Arc::into_inner) {
            Some(oldest) => oldest.again(Arc::clone(bets), time),
            None => Odds::of(Arc::clone(bets), time),
        };
        let odds = Arc::new(odds);
        let mut kept = lock(&self.0);
        if kept.odds.len() < kept.most {
            kept.odds.push(Arc::clone(&odds));
        }
        odds
    }
}

impl Default for Tables {
    fn default() -> Tables {
        Tables::of(1)
    }
}

/// They follow from the plans: any two are as good.
impl PartialEq for Tables {
    fn eq(&self, _: &Tables) -> bool {
        true
    }
}

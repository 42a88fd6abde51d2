//! Thinning: which messages are counted in the statistics, where there is a budget for watching.
//!
//! What watching costs is feature values, so the budget is values per second. When more come, messages are left out by
//! the fall of a coin, which is the same for all of a version that are around at the time: whatever their size and their
//! content. What is counted is then a fair sample of the version's rows. A bucket that takes whatever fits would not be: it
//! prefers small messages.
//!
//! Versions share the budget as max-min fairness has it (Bertsekas and Gallager, Data Networks, section 6.5.2): nobody gets
//! less than it offers while another gets more than that. So a canary with a hundredth of the calls is counted in full
//! beside a version of which few are.
//!
//! The coin is set by what was offered before, never by the message it falls for, so every statement about rows that holds
//! whatever time one stops at holds for those that are counted, too (a selection that is predictable).
//!
//! ```
//! use pilotfish_core::thinning::Thinner;
//!
//! let (mut thinner, stable, canary) = (Thinner::new(1_000_000), 1, 2);
//! for call in 0..30_000u64 {
//!     let version = if call % 100 == 0 { canary } else { stable };
//!     let counted = thinner.draw(version); // ten million values per second: 10,000 calls of 1,000 floats
//!     thinner.offered(version, 4_000, counted, call * 100_000);
//!     if counted {
//!         thinner.read(4_000, 1_000);
//!     }
//! }
//! assert!((0.08..0.12).contains(&thinner.share(stable)));
//! assert_eq!(thinner.share(canary), 1.0);
//! ```

use crate::call::{Nanos, VersionId};
use crate::random::Random;

/// How often the rate at which values are offered is looked at.
const TICK: Nanos = 100_000_000;

/// Seconds over which the rate is averaged, and of whose budget what was not used is kept. So a burst may cost twice the
/// budget for about as long.
const MEMORY: f64 = 1.0;

/// Values per byte before any message was read: floats of 32 bits.
const USUAL_DENSITY: f64 = 0.25;

/// Bytes that the usual density counts for.
const USUAL_BYTES: f64 = 1.0;

/// Decides which messages are counted so that their values, on average, stay within the budget.
#[derive(Clone, Debug)]
pub struct Thinner {
    /// In values per second.
    budget: u64,
    coins: Random,
    density: Density,
    /// By how much they offer, least first.
    versions: Vec<Offers>,
    /// Values that were counted beyond the budget so far; below zero is what may yet be made up for.
    debt: f64,
    /// Of the debt.
    as_of: Option<Nanos>,
    /// When the rates were looked at last.
    tick: Nanos,
}

/// What a version offers.
#[derive(Clone, Copy, Debug)]
struct Offers {
    version: VersionId,
    /// Bytes per second.
    rate: f64,
    /// Bytes since the last tick.
    since: f64,
}

/// How many values a byte of a message holds, from those that were read of late: the values of a message are known only
/// when it is read, and most are not.
#[derive(Clone, Copy, Debug)]
struct Density {
    values: f64,
    bytes: f64,
}

// === impl Thinner ===

impl Thinner {
    /// `budget` is in values per second.
    pub fn new(budget: u64) -> Thinner {
        Thinner {
            budget,
            coins: Random(0),
            density: Density { values: USUAL_DENSITY * USUAL_BYTES, bytes: USUAL_BYTES },
            versions: Vec::new(),
            debt: -MEMORY * budget as f64,
            as_of: None,
            tick: 0,
        }
    }

    /// The same traffic under another budget.
    #[must_use]
    pub fn with_budget(&self, budget: u64) -> Thinner {
        Thinner { budget, debt: 0.0, ..self.clone() }
    }

    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Part of a version's messages that are counted at present: 1 as long as the budget suffices.
    pub fn share(&self, version: VersionId) -> f64 {
        let offered = self.versions.iter().find(|offers| offers.version == version).map_or(0.0, |it| it.rate);
        share(offered, self.level())
    }

    /// Of all versions' messages together, by their bytes.
    pub fn share_of_all(&self) -> f64 {
        let (level, rates) = (self.level(), self.versions.iter().map(|it| it.rate));
        let counted = if level.is_finite() { rates.clone().map(|rate| rate.min(level)).sum() } else { level };
        share(rates.sum(), counted)
    }

    /// Bytes per second that are counted of a version at most; what one does not use is for the others.
    fn level(&self) -> f64 {
        let budget = self.budget as f64;
        let mut left = budget * (1.0 - self.debt / (MEMORY * budget)).clamp(0.0, 2.0) / self.density.get();
        if left <= 0.0 {
            return 0.0;
        }
        for (at, offers) in self.versions.iter().enumerate() {
            let each = left / (self.versions.len() - at) as f64;
            if offers.rate > each {
                return each;
            }
            left -= offers.rate;
        }
        f64::INFINITY
    }

    /// Whether the next message of a version is counted, or all messages of its next call.
    pub fn draw(&mut self, version: VersionId) -> bool {
        let share = self.share(version);
        // Drawn either way, so that what comes later does not depend on it.
        self.coins.uniform() < share
    }

    /// So many bytes were offered, and are `counted` or left out. To be told of all.
    pub fn offered(&mut self, version: VersionId, bytes: u64, counted: bool, now: Nanos) {
        self.pass(now);
        let bytes = bytes as f64;
        match self.versions.iter_mut().find(|offers| offers.version == version) {
            Some(offers) => offers.since += bytes,
            None => self.versions.insert(0, Offers { version, rate: 0.0, since: bytes }),
        }
        if counted {
            self.debt += bytes * self.density.get();
        }
    }

    /// Messages that are counted were read.
    pub fn read(&mut self, bytes: u64, values: u64) {
        self.density.values += values as f64;
        self.density.bytes += bytes as f64;
    }

    fn pass(&mut self, now: Nanos) {
        let as_of = *self.as_of.get_or_insert_with(|| {
            self.tick = now;
            now
        });
        let (budget, seconds) = (self.budget as f64, now.saturating_sub(as_of) as f64 / 1e9);
        self.debt = (self.debt - budget * seconds).max(-MEMORY * budget);
        self.as_of = Some(now.max(as_of));
        let elapsed = now.saturating_sub(self.tick);
        if elapsed >= TICK {
            self.tick(elapsed as f64 / 1e9, now);
        }
    }

    fn tick(&mut self, seconds: f64, now: Nanos) {
        self.versions.iter_mut().for_each(|offers| offers.age(seconds));
        // Versions that are gone are forgotten.
        self.versions.retain(|offers| offers.rate >= 1.0);
        self.versions.sort_unstable_by(|one, other| one.rate.total_cmp(&other.rate));
        self.density.age();
        self.tick = now;
        // Nobody outside knows the time so exactly: whose calls are counted cannot be worked out.
        self.coins.0 = self.coins.0.wrapping_add(now);
    }
}

/// The part that is counted where so many bytes per second are `offered`, and so many can be counted.
fn share(offered: f64, counted: f64) -> f64 {
    // Nothing that is known to be offered is not nothing that can be counted: the first burst ends here.
    if counted > 0.0 { (counted / offered).min(1.0) } else { 0.0 }
}

// === impl Offers ===

impl Offers {
    /// A rise is believed at once, a fall only as it lasts.
    fn age(&mut self, seconds: f64) {
        let last = std::mem::take(&mut self.since) / seconds;
        let weight = -(-seconds / MEMORY).exp_m1();
        self.rate = (self.rate + weight * (last - self.rate)).max(last);
    }
}

// === impl Density ===

impl Density {
    fn get(self) -> f64 {
        self.values / self.bytes
    }

    /// What was read ten ticks ago counts for a third.
    fn age(&mut self) {
        let kept = 0.9 * self.bytes;
        if kept > USUAL_BYTES {
            *self = Density { values: 0.9 * self.values, bytes: kept };
        }
    }
}

#[cfg(test)]
mod tests;

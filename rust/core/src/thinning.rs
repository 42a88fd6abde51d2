//! Thinning: which messages are counted in the statistics, where there is a budget for watching.
//!
//! What watching costs is feature values, so the budget is values per second. When more come, messages are left out by
//! the fall of a coin, which is the same for all that are around at the time: whatever their size, their version, their
//! content. What is counted is then a fair sample of the rows. A bucket that takes whatever fits would not be: it
//! prefers small messages.
//!
//! The coin is set by what was offered before, never by the message it falls for, so every statement about rows that holds
//! whatever time one stops at holds for those that are counted, too (a selection that is predictable).
//!
//! ```
//! use pilotfish_core::thinning::Thinner;
//!
//! let mut thinner = Thinner::new(1_000_000);
//! for call in 0..30_000u64 {
//!     let counted = thinner.draw(); // ten million values per second: 10,000 calls of 1,000 floats
//!     thinner.offered(4_000, counted, call * 100_000);
//!     if counted {
//!         thinner.read(4_000, 1_000);
//!     }
//! }
//! assert!((0.08..0.12).contains(&thinner.share()));
//! ```

use crate::call::Nanos;
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
    /// Bytes offered per second.
    rate: f64,
    /// Values that were counted beyond the budget so far; below zero is what may yet be made up for.
    debt: f64,
    /// Of the debt.
    as_of: Option<Nanos>,
    tick: Tick,
}

/// How many values a byte of a message holds, from those that were read of late: the values of a message are known only
/// when it is read, and most are not.
#[derive(Clone, Copy, Debug)]
struct Density {
    values: f64,
    bytes: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tick {
    opened: Nanos,
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
            rate: 0.0,
            debt: -MEMORY * budget as f64,
            as_of: None,
            tick: Tick::default(),
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

    /// Part of the messages that are counted at present: 1 as long as the budget suffices.
    pub fn share(&self) -> f64 {
        let offered = self.rate * self.density.get();
        let budget = self.budget as f64;
        let room = budget * (1.0 - self.debt / (MEMORY * budget)).clamp(0.0, 2.0);
        if room > 0.0 && offered <= room { 1.0 } else { room / offered.max(room).max(f64::MIN_POSITIVE) }
    }

    /// Whether the next message is counted, or all messages of the next call.
    pub fn draw(&mut self) -> bool {
        let share = self.share();
        // Drawn either way, so that what comes later does not depend on it.
        self.coins.uniform() < share
    }

    /// So many bytes were offered, and are `counted` or left out. To be told of all.
    pub fn offered(&mut self, bytes: u64, counted: bool, now: Nanos) {
        self.pass(now);
        self.tick.bytes += bytes as f64;
        if counted {
            self.debt += bytes as f64 * self.density.get();
        }
    }

    /// Messages that are counted were read.
    pub fn read(&mut self, bytes: u64, values: u64) {
        self.density.values += values as f64;
        self.density.bytes += bytes as f64;
    }

    fn pass(&mut self, now: Nanos) {
        let as_of = *self.as_of.get_or_insert_with(|| {
            self.tick.opened = now;
            now
        });
        let (budget, seconds) = (self.budget as f64, now.saturating_sub(as_of) as f64 / 1e9);
        self.debt = (self.debt - budget * seconds).max(-MEMORY * budget);
        self.as_of = Some(now.max(as_of));
        let elapsed = now.saturating_sub(self.tick.opened);
        if elapsed >= TICK {
            self.close(elapsed as f64 / 1e9, now);
        }
    }

    /// A rise is believed at once, a fall only as it lasts.
    fn close(&mut self, seconds: f64, now: Nanos) {
        let last = self.tick.bytes / seconds;
        let weight = -(-seconds / MEMORY).exp_m1();
        self.rate = (self.rate + weight * (last - self.rate)).max(last);
        self.density.age();
        self.tick = Tick { opened: now, bytes: 0.0 };
        // Nobody outside knows the time so exactly: whose calls are counted cannot be worked out.
        self.coins.0 = self.coins.0.wrapping_add(now);
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

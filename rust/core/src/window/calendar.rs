//! Cuts the traffic into slices of equal length, in time or in rows.
//!
//! Time is monotonic: a clock on the wall that is put forward or back changes nothing. A slice that has been over for
//! long is closed by whatever comes next.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Counts the slices since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Length of a slice: nanoseconds, or rows.
    unit: u64,
    /// Where the first slice begins; modulo 2^64.
    origin: u64,
    /// The slice that is running.
    slot: u64,
}

/// Slices that are over: the one that was running is `from`, the one that runs now is `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub from: u64,
    pub to: u64,
}

// === impl Calendar ===

impl Calendar {
    /// The first slice begins at `now`.
    pub fn new(unit: u64, now: u64) -> Calendar {
        Calendar { unit: unit.max(1), origin: now, slot: 0 }
    }

    /// Whether the running slice is over by `now`. A `now` before the beginning is none after it.
    #[inline]
    pub fn is_due(&self, now: u64) -> bool {
        self.slot_at(now) > self.slot
    }

    /// Goes on to the slice that runs at `now`; what has passed, if any.
    pub fn advance(&mut self, now: u64) -> Option<Passed> {
        let to = self.slot_at(now);
        let passed = (to > self.slot).then_some(Passed { from: self.slot, to });
        self.slot = self.slot.max(to);
        passed
    }

    fn slot_at(&self, now: u64) -> u64 {
        let elapsed = now.wrapping_sub(self.origin);
        // More than half of all there is: `now` lies before the origin.
        if elapsed > u64::MAX / 2 { self.slot } else { elapsed / self.unit }
    }

    /// The calendar of two workers' rows together, whose running slices are one: of rows, those of both have passed; of time,
    /// the one that is further on goes on.
    #[must_use]
    pub fn merged(self, other: Calendar, in_rows: bool) -> Calendar {
        if in_rows {
            let (origin, slot) =
                (self.origin.wrapping_add(other.origin), self.slot.saturating_add(other.slot));
            return Calendar { origin, slot, ..self };
        }
        let further = |calendar: &Calendar| (calendar.slot, Reverse(calendar.origin as i64));
        if further(&other) > further(&self) { other } else { self }
    }

    /// As it was at `then`, when it goes on at `now`, after a pause of `gap`.
    #[must_use]
    pub fn resumed(self, then: u64, now: u64, gap: u64) -> Calendar {
        let age = then.wrapping_sub(self.origin).wrapping_add(gap);
        Calendar { origin: now.wrapping_sub(age), ..self }
    }
}

// === impl Passed ===

impl Passed {
    /// The same in slices that are `times` as long; `None` when none of those is over.
    pub fn coarser(self, times: u64) -> Option<Passed> {
        let passed = Passed { from: self.from / times.max(1), to: self.to / times.max(1) };
        (passed.to > passed.from).then_some(passed)
    }

    /// How many slices are over.
    pub fn count(self) -> u64 {
        self.to - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_over_when_the_next_one_begins() {
        let mut calendar = Calendar::new(60, 1_000);
        assert!(!calendar.is_due(1_059) && calendar.is_due(1_060));
        assert_eq!(calendar.advance(1_059), None);
        assert_eq!(calendar.advance(1_185), Some(Passed { from: 0, to: 3 }));
        assert_eq!(calendar.advance(1_185), None);
    }

    #[test]
    fn a_time_before_the_beginning_changes_nothing() {
        let mut calendar = Calendar::new(60, 1_000);
        calendar.advance(1_100);
        assert_eq!((calendar.advance(5), calendar.advance(1_010)), (None, None));
        assert_eq!(calendar.advance(1_120), Some(Passed { from: 1, to: 2 }));
    }

    #[test]
    fn a_pause_counts_as_time_that_has_passed() {
        let mut calendar = Calendar::new(60, 1_000);
        calendar.advance(1_090);
        let resumed = |gap| calendar.resumed(1_100, 7, gap).advance(7 + 19);
        assert_eq!(resumed(0), None); // 119 units in
        assert_eq!(resumed(1), Some(Passed { from: 1, to: 2 }));
        assert_eq!(resumed(3_600), Some(Passed { from: 1, to: 61 }));
    }

    #[test]
    fn workers_that_count_rows_fill_a_slice_together_and_those_that_count_time_have_one_clock() {
        let at = |unit, origin, now| {
            let mut calendar = Calendar::new(unit, origin);
            calendar.advance(now);
            calendar
        };
        let mut rows = at(100, 0, 250).merged(at(100, 40, 190), true); // 50 rows into slices 2 and 1
        assert_eq!((rows.advance(250 + 189), rows.is_due(250 + 190)), (None, true));
        assert_eq!(rows.advance(250 + 190), Some(Passed { from: 3, to: 4 }));
        let (one, other) = (at(60, 1_000, 1_185), at(60, 1_010, 1_185));
        assert_eq!((one.merged(other, false), other.merged(one, false)), (one, one));
    }

    #[test]
    fn hours_pass_when_a_full_hour_has() {
        assert_eq!(Passed { from: 58, to: 59 }.coarser(60), None);
        assert_eq!(Passed { from: 59, to: 60 }.coarser(60), Some(Passed { from: 0, to: 1 }));
    }
}

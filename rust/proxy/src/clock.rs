//! Monotonic time as the core wants it: nanoseconds, on the same line as the caller's own clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pilotfish_core::call::Nanos;

/// Pairs an instant with the caller's reading of its clock at that instant.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    reading: Nanos,
}

// === impl Clock ===

impl Clock {
    pub fn starting_at(reading: Nanos) -> Clock {
        Clock { origin: Instant::now(), reading }
    }

    pub fn nanos(&self, instant: Instant) -> Nanos {
        self.reading.saturating_add(between(self.origin, instant))
    }
}

/// Nanoseconds from `start` to `end`; 0 when `end` is earlier.
pub fn between(start: Instant, end: Instant) -> Nanos {
    u64::try_from(end.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since 1970 of wall time.
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

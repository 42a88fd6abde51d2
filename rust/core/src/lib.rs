//! What pilotfish decides and counts: routing, sampling, statistics, alarms.
//!
//! Pure: no clock, no I/O, no random source of its own. Every entry point takes `now` and seeds as arguments, so the
//! same calls always give the same decisions and the same numbers, whichever data plane hands them in.
#![forbid(unsafe_code)]

pub mod detect;
pub mod distance;
pub mod feature;
pub mod monitor;
pub mod profile;
pub mod sketch;
pub mod tensor;
pub mod window;

//! What pilotfish decides and counts: routing, sampling, statistics, alarms.
//!
//! Pure: no clock, no I/O, no random source of its own. Every entry point takes `now` and seeds as arguments, so the
//! same calls always give the same decisions and the same numbers, whichever data plane hands them in.
#![forbid(unsafe_code)]

pub mod attribution;
pub mod backtest;
pub mod bucket;
pub mod call;
pub mod compare;
pub mod detect;
pub mod distance;
pub mod engine;
pub mod error;
pub mod feature;
pub mod fleet;
mod hex;
pub mod histogram;
pub mod ledger;
mod lock;
pub mod monitor;
pub mod multivariate;
pub mod performance;
pub mod policy;
mod prefetch;
pub mod profile;
mod random;
pub mod route;
pub mod sample;
pub mod shadow;
pub mod sketch;
pub mod snapshot;
pub mod state;
pub mod tally;
pub mod tensor;
pub mod thinning;
pub mod traffic;
pub mod version;
pub mod window;

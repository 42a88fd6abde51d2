//! Does the e-detector keep its promises? False alarms on rows that have not changed, and the delay of alarms on rows
//! that have, beside what is possible at best; and silence inside the tolerance at any volume.
//!
//! `cargo run --release -p pilotfish-core --example quality [ROWS]` (rows without a change, over all settings; 1e9 take
//! a minute or two). Ends with status 1 when a setting alarms more often than the nominal rate explains.
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]

#[path = "quality/delay.rs"]
mod delay;
#[path = "quality/null.rs"]
mod null;
#[path = "quality/random.rs"]
mod random;
#[path = "quality/source.rs"]
mod source;
#[path = "quality/volume.rs"]
mod volume;

use std::process::ExitCode;

fn main() -> ExitCode {
    let rows = std::env::args().nth(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(1e8);
    let kept = null::table(rows as u64);
    delay::table();
    let silent = volume::table();
    if kept && silent { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

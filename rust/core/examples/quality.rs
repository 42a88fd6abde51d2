//! Does the e-detector keep its promises? False alarms on rows that have not changed, and the delay of alarms on rows
//! that have, beside what is possible at best; and silence inside the tolerance at any volume.
//!
//! `cargo run --release -p pilotfish-core --example quality [ROWS [TOLERANCE [SHAPE [PANE_ROWS]]]]`. ROWS without a change over all
//! settings go through the live monitor (1e9 take a minute per tolerance): at the default tolerance and at 0;
//! with a TOLERANCE only at that and nothing else is measured, with a SHAPE ("rare event", "all") only for that one. Ends with
//! status 1 when a setting alarms more often than the nominal rate explains.
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]

#[path = "quality/delay.rs"]
mod delay;
#[path = "quality/normal.rs"]
mod normal;
#[path = "quality/null.rs"]
mod null;
#[path = "../src/random.rs"]
#[allow(dead_code, reason = "the library's own, of which not all is needed here")]
mod random;
#[path = "quality/source.rs"]
mod source;
#[path = "quality/volume.rs"]
mod volume;
#[path = "quality/waves.rs"]
mod waves;

use pilotfish_core::detect::edetector::terms::TOLERANCE;
use pilotfish_core::monitor::MonitorConfig;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<f64>().ok());
    let rows = number(0).unwrap_or(1e8) as u64;
    let pane_rows = number(3).map_or(MonitorConfig::default().pane_rows, |rows| rows as u32);
    if let Some(tolerance) = number(1) {
        return code(null::table(rows, tolerance, arguments.get(2).map(String::as_str), pane_rows));
    }
    let kept = [0.0, TOLERANCE].map(|tolerance| null::table(rows, tolerance, None, pane_rows));
    let apart = waves::table(rows);
    println!();
    delay::table();
    println!();
    delay::live_table();
    let silent = volume::table();
    code(kept == [true, true] && apart && silent)
}

fn code(kept: bool) -> ExitCode {
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

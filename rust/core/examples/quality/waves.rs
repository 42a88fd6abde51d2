//! False alarms where rows are no sample: whole numbers with ties, heavy tails in bursts, cycles that the reference spans
//! and cycles that it does not, values that are missing in runs. Through the live monitor, at its default settings.

use super::normal::normal_quantile;
use super::random::Random;
use super::source::profile;
use pilotfish_core::detect::AlarmState;
use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::f64::consts::TAU;
use std::sync::Arc;

const REFERENCE_ROWS: u64 = 50_000;
const MESSAGE: u64 = 1_000;

/// Rows of a cycle that the reference spans ten times, and of one of which it sees a quarter.
const DAY: f64 = 5_000.0;
const SEASON: f64 = 200_000.0;

/// The value of a row, given its number and what the row before left behind.
type Stream = fn(u64, &mut f64, &mut Random) -> f64;

const STREAMS: [(&str, bool, Stream); 8] = [
    ("whole numbers, 12 of them", true, |_, _, random| {
        (-3.0 * (1.0 - random.uniform()).ln()).floor().min(11.0)
    }),
    ("whole numbers, many", true, |_, _, random| (-3e3 * (1.0 - random.uniform()).ln()).floor()),
    ("heavy tails, in bursts", true, |_, state, random| {
        *state = 0.95 * *state + 0.31 * normal(random);
        (1.5 * *state).exp() * normal(random)
    }),
    ("missing, runs of 20", true, |_, state, random| runs(state, random, 0.05, 20.0)),
    ("missing, runs of 200", true, |_, state, random| runs(state, random, 0.05, 200.0)),
    ("daily cycle of 0.5 sd, spanned", true, |row, _, random| {
        0.7 * (row as f64 / DAY * TAU).sin() + normal(random)
    }),
    ("daily cycle of 1.5 sd, spanned", true, |row, _, random| {
        2.1 * (row as f64 / DAY * TAU).sin() + normal(random)
    }),
    ("season, a quarter spanned", false, |row, _, random| {
        0.7 * (row as f64 / SEASON * TAU).sin() + normal(random)
    }),
];

/// Prints the table; whether what can be guaranteed has been kept.
pub fn table(rows: u64) -> bool {
    let rows = (rows / STREAMS.len() as u64).max(MESSAGE) / MESSAGE * MESSAGE;
    let config = Arc::new(MonitorConfig::default());
    println!(
        "\nAlarms of the live monitor in {rows} rows, its default settings, a reference of {REFERENCE_ROWS} rows; nominal \
         at most one in {}",
        config.alarm.arl
    );
    let mut kept = true;
    for (number, (name, guaranteed, stream)) in (0..).zip(STREAMS) {
        let (mut random, mut state) = (Random(77 + number), 0.0);
        let mut next = |row| stream(row, &mut state, &mut random);
        let reference: Vec<f64> = (0..REFERENCE_ROWS).map(&mut next).collect();
        let profile = profile(&reference, false);
        let fresh = || Monitor::new(Arc::clone(&config), Some(Arc::clone(&profile)));
        let (mut monitor, mut alarms, mut first) = (fresh(), 0u64, None);
        for start in (0..rows).step_by(MESSAGE as usize) {
            let from = REFERENCE_ROWS + start;
            let bytes: Vec<u8> = (from..from + MESSAGE).flat_map(|row| next(row).to_le_bytes()).collect();
            let tensor = Tensor::new("x", Datatype::Fp64, vec![MESSAGE as usize], Data::Raw(&bytes));
            monitor.observe(Direction::Input, &[tensor.expect("whole values")], 0);
            if monitor.take_events().iter().any(|event| event.state == AlarmState::Raised) {
                (alarms, first) = (alarms + 1, first.or(Some(start + MESSAGE)));
                monitor = fresh();
            }
        }
        let first = first.map_or_else(String::new, |row| format!(", the first within {row} rows"));
        let expectation = if guaranteed { "" } else { " (a change, and rightly so)" };
        println!("{name:>32}: {alarms}{first}{expectation}");
        let nominal = rows as f64 / config.alarm.arl as f64;
        kept &= !guaranteed || alarms as f64 <= nominal + 3.0 * nominal.sqrt() + 3.0;
    }
    kept
}

fn normal(random: &mut Random) -> f64 {
    normal_quantile(random.uniform().max(1e-12))
}

/// A value, or none: so large a share of rows is missing, in runs of that mean length.
fn runs(state: &mut f64, random: &mut Random, share: f64, length: f64) -> f64 {
    let leaves = random.uniform();
    *state = match *state > 0.0 {
        true if leaves < 1.0 / length => 0.0,
        false if leaves < share / (1.0 - share) / length => 1.0,
        _ => *state,
    };
    if *state > 0.0 { f64::NAN } else { normal(random) }
}

//! What a feature costs beside its values: closing its pane, showing it, keeping it.
//!
//! `cargo run --release -p pilotfish-core --example per_feature [FEATURES]`
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads what the system counts; the library does not"
)]

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::hint::black_box;
use std::sync::Arc;

/// Rows in a message, and in a pane of the first two measurements: a message closes a pane.
const ROWS: usize = 1_000;

/// Of the memory, for which a month passes.
const MINUTES: u64 = 31 * 24 * 60;
const ROWS_PER_MINUTE: usize = 20;
const KEPT_FEATURES: usize = 64;
const MINUTE_NS: u64 = 60_000_000_000;

/// How much is kept, as a configuration.
const SIZES: [(&str, &str); 4] = [
    ("full: 32 bins, an hour, a day and a month", "{}"),
    ("full, 64 bins", r#"{"bins": 64}"#),
    ("lean: 16 bins, counts of a day and a month", r#"{"bins": 16, "windows": "lean"}"#),
    (
        "lean, 32 bins, thresholds instead of e-detectors",
        r#"{"windows": "lean", "alarm": {"detector": "threshold"}}"#,
    ),
];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    match &asked[..] {
        [kept, config] if kept == KEPT => println!("{}", bytes_kept(config)),
        [features] => closing(features.parse().expect("a number of features")),
        _ => {
            closing(1_000);
            println!();
            SIZES.iter().for_each(|(name, config)| println!("{:>8.1} KiB per feature  {name}", kept(config)));
        }
    }
}

/// The argument by which this program measures itself in a process of its own: one whose memory is fresh.
const KEPT: &str = "kept";

fn kept(config: &str) -> f64 {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this program has a path"));
    let done = command.args([KEPT, config]).output().expect("this program can be run");
    String::from_utf8_lossy(&done.stdout).trim().parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

/// Times of a monitor of so many features.
fn closing(features: usize) {
    let messages = Messages::new(ROWS, features);
    // Of the same rows: panes that close, and panes that never do.
    let mut closing = messages.learned(&MonitorConfig::default());
    let mut filling = messages.learned(&MonitorConfig { pane_rows: u32::MAX, ..MonitorConfig::default() });
    let with = messages.observed_ns(&mut closing);
    let without = messages.observed_ns(&mut filling);
    let pane = (with - without).max(0.0);
    println!("{:>8.2} ms to close a pane of {features} features", pane / 1e6);
    println!("{:>8.2} µs per feature", pane / 1e3 / features as f64);
    // Some rows wait to be counted, as they do most of the time.
    let waiting = Messages::new(ROWS / 8, features);
    waiting.observe(&mut closing, 0, 0);
    for (what, detail) in [("snapshot", false), ("detailed snapshot", true)] {
        let spent = per_turn(100, || _ = black_box(closing.copied(detail)));
        println!("{:>8.2} ms during which the observer waits for a {what}", spent / 1e6);
        let copy = closing.copied(detail);
        let spent = per_turn(20, || _ = black_box(copy.snapshot(detail)));
        println!("{:>8.2} ms for the {what}, after that", spent / 1e6);
        let snapshot = copy.snapshot(detail);
        let spent = per_turn(20, || _ = black_box(serde_json::to_string(&snapshot)));
        let length = serde_json::to_string(&snapshot).map_or(0, |text| text.len());
        println!("{:>8.2} ms for its JSON of {} KiB", spent / 1e6, length / 1024);
    }
    // A copy is stored once: each is made anew.
    let spent = per_turn(20, || _ = black_box(closing.copied(true).stored()));
    println!("{:>8.2} ms for a copy with all that survives a restart", spent / 1e6);
}

/// Bytes per feature once every window is full.
fn bytes_kept(config: &str) -> f64 {
    let config: MonitorConfig = serde_json::from_str(config).expect("the configuration is ours");
    let messages = Messages::new(ROWS_PER_MINUTE, KEPT_FEATURES);
    let before = resident_bytes();
    let mut monitor = messages.learned(&config);
    // What learning took and gave back is used again; what then is still there belongs to the features.
    for minute in 0..MINUTES {
        messages.observe(&mut monitor, minute as usize, minute * MINUTE_NS);
    }
    black_box(monitor.snapshot(false));
    (resident_bytes() - before) as f64 / KEPT_FEATURES as f64
}

/// Tables of normal values, sent in turn.
struct Messages {
    rows: usize,
    features: usize,
    tables: Vec<Vec<u8>>,
}

impl Messages {
    fn new(rows: usize, features: usize) -> Messages {
        let mut random = Random(1);
        let mut table = || (0..rows * features).flat_map(|_| random.normal().to_le_bytes()).collect();
        Messages { rows, features, tables: (0..4_000 / rows).map(|_| table()).collect() }
    }

    fn observe(&self, monitor: &mut Monitor, turn: usize, now: u64) {
        let bytes = &self.tables[turn % self.tables.len()];
        let shape = vec![self.rows, self.features];
        let tensor = Tensor::new("x", Datatype::Fp32, shape, Data::Raw(bytes)).expect("the shape fits");
        monitor.observe(Direction::Input, &[tensor], now);
    }

    /// A monitor that has learned and closed some panes.
    fn learned(&self, config: &MonitorConfig) -> Monitor {
        let max_features = self.features as u32;
        let mut monitor = Monitor::new(Arc::new(MonitorConfig { max_features, ..config.clone() }), None);
        (0..12_000 / self.rows).for_each(|turn| self.observe(&mut monitor, turn, 0));
        monitor
    }

    fn observed_ns(&self, monitor: &mut Monitor) -> f64 {
        let mut turn = 0;
        per_turn(24, || {
            self.observe(monitor, turn, 0);
            turn += 1;
        })
    }
}

fn per_turn(turns: u32, mut work: impl FnMut()) -> f64 {
    let start = processor_ns();
    (0..turns).for_each(|_| work());
    (processor_ns() - start) as f64 / f64::from(turns)
}

/// What this thread has had of a processor so far (Linux counts it up to the last tick, of 4 ms or less).
fn processor_ns() -> u64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    counted.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn resident_bytes() -> i64 {
    const PAGE: i64 = 4_096;
    let counted = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    counted.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * PAGE
}

/// SplitMix64, and a normal distribution made of it.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A standard normal value, by the sum of twelve uniform ones.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

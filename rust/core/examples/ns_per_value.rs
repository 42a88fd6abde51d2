//! What watching costs: nanoseconds per feature value, everything included (bins, in-bin sums, exponential histogram,
//! moments, missing values, panes with their e-detectors), for FP32 tables of several widths and batch sizes.
//!
//! `cargo run --release -p pilotfish-core --example ns_per_value [FEATURES BATCH [VALUES [ROWS]]]`
//!
//! Processor time, not time: others on the machine then cost only what they push out of the caches.
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads what the system counts; the library does not"
)]

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::sync::Arc;

/// Values prepared beforehand, of which messages are pieces: the same for every width, unless a message needs more. Of
/// more, what is measured is memory in which no message is that was just received.
const POOL: usize = 1 << 18;

/// Fewest rows until the same come again. Of few the processor learns by heart which branches they take, if there are few
/// features.
const ROWS: usize = 1 << 14;

/// Values measured per case.
const VALUES: usize = 16_000_000;

/// Measurements per case, of which the fastest counts: the others were disturbed.
const REPEATS: usize = 3;

/// Widths and batches, unless others are asked for.
const CASES: [(usize, usize); 8] =
    [(16, 1), (16, 64), (128, 1), (128, 64), (1_024, 1), (1_024, 64), (8_192, 1), (8_192, 64)];

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (cases, values, rows, repeats) = match asked[..] {
        [features, batch] => (vec![(features, batch)], VALUES, None, REPEATS),
        [features, batch, values] => (vec![(features, batch)], values, None, 1),
        [features, batch, values, rows] => (vec![(features, batch)], values, Some(rows), 1),
        _ => (CASES.to_vec(), VALUES, None, REPEATS),
    };
    println!("{:>8} {:>6} {:>9}", "features", "batch", "ns/value");
    for (features, batch) in cases {
        println!("{features:>8} {batch:>6} {:>9.2}", measure(features, batch, values, rows, repeats));
    }
}

/// Learns a profile first, then measures in the steady state. Of few different `rows`, such as 8, every feature is
/// discrete.
fn measure(features: usize, batch: usize, values: usize, rows: Option<usize>, repeats: usize) -> f64 {
    let size = features * batch;
    let prepared = rows.map_or(POOL.max(2 * size), |rows| (rows * features).max(size));
    let mut random = Random(1);
    let pool = random.table(prepared);
    // One after the other, or anywhere: rows that come again soon would depend on each other.
    let messages = rows.unwrap_or(ROWS) / batch;
    let mut start = |number: usize| match rows {
        Some(_) => number * size,
        None => (random.uniform() * (prepared - size) as f64) as usize,
    };
    let message = |number: usize| {
        let start = start(number);
        let bytes = &pool[4 * start..4 * (start + size)];
        Tensor::new("x", Datatype::Fp32, vec![batch, features], Data::Raw(bytes)).expect("the shape fits")
    };
    let tensors: Vec<Tensor<'_>> = (0..messages).map(message).collect();
    let max_features = features as u32;
    let config = MonitorConfig { learn_rows: 2_000, max_features, ..MonitorConfig::default() };
    let mut monitor = Monitor::new(Arc::new(config), None);
    let mut turn = 0;
    let mut observe = |calls: usize| {
        for _ in 0..calls {
            monitor.observe(Direction::Input, std::slice::from_ref(&tensors[turn % tensors.len()]), 0);
            turn += 1;
        }
    };
    observe(4_000 / batch + 1);
    let calls = values / (features * batch) + 1;
    let spent = (0..repeats).map(|_| {
        let start = processor_ns();
        observe(calls);
        processor_ns() - start
    });
    spent.min().unwrap_or(0) as f64 / (calls * features * batch) as f64
}

/// What this thread has had of a processor so far (Linux counts it up to the last tick, of 4 ms or less).
fn processor_ns() -> u64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    counted.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// SplitMix64, and a normal distribution made of it.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal value, by the sum of twelve uniform ones.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn table(&mut self, values: usize) -> Vec<u8> {
        (0..values).flat_map(|_| (self.normal() as f32).to_le_bytes()).collect()
    }
}

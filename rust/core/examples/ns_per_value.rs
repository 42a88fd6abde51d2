//! What watching costs: nanoseconds per feature value, everything included (bins, exponential histogram, moments,
//! missing values, panes with all distances), for FP32 tables of several widths and batch sizes.
//!
//! `cargo run --release -p pilotfish-core --example ns_per_value`
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock; the library does not")]

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::sync::Arc;
use std::time::Instant;

/// Rows prepared beforehand, and taken in turn: too many for the processor to learn its branches by heart.
const ROWS: usize = 2_048;

/// Values measured per case.
const VALUES: usize = 8_000_000;

/// Measurements per case, of which the fastest counts: the others were disturbed.
const REPEATS: usize = 5;

fn main() {
    println!("{:>8} {:>6} {:>9}", "features", "batch", "ns/value");
    for (features, batch) in
        [(16, 1), (16, 64), (128, 1), (128, 64), (1_024, 1), (1_024, 64), (4_096, 1), (4_096, 64)]
    {
        println!("{features:>8} {batch:>6} {:>9.2}", measure(features, batch));
    }
}

/// Learns a profile first, then measures in the steady state.
fn measure(features: usize, batch: usize) -> f64 {
    let mut random = Random(1);
    let messages: Vec<Vec<u8>> = (0..ROWS / batch).map(|_| random.table(features * batch)).collect();
    let tensors: Vec<Tensor<'_>> = messages
        .iter()
        .map(|bytes| {
            Tensor::new("x", Datatype::Fp32, vec![batch, features], Data::Raw(bytes)).expect("the shape fits")
        })
        .collect();
    let config = MonitorConfig { learn_rows: 2_000, ..MonitorConfig::default() };
    let mut monitor = Monitor::new(Arc::new(config), None);
    let mut turn = 0;
    let mut observe = |calls: usize| {
        for _ in 0..calls {
            monitor.observe(Direction::Input, std::slice::from_ref(&tensors[turn % tensors.len()]), 0);
            turn += 1;
        }
    };
    observe(4_000 / batch + 1);
    let calls = VALUES / (features * batch) + 1;
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        observe(calls);
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min) * 1e9 / (calls * features * batch) as f64
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

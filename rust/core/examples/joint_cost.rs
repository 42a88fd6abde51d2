//! What watching columns together costs: nanoseconds of processor time per row, beside the same rows watched column by
//! column. (Linux: the time comes from `/proc/self/schedstat`, which a busy machine does not inflate.)
//!
//! `cargo run --release -p pilotfish-core --example joint_cost [ROWS]`
#![allow(clippy::print_stdout, reason = "its output is what an example is for")]
#![allow(clippy::disallowed_methods, reason = "an example measures time; the library does not")]

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::error::Error;
use std::sync::Arc;

const ROUNDS: usize = 5;

/// Rows before the clock starts.
const LEARNED: usize = 2_112;

fn main() -> Result<(), Box<dyn Error>> {
    let rows: usize = std::env::args().nth(1).map_or(Ok(50_000), |text| text.parse())?;
    if rows < 2 * LEARNED {
        return Err(format!("{rows} rows: at least {} are needed", 2 * LEARNED).into());
    }
    println!("{:>8} {:>12} {:>12} {:>12}", "columns", "alone ns/row", "joint ns/row", "more ns/row");
    for columns in [4, 16, 64, 128] {
        let bytes = table(rows, columns);
        let mut mean = [0.0; 2];
        for _ in 0..ROUNDS {
            // In turn, so that a noisy machine is noisy for both.
            for (mean, joint) in mean.iter_mut().zip([false, true]) {
                *mean += watch(&bytes, rows, columns, joint)? / ROUNDS as f64;
            }
        }
        println!("{columns:>8} {:>12.0} {:>12.0} {:>12.0}", mean[0], mean[1], mean[1] - mean[0]);
    }
    println!("embedding of 768 elements: {:.0} ns/row", embedding((rows / 10).max(2 * LEARNED))?);
    Ok(())
}

fn watch(bytes: &[u8], rows: usize, columns: usize, joint: bool) -> Result<f64, Box<dyn Error>> {
    let json = format!(r#"{{"learn_rows": 2000, "tensors": {{"x": {{"joint": {joint}}}}}}}"#);
    time(&json, bytes, rows, columns)
}

fn embedding(rows: usize) -> Result<f64, Box<dyn Error>> {
    let bytes = table(rows, 768);
    time(r#"{"learn_rows": 2000, "tensors": {"x": {"kind": "embedding"}}}"#, &bytes, rows, 768)
}

/// The rows in batches of 32, after as many as are learned from.
fn time(json: &str, bytes: &[u8], rows: usize, columns: usize) -> Result<f64, Box<dyn Error>> {
    let config: MonitorConfig = serde_json::from_str(json)?;
    let mut monitor = Monitor::new(Arc::new(config), None);
    let batch = 32 * columns * 4;
    let mut send = |bytes: &[u8]| -> Result<(), Box<dyn Error>> {
        let shape = vec![bytes.len() / columns / 4, columns];
        let tensor = Tensor::new("x", Datatype::Fp32, shape, Data::Raw(bytes));
        monitor.observe(Direction::Input, &[tensor.map_err(|defect| defect.name())?], 0);
        Ok(())
    };
    // One batch more than is learned from: the detectors of the numbers are made with their first row.
    let (learned, watched) = bytes.split_at(LEARNED * columns * 4);
    learned.chunks(batch).try_for_each(&mut send)?;
    let start = processor_ns()?;
    watched.chunks(batch).try_for_each(&mut send)?;
    Ok((processor_ns()? - start) / (rows - LEARNED) as f64)
}

/// Processor time of this thread so far.
fn processor_ns() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

/// Normal numbers, by SplitMix64 and the sum of four uniform ones.
fn table(rows: usize, columns: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    (0..rows * columns)
        .flat_map(|_| (uniform() + uniform() + uniform() + uniform() - 2.0).to_le_bytes())
        .collect()
}

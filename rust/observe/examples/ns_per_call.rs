//! What watching a call costs beside forwarding it: nanoseconds of processor time per call of one row, from the queue to
//! the counters, for KServe requests of several widths.
//!
//! `cargo run --release -p pilotfish-observe --example ns_per_call [FEATURES]`
#![allow(clippy::print_stdout, reason = "its output is what a benchmark is for")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set up has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads what the system counts; the library does not"
)]

#[path = "../../core/src/random.rs"]
#[allow(dead_code, reason = "the library's own, of which not all is needed here")]
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_core::engine::{Engine, EngineConfig, QueueConfig};
use pilotfish_observe::{Job, Messages, Observer};
use random::Random;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Different requests, taken in turn.
const REQUESTS: usize = 2_048;

/// Calls that are queued before the observer is waited for.
const QUEUED: usize = 1_024;

const CALLS: usize = 400_000;

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    println!("{:>8} {:>7}", "features", "ns/call");
    for features in if asked.is_empty() { vec![1, 16, 128] } else { asked } {
        println!("{features:>8} {:>7.0}", measure(features));
    }
}

fn measure(features: usize) -> f64 {
    let config = r#"{"plane": "test", "versions": [{"name": "v1"}], "routes": [{"name": "r", "stable": "v1"}],
        "sampling": {"share_ppm": 0}, "queue": {"messages": 1, "bytes": 1}}"#;
    let config = EngineConfig::from_json(config).expect("a configuration");
    let engine = Arc::new(Engine::new(config, BTreeMap::new(), 0).expect("an engine"));
    let queue = QueueConfig { messages: QUEUED, bytes: 1 << 30 };
    let observer = Observer::start(Arc::clone(&engine), queue).expect("a thread");
    let mut random = Random(1);
    let requests: Vec<Arc<[u8]>> = (0..REQUESTS).map(|_| request(&mut random, features).into()).collect();
    let (method, answer): (Arc<str>, Arc<[u8]>) = (INFER.into(), Arc::from([]));
    let observe = |calls: usize| {
        for call in 0..calls {
            let messages = Messages::Call {
                request: Some(Arc::clone(&requests[call % REQUESTS])),
                response: Some(Arc::clone(&answer)),
            };
            let (method, bytes, now) = (Arc::clone(&method), messages.bytes(), call as u64);
            observer.offer(Job { method, version: 0, answered: true, counted: true, now, bytes, messages });
            if call % QUEUED == QUEUED - 1 {
                observer.flush(Duration::from_secs(30));
            }
        }
        observer.flush(Duration::from_secs(30));
    };
    observe(20_000);
    let start = processor_ns();
    observe(CALLS);
    let spent = processor_ns() - start;
    assert!(engine.statistics().balances());
    spent as f64 / CALLS as f64
}

/// What all threads have had of a processor so far.
fn processor_ns() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let counted = threads.filter_map(|thread| {
        let counted = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counted.split(' ').next()?.parse::<u64>().ok()
    });
    counted.sum()
}

/// `ModelInferRequest{model_name: "p", inputs: [{name: "x", datatype: "FP32", shape: [1, features]}], raw}`.
fn request(random: &mut Random, features: usize) -> Vec<u8> {
    let shape: Vec<u8> = [vec![1], varint(features)].concat();
    let head = [b"\x0a\x01x\x12\x04FP32\x1a".to_vec(), varint(shape.len()), shape].concat();
    let raw: Vec<u8> = (0..features).flat_map(|_| (random.uniform() as f32).to_le_bytes()).collect();
    let fields = [b"\x0a\x01p\x2a".to_vec(), varint(head.len()), head, vec![0x3a], varint(raw.len()), raw];
    fields.concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

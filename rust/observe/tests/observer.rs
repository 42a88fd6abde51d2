//! The observer over a real engine: every message is accounted for, and nothing that goes wrong stops it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_core::engine::{Engine, EngineConfig, QueueConfig};
use pilotfish_core::tensor::Direction;
use pilotfish_observe::{Job, Messages, Observer};
use serde_json::Value;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// `ModelInferRequest{model_name: "p", inputs: [{name: "x", datatype: "FP32", shape: [1, 2]}], raw: 1.0, 2.0}`.
const REQUEST: &[u8] =
    b"\x0a\x01p\x2a\x0d\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02\x3a\x08\x00\x00\x80\x3f\x00\x00\x00\x40";

/// `ModelInferResponse{outputs: [{name: "y", datatype: "FP32", shape: [1, 2]}], raw: 1.0, 2.0}`: names no model.
const RESPONSE: &[u8] =
    b"\x2a\x0d\x0a\x01y\x12\x04FP32\x1a\x02\x01\x02\x32\x08\x00\x00\x80\x3f\x00\x00\x00\x40";

/// The same with 1.0, 2.5.
const OTHER_RESPONSE: &[u8] =
    b"\x2a\x0d\x0a\x01y\x12\x04FP32\x1a\x02\x01\x02\x32\x08\x00\x00\x80\x3f\x00\x00\x20\x40";

fn engine() -> Arc<Engine> {
    engine_with("{}")
}

fn engine_with(monitor: &str) -> Arc<Engine> {
    let config = r#"{"monitor": MONITOR, "plane": "test", "versions": [{"name": "v1"}, {"name": "v2"}],
        "routes": [{"name": "r", "stable": "v1", "shadow": {"version": "v2", "share_ppm": 1000000,
            "max_in_flight": 4, "max_bytes": 1000, "timeout_ns": 1, "methods": ["/inference.GRPCInferenceService/ModelInfer"], "absolute": 0.1, "relative": 0.0}}],
        "sampling": {"share_ppm": 0}, "queue": {"messages": 1, "bytes": 1}}"#;
    let config = EngineConfig::from_json(&config.replace("MONITOR", monitor)).unwrap();
    Arc::new(Engine::new(config, BTreeMap::new(), 0).unwrap())
}

fn job(messages: Messages<&'static [u8]>) -> Job<&'static [u8]> {
    Job {
        method: INFER.into(),
        version: 0,
        answered: true,
        now: 1,
        counted: true,
        bytes: messages.bytes(),
        messages,
    }
}

fn call() -> Job<&'static [u8]> {
    job(Messages::Call { request: Some(REQUEST), response: Some(RESPONSE) })
}

fn observe(jobs: Vec<Job<&'static [u8]>>, queue: QueueConfig) -> (Arc<Engine>, Value) {
    observe_with(engine(), jobs, queue)
}

fn observe_with(
    engine: Arc<Engine>,
    jobs: Vec<Job<&'static [u8]>>,
    queue: QueueConfig,
) -> (Arc<Engine>, Value) {
    let observer = Observer::start(Arc::clone(&engine), queue).unwrap();
    for job in jobs {
        observer.offer(job);
    }
    assert!(observer.flush(Duration::from_secs(30)));
    observer.close();
    assert!(engine.statistics().balances());
    let snapshot = serde_json::to_value(engine.snapshot(1, true)).unwrap();
    (engine, snapshot)
}

const ROOMY: QueueConfig = QueueConfig { messages: 1024, bytes: 1 << 20 };

#[test]
fn an_answer_that_names_no_model_belongs_to_the_one_that_was_asked() {
    let (_, snapshot) = observe(vec![call(), call()], ROOMY);
    let models = snapshot["models"].as_array().unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!((&models[0]["model"], &models[0]["version"]), (&"p".into(), &"v1".into()));
    assert_eq!(models[0]["calls"], 2);
    assert_eq!(snapshot["statistics"]["decoded"], 4);
}

#[test]
fn what_cannot_be_read_is_counted_by_reason() {
    let truncated = job(Messages::One(Direction::Input, &REQUEST[..REQUEST.len() - 3]));
    let mut unknown = call();
    unknown.method = "/other.Service/Method".into();
    let (_, snapshot) = observe(vec![truncated, unknown], ROOMY);
    assert_eq!(snapshot["statistics"]["unreadable"]["malformed"], 1);
    assert_eq!(snapshot["statistics"]["unreadable"]["unknown_method"], 2);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let jobs = (0..1000).map(|_| call()).collect();
    let (_, snapshot) = observe(jobs, QueueConfig { messages: 1024, bytes: 100 });
    let statistics = &snapshot["statistics"];
    assert_eq!(statistics["offered"], 2000);
    let dropped = statistics["dropped"]["queue_bytes"].as_u64().unwrap();
    assert_eq!(dropped + statistics["decoded"].as_u64().unwrap(), 2000);
}

#[test]
fn two_answers_are_compared_and_the_shadow_is_watched() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    let ruling = engine.decide(&engine.policy(), INFER, none, 1);
    let shadow =
        |shadow| job(Messages::Shadow { ruling: Box::new(ruling.clone()), primary: RESPONSE, shadow });
    let jobs = vec![shadow(RESPONSE), shadow(OTHER_RESPONSE), shadow(b"\xff")];
    let (_, snapshot) = observe_with(engine, jobs, ROOMY);
    let account = &snapshot["shadows"][0];
    assert_eq!(
        (&account["match"], &account["mismatch"], &account["undecodable"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(account["max_difference"]["y"], 0.5);
}

/// Left out for the sake of the budget.
fn left_out(job: Job<&'static [u8]>, now: u64) -> Job<&'static [u8]> {
    Job { counted: false, now, ..job }
}

#[test]
fn a_call_that_is_left_out_is_counted_as_such_and_not_read() {
    let jobs = vec![left_out(call(), 1), call(), left_out(job(Messages::One(Direction::Input, b"\xff")), 1)];
    let (_, snapshot) = observe(jobs, ROOMY);
    let statistics = &snapshot["statistics"];
    assert_eq!(
        (&statistics["offered"], &statistics["thinned"], &statistics["decoded"]),
        (&5.into(), &3.into(), &2.into())
    );
    assert_eq!(statistics["unreadable"], serde_json::json!({}));
    assert_eq!(snapshot["models"][0]["rows"], 1);
}

#[test]
fn calls_that_are_left_out_belong_to_the_volume_all_the_same() {
    let volume = r#"{"volume": {"interval_ns": 1000, "learn_ns": 64000, "period_ns": null}}"#;
    let jobs = (0..10).map(|it| if it % 5 == 0 { call() } else { left_out(call(), it) }).collect();
    let (engine, snapshot) = observe_with(engine_with(volume), jobs, ROOMY);
    let statistics = &snapshot["statistics"];
    assert_eq!((&statistics["thinned"], &statistics["decoded"]), (&16.into(), &4.into()));
    let snapshot = serde_json::to_value(engine.snapshot(1_001, false)).unwrap();
    let model = &snapshot["models"][0];
    assert_eq!((&model["volume"]["calls"], &model["calls"]), (&10.into(), &2.into()));
}

#[test]
fn the_answer_of_a_shadow_that_is_left_out_is_compared_all_the_same() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    let ruling = engine.decide(&engine.policy(), INFER, none, 1);
    let shadow = Messages::Shadow { ruling: Box::new(ruling), primary: RESPONSE, shadow: OTHER_RESPONSE };
    let (_, snapshot) = observe_with(engine, vec![left_out(job(shadow), 1)], ROOMY);
    assert_eq!(
        (&snapshot["shadows"][0]["mismatch"], &snapshot["statistics"]["thinned"]),
        (&1.into(), &1.into())
    );
    assert_eq!(snapshot["models"], serde_json::json!([]));
}

#[test]
fn what_is_offered_after_closing_is_dropped_and_counted() {
    let engine = engine();
    let observer = Observer::start(Arc::clone(&engine), ROOMY).unwrap();
    observer.close();
    assert!(!observer.offer(call()));
    let account = engine.statistics().clone();
    assert_eq!((account.offered, account.dropped["closed"]), (2, 2));
    assert!(account.balances());
}

#[test]
fn many_threads_may_offer_at_once() {
    let engine = engine();
    let observer =
        Observer::start(Arc::clone(&engine), QueueConfig { messages: 64, bytes: 1 << 20 }).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..5_000).for_each(|_| {
                    observer.offer(call());
                })
            });
        }
    });
    observer.close();
    let account = engine.statistics().clone();
    assert!(account.balances(), "{account:?}");
    assert_eq!((account.offered, account.queued), (40_000, 0));
}

//! The native plane alone, without Python, for profilers: what a call costs in this crate, its library and the kernel.
//!
//! `cargo run --release -p pilotfish-proxy --example forward -- LISTEN UPSTREAM [watch [VALUES_PER_SECOND]]`, then calls
//! to LISTEN; ends when standard input does.
#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_core::engine::{Engine, EngineConfig, Profiles};
use pilotfish_proxy::{Certificates, Plane, PlaneConfig};

const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";

/// For the calls that are under way when the input ends.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, watch @ ..] = &arguments[..] else {
        return Err("usage: forward LISTEN UPSTREAM [watch [VALUES_PER_SECOND]]".into());
    };
    let monitor = if watch.is_empty() { "null" } else { "{}" };
    let budget = watch.get(1).map_or("null", String::as_str);
    let queue = r#"{"messages": 8192, "bytes": 67108864}"#;
    let engine = format!(
        r#"{{"plane": "native", "versions": [{{"name": "v1", "upstream": "{upstream}"}}],
            "routes": [{{"name": "default", "stable": "v1"}}], "sampling": {{"share_ppm": 0}},
            "monitor": {monitor}, "values_per_second": {budget}, "queue": {queue}}}"#
    );
    let config =
        format!(r#"{{"listen": "{listen}", "now_ns": 0, "unary_methods": ["{METHOD}"], "queue": {queue}}}"#);
    let engine = Arc::new(Engine::new(EngineConfig::from_json(&engine)?, Profiles::new(), 0)?);
    let plane = Plane::start(
        Arc::clone(&engine),
        PlaneConfig::from_json(&config)?,
        Arc::new(Certificates::default()),
    )?;
    println!("listening on {}", plane.listen());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    plane.drain(GRACE);
    println!("{:?}", engine.snapshot(0, false).statistics.account);
    Ok(())
}

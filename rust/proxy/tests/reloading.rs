//! Another policy in force while calls are under way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pilotfish_core::engine::Profiles;
use pilotfish_core::policy::PolicyConfig;
use pilotfish_proxy::Reachability;
use stand::*;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

const RELOADS: usize = 300;

/// One route to `stable`, and these versions.
fn policy(stable: &str, versions: &[(&str, &str)]) -> PolicyConfig {
    let versions: Vec<String> = versions
        .iter()
        .map(|(name, address)| format!(r#"{{"name": "{name}", "upstream": "{address}"}}"#))
        .collect();
    let text = format!(
        r#"{{"versions": [{}], "routes": [{{"name": "r", "stable": "{stable}"}}], "sampling": {{"share_ppm": 0}}}}"#,
        versions.join(",")
    );
    PolicyConfig::from_json(&text).unwrap()
}

fn apply(stand: &Stand, stable: &str, versions: &[(&str, &str)]) {
    stand.engine.apply(policy(stable, versions), Profiles::new()).unwrap();
    stand.plane.refresh();
}

/// A backend that answers everything with its name.
async fn named(name: &'static str) -> String {
    backend(move |mut call: Call| async move {
        let Ok(mut reply) = call.respond.send_response(ok_headers(), false) else { return };
        let _ = reply.send_data(framed(name.as_bytes()), false);
        let _ = reply.send_trailers(status("0"));
    })
    .await
}

#[tokio::test]
async fn a_call_under_way_ends_where_it_began_and_then_its_connection_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old = listener.local_addr().unwrap().to_string();
    let (inside, mut entered) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let (gate, connections) = (Arc::clone(&gate), Arc::clone(&connections));
        async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (inside, gate, connections) =
                    (inside.clone(), Arc::clone(&gate), Arc::clone(&connections));
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let held = move |call: Call| {
                        let (inside, gate) = (inside.clone(), Arc::clone(&gate));
                        async move {
                            inside.send(()).unwrap();
                            gate.notified().await;
                            echo(call).await;
                        }
                    };
                    speak(socket, held).await;
                    connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
    });
    let stand = Stand::before(&old, "");
    let sender = client(&stand.address).await;
    let under_way = tokio::spawn({
        let sender = sender.clone();
        async move { unary(&sender, request("/a/b"), b"begun before").await }
    });
    entered.recv().await.unwrap();

    apply(&stand, "v2", &[("v2", &named("new").await)]);
    until(|| stand.plane.upstreams().get("v2") == Some(&Reachability::Ready)).await;
    let next = unary(&sender, request("/a/b"), b"").await.unwrap();
    assert_eq!((next.status(), &next.data[5..]), ("0", &b"new"[..]));
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection with the call on it stays, others go");

    gate.notify_one();
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!((answer.status(), &answer.data[5..]), ("0", &b"begun before"[..]));
    until(|| connections.load(Ordering::SeqCst) == 0).await;
    assert!(!stand.plane.upstreams().contains_key("v1"));
    let calls = stand.snapshot()["calls"]["series"].clone();
    let counted = |version: &str| calls.as_array().unwrap().iter().any(|it| it["version"] == version);
    assert!(counted("v1") && counted("v2"), "{calls}");
}

#[tokio::test]
async fn no_call_is_lost_and_none_sees_half_of_a_reload() {
    let (one, two, wrong) = (named("one").await, named("two").await, named("wrong").await);
    // A table of the first with addresses of the second, or the other way round, leads to the wrong server.
    let first = [("v1", one.as_str()), ("v2", wrong.as_str())];
    let second = [("v1", wrong.as_str()), ("v2", two.as_str())];
    let stand = Arc::new(Stand::with_routes(&first, r#"[{"name": "r", "stable": "v1"}]"#, ""));
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (stand, over) = (Arc::clone(&stand), Arc::clone(&over));
            tokio::spawn(async move {
                let sender = client(&stand.address).await;
                let mut seen = [0, 0];
                while !over.load(Ordering::SeqCst) {
                    let answer = unary(&sender, request("/a/b"), b"").await.unwrap();
                    assert_eq!(answer.status(), "0", "{}", answer.message());
                    match &answer.data[5..] {
                        b"one" => seen[0] += 1,
                        b"two" => seen[1] += 1,
                        other => panic!("answered by {}", String::from_utf8_lossy(other)),
                    }
                }
                seen
            })
        })
        .collect();
    for reload in 0..RELOADS {
        let (stable, versions) = if reload % 2 == 0 { ("v2", &second) } else { ("v1", &first) };
        apply(&stand, stable, versions);
        let before = stand.snapshot()["calls"]["total"].as_u64().unwrap();
        until(|| stand.snapshot()["calls"]["total"].as_u64().unwrap() > before).await;
    }
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        let [one, two] = caller.await.unwrap();
        assert!(one > 0 && two > 0, "{one} and {two}");
    }
    assert_eq!(stand.snapshot()["generation"], RELOADS as u64 + 1);
    // Of all the connections that were made only those to the servers of the last policy are left.
    until(|| {
        let counters = stand.plane.counters();
        counters.upstream_connected - counters.upstream_lost <= 6
    })
    .await;
}

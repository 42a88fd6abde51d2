//! What is decided, counted, observed, kept and copied while calls pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use pilotfish_core::engine::Profiles;
use pilotfish_core::policy::PolicyConfig;
use serde_json::Value;
use stand::*;
use tokio::sync::mpsc;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// `model_name: "m"`, which reads as a request and as a response.
const MESSAGE: &[u8] = b"\x0a\x01m";

async fn settled(stand: &Stand, calls: u64) -> Value {
    until(|| stand.snapshot()["calls"]["total"] == calls).await;
    assert!(stand.plane.flush(PATIENCE));
    stand.snapshot()
}

#[tokio::test]
async fn unary_calls_are_counted_and_their_messages_read() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for _ in 0..10 {
        assert_eq!(unary(&sender, request(INFER), MESSAGE).await.unwrap().status(), "0");
    }
    let snapshot = settled(&stand, 10).await;
    let series = &snapshot["calls"]["series"][0];
    assert_eq!(
        (&series["code"], &series["count"], &series["version"]),
        (&"OK".into(), &10.into(), &"v1".into())
    );
    assert_eq!(snapshot["calls"]["request_size"]["sum"], 30.0);
    assert_eq!(
        (&snapshot["statistics"]["offered"], &snapshot["statistics"]["queued"]),
        (&20.into(), &0.into())
    );
    assert_eq!(
        (&snapshot["journal"]["observed"], &snapshot["journal"]["sampled_out"]),
        (&10.into(), &10.into())
    );
}

#[tokio::test]
async fn every_message_of_a_stream_is_read() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, mut upload) =
        sender.send_request(request("/inference.GRPCInferenceService/ModelStreamInfer"), false).unwrap();
    for _ in 0..5 {
        upload.send_data(framed(MESSAGE), false).unwrap();
    }
    upload.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer(response).await.unwrap().data.len(), 5 * framed(MESSAGE).len());
    let snapshot = settled(&stand, 1).await;
    assert_eq!(snapshot["statistics"]["offered"], 10);
}

#[tokio::test]
async fn a_compressed_message_is_forwarded_and_counted_as_unreadable() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, mut upload) = sender.send_request(request(INFER), false).unwrap();
    upload.send_data(Bytes::from_static(b"\x01\0\0\0\x02\x1f\x8b"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().data, b"\x01\0\0\0\x02\x1f\x8b");
    let statistics = &settled(&stand, 1).await["statistics"];
    assert_eq!((&statistics["offered"], &statistics["unreadable"]["compressed"]), (&2.into(), &2.into()));
}

#[tokio::test]
async fn a_message_in_many_frames_is_read_as_one() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, mut upload) = sender.send_request(request(INFER), false).unwrap();
    for byte in framed(MESSAGE) {
        upload.send_data(Bytes::copy_from_slice(&[byte]), false).unwrap();
        tokio::task::yield_now().await;
    }
    upload.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer(response).await.unwrap().data, framed(MESSAGE));
    assert_eq!(settled(&stand, 1).await["statistics"]["unreadable"], serde_json::json!({}));
}

#[tokio::test]
async fn failed_calls_are_kept_with_what_was_asked_for() {
    let upstream = backend(async |mut call: Call| {
        let mut body = call.request.into_body();
        let _ = read(&mut body).await;
        let mut response = ok_headers();
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("13"));
        response.headers_mut().insert("grpc-message", HeaderValue::from_static("kaputt%21"));
        call.respond.send_response(response, true).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, r#""metadata": ["x-user"], "payloads": true,"#);
    let mut sent = request(INFER);
    sent.headers_mut().insert("x-user", HeaderValue::from_static("42"));
    sent.headers_mut().insert("authorization", HeaderValue::from_static("secret"));
    assert_eq!(unary(&client(&stand.address).await, sent, b"hello").await.unwrap().status(), "13");
    let plane = Arc::clone(&stand.plane);
    let kept = tokio::task::spawn_blocking(move || plane.kept(10, PATIENCE)).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].code, &*kept[0].message, kept[0].reason.name()), (13, "kaputt!", "error"));
    assert_eq!(kept[0].metadata, [("x-user".to_owned(), Bytes::from_static(b"42"))]);
    assert_eq!(kept[0].request.as_ref().unwrap().joined().as_ref(), b"hello");
    assert!(kept[0].peer.starts_with("ipv4:127.0.0.1:"), "{}", kept[0].peer);
    assert!(kept[0].duration >= kept[0].upstream);
    assert_eq!(stand.snapshot()["journal"]["queued"], 1);
}

#[tokio::test]
async fn kept_calls_that_nobody_fetches_are_dropped_and_accounted_for() {
    let stand = Stand::before("127.0.0.1:1", r#""kept": 3,"#);
    let sender = client(&stand.address).await;
    for _ in 0..10 {
        assert_eq!(unary(&sender, request(INFER), b"x").await.unwrap().status(), "14");
    }
    let journal = &settled(&stand, 10).await["journal"];
    assert_eq!((&journal["queued"], &journal["dropped"]["queue_full"]), (&3.into(), &7.into()));
}

#[tokio::test]
async fn kept_calls_that_nobody_wants_are_accounted_for_as_kept_and_wait_for_nobody() {
    let stand = Stand::before("127.0.0.1:1", r#""kept": 0,"#);
    let sender = client(&stand.address).await;
    for _ in 0..10 {
        assert_eq!(unary(&sender, request(INFER), b"x").await.unwrap().status(), "14");
    }
    let journal = &settled(&stand, 10).await["journal"];
    assert_eq!((&journal["kept"], &journal["queued"]), (&10.into(), &0.into()));
    assert!(stand.plane.kept(10, Duration::ZERO).is_empty());
}

#[tokio::test]
async fn calls_are_spread_by_their_sticky_key() {
    let (first, second) = (backend(echo).await, backend(echo).await);
    let routes = r#"[{"name": "r", "stable": "v1", "candidates": [{"version": "v2", "weight_ppm": 500000}],
        "sticky": ["metadata:user"]}]"#;
    let stand = Stand::with_routes(&[("v1", &first), ("v2", &second)], routes, "");
    let sender = client(&stand.address).await;
    for call in 0..400 {
        let mut sent = request(INFER);
        sent.headers_mut().insert("user", HeaderValue::from(call % 100));
        assert_eq!(unary(&sender, sent, b"").await.unwrap().status(), "0");
    }
    let route = &settled(&stand, 400).await["routes"][0];
    let calls: Vec<u64> = (0..2).map(|i| route["versions"][i]["calls"].as_u64().unwrap()).collect();
    assert!(calls.iter().all(|calls| calls % 4 == 0 && *calls > 100), "{calls:?}");
}

/// Of a model "m", with 4 KB of nothing that is known.
fn large_message() -> Vec<u8> {
    [MESSAGE, b"\xfa\x01\xa0\x1f", &[0; 4_000]].concat()
}

/// A budget of one value per second, which the first message exhausts for the length of any test.
fn spare(stand: &Stand, versions: &str, routes: &str) {
    let text = format!(
        r#"{{"versions": [{versions}], "routes": {routes}, "sampling": {{"share_ppm": 0}}, "values_per_second": 1}}"#
    );
    stand.engine.apply(PolicyConfig::from_json(&text).unwrap(), Profiles::new()).unwrap();
}

#[tokio::test]
async fn beyond_the_budget_whole_calls_are_left_out_of_the_statistics_and_of_nothing_else() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let version = format!(r#"{{"name": "v1", "upstream": "{upstream}"}}"#);
    spare(&stand, &version, r#"[{"name": "r", "stable": "v1"}]"#);
    let mut sender = client(&stand.address).await;
    assert_eq!(unary(&sender, request(INFER), &large_message()).await.unwrap().status(), "0");
    settled(&stand, 1).await;
    for _ in 0..20 {
        assert_eq!(unary(&sender, request(INFER), &large_message()).await.unwrap().status(), "0");
    }
    let (response, mut upload) =
        sender.send_request(request("/inference.GRPCInferenceService/ModelStreamInfer"), false).unwrap();
    (0..5).for_each(|_| upload.send_data(framed(MESSAGE), false).unwrap());
    upload.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer(response).await.unwrap().status(), "0");
    let snapshot = settled(&stand, 22).await;
    let statistics = &snapshot["statistics"];
    assert_eq!(
        (&statistics["offered"], &statistics["decoded"], &statistics["thinned"]),
        (&52.into(), &2.into(), &50.into())
    );
    assert_eq!(
        (&snapshot["models"][0]["calls"], &snapshot["routes"][0]["decisions"]["static"]),
        (&1.into(), &22.into())
    );
    assert_eq!(snapshot["calls"]["request_size"]["count"], 22);
}

#[tokio::test]
async fn beyond_the_budget_shadows_are_compared_all_the_same() {
    let (primary, shadow) = (backend(echo).await, backend(echo).await);
    let stand = Stand::with_routes(&[("v1", &primary), ("v2", &shadow)], SHADOWED, "");
    let version = |name, upstream| format!(r#"{{"name": "{name}", "upstream": "{upstream}"}}"#);
    spare(&stand, &[version("v1", &primary), version("v2", &shadow)].join(","), SHADOWED);
    let sender = client(&stand.address).await;
    for call in 1..=10 {
        assert_eq!(unary(&sender, request(INFER), &large_message()).await.unwrap().status(), "0");
        until(|| stand.snapshot()["shadows"][0]["ok"] == call).await;
        settled(&stand, call).await;
    }
    let snapshot = stand.snapshot();
    assert_eq!(snapshot["shadows"][0]["match"], 10);
    // Of the first call both versions are watched, of the others neither.
    assert_eq!(
        (&snapshot["statistics"]["decoded"], &snapshot["statistics"]["thinned"]),
        (&3.into(), &27.into())
    );
}

const SHADOWED: &str = r#"[{"name": "r", "stable": "v1", "shadow": {"version": "v2", "share_ppm": 1000000,
    "max_in_flight": 100, "max_bytes": 10000000, "timeout_ns": 100000000, "methods": ["/inference.GRPCInferenceService/ModelInfer"],
    "absolute": 0.0, "relative": 0.0}}]"#;

#[tokio::test]
async fn a_shadow_sees_the_same_call_and_its_answer_is_compared() {
    let (seen, mut copies) = mpsc::unbounded_channel();
    let primary = backend(echo).await;
    let shadow = backend(move |call: Call| {
        let head = (call.request.headers().clone(), call.request.uri().clone());
        seen.send(head).unwrap();
        echo(call)
    })
    .await;
    let stand = Stand::with_routes(&[("v1", &primary), ("v2", &shadow)], SHADOWED, "");
    let mut sent = request(INFER);
    sent.headers_mut().insert("x-user", HeaderValue::from_static("42"));
    let answer = unary(&client(&stand.address).await, sent, MESSAGE).await.unwrap();
    assert_eq!(answer.status(), "0");
    assert!(!answer.head.headers.contains_key("x-pilotfish-shadow"));
    let (headers, uri) = copies.recv().await.unwrap();
    assert_eq!(
        (&headers["x-user"], &headers["x-pilotfish-shadow"]),
        (&"42".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!((uri.path(), uri.authority().unwrap().as_str()), (INFER, "model.example:8001"));
    until(|| stand.snapshot()["shadows"][0]["ok"] == 1).await;
    assert!(stand.plane.flush(PATIENCE));
    let shadow = &stand.snapshot()["shadows"][0];
    assert_eq!(
        (&shadow["in_flight"], &shadow["match"], &shadow["undecodable"]),
        (&0.into(), &1.into(), &0.into())
    );
}

#[tokio::test]
async fn a_shadow_that_hangs_or_is_gone_is_never_noticed() {
    let primary = backend(echo).await;
    let hanging = backend(async |_call: Call| std::future::pending().await).await;
    for shadow in [hanging.as_str(), "127.0.0.1:1"] {
        let stand = Stand::with_routes(&[("v1", &primary), ("v2", shadow)], SHADOWED, "");
        let sender = client(&stand.address).await;
        for _ in 0..50 {
            assert_eq!(unary(&sender, request(INFER), MESSAGE).await.unwrap().status(), "0");
        }
        until(|| stand.snapshot()["shadows"][0]["in_flight"] == 0).await;
        let shadow = stand.snapshot()["shadows"][0].clone();
        assert_eq!(shadow["timeout"].as_u64().unwrap() + shadow["error"].as_u64().unwrap(), 50, "{shadow}");
        assert_eq!(stand.snapshot()["calls"]["total"], 50);
    }
}

#[tokio::test]
async fn copies_that_would_hold_too_much_are_dropped_and_counted() {
    let primary = backend(echo).await;
    let hanging = backend(async |_call: Call| std::future::pending().await).await;
    // Room for five requests of 4 KiB and their answers.
    let routes = SHADOWED
        .replace("10000000,", "42000,")
        .replace("\"timeout_ns\": 100000000", "\"timeout_ns\": 60000000000");
    let stand = Stand::with_routes(&[("v1", &primary), ("v2", &hanging)], &routes, "");
    let sender = client(&stand.address).await;
    for _ in 0..20 {
        assert_eq!(unary(&sender, request(INFER), &large_message()).await.unwrap().status(), "0");
    }
    settled(&stand, 20).await;
    until(|| stand.snapshot()["shadows"][0]["dropped"] == 15).await;
    assert_eq!(stand.snapshot()["shadows"][0]["in_flight"], 5);
}

#[tokio::test]
async fn a_copy_of_a_request_longer_than_what_is_kept_counts_as_dropped() {
    let (primary, shadow) = (backend(echo).await, backend(echo).await);
    let limits = r#""limits": {"observed_message": 1000},"#;
    let stand = Stand::with_routes(&[("v1", &primary), ("v2", &shadow)], SHADOWED, limits);
    let sender = client(&stand.address).await;
    for _ in 0..3 {
        assert_eq!(unary(&sender, request(INFER), &large_message()).await.unwrap().status(), "0");
    }
    until(|| stand.snapshot()["shadows"][0]["dropped"] == 3).await;
}

#[tokio::test]
async fn a_stalled_client_stops_its_own_model_server_and_nobody_else() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = backend(move |mut call: Call| {
        let count = Arc::clone(&count);
        async move {
            if call.request.uri().path() != "/endless" {
                return echo(call).await;
            }
            let mut reply = call.respond.send_response(ok_headers(), false).unwrap();
            loop {
                reply.reserve_capacity(16 * 1024);
                let Some(Ok(room)) = std::future::poll_fn(|cx| reply.poll_capacity(cx)).await else { return };
                count.fetch_add(room, Ordering::SeqCst);
                reply.send_data(Bytes::from(vec![0; room]), false).unwrap();
            }
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut stalled = client(&stand.address).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let (response, _) = stalled.send_request(request("/endless"), true).unwrap();
        stalled = stalled.ready().await.unwrap();
        held.push(response.await.unwrap());
    }
    // The amount settles once every window on the way is full.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before <= 20 << 20, "{before} bytes were taken from the model server");
    let other = client(&stand.address).await;
    for _ in 0..20 {
        assert_eq!(unary(&other, request(INFER), &vec![1; 1 << 20]).await.unwrap().status(), "0");
    }
    drop(held);
}

#[tokio::test]
async fn unix_sockets_serve_on_both_sides() {
    let (front, back) = (socket_path(), socket_path());
    let listener = tokio::net::UnixListener::bind(&back).unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(speak(socket, echo));
        }
    });
    let listen = format!(r#""listen": "unix:{}","#, front.display());
    let stand = Stand::before(&format!("unix:{}", back.display()), &listen);
    let sender = client_on(tokio::net::UnixStream::connect(&front).await.unwrap()).await;
    assert_eq!(unary(&sender, request(INFER), MESSAGE).await.unwrap().status(), "0");
    drop(sender);
    assert!(stand.drain(PATIENCE).await);
    assert!(!front.exists());
    std::fs::remove_file(back).unwrap();
}

#[tokio::test]
async fn ipv6_and_more_threads_serve_all_the_same() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, r#""listen": "[::1]:0", "threads": 3,"#);
    assert!(stand.address.starts_with("[::1]:"), "{}", stand.address);
    for _ in 0..12 {
        let sender = client(&stand.address).await;
        assert_eq!(unary(&sender, request(INFER), MESSAGE).await.unwrap().status(), "0");
    }
    assert_eq!(settled(&stand, 12).await["calls"]["total"], 12);
}

//! How calls end when somebody is late, gone, or going.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::HeaderValue;
use stand::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

#[tokio::test]
async fn an_expired_deadline_is_answered_and_the_model_server_is_told() {
    let (seen, mut resets) = mpsc::unbounded_channel();
    let upstream = backend(move |mut call: Call| {
        let seen = seen.clone();
        async move {
            let timeout = call.request.headers()["grpc-timeout"].to_str().unwrap().to_owned();
            seen.send((timeout, poll_fn(|cx| call.respond.poll_reset(cx)).await.unwrap())).unwrap();
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sent = request("/a/b");
    sent.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+json"));
    sent.headers_mut().insert("grpc-timeout", HeaderValue::from_static("100m"));
    let begun = Instant::now();
    let answer = unary(&client(&stand.address).await, sent, b"x").await.unwrap();
    assert_eq!((answer.status(), answer.trailers_only), ("4", true));
    assert!(answer.message().starts_with("pilotfish:"), "{}", answer.message());
    assert_eq!(answer.head.headers["content-type"], "application/grpc+json");
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let (timeout, reset) = resets.recv().await.unwrap();
    assert_eq!(reset, Reason::CANCEL);
    let nanos: u64 = timeout.strip_suffix('n').unwrap().parse().unwrap();
    assert!(nanos < 100_000_000, "{timeout}");
    assert_eq!(stand.plane.counters().calls_expired, 1);
}

#[tokio::test]
async fn a_deadline_after_the_first_headers_ends_in_trailers() {
    let upstream = backend(async |mut call: Call| {
        let _reply = call.respond.send_response(ok_headers(), false).unwrap();
        let _ = poll_fn(|cx| call.respond.poll_reset(cx)).await;
        std::future::pending::<()>().await;
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sent = request("/a/b");
    sent.headers_mut().insert("grpc-timeout", HeaderValue::from_static("50m"));
    let answer = unary(&client(&stand.address).await, sent, b"x").await.unwrap();
    assert_eq!((answer.status(), answer.trailers_only), ("4", false));
}

#[tokio::test]
async fn no_time_at_all_asks_nobody() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = backend(move |call: Call| {
        count.fetch_add(1, Ordering::SeqCst);
        echo(call)
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sent = request("/a/b");
    sent.headers_mut().insert("grpc-timeout", HeaderValue::from_static("0S"));
    assert_eq!(unary(&client(&stand.address).await, sent, b"x").await.unwrap().status(), "4");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_odd_timeout_is_passed_on_as_it_is() {
    let (seen, mut timeouts) = mpsc::unbounded_channel();
    let upstream = backend(move |call: Call| {
        seen.send(call.request.headers()["grpc-timeout"].clone()).unwrap();
        echo(call)
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for timeout in ["soon", "99999999H"] {
        let mut sent = request("/a/b");
        sent.headers_mut().insert("grpc-timeout", HeaderValue::from_static(timeout));
        assert_eq!(unary(&sender, sent, b"x").await.unwrap().status(), "0");
        assert_eq!(timeouts.recv().await.unwrap(), timeout);
    }
}

#[tokio::test]
async fn an_unreachable_model_server_is_said_at_once_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    drop(listener);
    let stand = Stand::before(&upstream.to_string(), "");
    let sender = client(&stand.address).await;
    let answer = unary(&sender, request("/a/b"), b"x").await.unwrap();
    assert_eq!((answer.status(), answer.trailers_only), ("14", true));
    assert!(answer.message().starts_with("pilotfish: upstream v1 at 127.0.0.1:"), "{}", answer.message());
    tokio::spawn(listen(TcpListener::bind(upstream).await.unwrap(), echo));
    let found = async {
        while unary(&sender, request("/a/b"), b"x").await.unwrap().status() != "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

/// Reads what a client says, up to the first header block.
async fn read_call(socket: &mut TcpStream) {
    let mut said = vec![0; 24];
    socket.read_exact(&mut said).await.unwrap();
    let mut kind = 0;
    while kind != 1 {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        socket.read_exact(&mut payload).await.unwrap();
        kind = head[3];
    }
}

/// A model server whose first connections say this when they are called; the others answer.
async fn broken_at_first(connections: usize, words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for _ in 0..connections {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_call(&mut socket).await;
            socket.write_all(words).await.unwrap();
            // Whatever else comes is read, so that the connection ends with what was said and not with a reset.
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
        }
        listen(listener, echo).await;
    });
    address
}

#[tokio::test]
async fn after_a_connection_that_broke_in_its_first_call_the_next_call_has_another_at_once() {
    // Settings, then data that belongs to no stream.
    let upstream = broken_at_first(3, b"\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\0x").await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for _ in 0..3 {
        let answer = unary(&sender, request("/a/b"), b"x").await.unwrap();
        assert!(answer.message().contains("broke HTTP/2"), "{} {}", answer.status(), answer.message());
    }
    for _ in 0..3 {
        assert_eq!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    }
}

#[tokio::test]
async fn who_does_not_speak_http2_is_unavailable_until_it_does() {
    let upstream = broken_at_first(1, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    assert_ne!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    let answered = async {
        loop {
            let answer = unary(&sender, request("/a/b"), b"x").await.unwrap();
            if answer.status() == "0" {
                return;
            }
            assert_eq!(answer.status(), "14", "{}", answer.message());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_unavailable_to_every_call_on_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { unary(&sender, request("/a/b"), b"x").await })
        })
        .collect();
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let mut held: Vec<(_, h2::server::SendResponse<Bytes>)> = Vec::new();
    while held.len() < 8 {
        held.push(connection.accept().await.unwrap().unwrap());
    }
    drop(connection);
    drop(listener);
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.status(), "14");
        assert!(answer.message().contains("was lost"), "{}", answer.message());
    }
}

#[tokio::test]
async fn a_model_server_that_says_goodbye_is_invisible() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    // Each connection answers ten calls and then closes as a server with a maximal connection age does.
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                let mut calls = 0;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(echo(Call { request, respond }));
                    calls += 1;
                    if calls == 10 {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for _ in 0..200 {
        assert_eq!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    }
    assert!(stand.plane.counters().upstream_connected >= 20);
}

#[tokio::test]
async fn calls_that_wait_for_a_free_stream_of_the_model_server_all_get_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(1).handshake(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(echo(Call { request, respond }));
        }
    });
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    assert_eq!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    let (message, mut calls) = (framed(&[7; 200_000]), Vec::new());
    for _ in 0..6 {
        let (response, mut upload) =
            sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
        upload.send_data(message.clone(), false).unwrap();
        // Each has come as far as it gets before the next begins.
        let waited = stand.plane.counters().upstreams_waited_for;
        until(|| stand.plane.counters().upstreams_waited_for > waited).await;
        calls.push((response, upload));
    }
    for (response, mut upload) in calls {
        upload.send_data(Bytes::new(), true).unwrap();
        let answer = answer(response).await.unwrap();
        assert_eq!((answer.status(), answer.data == message), ("0", true));
    }
}

#[tokio::test]
async fn ten_thousand_cancels_leave_the_connection_as_it_was() {
    let upstream = backend(async |mut call: Call| {
        let mut body = call.request.into_body();
        if read(&mut body).await.is_ok_and(|data| !data.is_empty()) {
            call.respond.send_response(ok_headers(), false).unwrap().send_trailers(status("0")).unwrap();
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for call in 0..10_000 {
        let (response, mut upload) =
            sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
        upload.send_reset(Reason::CANCEL);
        drop(response);
        if call % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    until(|| stand.plane.counters().calls_open == 0).await;
    let counters = stand.plane.counters();
    assert_eq!((counters.connections_accepted, counters.connections_abusive), (1, 0));
}

#[tokio::test]
async fn rapid_resets_beyond_the_limit_end_the_connection_and_nobody_elses() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, r#""limits": {"pending_resets": 10},"#);
    let other = client(&stand.address).await;
    assert_eq!(unary(&other, request("/a/b"), b"x").await.unwrap().status(), "0");
    let hostile = client(&stand.address).await;
    let attack = async {
        loop {
            let Ok(mut sender) = hostile.clone().ready().await else { break };
            for _ in 0..50 {
                let Ok((_, mut upload)) = sender.send_request(request("/a/b"), false) else { return };
                upload.send_data(framed(b"x"), false).unwrap();
                tokio::task::yield_now().await;
                upload.send_reset(Reason::CANCEL);
            }
        }
    };
    // Whether resets pile up depends on how the frames fall into reads; the other client must not notice either way.
    let _ = tokio::time::timeout(Duration::from_millis(500), attack).await;
    assert_eq!(unary(&other, request("/a/b"), b"x").await.unwrap().status(), "0");
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_takes_no_new_connections() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (answer_now, _) = tokio::sync::broadcast::channel::<()>(1);
    let answer = answer_now.clone();
    let upstream = backend(move |call: Call| {
        let (arrived, mut go) = (arrived.clone(), answer.subscribe());
        async move {
            arrived.send(()).unwrap();
            go.recv().await.unwrap();
            echo(call).await;
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { unary(&sender, request("/a/b"), b"x").await })
        })
        .collect();
    for _ in 0..20 {
        arrivals.recv().await.unwrap();
    }
    let plane = Arc::clone(&stand.plane);
    let drained = tokio::task::spawn_blocking(move || plane.drain(PATIENCE));
    until(|| !stand.plane.is_serving()).await;
    let refused = async {
        while tokio::net::TcpStream::connect(&stand.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    answer_now.send(()).unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), "0");
    }
    assert!(drained.await.unwrap());
    assert_eq!(stand.snapshot()["calls"]["total"], 20);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_broken_off_and_counted() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let upstream = backend(move |mut call: Call| {
        let (arrived, ended) = (arrived.clone(), ended.clone());
        async move {
            arrived.send(()).unwrap();
            let reset = poll_fn(|cx| call.respond.poll_reset(cx)).await;
            ended.send(reset.is_ok()).unwrap();
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let call = tokio::spawn(async move { unary(&sender, request("/a/b"), b"x").await });
    arrivals.recv().await.unwrap();
    assert!(!stand.drain(Duration::from_millis(20)).await);
    assert!(call.await.unwrap().is_err());
    ends.recv().await.unwrap();
    let calls = &stand.snapshot()["calls"];
    assert_eq!((&calls["total"], &calls["active"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn an_idle_client_is_asked_to_go() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, r#""limits": {"idle_ns": 50000000},"#);
    let sender = client(&stand.address).await;
    assert_eq!(unary(&sender, request("/a/b"), b"x").await.unwrap().status(), "0");
    until(|| stand.plane.counters().connections_open == 0).await;
    assert_eq!(stand.plane.counters().connections_idle, 1);
}

#[tokio::test]
async fn whoever_does_not_speak_http2_is_let_go() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, r#""limits": {"handshake_ns": 50000000},"#);
    let _silent = tokio::net::TcpStream::connect(&stand.address).await.unwrap();
    until(|| stand.plane.counters().handshakes_failed == 1).await;
    assert_eq!(stand.plane.counters().connections_open, 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, r#""limits": {"connections": 1},"#);
    let first = client(&stand.address).await;
    assert_eq!(unary(&first, request("/a/b"), b"x").await.unwrap().status(), "0");
    let _second = tokio::net::TcpStream::connect(&stand.address).await.unwrap();
    until(|| stand.plane.counters().connections_refused == 1).await;
    assert_eq!(unary(&first, request("/a/b"), b"x").await.unwrap().status(), "0");
}

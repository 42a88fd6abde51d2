//! Token streams: very many very small messages are what a language model is used for, and no flood.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use bytes::Bytes;
use stand::*;

const TOKENS: usize = 100_000;

#[tokio::test]
async fn a_hundred_thousand_tokens_pass_both_ways_on_one_call() {
    there_and_back("").await;
}

#[tokio::test]
async fn tokens_pass_through_the_smallest_windows() {
    there_and_back(r#""limits": {"connection_window": 65535, "stream_window": 65535},"#).await;
}

async fn there_and_back(extra: &str) {
    let upstream = backend(one_by_one).await;
    let stand = Stand::before(&upstream, extra);
    let sender = client(&stand.address).await;
    let (response, mut upload) =
        sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
    let reading = tokio::spawn(answer(response));
    for token in 0..TOKENS {
        upload.send_data(framed(b"t"), token + 1 == TOKENS).unwrap();
        if token % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let answer = reading.await.unwrap().unwrap();
    assert_eq!((answer.status(), answer.message(), answer.data.len()), ("0", "", 6 * TOKENS));
    let counters = stand.plane.counters();
    assert_eq!((counters.connections_accepted, counters.connections_abusive), (1, 0));
    assert_eq!(counters.upstream_connected, 1);
}

#[tokio::test]
async fn tokens_wait_for_a_client_that_reads_late() {
    late(|_| Bytes::from_static(b"\0\0\0\0\x01t")).await;
}

#[tokio::test]
async fn tokens_among_longer_messages_wait_for_a_client_that_reads_late() {
    late(|token| framed(&vec![b't'; if token % 30_000 == 20_000 { 3000 } else { 1 }])).await;
}

/// What is answered waits for a client, and others do not wait for it.
async fn late(message: fn(usize) -> Bytes) {
    let expected: Vec<u8> = (0..TOKENS).flat_map(message).collect();
    let upstream = backend(move |call: Call| async move {
        let mut respond = call.respond;
        let mut reply = respond.send_response(ok_headers(), false).unwrap();
        for token in 0..TOKENS {
            reply.send_data(message(token), false).unwrap();
        }
        reply.send_trailers(status("0")).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let (response, _upload) =
        sender.clone().ready().await.unwrap().send_request(request("/a/b"), true).unwrap();
    until(|| stand.plane.counters().clients_waited_for == 1).await;
    // Another call comes through while all those tokens wait.
    let other = client(&stand.address).await;
    let (prompt, _upload) = other.clone().ready().await.unwrap().send_request(request("/a/b"), true).unwrap();
    assert!(answer(prompt).await.unwrap().data == expected);
    let late = answer(response).await.unwrap();
    assert_eq!((late.status(), late.message()), ("0", ""));
    assert!(late.data == expected);
    assert_eq!((stand.plane.counters().calls_lost, stand.plane.counters().upstream_lost), (0, 0));
}

#[tokio::test]
async fn an_empty_piece_between_messages_is_no_reason_to_go() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for _ in 0..300 {
        let (response, mut upload) =
            sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
        upload.send_data(Bytes::new(), false).unwrap();
        upload.send_data(framed(b"x"), true).unwrap();
        assert_eq!(answer(response).await.unwrap().status(), "0");
    }
    assert_eq!(stand.plane.counters().connections_abusive, 0);
}

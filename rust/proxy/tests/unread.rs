//! Many streams on one connection of which some stand still, or nobody reads: others go on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use stand::*;

const NARROW: &str = r#""limits": {"connection_window": 65535, "stream_window": 65535},"#;

/// Longer than what is taken of a call that nobody reads.
const LONG: usize = 2 << 20;

async fn begin(sender: &SendRequest<Bytes>) -> (ResponseFuture, Upload) {
    sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap()
}

/// What was said so far has come back.
async fn heard(body: &mut h2::RecvStream, length: usize) {
    let mut heard = 0;
    while heard < length {
        let piece = tokio::time::timeout(PATIENCE, body.data()).await.expect("nothing comes back");
        let piece = piece.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        heard += piece.len();
    }
    assert_eq!(heard, length);
}

/// So many conversations of which each falls silent after so many bytes, and then begins again.
async fn conversations(number: usize, length: usize, extra: &str) {
    let upstream = backend(one_by_one).await;
    let stand = Stand::before(&upstream, extra);
    let sender = client(&stand.address).await;
    let mut open = Vec::new();
    for _ in 0..number {
        let (response, mut upload) = begin(&sender).await;
        upload.send_data(vec![7; length].into(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        heard(&mut body, length).await;
        open.push((upload, body));
    }
    for (mut upload, mut body) in open {
        upload.send_data(framed(b"bye"), true).unwrap();
        heard(&mut body, 8).await;
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    }
}

/// As long as the window of a call and something: who does not listen at once has to be waited for.
#[tokio::test]
async fn conversations_that_were_waited_for_and_fell_silent_leave_room() {
    let length = 65_535 + 16_000;
    let upstream = backend(one_by_one).await;
    let stand = Stand::before(&upstream, NARROW);
    let sender = client(&stand.address).await;
    let mut open = Vec::new();
    for number in 1..=20 {
        let (response, mut upload) = begin(&sender).await;
        upload.send_data(vec![7; length].into(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        until(|| stand.plane.counters().clients_waited_for >= number).await;
        heard(&mut body, length).await;
        open.push((upload, body));
    }
}

#[tokio::test]
async fn silent_conversations_leave_room_for_others() {
    conversations(600, 32_000, "").await;
}

#[tokio::test]
async fn silent_conversations_leave_room_in_the_smallest_windows() {
    conversations(20, 32_000, NARROW).await;
}

#[tokio::test]
async fn requests_that_were_passed_on_leave_room_while_their_answers_go_on() {
    let upstream = backend(|call: Call| async move {
        let Call { request, mut respond } = call;
        let mut reply = respond.send_response(ok_headers(), false).unwrap();
        let prompt = read(&mut request.into_body()).await.unwrap();
        reply.send_data(prompt.len().to_string().into(), false).unwrap();
        std::future::poll_fn(|cx| reply.poll_reset(cx)).await.unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, NARROW);
    let sender = client(&stand.address).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        let (response, mut upload) = begin(&sender).await;
        upload.send_data(vec![7; 16_000].into(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        heard(&mut body, 5).await;
        open.push(body);
    }
}

/// All the answers come at once, and are read one after the other.
async fn answers_in_turn(extra: &str) {
    let upstream = backend(|mut call: Call| async move {
        let mut reply = call.respond.send_response(ok_headers(), false).unwrap();
        reply.send_data(vec![7; LONG].into(), false).unwrap();
        reply.send_trailers(status("0")).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, extra);
    let sender = client(&stand.address).await;
    let mut calls = Vec::new();
    for _ in 0..40 {
        calls.push(sender.clone().ready().await.unwrap().send_request(request("/a/b"), true).unwrap().0);
    }
    until(|| stand.plane.counters().clients_waited_for >= 16).await;
    for call in calls {
        let answer = answer(call).await.unwrap();
        assert_eq!((answer.status(), answer.data.len()), ("0", LONG));
    }
}

#[tokio::test]
async fn answers_may_be_read_one_after_the_other() {
    answers_in_turn("").await;
}

#[tokio::test]
async fn answers_may_be_read_one_after_the_other_through_the_smallest_windows() {
    answers_in_turn(NARROW).await;
}

/// All the requests come at once, and the model server takes them one after the other.
#[tokio::test]
async fn requests_may_be_read_one_after_the_other() {
    let one = std::sync::Arc::new(tokio::sync::Mutex::new(()));
    let upstream = backend(move |call: Call| {
        let one = std::sync::Arc::clone(&one);
        async move {
            let _turn = one.lock().await;
            echo_length(call).await;
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let mut calls = Vec::new();
    for _ in 0..40 {
        let (response, mut upload) = begin(&sender).await;
        upload.send_data(vec![7; LONG].into(), true).unwrap();
        calls.push(response);
    }
    for call in calls {
        assert_eq!(answer(call).await.unwrap().data, LONG.to_string().into_bytes());
    }
}

async fn echo_length(call: Call) {
    let Call { request, mut respond } = call;
    let length = read(&mut request.into_body()).await.unwrap().len();
    let mut reply = respond.send_response(ok_headers(), false).unwrap();
    reply.send_data(length.to_string().into(), false).unwrap();
    reply.send_trailers(status("0")).unwrap();
}

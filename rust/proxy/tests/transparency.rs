//! What one side says arrives at the other as what it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderValue, Request, Response};
use stand::*;
use tokio::sync::mpsc;

const RESETS: [Reason; 5] = [
    Reason::NO_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::REFUSED_STREAM,
    Reason::CANCEL,
    Reason::ENHANCE_YOUR_CALM,
];

#[tokio::test]
async fn request_headers_arrive_as_they_were_sent_and_nothing_is_added() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let upstream = backend(move |call: Call| {
        let (parts, body) = call.request.into_parts();
        seen.send(parts.clone()).unwrap();
        echo(Call { request: Request::from_parts(parts, body), respond: call.respond })
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sent = request("/weird");
    for (name, value) in
        [("user-agent", "mine/1"), ("x-a", "1"), ("x-a", "2"), ("x-bin", "/w"), ("grpc-encoding", "br")]
    {
        sent.headers_mut().append(name, HeaderValue::from_static(value));
    }
    sent.headers_mut().append("x-odd", HeaderValue::from_bytes("caf\u{e9}\t".as_bytes()).unwrap());
    let expected = (sent.uri().clone(), sent.headers().clone());
    let answer = unary(&client(&stand.address).await, sent, b"x").await.unwrap();
    let arrived = requests.recv().await.unwrap();
    assert_eq!((arrived.uri, arrived.headers), expected);
    assert_eq!((answer.status(), &answer.data[..]), ("0", &framed(b"x")[..]));
}

#[tokio::test]
async fn a_request_without_authority_arrives_without_one() {
    let (seen, mut authorities) = mpsc::unbounded_channel();
    let upstream = backend(move |call: Call| {
        seen.send(call.request.uri().authority().cloned()).unwrap();
        echo(call)
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sent = Request::post("/test.Any/Call").body(()).unwrap();
    *sent.version_mut() = http::Version::HTTP_11;
    assert_eq!(unary(&client(&stand.address).await, sent, b"").await.unwrap().status(), "0");
    assert_eq!(authorities.recv().await.unwrap(), None);
}

#[tokio::test]
async fn trailers_only_stays_one_frame_and_carries_everything() {
    let upstream = backend(async |mut call: Call| {
        let response =
            Response::builder().header("grpc-status", "99").header("grpc-message", "h%C3%A4").body(());
        call.respond.send_response(response.unwrap(), true).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let answer = unary(&client(&stand.address).await, request("/a/b"), b"").await.unwrap();
    assert!(answer.trailers_only);
    assert_eq!((answer.status(), answer.message()), ("99", "h%C3%A4"));
}

#[tokio::test]
async fn an_answer_that_is_not_grpc_stays_raw() {
    let upstream = backend(async |mut call: Call| {
        let response = Response::builder().status(503).header("retry-after", "7").body(()).unwrap();
        let mut body = call.respond.send_response(response, false).unwrap();
        body.send_data(Bytes::from_static(b"down"), true).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let answer = unary(&client(&stand.address).await, request("/a/b"), b"").await.unwrap();
    assert_eq!((answer.head.status.as_u16(), &answer.data[..]), (503, &b"down"[..]));
    assert_eq!(
        (&answer.head.headers["retry-after"], answer.trailers),
        (&HeaderValue::from_static("7"), None)
    );
}

#[tokio::test]
async fn early_headers_arrive_before_anything_else_is_said() {
    let upstream = backend(async |mut call: Call| {
        let mut reply = call.respond.send_response(ok_headers(), false).unwrap();
        let mut body = call.request.into_body();
        read(&mut body).await.unwrap();
        reply.send_trailers(status("0")).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, mut upload) = sender.send_request(request("/a/b"), false).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    upload.send_data(framed(b"late"), true).unwrap();
    let mut body = response.into_body();
    read(&mut body).await.unwrap();
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn a_reset_by_the_model_server_keeps_its_code() {
    for reason in RESETS.into_iter().skip(1) {
        let upstream = backend(move |mut call: Call| async move { call.respond.send_reset(reason) }).await;
        let stand = Stand::before(&upstream, "");
        let answer = unary(&client(&stand.address).await, request("/a/b"), b"").await;
        assert_eq!(stand::reason(answer), reason);
        assert_eq!(stand.plane.counters().calls_reset_by_upstream, 1);
    }
}

#[tokio::test]
async fn what_came_before_a_reset_arrives_before_it() {
    let upstream = backend(async |mut call: Call| {
        let mut reply = call.respond.send_response(ok_headers(), false).unwrap();
        reply.send_data(framed(b"first"), false).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        reply.send_reset(Reason::ENHANCE_YOUR_CALM);
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, _upload) = sender.send_request(request("/a/b"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), framed(b"first"));
    let error = body.data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_reset_by_the_client_keeps_its_code() {
    for reason in RESETS {
        let (seen, mut resets) = mpsc::unbounded_channel();
        let upstream = backend(move |call: Call| {
            let seen = seen.clone();
            async move {
                let Call { request, mut respond } = call;
                let mut body = request.into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), framed(b"x"));
                seen.send(None).unwrap();
                let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                seen.send(Some(reset.unwrap())).unwrap();
            }
        })
        .await;
        let stand = Stand::before(&upstream, "");
        let mut sender = client(&stand.address).await;
        let (_response, mut upload) = sender.send_request(request("/a/b"), false).unwrap();
        upload.send_data(framed(b"x"), false).unwrap();
        assert_eq!(resets.recv().await.unwrap(), None);
        upload.send_reset(reason);
        assert_eq!(resets.recv().await.unwrap(), Some(reason));
    }
}

#[tokio::test]
async fn a_cancelled_upload_is_not_mistaken_for_one_that_has_ended() {
    let (seen, mut ends) = mpsc::unbounded_channel();
    let upstream = backend(move |call: Call| {
        let seen = seen.clone();
        async move {
            let mut body = call.request.into_body();
            let end = read(&mut body).await.map(|data| data.len()).map_err(|error| error.reason());
            seen.send(end).unwrap();
        }
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    for _ in 0..100 {
        let (_response, mut upload) =
            sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
        upload.send_data(framed(b"half"), false).unwrap();
        tokio::task::yield_now().await;
        upload.send_reset(Reason::CANCEL);
    }
    let (_response, mut upload) = sender.send_request(request("/a/b"), false).unwrap();
    upload.send_data(framed(b"whole"), true).unwrap();
    loop {
        match ends.recv().await.unwrap() {
            Ok(length) => break assert_eq!(length, 10),
            Err(reason) => assert_eq!(reason, Some(Reason::CANCEL)),
        }
    }
}

#[tokio::test]
async fn a_truncated_message_arrives_truncated() {
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    let (response, mut upload) = sender.send_request(request("/a/b"), false).unwrap();
    upload.send_data(Bytes::from_static(b"\0\0\0\0\x09half"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().data, b"\0\0\0\0\x09half");
}

#[tokio::test]
async fn a_status_before_the_upload_has_ended_reaches_the_client() {
    let upstream = backend(async |mut call: Call| {
        let response = Response::builder().header("grpc-status", "8").body(()).unwrap();
        // Dropping the request afterwards resets the stream with NO_ERROR.
        call.respond.send_response(response, true).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let mut sender = client(&stand.address).await;
    for _ in 0..100 {
        let (response, mut upload) =
            sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
        upload.send_data(framed(b"x"), false).unwrap();
        let answer = answer(response).await.unwrap();
        assert_eq!((answer.status(), answer.trailers_only), ("8", true));
        let reset =
            tokio::time::timeout(PATIENCE, std::future::poll_fn(|cx| upload.poll_reset(cx))).await.unwrap();
        assert_eq!(reset.unwrap(), Reason::NO_ERROR);
    }
    assert_eq!(unary(&sender.clone(), request("/a/b"), b"").await.unwrap().status(), "8");
    until(|| stand.plane.counters().calls_open == 0).await;
    sender = client(&stand.address).await;
    drop(sender);
}

#[tokio::test]
async fn metadata_as_large_as_both_sides_take_arrives() {
    let upstream = backend(async |mut call: Call| {
        let mut response = ok_headers();
        response.headers_mut().insert("x-large", call.request.headers()["x-large"].clone());
        call.respond.send_response(response, true).unwrap();
    })
    .await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    for size in [7_900, 8_100, 15_900, 16_500, 64_000, 500_000] {
        let mut sent = request("/a/b");
        sent.headers_mut().insert("x-large", HeaderValue::try_from("x".repeat(size)).unwrap());
        let answer = unary(&sender, sent, b"").await.unwrap();
        assert_eq!(answer.head.headers["x-large"].len(), size);
    }
}

//! TLS on either side of the plane, with certificates made here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod stand;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderValue;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion};
use stand::authority::{Authority, Folder, NOW};
use stand::*;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const XFCC: &str = "x-forwarded-client-cert";

/// A client's side; `own` is what it shows.
fn client_config(
    authority: &Authority,
    own: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = own.signing_key.serialize_der().try_into().unwrap();
            builder.with_client_auth_cert(vec![own.cert.der().clone()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".into()];
    config.resumption = rustls::client::Resumption::disabled();
    config
}

async fn dial(address: &str, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

fn modern(authority: &Authority) -> ClientConfig {
    client_config(authority, None, &[&TLS13, &TLS12])
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_through_tls_1_3_and_1_2_with_h2_agreed() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    let stand = Stand::with_tls(&backend(echo).await, &folder.listener(""));
    for (version, expected) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        let stream = dial(&stand.address, client_config(&authority, None, &[version])).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let sender = client_on(stream).await;
        let large = vec![7; 3 << 20];
        let answer = unary(&sender, request("/test.Any/Unary"), &large).await.unwrap();
        assert_eq!((answer.status(), answer.data.len()), ("0", large.len() + 5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_offers_other_protocols_and_not_h2_is_refused() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    let stand = Stand::with_tls(&backend(echo).await, &folder.listener(""));
    let mut http1 = modern(&authority);
    http1.alpn_protocols = vec![b"http/1.1".into()];
    let refused = dial(&stand.address, http1).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    let mut silent = modern(&authority);
    silent.alpn_protocols.clear();
    let sender = client_on(dial(&stand.address, silent).await.unwrap()).await;
    assert_eq!(unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
    until(|| stand.plane.counters().handshakes_failed == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_tls_are_a_failed_handshake_and_delay_nobody() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    let extra = r#""limits": {"handshake_ns": 300000000},"#;
    let stand = Stand::with_tls_and(&backend(echo).await, &folder.listener(""), extra);
    // One that says nothing, one that speaks HTTP/2 in the clear, one that stops in the middle of its greeting.
    let mut silent = TcpStream::connect(&stand.address).await.unwrap();
    let mut plain = TcpStream::connect(&stand.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut half = TcpStream::connect(&stand.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut half, &[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let sender = client_on(dial(&stand.address, modern(&authority)).await.unwrap()).await;
    assert_eq!(unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
    for stream in [&mut silent, &mut plain, &mut half] {
        let mut rest = Vec::new();
        // Closed either way: with an alert, or without a word.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it stays open");
    }
    until(|| stand.plane.counters().handshakes_failed == 3).await;
    assert_eq!(unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
}

/// A backend that answers with what it was told of the client, once for each value.
async fn tells_identity(call: Call) {
    let Call { request, mut respond } = call;
    let mut response = ok_headers();
    for value in request.headers().get_all(XFCC) {
        response.headers_mut().append(XFCC, value.clone());
    }
    let _ = read(&mut request.into_body()).await;
    let Ok(mut reply) = respond.send_response(response, false) else { return };
    let _ = reply.send_trailers(status("0"));
}

async fn identity(stand: &Stand, config: ClientConfig) -> Vec<HeaderValue> {
    let sender = client_on(dial(&stand.address, config).await.unwrap()).await;
    let mut request = request("/test.Any/Unary");
    request.headers_mut().append(XFCC, HeaderValue::from_static("Hash=forged"));
    request.headers_mut().append(XFCC, HeaderValue::from_static("Hash=forged-too"));
    let answer = unary(&sender, request, b"x").await.unwrap();
    answer.head.headers.get_all(XFCC).iter().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_a_client_goes_on_and_a_forged_one_does_not() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    folder.write("ca.crt", authority.pem());
    let optional = r#", "require_client_certificate": false"#;
    let forwards = r#", "forward_client_certificate": true"#;
    let backend = backend(tells_identity).await;
    let stand = Stand::with_tls(&backend, &folder.listener(&format!("{optional}{forwards}")));
    let own = authority.client();
    let told = identity(&stand, client_config(&authority, Some(&own), &[&TLS13])).await;
    let told: Vec<&str> = told.iter().map(|value| value.to_str().unwrap()).collect();
    let [told] = told[..] else { panic!("{told:?}") };
    assert!(told.starts_with("By=spiffe://example/pilotfish;Hash="), "{told}");
    let rest =
        r#";Subject="CN=client\, one,O=Example";URI=spiffe://example/client;DNS=a.example;DNS=b.example"#;
    assert!(told.ends_with(rest), "{told}");
    assert_eq!(identity(&stand, modern(&authority)).await, Vec::<HeaderValue>::new());
    let silent = Stand::with_tls(&backend, &folder.listener(optional));
    let untouched = identity(&silent, client_config(&authority, Some(&own), &[&TLS13])).await;
    assert_eq!(untouched, ["Hash=forged", "Hash=forged-too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_good_certificate_is_refused_where_one_is_required() {
    let (authority, folder, stranger) = (Authority::new(), Folder::new(), Authority::new());
    folder.pair("server", &authority.server());
    folder.write("ca.crt", authority.pem());
    let stand = Stand::with_tls(&backend(echo).await, &folder.listener(""));
    let strange = stranger.client();
    let expired = authority.expired_client();
    for (failed, own) in (1..).zip([None, Some(&strange), Some(&expired)]) {
        let mut stream = dial(&stand.address, client_config(&authority, own, &[&TLS13])).await.unwrap();
        // In TLS 1.3 a client learns after its own part that it is refused.
        assert!(stream.read(&mut [0; 64]).await.is_err());
        until(|| stand.plane.counters().handshakes_failed == failed).await;
    }
    let own = authority.client();
    let sender =
        client_on(dial(&stand.address, client_config(&authority, Some(&own), &[&TLS13])).await.unwrap());
    assert_eq!(unary(&sender.await, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_rotations_under_load_fail_no_call_and_a_bad_pair_is_kept_out() {
    const ROTATIONS: u64 = 200;
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    let stand = Arc::new(Stand::with_tls(&backend(echo).await, &folder.listener("")));
    let stopping = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let kept = client_on(dial(&stand.address, modern(&authority)).await.unwrap()).await;
    let config = modern(&authority);
    let load: Vec<_> = (0..3)
        .map(|index| {
            let (stand, stopping, calls) = (Arc::clone(&stand), Arc::clone(&stopping), Arc::clone(&calls));
            let (kept, config) = (kept.clone(), config.clone());
            tokio::spawn(async move {
                while !stopping.load(Ordering::Relaxed) {
                    // One stays on the connection it has, the others shake hands for each call.
                    let sender = match index {
                        0 => kept.clone(),
                        _ => client_on(dial(&stand.address, config.clone()).await.unwrap()).await,
                    };
                    let answer = unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap();
                    assert_eq!(answer.status(), "0");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let other = authority.server();
    for rotation in 1..=ROTATIONS {
        let before = calls.load(Ordering::Relaxed);
        let new = authority.server();
        if rotation % 4 == 0 {
            // A pair of which only one half is there yet.
            folder.write("server.crt", other.cert.pem());
            let news = stand.certificates.look(NOW);
            assert_eq!(news.len(), 1, "{news:?}");
            assert_eq!(news[0].event, "refused");
            assert!(
                news[0].reason.as_ref().unwrap().contains("is not the key of the certificate"),
                "{news:?}"
            );
        }
        folder.pair("server", &new);
        let news = stand.certificates.look(NOW);
        assert_eq!(news.iter().map(|news| news.event).collect::<Vec<_>>(), ["renewed"]);
        let stream = dial(&stand.address, config.clone()).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *new.cert.der());
        until(|| calls.load(Ordering::Relaxed) > before).await;
    }
    stopping.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("a call failed");
    }
    let state = &stand.certificates.states()[0];
    assert_eq!((state.renewed, state.refused, &state.wrong), (ROTATIONS, ROTATIONS / 4, &None));
    assert!(calls.load(Ordering::Relaxed) >= ROTATIONS);
    // Those that were dialled only to look at the certificate have not begun to speak HTTP/2.
    let failed = stand.plane.counters().handshakes_failed;
    assert!(failed <= ROTATIONS, "{failed}");
}

/// A model server that speaks TLS and wants to know who calls.
async fn secure_backend(authority: &Authority, socket: Option<&std::path::Path>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let acceptor = acceptor(&authority.server(), verifier.build().unwrap());
    let Some(path) = socket else {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                tokio::spawn(speak_tls(acceptor.clone(), listener.accept().await.unwrap().0));
            }
        });
        return address;
    };
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        loop {
            tokio::spawn(speak_tls(acceptor.clone(), listener.accept().await.unwrap().0));
        }
    });
    format!("unix:{}", path.display())
}

fn acceptor(
    own: &rcgen::CertifiedKey<rcgen::KeyPair>,
    clients: Arc<dyn rustls::server::danger::ClientCertVerifier>,
) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.cert.der().clone()], own.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".into()];
    TlsAcceptor::from(Arc::new(config))
}

async fn speak_tls<S>(acceptor: TlsAcceptor, socket: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if let Ok(stream) = acceptor.accept(socket).await {
        speak(stream, echo_authority).await;
    }
}

async fn echo_authority(call: Call) {
    let Call { request, mut respond } = call;
    let mut response = ok_headers();
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    response.headers_mut().insert("x-authority", authority.try_into().unwrap());
    let received = read(&mut request.into_body()).await;
    let (Ok(received), Ok(mut reply)) = (received, respond.send_response(response, false)) else { return };
    let _ = reply.send_data(received.into(), false);
    let _ = reply.send_trailers(status("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_is_spoken_to_over_mutual_tls_and_sees_the_clients_authority() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.write("ca.crt", authority.pem());
    folder.pair("client", &authority.client());
    let path = socket_path();
    for upstream in [secure_backend(&authority, None).await, secure_backend(&authority, Some(&path)).await] {
        let stand = Stand::with_tls(&upstream, &folder.upstream("localhost", true));
        let sender = client(&stand.address).await;
        let large = vec![7; 3 << 20];
        let answer = unary(&sender, request("/test.Any/Unary"), &large).await.unwrap();
        assert_eq!((answer.status(), answer.data.len()), ("0", large.len() + 5));
        assert_eq!(answer.head.headers["x-authority"], "model.example:8001");
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_wait_for_a_model_server_that_is_slow_to_shake_hands() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.write("ca.crt", authority.pem());
    let acceptor = acceptor(&authority.server(), rustls::server::WebPkiClientVerifier::no_client_auth());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        begun.await.unwrap();
        speak_tls(acceptor, socket).await;
    });
    let extra = r#""limits": {"connect_ns": 60000000000},"#;
    let stand = Stand::with_tls_and(&upstream, &folder.upstream("localhost", false), extra);
    let sender = client(&stand.address).await;
    let (response, mut upload) =
        sender.clone().ready().await.unwrap().send_request(request("/a/b"), false).unwrap();
    for token in 0..100_000 {
        upload.send_data(framed(b"t"), token + 1 == 100_000).unwrap();
        if token % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until(|| stand.plane.counters().calls_open == 1).await;
    begin.send(()).unwrap();
    let answer = answer(response).await.unwrap();
    assert_eq!((answer.status(), answer.data.len()), ("0", 600_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_is_not_the_one_it_should_be_is_unavailable() {
    let (authority, folder, stranger) = (Authority::new(), Folder::new(), Authority::new());
    folder.pair("client", &authority.client());
    let upstream = secure_backend(&authority, None).await;
    for (ca, name, says) in
        [(&stranger, "localhost", "UnknownIssuer"), (&authority, "other.example", "other.example")]
    {
        folder.write("ca.crt", ca.pem());
        let stand = Stand::with_tls(&upstream, &folder.upstream(name, true));
        let answer = unary(&client(&stand.address).await, request("/test.Any/Unary"), b"x").await.unwrap();
        assert_eq!(answer.status(), "14");
        assert!(answer.message().contains(says), "{}", answer.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_for_a_model_server_is_used_by_the_next_connection() {
    let (authority, folder, stranger) = (Authority::new(), Folder::new(), Authority::new());
    folder.write("ca.crt", stranger.pem());
    folder.pair("client", &authority.client());
    let upstream = secure_backend(&authority, None).await;
    let stand = Stand::with_tls(&upstream, &folder.upstream("localhost", true));
    let sender = client(&stand.address).await;
    assert_eq!(unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap().status(), "14");
    folder.write("ca.crt", authority.pem());
    let news = stand.certificates.look(NOW);
    assert_eq!((news[0].event, news[0].version.as_deref()), ("renewed", Some("v1")));
    until(|| stand.plane.counters().upstream_connected > 0).await;
    let answer = unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap();
    assert_eq!(answer.status(), "0", "{}", answer.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_and_ipv6_carry_tls_too() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.pair("server", &authority.server());
    let upstream = backend(echo_authority).await;
    let path = socket_path();
    let extra = format!(r#""listen": "unix:{}","#, path.display());
    let unix = Stand::with_tls_and(&upstream, &folder.listener(""), &extra);
    let socket = UnixStream::connect(&path).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(modern(&authority))).connect(name, socket).await.unwrap();
    let answer = unary(&client_on(stream).await, request("/test.Any/Unary"), b"x").await.unwrap();
    assert_eq!(answer.head.headers["x-authority"], "model.example:8001");
    drop(unix);
    let six = Stand::with_tls_and(&upstream, &folder.listener(""), r#""listen": "[::1]:0","#);
    let sender = client_on(dial(&six.address, modern(&authority)).await.unwrap()).await;
    assert_eq!(unary(&sender, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn self_signed_certificates_are_taken_when_they_stand_in_the_file_and_only_then() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (server, own) = (Authority::self_signed(), Authority::self_signed());
    folder.write("ca.crt", own.cert.pem());
    folder.pair("server", &authority.server());
    let stand = Stand::with_tls(&backend(echo).await, &folder.listener(""));
    let sender =
        client_on(dial(&stand.address, client_config(&authority, Some(&own), &[&TLS13])).await.unwrap());
    assert_eq!(unary(&sender.await, request("/test.Any/Unary"), b"x").await.unwrap().status(), "0");
    let other = client_config(&authority, Some(&server), &[&TLS13]);
    assert!(dial(&stand.address, other).await.unwrap().read(&mut [0; 64]).await.is_err());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = acceptor(&server, rustls::server::WebPkiClientVerifier::no_client_auth());
    tokio::spawn(async move {
        loop {
            tokio::spawn(speak_tls(acceptor.clone(), listener.accept().await.unwrap().0));
        }
    });
    for (ca, name, status) in
        [(&server, "localhost", "0"), (&server, "other.example", "14"), (&own, "localhost", "14")]
    {
        folder.write("ca.crt", ca.cert.pem());
        let stand = Stand::with_tls(&address, &folder.upstream(name, false));
        let answer = unary(&client(&stand.address).await, request("/test.Any/Unary"), b"x").await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.message());
    }
}

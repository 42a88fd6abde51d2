//! A plane between a client and a scripted backend, all in one process: what the tests of this crate stand on.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod authority;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use pilotfish_core::engine::{Engine, EngineConfig};
use pilotfish_proxy::{CertificateConfig, Certificates, Plane, PlaneConfig};
use tokio::net::{TcpListener, TcpStream};

/// Turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Of a connection, on either side: as with gRPC's libraries only the window of a call stops who sends it.
const WINDOW: u32 = 1 << 30;

pub struct Stand {
    pub plane: Arc<Plane>,
    pub engine: Arc<Engine>,
    pub address: String,
    pub certificates: Arc<Certificates>,
}

/// What a backend's script is given.
pub struct Call {
    pub request: Request<RecvStream>,
    pub respond: SendResponse<Bytes>,
}

impl Stand {
    /// A plane before one upstream; `extra` is put into its configuration.
    pub fn before(upstream: &str, extra: &str) -> Stand {
        Stand::with_routes(&[("v1", upstream)], r#"[{"name": "r", "stable": "v1"}]"#, extra)
    }

    /// With certificates (JSON), on the listener or towards `v1`.
    pub fn with_tls(upstream: &str, certificates: &str) -> Stand {
        Stand::with_tls_and(upstream, certificates, "")
    }

    pub fn with_tls_and(upstream: &str, certificates: &str, extra: &str) -> Stand {
        let config = CertificateConfig::from_json(certificates).unwrap();
        let certificates = Arc::new(Certificates::open(config, authority::NOW).unwrap());
        Stand::of(&[("v1", upstream)], r#"[{"name": "r", "stable": "v1"}]"#, extra, certificates)
    }

    pub fn with_routes(versions: &[(&str, &str)], routes: &str, extra: &str) -> Stand {
        Stand::of(versions, routes, extra, Arc::default())
    }

    fn of(versions: &[(&str, &str)], routes: &str, extra: &str, certificates: Arc<Certificates>) -> Stand {
        let versions: Vec<String> = versions
            .iter()
            .map(|(name, address)| format!(r#"{{"name": "{name}", "upstream": "{address}"}}"#))
            .collect();
        let config = format!(
            r#"{{"plane": "native", "versions": [{}], "routes": {routes},
                "sampling": {{"share_ppm": 0, "errors": true}}, "monitor": {{}},
                "queue": {{"messages": 1024, "bytes": 67108864}}}}"#,
            versions.join(",")
        );
        let engine = EngineConfig::from_json(&config).unwrap();
        let engine = Arc::new(Engine::new(engine, Default::default(), 0).unwrap());
        let listen = if extra.contains("\"listen\"") { "" } else { r#""listen": "127.0.0.1:0","# };
        let text = format!(
            r#"{{{listen} {extra} "now_ns": 0,
                "unary_methods": ["/inference.GRPCInferenceService/ModelInfer", "/test.Any/Unary"],
                "queue": {{"messages": 1024, "bytes": 67108864}}}}"#
        );
        let config = PlaneConfig::from_json(&text).unwrap();
        let plane = Plane::start(Arc::clone(&engine), config, Arc::clone(&certificates)).unwrap();
        let address = plane.listen();
        Stand { plane: Arc::new(plane), engine, address, certificates }
    }

    /// Drains the plane without holding up the test's own runtime.
    pub async fn drain(&self, grace: Duration) -> bool {
        let plane = Arc::clone(&self.plane);
        tokio::task::spawn_blocking(move || plane.drain(grace)).await.unwrap()
    }

    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::to_value(self.engine.snapshot(0, false)).unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.plane.drain(Duration::ZERO);
    }
}

/// A backend on a free port that plays the script for every call.
pub async fn backend<F, R>(script: F) -> String
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(listen(listener, script));
    address
}

pub async fn listen<F, R>(listener: TcpListener, script: F)
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        tokio::spawn(speak(socket, script.clone()));
    }
}

pub async fn speak<S, F, R>(socket: S, script: F)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    F: Fn(Call) -> R + Clone,
    R: Future<Output = ()> + Send + 'static,
{
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_reset_streams(100_000).max_pending_accept_reset_streams(100_000);
    builder.max_local_error_reset_streams(None).max_header_list_size(1 << 24).data_frame_budget(1 << 30);
    builder.initial_connection_window_size(WINDOW);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(script(Call { request, respond }));
    }
}

/// A client's connection, driven in the background.
pub async fn client(address: &str) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    client_on(socket).await
}

pub async fn client_on<S>(socket: S) -> SendRequest<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = h2::client::Builder::new();
    builder.max_concurrent_reset_streams(100_000).max_header_list_size(1 << 24).data_frame_budget(1 << 30);
    builder.initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(socket).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(path: &str) -> Request<()> {
    let request = Request::post(format!("http://model.example:8001{path}"));
    request.header("te", "trailers").header("content-type", "application/grpc").body(()).unwrap()
}

pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

pub fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers
}

pub fn ok_headers() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

/// A backend's script: everything that was sent comes back, then OK.
pub async fn echo(call: Call) {
    let Call { request, mut respond } = call;
    let (_, mut body) = request.into_parts();
    let received = read(&mut body).await;
    let Ok(received) = received else { return };
    let Ok(mut reply) = respond.send_response(ok_headers(), false) else { return };
    let _ = reply.send_data(received.into(), false);
    let _ = reply.send_trailers(status("0"));
}

/// A backend's script: each piece comes back as it came.
pub async fn one_by_one(call: Call) {
    let Call { request, mut respond } = call;
    let mut body = request.into_body();
    let mut reply = respond.send_response(ok_headers(), false).unwrap();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        reply.send_data(piece, false).unwrap();
    }
    reply.send_trailers(status("0")).unwrap();
}

/// All data of a stream.
pub async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// What a client makes of a whole call.
#[derive(Debug)]
pub struct Answer {
    pub head: http::response::Parts,
    pub trailers_only: bool,
    pub data: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn status(&self) -> &str {
        let trailers = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        trailers.or(self.head.headers.get("grpc-status")).map_or("", |status| status.to_str().unwrap())
    }

    pub fn message(&self) -> &str {
        let trailers = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-message"));
        trailers.or(self.head.headers.get("grpc-message")).map_or("", |message| message.to_str().unwrap())
    }
}

/// Sends one message and half-closes.
pub async fn unary(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    message: &[u8],
) -> Result<Answer, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (response, mut body) = sender.send_request(request, false)?;
    // Who is answered at once need not have said everything.
    let _ = body.send_data(framed(message), true);
    answer(response).await
}

pub async fn answer(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let response = tokio::time::timeout(PATIENCE, response).await.expect("no answer came")?;
    let (head, mut body) = response.into_parts();
    let trailers_only = body.is_end_stream();
    let data = tokio::time::timeout(PATIENCE, read(&mut body)).await.expect("the answer does not end")?;
    let trailers = body.trailers().await?;
    Ok(Answer { head, trailers_only, data, trailers })
}

/// Waits until a condition holds that another thread makes true.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the condition never held");
}

/// A path nobody else uses.
pub fn socket_path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("pilotfish-{}-{next}.sock", std::process::id()))
}

/// The reset a stream ended with.
pub fn reason(result: Result<Answer, h2::Error>) -> Reason {
    result.expect_err("the call was not reset").reason().expect("the connection was lost instead")
}

pub type Upload = SendStream<Bytes>;

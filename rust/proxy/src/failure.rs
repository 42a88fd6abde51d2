//! Failures that are the plane's own, and the answers it gives for them.
//!
//! Always one frame (Trailers-Only) with status 200, so that a client may retry it, and a message that begins with
//! `pilotfish:`, so that a reader knows which side of the wire to look at.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use pilotfish_core::call::Code;

use crate::pump::Unread;
use crate::status::{DEADLINE_EXCEEDED, INTERNAL, Status, UNAVAILABLE};

#[derive(Debug)]
pub enum Failure {
    /// No connection to the model server.
    Unreachable(String),
    /// The connection was lost during the call.
    Lost(String),
    /// The model server's frames could not be understood.
    Broken(String),
    /// The client's deadline passed.
    Expired,
    /// The model server does not read the request.
    Unread(Unread),
}

// === impl Failure ===

impl Failure {
    pub fn code(&self) -> Code {
        match self {
            Failure::Unreachable(_) | Failure::Lost(_) | Failure::Unread(_) => UNAVAILABLE,
            Failure::Broken(_) => INTERNAL,
            Failure::Expired => DEADLINE_EXCEEDED,
        }
    }

    /// What the client is told and the journal keeps.
    pub fn status(&self, upstream: &str) -> Status {
        let message = match self {
            Failure::Unreachable(why) => format!("pilotfish: upstream {upstream} is unavailable: {why}"),
            Failure::Lost(why) => format!("pilotfish: the connection to upstream {upstream} was lost: {why}"),
            Failure::Broken(why) => format!("pilotfish: upstream {upstream} broke HTTP/2: {why}"),
            Failure::Expired => "pilotfish: deadline exceeded".into(),
            Failure::Unread(Unread::TooLong) => {
                format!("pilotfish: upstream {upstream} does not read the request; limits.stall has passed")
            }
            Failure::Unread(Unread::Overdrawn) => format!(
                "pilotfish: upstream {upstream} does not read the request, and limits.memory is in use"
            ),
        };
        Status { code: self.code(), message: Some(encoded(&message)) }
    }
}

/// The answer to a call that has had none, in the content type it was asked in. Who does not speak gRPC (`None`) is
/// answered in HTTP.
pub fn response(status: &Status, grpc: Option<&HeaderValue>) -> Response<()> {
    let mut response = Response::new(());
    if let Some(kind) = grpc {
        *response.headers_mut() = trailers(status);
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    } else if status.code == DEADLINE_EXCEEDED {
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    } else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// The trailers of a call that had begun to be answered.
pub fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    trailers.insert("grpc-status", HeaderValue::from(status.code));
    if let Some(message) = &status.message {
        trailers.insert("grpc-message", message.clone());
    }
    trailers
}

/// The content type of a request that speaks gRPC: `application/grpc`, with or without a suffix.
pub fn grpc_type(request: &Request<impl Sized>) -> Option<HeaderValue> {
    let kind = request.headers().get(header::CONTENT_TYPE)?;
    kind.as_bytes().starts_with(b"application/grpc").then(|| kind.clone())
}

/// Percent-encoding of `grpc-message`: everything but printable ASCII, and the percent sign itself.
fn encoded(message: &str) -> HeaderValue {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(text).expect("printable ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_reads_names_whose_failure_it_is() {
        let status = Failure::Unreachable("100 % gone\n".into()).status("v1 at 127.0.0.1:1");
        assert_eq!(status.code, UNAVAILABLE);
        assert_eq!(status.text(), "pilotfish: upstream v1 at 127.0.0.1:1 is unavailable: 100 % gone\n");
    }
}

//! The gRPC status of a call, read from what passes: trailers, an HTTP status, or a reset.
//!
//! Only for the record: what is forwarded stays as it is. The tables are gRPC's own (`PROTOCOL-HTTP2.md`,
//! `http-grpc-status-mapping.md`).

use h2::Reason;
use http::{HeaderMap, HeaderValue, StatusCode};
use pilotfish_core::call::Code;

pub const CANCELLED: Code = 1;
pub const UNKNOWN: Code = 2;
pub const DEADLINE_EXCEEDED: Code = 4;
pub const INTERNAL: Code = 13;
pub const UNAVAILABLE: Code = 14;

/// A status and its message, as it came (percent-encoded).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: Option<HeaderValue>,
}

// === impl Status ===

impl Status {
    pub fn of(code: Code) -> Status {
        Status { code, message: None }
    }

    /// The status in these headers or trailers, if there is one. A number that is none counts as UNKNOWN.
    pub fn read(headers: &HeaderMap) -> Option<Status> {
        let code = headers.get("grpc-status")?;
        let code = code.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
        Some(Status { code, message: headers.get("grpc-message").cloned() })
    }

    /// What a client makes of an answer that ended without a status.
    pub fn without_trailers(status: StatusCode) -> Status {
        Status::of(match status.as_u16() {
            400 => INTERNAL,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => UNAVAILABLE,
            _ => UNKNOWN,
        })
    }

    /// What a client makes of a reset.
    pub fn of_reset(reason: Reason) -> Status {
        Status::of(match reason {
            Reason::REFUSED_STREAM => UNAVAILABLE,
            Reason::CANCEL => CANCELLED,
            Reason::ENHANCE_YOUR_CALM => 8,
            Reason::INADEQUATE_SECURITY => 7,
            _ => INTERNAL,
        })
    }

    /// The message with its percent-encoding undone; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        let Some(message) = &self.message else { return String::new() };
        let bytes = message.as_bytes();
        let mut text = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
            let decoded =
                escaped.and_then(|digits| Some(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?));
            text.push(decoded.unwrap_or(bytes[at]));
            at += if decoded.is_some() { 3 } else { 1 };
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(code: &'static str, message: &'static str) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        trailers.insert("grpc-message", HeaderValue::from_static(message));
        trailers
    }

    #[test]
    fn codes_above_sixteen_are_themselves() {
        assert_eq!(Status::read(&trailers("99", "")).unwrap().code, 99);
        assert_eq!(Status::read(&trailers("x", "")).unwrap().code, UNKNOWN);
        assert_eq!(Status::read(&HeaderMap::new()), None);
    }

    #[test]
    fn messages_are_decoded_and_bad_escapes_stay() {
        let text = |message| Status::read(&trailers("2", message)).unwrap().text();
        assert_eq!(text("h%C3%A4 50%25"), "hä 50%");
        assert_eq!(text("100% %zz %4"), "100% %zz %4");
    }
}

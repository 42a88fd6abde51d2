//! The values everything speaks: which call, how it was routed, how it ended.

use std::sync::Arc;

use serde::Serialize;

/// Monotonic nanoseconds. The core only ever subtracts and compares them.
pub type Nanos = u64;

/// Number of a version, its own for as long as the engine lives; see [`crate::version`].
pub type VersionId = usize;

/// gRPC status code as it was on the wire; may lie above 16.
pub type Code = u32;

pub const OK: Code = 0;
pub const DEADLINE_EXCEEDED: Code = 4;
pub const UNIMPLEMENTED: Code = 12;

/// What a version is to the call: the stable one, one that is being tried, or one that only looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Canary,
}

/// How the version was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The route has one version only.
    Static,
    /// The route's weights were drawn for the call's sticky key.
    Canary,
    /// No route matches the call: the first route's stable version answers.
    Fallback,
}

/// What was decided for a call before it is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub call_id: Arc<str>,
    pub method: Arc<str>,
    pub route: usize,
    pub version: VersionId,
    pub role: Role,
    pub strategy: Strategy,
    pub shadow: Option<VersionId>,
    /// W3C trace context as the client sent it, if it did.
    pub traceparent: Option<Box<str>>,
}

/// How a call ended, seen from the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: Code,
    /// From the call's arrival to its last byte.
    pub duration: Nanos,
    /// The part of `duration` that the model server took.
    pub upstream: Nanos,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// The canonical name of a gRPC status code; numbers that have none are named by the caller.
pub fn code_name(code: Code) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::try_from(code).ok()?).copied()
}

// === impl Role, Strategy ===

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Canary => "canary",
        }
    }
}

impl Strategy {
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Static => "static",
            Strategy::Canary => "canary",
            Strategy::Fallback => "fallback",
        }
    }
}

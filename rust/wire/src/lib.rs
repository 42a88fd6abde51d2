//! Message bytes to tensors: what a model was asked and what it answered, read from protobuf without a schema compiler.
//!
//! A sidecar looks at every message, so reading must cost next to nothing: the walkers borrow names and numbers from
//! the message, and copy only what a message forces them to (varints, numbers in several pieces). And it looks at
//! messages it did not ask for, so reading must be safe: no length is trusted, nothing panics, and nothing is allocated
//! that the message could not hold (elements take at most eight times its size, tensors are bounded in number). A
//! message that cannot be read is forwarded all the same; the reason is counted.
//!
//! Spoken: KServe v2, the Open Inference Protocol (MLServer, Triton, KServe, OpenVINO, `TorchServe`).
//!
//! ```
//! let message = b"\x0a\x01m\x2a\x0d\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02\x3a\x08\x00\x00\x80\x3f\x00\x00\x00\x40";
//! let read = pilotfish_wire::request("/inference.GRPCInferenceService/ModelInfer", message)?;
//! assert_eq!((read.model, read.tensors[0].name), ("m", "x"));
//! assert_eq!(read.tensors[0].shape, [1, 2]);
//! # Ok::<(), pilotfish_wire::Unreadable>(())
//! ```
#![forbid(unsafe_code)]

mod contents;
mod cursor;
mod infer;
mod raw;
mod stream;

use pilotfish_core::tensor::{Defect, Direction, Tensor};

/// Most tensors, and most raw entries, that are read of one message. Real models have up to some hundreds.
pub const MAX_TENSORS: usize = 4096;

/// One message of a call, borrowed from its bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message<'a> {
    pub model: &'a str,
    pub model_version: &'a str,
    pub id: &'a str,
    /// In the order of the message. Empty in answers that carry none, such as Triton's final response of a stream.
    pub tensors: Vec<Tensor<'a>>,
    /// Names of the tensors that cannot be observed, and why.
    pub defects: Vec<(&'a str, Defect)>,
    /// What a Triton stream answers instead of a gRPC status (`error_message`).
    pub error: Option<&'a str>,
}

/// Why a whole message cannot be read. The call is forwarded all the same; the reason is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreadable {
    /// The method is none whose messages are known.
    UnknownMethod,
    /// The bytes are not the protobuf message of the method.
    Malformed,
    /// More than [`MAX_TENSORS`] tensors.
    TooManyTensors,
    /// A name is not UTF-8.
    InvalidUtf8,
    /// The bytes are a gzip stream: the message was not decompressed.
    Compressed,
}

/// Whether messages of this method (the `:path`, e.g. `/inference.GRPCInferenceService/ModelInfer`) can be read.
#[must_use]
pub fn is_known(method: &str) -> bool {
    form(method).is_ok()
}

/// Reads what a client sent to `method`.
///
/// # Errors
/// [`Unreadable`] when nothing can be said of the message; a tensor that alone cannot be read is in
/// [`Message::defects`].
pub fn request<'a>(method: &str, message: &'a [u8]) -> Result<Message<'a>, Unreadable> {
    match form(method)? {
        Form::Unary | Form::Stream => infer::read(&[uncompressed(message)?], Direction::Input),
    }
}

/// Reads what a server answered from `method`.
///
/// # Errors
/// As [`request`].
pub fn response<'a>(method: &str, message: &'a [u8]) -> Result<Message<'a>, Unreadable> {
    match form(method)? {
        Form::Unary => infer::read(&[uncompressed(message)?], Direction::Output),
        Form::Stream => stream::read(uncompressed(message)?),
    }
}

/// How the messages of a known method are wrapped.
enum Form {
    Unary,
    /// Answers are bare (MLServer) or wrapped (Triton), under the same path.
    Stream,
}

fn form(method: &str) -> Result<Form, Unreadable> {
    match method {
        "/inference.GRPCInferenceService/ModelInfer"
        | "/org.pytorch.serve.grpc.openinference.GRPCInferenceService/ModelInfer" => Ok(Form::Unary),
        "/inference.GRPCInferenceService/ModelStreamInfer"
        | "/org.pytorch.serve.grpc.openinference.GRPCInferenceService/ModelStreamInfer" => Ok(Form::Stream),
        _ => Err(Unreadable::UnknownMethod),
    }
}

/// Passes the message on unless it starts as gzip does (RFC 1952); no protobuf starts so, for wire type 7 is none.
fn uncompressed(message: &[u8]) -> Result<&[u8], Unreadable> {
    match message {
        [0x1f, 0x8b, ..] => Err(Unreadable::Compressed),
        _ => Ok(message),
    }
}

// === impl Unreadable ===

impl Unreadable {
    /// The name the reason is counted under.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unreadable::UnknownMethod => "unknown_method",
            Unreadable::Malformed => "malformed",
            Unreadable::TooManyTensors => "too_many_tensors",
            Unreadable::InvalidUtf8 => "invalid_utf8",
            Unreadable::Compressed => "compressed",
        }
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Unreadable {}

/// What stops the reading of a tensor: the whole message is lost, or this tensor alone.
enum Flaw {
    Message(Unreadable),
    Tensor(Defect),
}

impl From<Unreadable> for Flaw {
    fn from(reason: Unreadable) -> Flaw {
        Flaw::Message(reason)
    }
}

impl From<Defect> for Flaw {
    fn from(defect: Defect) -> Flaw {
        Flaw::Tensor(defect)
    }
}

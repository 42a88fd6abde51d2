//! `ModelStreamInfer` answers, which come in two forms under one path, told apart message by message.
//!
//! MLServer answers a bare `ModelInferResponse`; Triton wraps it: `ModelStreamInferResponse { error_message = 1,
//! infer_response = 2 }` (`triton-inference-server/common`, `protobuf/grpc_service.proto`). Both put a string into
//! field 1; but field 2 is a short text, the model's version, in the bare form and a message in the wrapped one.

use pilotfish_core::tensor::Direction;

use crate::cursor::{Fields, Value};
use crate::{MAX_TENSORS, Message, Unreadable, infer};

/// Triton: field 1, what went wrong; MLServer: the model's name.
const ERROR_MESSAGE: u32 = 1;
/// Triton: field 2, the response; MLServer: the model's version.
const INFER_RESPONSE: u32 = 2;

/// The wrapper's parts. The response may lie in several pieces, which protobuf merges.
#[derive(Default)]
struct Wrapped<'a> {
    error: &'a [u8],
    responses: Vec<&'a [u8]>,
}

/// Reads one answer of a stream in either form.
pub(crate) fn read(message: &[u8]) -> Result<Message<'_>, Unreadable> {
    let Some(wrapped) = unwrap(message)? else {
        return infer::read(&[message], Direction::Output);
    };
    let error = infer::text(wrapped.error)?;
    let response = infer::read(&wrapped.responses, Direction::Output)?;
    Ok(Message { error: (!error.is_empty()).then_some(error), ..response })
}

/// The parts of a wrapped answer, or `None` for a bare one.
fn unwrap(message: &[u8]) -> Result<Option<Wrapped<'_>>, Unreadable> {
    let mut wrapped = Wrapped::default();
    for field in Fields::new(message) {
        match field? {
            (ERROR_MESSAGE, Value::Len(text)) => wrapped.error = text,
            (INFER_RESPONSE, Value::Len(_)) if wrapped.responses.len() >= MAX_TENSORS => {
                return Err(Unreadable::TooManyTensors);
            }
            (INFER_RESPONSE, Value::Len(body)) => wrapped.responses.push(body),
            // The id, parameters, outputs or raw entries of a bare answer.
            (3..=6, Value::Len(_)) => return Ok(None),
            _ => {}
        }
    }
    let is_bare =
        !wrapped.responses.is_empty() && wrapped.responses.iter().all(|version| is_version(version));
    Ok((!is_bare).then_some(wrapped))
}

/// Whether the bytes are a text that can be read aloud. Of a `ModelInferResponse`, the tag of the model's name, its
/// version or the id (bytes 10, 18, 26) is a control character, and so is the first byte within parameters and outputs.
fn is_version(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control))
}

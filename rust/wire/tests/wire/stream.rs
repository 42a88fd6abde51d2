//! What is read of streamed answers, which MLServer sends bare and Triton wrapped, under the same path.

use crate::encoder::{Encoder, message, tensor};
use pilotfish_core::tensor::Data;
use pilotfish_wire::{Message, Unreadable, request, response};

const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
const UNARY: &str = "/inference.GRPCInferenceService/ModelInfer";

fn read(message: &Encoder) -> Message<'_> {
    response(STREAM, message.as_ref()).unwrap()
}

fn answer() -> Encoder {
    message().len(1, "digits").len(2, "1").len(5, tensor("y", "UINT8", &[2])).len(6, [1, 2])
}

#[test]
fn requests_are_those_of_the_unary_method() {
    let message = message().len(1, "m").len(5, tensor("x", "UINT8", &[2])).len(7, [1, 2]);
    assert_eq!(request(STREAM, message.as_ref()).unwrap().tensors[0].data, Data::Raw(&[1, 2]));
}

#[test]
fn a_bare_answer_is_read() {
    let message = answer();
    let read = read(&message);
    assert_eq!((read.model, read.model_version, read.error), ("digits", "1", None));
    assert_eq!(read.tensors[0].data, Data::Raw(&[1, 2]));
}

#[test]
fn a_wrapped_answer_is_read() {
    let message = message().len(2, answer());
    let read = read(&message);
    assert_eq!((read.model, read.model_version, read.error), ("digits", "1", None));
    assert_eq!(read.tensors[0].data, Data::Raw(&[1, 2]));
}

#[test]
fn a_wrapped_error_is_no_model() {
    let text = "Request for unknown model: 'x' is not found";
    for message in [
        message().len(1, text),
        message().len(1, text).len(2, ""),
        message().len(1, text).len(2, message().len(3, "7")),
    ] {
        let read = read(&message);
        assert_eq!((read.error, read.model), (Some(text), ""));
        assert!(read.tensors.is_empty());
    }
}

#[test]
fn the_final_answer_of_a_decoupled_model_has_no_tensors() {
    let last = message().len(1, "triton_final_response").len(2, message().varint(1, 1));
    let message = message().len(2, message().len(1, "repeat").len(2, "1").len(4, last));
    let read = read(&message);
    assert_eq!((read.model, read.error), ("repeat", None));
    assert!(read.tensors.is_empty() && read.defects.is_empty());
}

#[test]
fn a_bare_answer_without_outputs_is_told_by_its_version() {
    for version in ["v1", "1", "2", "20", "2025-01-01", "123456789", "latest", "0.1.0"] {
        let message = message().len(1, "wine").len(2, version);
        let read = read(&message);
        assert_eq!((read.model, read.model_version, read.error), ("wine", version, None));
    }
}

#[test]
fn a_wrapped_answer_in_pieces_is_merged() {
    let message = message()
        .len(2, message().len(1, "digits").len(5, tensor("y", "UINT8", &[2])))
        .len(2, message().len(6, [1, 2]));
    assert_eq!(read(&message).tensors[0].data, Data::Raw(&[1, 2]));
}

#[test]
fn any_field_makes_an_answer_a_wrapped_one() {
    for body in [
        message().len(1, "digits"),
        message().len(2, "1"),
        message().len(3, "id"),
        message().len(4, message().len(1, "triton_final_response")),
        message().len(5, tensor("y", "UINT8", &[0])),
    ] {
        assert_eq!(read(&message().len(2, &body)), response(UNARY, body.as_ref()).unwrap());
    }
}

#[test]
fn a_torn_answer_is_malformed() {
    let torn = [answer().as_ref(), b"\x0a\x05"].concat();
    assert_eq!(response(STREAM, message().len(2, torn).as_ref()), Err(Unreadable::Malformed));
}

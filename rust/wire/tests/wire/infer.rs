//! What is read of unary messages, from bytes that real clients and servers wrote, and from the rules' corner cases.

use crate::encoder::{Encoder, message, tensor};
use pilotfish_core::tensor::{Data, Datatype, Defect, Tensor};
use pilotfish_wire::{Message, Unreadable, is_known, request, response};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const TORCHSERVE: &str = "/org.pytorch.serve.grpc.openinference.GRPCInferenceService/ModelInfer";

/// tritonclient 2.73: `InferInput("x", [1, 2], "FP32")` with 1.0 and 2.0 in `fp32_contents`.
const TYPED: &[u8] =
    b"\x0a\x01m\x1a\x01i\x2a\x19\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02\x2a\x0a\x32\x08\0\0\x80\x3f\0\0\0\x40";
/// tritonclient 2.73: the same tensor of zeros in `raw_input_contents`, and a parameter `p`.
const RAW: &[u8] =
    b"\x0a\x01m\x22\x07\x0a\x01p\x12\x02\x10\x03\x2a\x0d\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02\x3a\x08\0\0\0\0\0\0\0\0";

fn read(message: &Encoder) -> Message<'_> {
    request(INFER, message.as_ref()).unwrap()
}

fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    let mut numbers = Vec::new();
    tensor.for_each(|_, number| numbers.push(number));
    numbers
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn shared(tensor: Encoder) -> Encoder {
    tensor
        .len(4, message().len(1, "shared_memory_region").len(2, message().len(3, "region")))
        .len(4, message().len(1, "shared_memory_offset").len(2, message().varint(2, 64)))
}

/// The outcome of one typed tensor `x` whose contents are `contents`.
fn typed(datatype: &str, shape: &[i64], contents: Encoder) -> Result<Vec<f64>, Defect> {
    let message = message().len(5, tensor("x", datatype, shape).len(5, contents));
    let read = read(&message);
    match read.defects.first() {
        Some((_, defect)) => Err(*defect),
        None => Ok(numbers(&read.tensors[0])),
    }
}

#[test]
fn a_typed_request_borrows_its_floats() {
    let read = request(INFER, TYPED).unwrap();
    assert_eq!((read.model, read.model_version, read.id), ("m", "", "i"));
    assert_eq!(numbers(&read.tensors[0]), [1.0, 2.0]);
    assert_eq!(read.tensors[0].shape, [1, 2]);
    assert!(matches!(read.tensors[0].data, Data::Raw(_)));
}

#[test]
fn a_raw_request_is_read() {
    let read = request(INFER, RAW).unwrap();
    assert_eq!((read.model, read.tensors[0].name), ("m", "x"));
    assert_eq!(read.tensors[0].data, Data::Raw(&[0; 8]));
    assert!(read.defects.is_empty());
}

#[test]
fn torchserve_speaks_it_under_another_path() {
    assert_eq!(request(TORCHSERVE, TYPED), request(INFER, TYPED));
    assert!(is_known(TORCHSERVE) && is_known(INFER));
}

#[test]
fn other_methods_are_unknown() {
    for method in ["/inference.GRPCInferenceService/ServerLive", "ModelInfer", ""] {
        assert!(!is_known(method));
        assert_eq!(request(method, TYPED), Err(Unreadable::UnknownMethod));
        assert_eq!(response(method, TYPED), Err(Unreadable::UnknownMethod));
    }
}

#[test]
fn a_response_keeps_its_raw_entries_in_field_six() {
    let message = message()
        .len(1, "wine")
        .len(2, "v1")
        .len(3, "a")
        .len(5, tensor("predict", "INT64", &[2, 1]))
        .len(6, [1i64.to_le_bytes(), (-2i64).to_le_bytes()].concat());
    let read = response(INFER, message.as_ref()).unwrap();
    assert_eq!((read.model, read.model_version, read.id), ("wine", "v1", "a"));
    assert_eq!(numbers(&read.tensors[0]), [1.0, -2.0]);
    assert_eq!(read.error, None);
}

#[test]
fn raw_wins_over_empty_contents_beside_it() {
    let message = message().len(5, tensor("x", "FP32", &[2]).len(5, "")).len(7, le(&[1.0, 2.0]));
    assert_eq!(numbers(&read(&message).tensors[0]), [1.0, 2.0]);
}

#[test]
fn fields_may_come_in_any_order() {
    let body = message().len(5, message().len(6, le(&[3.0, 4.0]))).packed(3, &[2]).len(2, "FP32").len(1, "x");
    let message = message().len(5, body).len(3, "late").len(1, "m");
    let read = read(&message);
    assert_eq!((read.model, read.id), ("m", "late"));
    assert_eq!(numbers(&read.tensors[0]), [3.0, 4.0]);
}

#[test]
fn raw_entries_may_come_before_the_tensors() {
    let message = message().len(7, le(&[1.0])).len(5, tensor("x", "FP32", &[1])).len(1, "m");
    assert_eq!(numbers(&read(&message).tensors[0]), [1.0]);
}

#[test]
fn raw_entries_belong_to_the_tensors_outside_shared_memory() {
    let message = message()
        .len(5, tensor("a", "FP32", &[1]))
        .len(5, shared(tensor("b", "FP32", &[1])))
        .len(5, tensor("c", "FP32", &[1]))
        .len(7, le(&[1.0]))
        .len(7, le(&[3.0]));
    let read = read(&message);
    assert_eq!(read.defects, [("b", Defect::SharedMemory)]);
    let seen: Vec<_> = read.tensors.iter().map(|tensor| (tensor.name, numbers(tensor))).collect();
    assert_eq!(seen, [("a", vec![1.0]), ("c", vec![3.0])]);
}

#[test]
fn an_output_with_an_empty_raw_entry_lies_in_shared_memory() {
    let message = message()
        .len(5, tensor("a", "FP32", &[1, 2]))
        .len(5, tensor("b", "FP32", &[1]))
        .len(5, tensor("none", "FP32", &[0, 2]))
        .len(6, "")
        .len(6, le(&[2.0]))
        .len(6, "");
    let read = response(INFER, message.as_ref()).unwrap();
    assert_eq!(read.defects, [("a", Defect::SharedMemory)]);
    assert_eq!(read.tensors.iter().map(|tensor| tensor.name).collect::<Vec<_>>(), ["b", "none"]);
}

#[test]
fn a_tensor_without_its_raw_entry_is_malformed() {
    let message = message()
        .len(5, tensor("a", "FP32", &[1]))
        .len(5, tensor("b", "FP32", &[1]).len(5, message().len(6, le(&[2.0]))))
        .len(7, le(&[1.0]));
    let read = read(&message);
    assert_eq!(read.tensors.len(), 1);
    assert_eq!(read.defects, [("b", Defect::MalformedContents)]);
}

#[test]
fn an_unknown_datatype_takes_its_raw_entry_along() {
    let message = message()
        .len(5, tensor("a", "FP8", &[1]))
        .len(5, tensor("b", "UINT8", &[1]))
        .len(7, [9])
        .len(7, [200]);
    let read = read(&message);
    assert_eq!(read.defects, [("a", Defect::UnknownDatatype)]);
    assert_eq!(numbers(&read.tensors[0]), [200.0]);
}

#[test]
fn every_raw_datatype_is_read() {
    for (datatype, entry, value) in [
        ("BOOL", vec![1], 1.0),
        ("UINT8", vec![255], 255.0),
        ("UINT16", 65_535u16.to_le_bytes().to_vec(), 65_535.0),
        ("UINT32", u32::MAX.to_le_bytes().to_vec(), f64::from(u32::MAX)),
        ("UINT64", 5u64.to_le_bytes().to_vec(), 5.0),
        ("INT8", vec![0x80], -128.0),
        ("INT16", i16::MIN.to_le_bytes().to_vec(), -32_768.0),
        ("INT32", i32::MIN.to_le_bytes().to_vec(), f64::from(i32::MIN)),
        ("INT64", (-5i64).to_le_bytes().to_vec(), -5.0),
        ("FP16", vec![0x00, 0x3c], 1.0),
        ("BF16", vec![0x80, 0x3f], 1.0),
        ("FP32", 1.5f32.to_le_bytes().to_vec(), 1.5),
        ("FP64", 1.5f64.to_le_bytes().to_vec(), 1.5),
    ] {
        let message = message().len(5, tensor("x", datatype, &[1])).len(7, &entry);
        let read = read(&message);
        assert_eq!(Datatype::name(read.tensors[0].datatype), datatype);
        assert_eq!(numbers(&read.tensors[0]), [value], "{datatype}");
    }
}

#[test]
fn every_typed_datatype_is_read() {
    let minus = |value: i64| value.cast_unsigned();
    for (datatype, contents, values) in [
        ("BOOL", message().packed(1, &[1, 0]), [1.0, 0.0]),
        ("INT8", message().packed(2, &[minus(-128), 127]), [-128.0, 127.0]),
        ("INT16", message().packed(2, &[minus(-300), 300]), [-300.0, 300.0]),
        ("INT32", message().packed(2, &[minus(-70_000), 70_000]), [-70_000.0, 70_000.0]),
        ("INT64", message().packed(3, &[minus(-5_000_000_000), 1]), [-5e9, 1.0]),
        ("UINT8", message().packed(4, &[0, 255]), [0.0, 255.0]),
        ("UINT16", message().packed(4, &[0, 65_535]), [0.0, 65_535.0]),
        ("UINT32", message().packed(4, &[0, 4_294_967_295]), [0.0, 4_294_967_295.0]),
        ("UINT64", message().packed(5, &[1 << 53, 2]), [9_007_199_254_740_992.0, 2.0]),
        ("FP32", message().len(6, le(&[1.5, -2.0])), [1.5, -2.0]),
        ("FP64", message().len(7, [1.5f64.to_le_bytes(), 2f64.to_le_bytes()].concat()), [1.5, 2.0]),
        ("FP16", message().len(8, [0x00, 0x3c]).len(8, [0x00, 0x40]), [1.0, 2.0]),
        ("BF16", message().len(8, [0x80, 0x3f]).len(8, [0x00, 0x40]), [1.0, 2.0]),
    ] {
        assert_eq!(typed(datatype, &[2], contents), Ok(values.to_vec()), "{datatype}");
    }
}

#[test]
fn wide_varints_are_cut_to_the_fields_width() {
    let all_ones = u64::from(u32::MAX);
    assert_eq!(typed("INT32", &[2], message().packed(2, &[all_ones, 1 << 32])), Ok(vec![-1.0, 0.0]));
    assert_eq!(typed("UINT32", &[1], message().packed(4, &[u64::MAX])), Ok(vec![f64::from(u32::MAX)]));
    assert_eq!(typed("BOOL", &[2], message().packed(1, &[300, 0])), Ok(vec![1.0, 0.0]));
}

#[test]
fn elements_of_other_fields_beside_the_datatypes_own_are_ignored() {
    let contents = message().len(6, le(&[9.0])).packed(3, &[7]).len(8, "noise");
    assert_eq!(typed("INT64", &[1], contents), Ok(vec![7.0]));
}

#[test]
fn bytes_are_read_typed_and_raw() {
    let elements: [&[u8]; 3] = [b"hello", "h\u{e9}".as_bytes(), b""];
    let typed = elements.iter().fold(message(), |contents, element| contents.len(8, element));
    let typed = message().len(5, tensor("x", "BYTES", &[3, 1]).len(5, typed));
    let raw =
        message().len(5, tensor("x", "BYTES", &[3, 1])).len(7, b"\x05\0\0\0hello\x03\0\0\0h\xc3\xa9\0\0\0\0");
    for message in [typed, raw] {
        assert_eq!(read(&message).tensors[0].data, Data::Bytes(elements.to_vec()));
    }
}

#[test]
fn several_runs_and_unpacked_elements_are_joined() {
    let mixed =
        message().len(6, le(&[1.0, 2.0])).fixed32(6, 3f32.to_le_bytes()).len(6, "").len(6, le(&[4.0]));
    assert_eq!(typed("FP32", &[4], mixed), Ok(vec![1.0, 2.0, 3.0, 4.0]));
    let mixed = message().fixed64(7, 1f64.to_le_bytes()).fixed64(7, 2f64.to_le_bytes());
    assert_eq!(typed("FP64", &[2], mixed), Ok(vec![1.0, 2.0]));
    let mixed = message().varint(2, 1).packed(2, &[2, 3]).varint(2, 4);
    assert_eq!(typed("INT32", &[4], mixed), Ok(vec![1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn contents_and_shape_in_pieces_are_merged() {
    let body = tensor("x", "FP32", &[2])
        .len(5, message().len(6, le(&[1.0])))
        .varint(3, 1)
        .len(5, message().len(6, le(&[2.0])));
    let message = message().len(5, body);
    let read = read(&message);
    assert_eq!(read.tensors[0].shape, [2, 1]);
    assert_eq!(read.tensors[0].data, Data::Owned(le(&[1.0, 2.0])));
}

#[test]
fn the_last_value_of_a_single_field_wins() {
    let body = tensor("old", "INT8", &[1]).len(1, "x").len(2, "UINT8");
    let message = message().len(1, "a").len(1, "b").len(5, body).len(7, [200]);
    let read = read(&message);
    assert_eq!((read.model, read.tensors[0].name), ("b", "x"));
    assert_eq!(numbers(&read.tensors[0]), [200.0]);
}

#[test]
fn unknown_fields_and_groups_are_skipped() {
    let message = message()
        .varint(100, 7)
        .group(101)
        .len(5, tensor("x", "UINT8", &[1]).group(9).fixed64(10, [0; 8]).varint(1, 5))
        .len(6, message().len(1, "requested"))
        .fixed32(102, [0; 4])
        .len(7, [3]);
    assert_eq!(numbers(&read(&message).tensors[0]), [3.0]);
}

#[test]
fn a_scalar_and_an_empty_tensor_are_tensors() {
    assert_eq!(typed("INT64", &[], message().packed(3, &[7])), Ok(vec![7.0]));
    assert_eq!(typed("FP32", &[0, 3], message()), Ok(vec![]));
}

#[test]
fn a_shape_that_does_not_fit_the_elements_is_a_mismatch() {
    for shape in [vec![3], vec![-1], vec![-1, -2], vec![i64::MAX, i64::MAX], vec![1; 65]] {
        assert_eq!(typed("FP32", &shape, message().len(6, le(&[1.0, 2.0]))), Err(Defect::ShapeMismatch));
    }
    assert_eq!(typed("FP32", &[1, 3], message()), Err(Defect::ShapeMismatch));
    assert_eq!(typed("FP32", &[1 << 60, 0], message()), Err(Defect::ShapeMismatch));
    let message = message().len(5, tensor("x", "FP32", &[3])).len(7, le(&[1.0]));
    assert_eq!(read(&message).defects, [("x", Defect::ShapeMismatch)]);
}

#[test]
fn elements_that_do_not_fit_the_datatype_are_malformed() {
    for (datatype, contents) in [
        ("INT64", message().packed(2, &[1, 2])),
        ("INT8", message().packed(2, &[1, 128])),
        ("UINT8", message().packed(4, &[1, 256])),
        ("FP16", message().len(6, le(&[1.0, 2.0]))),
        ("FP16", message().len(8, [0, 0, 0, 0])),
        ("BYTES", message().packed(2, &[1, 2])),
    ] {
        assert_eq!(typed(datatype, &[2], contents), Err(Defect::MalformedContents), "{datatype}");
    }
}

#[test]
fn a_torn_message_is_malformed() {
    let torn = message().len(5, tensor("x", "FP32", &[1]).len(5, message().len(6, [0; 5])));
    assert_eq!(request(INFER, torn.as_ref()), Err(Unreadable::Malformed));
    let torn = message().len(5, tensor("x", "INT32", &[1]).len(5, message().len(2, [0x80])));
    assert_eq!(request(INFER, torn.as_ref()), Err(Unreadable::Malformed));
}

#[test]
fn names_that_are_not_utf8_are_refused() {
    let names = [message().len(1, [0xff]), message().len(5, message().len(1, [0xff]))];
    for message in names {
        assert_eq!(request(INFER, message.as_ref()), Err(Unreadable::InvalidUtf8));
    }
}

#[test]
fn the_number_of_tensors_is_bounded() {
    let many = |count| (0..count).fold(message(), |message, _| message.len(5, tensor("x", "FP32", &[0])));
    assert_eq!(read(&many(4096)).tensors.len(), 4096);
    assert_eq!(request(INFER, many(4097).as_ref()), Err(Unreadable::TooManyTensors));
}

#[test]
fn a_gzip_stream_is_named_as_such() {
    assert_eq!(request(INFER, b"\x1f\x8b\x08\x00"), Err(Unreadable::Compressed));
}

#[test]
fn an_empty_message_has_no_tensors() {
    assert_eq!(request(INFER, b""), Ok(Message::default()));
    assert_eq!(response(INFER, b""), Ok(Message::default()));
}

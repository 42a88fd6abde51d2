//! What must hold for any bytes: reading never panics, and what was written is what is read.

use crate::encoder::{Encoder, message, tensor};
use pilotfish_core::tensor::Tensor;
use pilotfish_wire::{Message, Unreadable, request, response};
use proptest::collection::vec;
use proptest::prelude::*;

const METHODS: [&str; 2] =
    ["/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelStreamInfer"];

/// Messages of every shape that is read, as seeds for damage.
fn seeds() -> Vec<Vec<u8>> {
    let typed = message()
        .len(1, "m")
        .len(3, "id")
        .len(5, tensor("x", "FP32", &[1, 2]).len(5, message().len(6, [0; 4]).len(6, [1; 4])))
        .len(5, tensor("n", "INT32", &[2]).len(5, message().packed(2, &[300, u64::MAX])))
        .len(5, tensor("u", "UINT64", &[1]).len(5, message().varint(5, 1 << 40)))
        .len(5, tensor("s", "BYTES", &[2]).len(5, message().len(8, "ab").len(8, "")));
    let raw = |number| {
        message()
            .len(1, "wine")
            .len(2, "v1")
            .len(4, message().len(1, "p").len(2, message().varint(2, 3)))
            .len(5, tensor("x", "FP64", &[1]))
            .len(5, tensor("shm", "INT8", &[1]).len(4, message().len(1, "shared_memory_region")))
            .len(5, tensor("s", "BYTES", &[2]).len(5, ""))
            .group(90)
            .len(number, [7; 8])
            .len(number, b"\x02\0\0\0ab\0\0\0\0")
    };
    let seeds = [
        typed,
        raw(7),
        raw(6),
        message().len(2, raw(6)),
        message().len(1, "went wrong").len(2, message().len(3, "id")),
    ];
    seeds.iter().map(|seed| seed.as_ref().to_vec()).collect()
}

/// Reads the bytes as everything they could be, and walks over what came out.
fn read_all(bytes: &[u8]) {
    for method in METHODS {
        check(request(method, bytes));
        check(response(method, bytes));
    }
}

fn check(read: Result<Message<'_>, Unreadable>) {
    for tensor in read.iter().flat_map(|message| &message.tensors) {
        let mut visited = 0;
        tensor.for_each(|_, _| visited += 1);
        assert!(visited == tensor.len() || tensor.datatype.width().is_none());
        assert!(tensor.is_empty() || tensor.rows() * tensor.columns() == tensor.len());
    }
}

#[test]
fn a_message_cut_anywhere_is_readable_or_malformed() {
    for seed in seeds() {
        for end in 0..seed.len() {
            for method in METHODS {
                for read in [request(method, &seed[..end]), response(method, &seed[..end])] {
                    assert!(matches!(read, Ok(_) | Err(Unreadable::Malformed)), "{read:?}");
                    check(read);
                }
            }
        }
    }
}

#[test]
fn any_one_byte_may_be_wrong() {
    for seed in seeds() {
        for at in 0..seed.len() {
            for wrong in 0..=255 {
                let mut damaged = seed.clone();
                damaged[at] = wrong;
                read_all(&damaged);
            }
        }
    }
}

/// Any element of a typed or raw tensor: `(datatype, contents field, bits to varint, bits to little endian bytes)`.
#[derive(Clone, Copy, Debug)]
struct Kind {
    datatype: &'static str,
    field: u32,
    value: fn(i64) -> f64,
    varint: fn(i64) -> u64,
    raw: fn(i64) -> Vec<u8>,
}

const INTEGERS: [Kind; 9] = [
    kind("BOOL", 1, |n| f64::from(u8::from(n & 1 == 1)), |n| n.cast_unsigned() & 1, |n| vec![n as u8 & 1]),
    kind("INT8", 2, |n| f64::from(n as i8), |n| i64::from(n as i8).cast_unsigned(), |n| vec![n as u8]),
    kind("INT16", 2, |n| f64::from(n as i16), |n| i64::from(n as i16).cast_unsigned(), |n| bytes(n, 2)),
    kind("INT32", 2, |n| f64::from(n as i32), |n| i64::from(n as i32).cast_unsigned(), |n| bytes(n, 4)),
    kind("INT64", 3, |n| n as f64, i64::cast_unsigned, |n| bytes(n, 8)),
    kind("UINT8", 4, |n| f64::from(n as u8), |n| u64::from(n as u8), |n| bytes(n, 1)),
    kind("UINT16", 4, |n| f64::from(n as u16), |n| u64::from(n as u16), |n| bytes(n, 2)),
    kind("UINT32", 4, |n| f64::from(n as u32), |n| u64::from(n as u32), |n| bytes(n, 4)),
    kind("UINT64", 5, |n| n.cast_unsigned() as f64, i64::cast_unsigned, |n| bytes(n, 8)),
];

const fn kind(
    datatype: &'static str,
    field: u32,
    value: fn(i64) -> f64,
    varint: fn(i64) -> u64,
    raw: fn(i64) -> Vec<u8>,
) -> Kind {
    Kind { datatype, field, value, varint, raw }
}

fn bytes(n: i64, width: usize) -> Vec<u8> {
    n.to_le_bytes()[..width].to_vec()
}

fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    let mut numbers = Vec::new();
    tensor.for_each(|_, number| numbers.push(number));
    numbers
}

fn run(kind: Kind, elements: &[i64]) -> Vec<u64> {
    elements.iter().map(|&element| (kind.varint)(element)).collect()
}

fn floats(elements: &[f32]) -> Vec<u8> {
    elements.iter().flat_map(|element| element.to_le_bytes()).collect()
}

fn first_numbers(message: &Encoder) -> Vec<f64> {
    numbers(&request(METHODS[0], message.as_ref()).unwrap().tensors[0])
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn any_damage_is_read_or_refused(
        seed in prop::sample::select(seeds()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut damaged = seed.clone();
        for (at, wrong) in damage {
            let at = at.index(damaged.len());
            damaged[at] = wrong;
        }
        damaged.truncate(cut.index(damaged.len() + 1));
        read_all(&damaged);
    }

    #[test]
    fn integers_are_read_as_written_typed_or_raw(
        kind in prop::sample::select(INTEGERS.to_vec()),
        elements in vec(any::<i64>(), 0..40),
        split in any::<prop::sample::Index>(),
    ) {
        let expected: Vec<f64> = elements.iter().map(|&element| (kind.value)(element)).collect();
        let (one, other) = elements.split_at(split.index(elements.len() + 1));
        let head = || tensor("x", kind.datatype, &[elements.len() as i64]);

        let runs = message().packed(kind.field, &run(kind, one)).packed(kind.field, &run(kind, other));
        prop_assert_eq!(first_numbers(&message().len(5, head().len(5, runs))), expected.clone());

        let single = run(kind, &elements).iter().fold(message(), |body, &bits| body.varint(kind.field, bits));
        prop_assert_eq!(first_numbers(&message().len(5, head().len(5, single))), expected.clone());

        let raw = elements.iter().flat_map(|&element| (kind.raw)(element)).collect::<Vec<u8>>();
        prop_assert_eq!(first_numbers(&message().len(7, raw).len(5, head())), expected);
    }

    #[test]
    fn floats_are_read_as_written_typed_or_raw(
        elements in vec(-1e30f32..1e30, 1..40),
        split in any::<prop::sample::Index>(),
    ) {
        let expected: Vec<f64> = elements.iter().map(|&element| f64::from(element)).collect();
        let (one, other) = elements.split_at(split.index(elements.len() + 1));
        let head = || tensor("x", "FP32", &[elements.len() as i64, 1]);

        let runs = message().len(6, floats(one)).len(6, floats(other));
        prop_assert_eq!(first_numbers(&message().len(5, head().len(5, runs))), expected.clone());
        let raw = message().len(5, head()).len(7, floats(&elements));
        prop_assert_eq!(first_numbers(&raw), expected);
    }
}

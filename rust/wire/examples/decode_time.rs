//! How long reading a request takes: `cargo run --release -p pilotfish-wire --example decode_time`.
//!
//! Prints nanoseconds per message for a tensor `[rows, 64]`, typed and raw; the best of five rounds.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";
const COLUMNS: usize = 64;

fn main() {
    println!("{:<28} {:>9} {:>12}", "request", "bytes", "ns/message");
    for rows in [1, 16, 256] {
        report("FP32 raw", &raw(rows));
        report("FP32 typed", &typed(rows, "FP32", 6, &[0, 0, 0x80, 0x3f]));
        report("INT64 typed, small numbers", &typed(rows, "INT64", 3, &[16]));
        report("BYTES raw, 4 bytes each", &strings(rows));
    }
}

fn report(name: &str, message: &[u8]) {
    let rounds = 20_000_000 / (message.len() + 500);
    let best = (0..5).map(|_| time(message, rounds)).fold(f64::INFINITY, f64::min);
    println!("{name:<28} {:>9} {best:>12.0}", message.len());
}

fn time(message: &[u8], rounds: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        let read = pilotfish_wire::request(METHOD, black_box(message));
        assert!(black_box(&read).as_ref().is_ok_and(|read| read.defects.is_empty()));
    }
    start.elapsed().as_nanos() as f64 / rounds as f64
}

fn raw(rows: usize) -> Vec<u8> {
    [head(&tensor(rows, "FP32")), field(7, &vec![0; rows * COLUMNS * 4])].concat()
}

fn strings(rows: usize) -> Vec<u8> {
    let elements = b"\x04\0\0\0blue".repeat(rows * COLUMNS);
    [head(&tensor(rows, "BYTES")), field(7, &elements)].concat()
}

fn typed(rows: usize, datatype: &str, number: u8, element: &[u8]) -> Vec<u8> {
    let contents = field(number, &element.repeat(rows * COLUMNS));
    head(&[tensor(rows, datatype), field(5, &contents)].concat())
}

fn head(tensor: &[u8]) -> Vec<u8> {
    [field(1, b"digits"), field(3, b"0123456789abcdef"), field(5, tensor)].concat()
}

fn tensor(rows: usize, datatype: &str) -> Vec<u8> {
    let shape = [varint(rows), varint(COLUMNS)].concat();
    [field(1, b"x"), field(2, datatype.as_bytes()), field(3, &shape)].concat()
}

fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], varint(value.len()).as_slice(), value].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

//! Numbers out of the bytes of a tensor, many at a time.

use crate::tensor::{Data, Datatype, Tensor};
use half::{bf16, f16};

/// Reads the elements from `start` on into `out`, as many as it holds. Elements beyond the end, and those of a tensor
/// of strings, leave `out` as it was. 64-bit integers above 2^53 round to the nearest float.
pub fn read(tensor: &Tensor<'_>, start: usize, out: &mut [f64]) {
    match &tensor.data {
        Data::Raw(raw) => read_raw(tensor.datatype, raw, start, out),
        Data::Owned(raw) => read_raw(tensor.datatype, raw, start, out),
        Data::Signed(values) => fill(out, values.iter().skip(start).map(|&value| value as f64)),
        Data::Unsigned(values) => fill(out, values.iter().skip(start).map(|&value| value as f64)),
        Data::Bytes(_) => {}
    }
}

fn fill(out: &mut [f64], values: impl Iterator<Item = f64>) {
    for (slot, value) in out.iter_mut().zip(values) {
        *slot = value;
    }
}

fn read_raw(datatype: Datatype, raw: &[u8], start: usize, out: &mut [f64]) {
    macro_rules! each {
        ($width:literal, $convert:expr) => {{
            let (elements, _) = raw.as_chunks::<$width>();
            let wanted = elements.get(start..).unwrap_or_default();
            for (slot, bytes) in out.iter_mut().zip(wanted) {
                *slot = $convert(*bytes);
            }
        }};
    }
    match datatype {
        Datatype::Bool => each!(1, |b: [u8; 1]| f64::from(u8::from(b[0] != 0))),
        Datatype::Uint8 => each!(1, |b: [u8; 1]| f64::from(b[0])),
        Datatype::Int8 => each!(1, |b| f64::from(i8::from_le_bytes(b))),
        Datatype::Uint16 => each!(2, |b| f64::from(u16::from_le_bytes(b))),
        Datatype::Int16 => each!(2, |b| f64::from(i16::from_le_bytes(b))),
        Datatype::Fp16 => each!(2, |b| f16::from_le_bytes(b).to_f64()),
        Datatype::Bf16 => each!(2, |b| bf16::from_le_bytes(b).to_f64()),
        Datatype::Uint32 => each!(4, |b| f64::from(u32::from_le_bytes(b))),
        Datatype::Int32 => each!(4, |b| f64::from(i32::from_le_bytes(b))),
        Datatype::Fp32 => each!(4, |b| f64::from(f32::from_le_bytes(b))),
        Datatype::Uint64 => each!(8, |b| u64::from_le_bytes(b) as f64),
        Datatype::Int64 => each!(8, |b| i64::from_le_bytes(b) as f64),
        Datatype::Fp64 => each!(8, f64::from_le_bytes),
        Datatype::Bytes => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_datatype_reads_as_the_whole_does() {
        let raw: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(37)).collect();
        let datatypes = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"];
        for name in datatypes.into_iter().chain(["FP16", "BF16", "FP32", "FP64"]) {
            let datatype = Datatype::from_name(name).unwrap();
            let length = raw.len() / datatype.width().unwrap();
            let tensor = Tensor::new("x", datatype, vec![length], Data::Raw(&raw)).unwrap();
            let mut whole = Vec::new();
            tensor.for_each(|_, value| whole.push(value.to_bits()));
            for start in 0..length {
                let mut out = vec![0.0; length - start];
                read(&tensor, start, &mut out);
                assert_eq!(out.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), whole[start..], "{name}");
            }
        }
    }

    #[test]
    fn decoded_integers_are_read_too() {
        let signed = Tensor::new("x", Datatype::Int8, vec![3], Data::Signed(vec![-1, 2, 3])).unwrap();
        let unsigned = Tensor::new("x", Datatype::Uint8, vec![3], Data::Unsigned(vec![1, 2, 3])).unwrap();
        let mut out = [0.0; 2];
        read(&signed, 1, &mut out);
        assert_eq!(out, [2.0, 3.0]);
        read(&unsigned, 0, &mut out);
        assert_eq!(out, [1.0, 2.0]);
    }

    #[test]
    fn reading_past_the_end_changes_nothing() {
        let tensor = Tensor::new("x", Datatype::Uint8, vec![2], Data::Raw(&[1, 2])).unwrap();
        let mut out = [7.0; 2];
        read(&tensor, 5, &mut out);
        assert_eq!(out, [7.0; 2]);
    }
}

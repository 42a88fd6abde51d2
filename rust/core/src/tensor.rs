//! A tensor as it lies in a message: a name, a datatype, a shape, and borrowed bytes.
//!
//! It is the value that `wire` produces and the statistics consume, so that neither knows the other. Nothing is
//! copied: numbers stay in the little-endian, row-major, unaligned bytes they arrived in whenever the message allows.

use crate::sketch::real::Real;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Which half of the call a tensor belongs to: what the model was given, or what it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Input,
    Output,
}

// === impl Direction ===

impl Direction {
    /// As files and snapshots have it.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Input => "input",
            Direction::Output => "output",
        }
    }
}

/// The datatypes of the Open Inference Protocol (KServe v2), with Triton's BF16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

/// The elements of a tensor. `Raw` holds fixed-size numbers; the others are what had to be decoded to be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<'a> {
    /// Little-endian, row-major, without padding, not necessarily aligned; never `Datatype::Bytes`.
    Raw(&'a [u8]),
    /// Like `Raw`, for the rare message whose numbers lie in several pieces and had to be joined.
    Owned(Vec<u8>),
    /// Varint-encoded signed integers (typed BOOL and INT contents).
    Signed(Vec<i64>),
    /// Varint-encoded unsigned integers (typed UINT contents).
    Unsigned(Vec<u64>),
    /// The elements of a BYTES tensor.
    Bytes(Vec<&'a [u8]>),
}

/// One tensor of a request or response, borrowed from the message. Build it with [`Tensor::new`], which checks that
/// the shape and the elements agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub datatype: Datatype,
    /// Extents, outermost (batch) first; may be empty for a scalar. Never negative.
    pub shape: Vec<usize>,
    pub data: Data<'a>,
}

/// Why a tensor cannot be observed. The call is forwarded all the same; the reason is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The datatype's name is none that the protocol knows.
    UnknownDatatype,
    /// The shape's product differs from the number of elements, or an extent is negative or absurd.
    ShapeMismatch,
    /// The elements lie in shared memory between client and server; the message holds none.
    SharedMemory,
    /// The elements do not decode as the datatype says.
    MalformedContents,
}

// === impl Datatype ===

impl Datatype {
    /// Parses the protocol's spelling, e.g. `FP32`.
    pub fn from_name(name: &str) -> Option<Datatype> {
        Some(match name {
            "BOOL" => Datatype::Bool,
            "UINT8" => Datatype::Uint8,
            "UINT16" => Datatype::Uint16,
            "UINT32" => Datatype::Uint32,
            "UINT64" => Datatype::Uint64,
            "INT8" => Datatype::Int8,
            "INT16" => Datatype::Int16,
            "INT32" => Datatype::Int32,
            "INT64" => Datatype::Int64,
            "FP16" => Datatype::Fp16,
            "BF16" => Datatype::Bf16,
            "FP32" => Datatype::Fp32,
            "FP64" => Datatype::Fp64,
            "BYTES" => Datatype::Bytes,
            _ => return None,
        })
    }

    /// The protocol's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Datatype::Bool => "BOOL",
            Datatype::Uint8 => "UINT8",
            Datatype::Uint16 => "UINT16",
            Datatype::Uint32 => "UINT32",
            Datatype::Uint64 => "UINT64",
            Datatype::Int8 => "INT8",
            Datatype::Int16 => "INT16",
            Datatype::Int32 => "INT32",
            Datatype::Int64 => "INT64",
            Datatype::Fp16 => "FP16",
            Datatype::Bf16 => "BF16",
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
            Datatype::Bytes => "BYTES",
        }
    }

    /// Bytes per element in raw contents; `None` for BYTES, whose elements carry their own length.
    pub fn width(self) -> Option<usize> {
        Some(match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => 1,
            Datatype::Uint16 | Datatype::Int16 | Datatype::Fp16 | Datatype::Bf16 => 2,
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => 4,
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => 8,
            Datatype::Bytes => return None,
        })
    }

    /// Whether the values are whole numbers (so that classes and counts get one bin per value).
    pub fn is_integer(self) -> bool {
        !matches!(self, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 | Datatype::Bytes)
    }
}

// === impl Tensor ===

impl<'a> Tensor<'a> {
    /// A checked tensor.
    ///
    /// # Errors
    /// [`Defect::ShapeMismatch`] when the product of `shape` is not the number of elements in `data`;
    /// [`Defect::MalformedContents`] when raw data is not a whole number of elements, or BYTES data is not bytes.
    pub fn new(
        name: &'a str,
        datatype: Datatype,
        shape: Vec<usize>,
        data: Data<'a>,
    ) -> Result<Tensor<'a>, Defect> {
        let elements = match (&data, datatype.width()) {
            (Data::Raw(raw), Some(width)) if raw.len() % width == 0 => raw.len() / width,
            (Data::Owned(raw), Some(width)) if raw.len() % width == 0 => raw.len() / width,
            (Data::Signed(values), Some(_)) => values.len(),
            (Data::Unsigned(values), Some(_)) => values.len(),
            (Data::Bytes(values), None) => values.len(),
            _ => return Err(Defect::MalformedContents),
        };
        // Zero extents count as one here, so that no product of some of the extents (rows, columns) can overflow.
        let fits = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)));
        if fits.is_none() || shape.iter().product::<usize>() != elements {
            return Err(Defect::ShapeMismatch);
        }
        Ok(Tensor { name, datatype, shape, data })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows: the batch extent, 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements per row; 1 for `[n]` and for a scalar.
    pub fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Reads the elements from `start` on into `out`, as many as it holds, in row-major order. Elements beyond the end,
    /// and those of a tensor of strings, leave `out` as it was. 64-bit integers above 2^53 round to the nearest float.
    pub fn read<R: Real>(&self, start: usize, out: &mut [R]) {
        match &self.data {
            Data::Raw(raw) => read_raw(self.datatype, raw, start, out),
            Data::Owned(raw) => read_raw(self.datatype, raw, start, out),
            Data::Signed(values) => {
                fill(out, values.iter().skip(start).map(|&value| R::nearest(value as f64)));
            }
            Data::Unsigned(values) => {
                fill(out, values.iter().skip(start).map(|&value| R::nearest(value as f64)));
            }
            Data::Bytes(_) => {}
        }
    }

    /// Whether short floats hold every element exactly.
    pub fn is_short(&self) -> bool {
        let is_raw = matches!(self.data, Data::Raw(_) | Data::Owned(_));
        is_raw && (self.datatype == Datatype::Fp32 || self.datatype.width().is_some_and(|width| width <= 2))
    }

    /// Calls `visit(index, value)` for every element of a numeric tensor, as [`Tensor::read`] gives them.
    pub fn for_each(&self, mut visit: impl FnMut(usize, f64)) {
        if self.datatype == Datatype::Bytes {
            return;
        }
        let mut block = [0.0; 64];
        for start in (0..self.len()).step_by(block.len()) {
            let taken = block.len().min(self.len() - start);
            self.read(start, &mut block[..taken]);
            block[..taken].iter().enumerate().for_each(|(i, &value)| visit(start + i, value));
        }
    }
}

fn fill<R: Real>(out: &mut [R], values: impl Iterator<Item = R>) {
    for (slot, value) in out.iter_mut().zip(values) {
        *slot = value;
    }
}

fn read_raw<R: Real>(datatype: Datatype, raw: &[u8], start: usize, out: &mut [R]) {
    macro_rules! each {
        ($width:literal, $convert:expr) => {{
            let (elements, _) = raw.as_chunks::<$width>();
            let wanted = elements.get(start..).unwrap_or_default();
            for (slot, bytes) in out.iter_mut().zip(wanted) {
                *slot = R::nearest($convert(*bytes));
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

// === impl Defect ===

impl Defect {
    /// The name the defect is counted under.
    pub fn name(self) -> &'static str {
        match self {
            Defect::UnknownDatatype => "unknown_datatype",
            Defect::ShapeMismatch => "shape_mismatch",
            Defect::SharedMemory => "shared_memory",
            Defect::MalformedContents => "malformed_contents",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unaligned_raw_floats_are_read_in_row_major_order() {
        let mut bytes = vec![0u8];
        for value in [1.5f32, -2.0, f32::NAN, 4.0] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let tensor = Tensor::new("x", Datatype::Fp32, vec![2, 2], Data::Raw(&bytes[1..])).unwrap();
        let mut seen = Vec::new();
        tensor.for_each(|i, v| seen.push((i, v)));
        assert_eq!(seen[0], (0, 1.5));
        assert_eq!(seen[1], (1, -2.0));
        assert!(seen[2].1.is_nan());
        assert_eq!((tensor.rows(), tensor.columns()), (2, 2));
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        assert_eq!(Tensor::new("x", Datatype::Fp32, vec![3], Data::Raw(&[0; 8])), Err(Defect::ShapeMismatch));
        assert_eq!(
            Tensor::new("x", Datatype::Fp32, vec![2], Data::Raw(&[0; 7])),
            Err(Defect::MalformedContents)
        );
        assert_eq!(
            Tensor::new("x", Datatype::Int8, vec![usize::MAX, 2], Data::Signed(vec![1])),
            Err(Defect::ShapeMismatch)
        );
    }

    #[test]
    fn an_empty_tensor_with_absurd_extents_is_refused() {
        assert_eq!(
            Tensor::new("x", Datatype::Fp32, vec![0, usize::MAX, 2], Data::Raw(&[])),
            Err(Defect::ShapeMismatch)
        );
        assert!(Tensor::new("x", Datatype::Fp32, vec![0, 64], Data::Raw(&[])).is_ok());
    }

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
                let mut out = vec![0.0f64; length - start];
                tensor.read(start, &mut out);
                assert_eq!(out.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), whole[start..], "{name}");
            }
        }
    }

    #[test]
    fn decoded_integers_are_read_too() {
        let signed = Tensor::new("x", Datatype::Int8, vec![3], Data::Signed(vec![-1, 2, 3])).unwrap();
        let unsigned = Tensor::new("x", Datatype::Uint8, vec![3], Data::Unsigned(vec![1, 2, 3])).unwrap();
        let mut out = [0.0; 2];
        signed.read(1, &mut out);
        assert_eq!(out, [2.0, 3.0]);
        unsigned.read(0, &mut out);
        assert_eq!(out, [1.0, 2.0]);
    }

    #[test]
    fn reading_past_the_end_changes_nothing() {
        let tensor = Tensor::new("x", Datatype::Uint8, vec![2], Data::Raw(&[1, 2])).unwrap();
        let mut out = [7.0; 2];
        tensor.read(5, &mut out);
        assert_eq!(out, [7.0; 2]);
    }
}

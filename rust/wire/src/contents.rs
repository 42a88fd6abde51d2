//! Typed contents: the elements of a tensor as repeated protobuf fields within it (`InferTensorContents`).
//!
//! Floats that lie in one packed run, which is how every library writes them, are borrowed; varints are decoded.
//! Repeated fields may also come unpacked or in several runs, and `contents` itself in several pieces.
//!
//! Source of the field numbers: see [`crate::infer`].

use std::borrow::Cow;

use pilotfish_core::tensor::{Data, Datatype, Defect};

use crate::Flaw;
use crate::Unreadable::Malformed;
use crate::cursor::{Fields, Value, varint};

/// Field `contents` of a tensor.
const CONTENTS: u32 = 5;

// InferTensorContents.
const BOOL: u32 = 1;
const INT: u32 = 2;
const INT64: u32 = 3;
const UINT: u32 = 4;
const UINT64: u32 = 5;
const FP32: u32 = 6;
const FP64: u32 = 7;
const BYTES: u32 = 8;

/// The elements of the tensor whose message is `tensor`.
///
/// # Errors
/// [`Defect::MalformedContents`] when the elements lie in another field than the datatype's, or one does not fit it.
pub(crate) fn read(tensor: &[u8], datatype: Datatype) -> Result<Data<'_>, Flaw> {
    match datatype {
        Datatype::Bool => integers(tensor, BOOL, |bits| Some(i64::from(bits != 0))).map(Data::Signed),
        Datatype::Int8 => signed::<i8>(tensor),
        Datatype::Int16 => signed::<i16>(tensor),
        Datatype::Int32 => signed::<i32>(tensor),
        Datatype::Int64 => integers(tensor, INT64, |bits| Some(bits.cast_signed())).map(Data::Signed),
        Datatype::Uint8 => unsigned::<u8>(tensor),
        Datatype::Uint16 => unsigned::<u16>(tensor),
        Datatype::Uint32 => unsigned::<u32>(tensor),
        Datatype::Uint64 => integers(tensor, UINT64, Some).map(Data::Unsigned),
        Datatype::Fp32 => floats(tensor, FP32, 4),
        Datatype::Fp64 => floats(tensor, FP64, 8),
        Datatype::Fp16 | Datatype::Bf16 => halves(tensor),
        Datatype::Bytes => strings(tensor).map(Data::Bytes),
    }
}

/// `int_contents`, which carries INT8 and INT16 too. An `int32` is the low half of its varint.
fn signed<T: TryFrom<i32>>(tensor: &[u8]) -> Result<Data<'_>, Flaw> {
    let fitting = |bits: u64| {
        let value = (bits as u32).cast_signed();
        T::try_from(value).is_ok().then_some(i64::from(value))
    };
    integers(tensor, INT, fitting).map(Data::Signed)
}

/// `uint_contents`, which carries UINT8 and UINT16 too. A `uint32` is the low half of its varint.
fn unsigned<T: TryFrom<u32>>(tensor: &[u8]) -> Result<Data<'_>, Flaw> {
    let fitting = |bits: u64| {
        let value = bits as u32;
        T::try_from(value).is_ok().then_some(u64::from(value))
    };
    integers(tensor, UINT, fitting).map(Data::Unsigned)
}

fn integers<T>(tensor: &[u8], number: u32, convert: impl Fn(u64) -> Option<T>) -> Result<Vec<T>, Flaw> {
    let mut elements = Vec::new();
    let convert = |bits| convert(bits).ok_or(Defect::MalformedContents);
    each(tensor, number, |value| {
        match value {
            Value::Varint(bits) => elements.push(convert(bits)?),
            Value::Len(mut run) => {
                elements.reserve(run.iter().filter(|&&byte| byte < 0x80).count());
                while !run.is_empty() {
                    elements.push(convert(varint(&mut run)?)?);
                }
            }
            Value::Fixed32(_) | Value::Fixed64(_) => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(elements)
}

fn floats(tensor: &[u8], number: u32, width: usize) -> Result<Data<'_>, Flaw> {
    let mut elements = Cow::Borrowed([].as_slice());
    each(tensor, number, |value| match value {
        Value::Len(run) if run.len() % width != 0 => Err(Malformed.into()),
        Value::Len(run) => Ok(join(&mut elements, run)),
        Value::Fixed32(element) if width == 4 => Ok(join(&mut elements, element)),
        Value::Fixed64(element) if width == 8 => Ok(join(&mut elements, element)),
        _ => Ok(false),
    })?;
    Ok(joined(elements))
}

/// FP16 and BF16 have no field of their own. Some clients put each element's two bytes into `bytes_contents`.
fn halves(tensor: &[u8]) -> Result<Data<'_>, Flaw> {
    let mut elements = Cow::Borrowed([].as_slice());
    each(tensor, BYTES, |value| match value {
        Value::Len(element) if element.len() == 2 => Ok(join(&mut elements, element)),
        Value::Len(_) => Err(Defect::MalformedContents.into()),
        _ => Ok(false),
    })?;
    Ok(joined(elements))
}

fn strings(tensor: &[u8]) -> Result<Vec<&[u8]>, Flaw> {
    let mut elements = Vec::new();
    each(tensor, BYTES, |value| match value {
        Value::Len(element) => {
            elements.push(element);
            Ok(true)
        }
        _ => Ok(false),
    })?;
    Ok(elements)
}

/// Appends `run`; copies only from the second one on. Returns true: the value was understood.
fn join<'a>(elements: &mut Cow<'a, [u8]>, run: &'a [u8]) -> bool {
    if elements.is_empty() {
        *elements = Cow::Borrowed(run);
    } else {
        elements.to_mut().extend_from_slice(run);
    }
    true
}

fn joined(elements: Cow<'_, [u8]>) -> Data<'_> {
    match elements {
        Cow::Borrowed(bytes) => Data::Raw(bytes),
        Cow::Owned(bytes) => Data::Owned(bytes),
    }
}

/// Calls `visit` for every value of the contents' field `number`; it says whether the wire type is one it understands.
///
/// # Errors
/// Those of `visit`, and [`Defect::MalformedContents`] when there are only elements of other fields.
fn each<'a>(
    tensor: &'a [u8],
    number: u32,
    mut visit: impl FnMut(Value<'a>) -> Result<bool, Flaw>,
) -> Result<(), Flaw> {
    let mut found = false;
    let mut elsewhere = false;
    for field in Fields::new(tensor) {
        let (CONTENTS, Value::Len(contents)) = field? else { continue };
        for field in Fields::new(contents) {
            let (actual, value) = field?;
            if actual == number {
                found |= visit(value)?;
            } else if actual <= BYTES {
                elsewhere |= value != Value::Len(&[]);
            }
        }
    }
    if elsewhere && !found {
        return Err(Defect::MalformedContents.into());
    }
    Ok(())
}

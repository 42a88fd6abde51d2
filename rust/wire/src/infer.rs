//! `ModelInferRequest` and `ModelInferResponse` of KServe v2, the Open Inference Protocol.
//!
//! Two passes, because fields may come in any order: the first finds the tensors and the raw entries, the second reads
//! each tensor and gives it its elements. What a message says twice is merged as protobuf does: the last string wins,
//! lists are joined.
//!
//! Source of the field numbers: `kserve/open-inference-protocol`, `specification/protocol/open_inference_grpc.proto`.
//! The copies of KServe, Triton, MLServer and TorchServe agree on every field that is read here.

use pilotfish_core::tensor::{Datatype, Defect, Direction, Tensor};

use crate::cursor::{Fields, Value, varint};
use crate::raw::Entries;
use crate::{Flaw, MAX_TENSORS, Message, Unreadable, contents, raw};

// ModelInferRequest and ModelInferResponse alike, but for the raw entries.
const MODEL_NAME: u32 = 1;
const MODEL_VERSION: u32 = 2;
const ID: u32 = 3;
const TENSORS: u32 = 5;
const RAW_OUTPUT_CONTENTS: u32 = 6;
const RAW_INPUT_CONTENTS: u32 = 7;

// InferInputTensor and InferOutputTensor.
const NAME: u32 = 1;
const DATATYPE: u32 = 2;
const SHAPE: u32 = 3;
const PARAMETERS: u32 = 4;

/// Key of a `map` entry.
const KEY: u32 = 1;

/// The parameter by which a tensor says that its elements lie in shared memory.
const SHARED_MEMORY: &[u8] = b"shared_memory_region";

/// Most extents of a shape; NumPy 2 stops at 64.
const MAX_RANK: usize = 64;

/// What a tensor says of itself before its elements.
#[derive(Default)]
struct Header<'a> {
    name: &'a str,
    datatype: &'a str,
    /// `None` when an extent is negative or absurd, or there are too many.
    shape: Option<Vec<usize>>,
    in_shared_memory: bool,
}

/// Where the parts of a message lie.
struct Parts<'a> {
    message: Message<'a>,
    tensors: Vec<&'a [u8]>,
    raw: Vec<&'a [u8]>,
}

/// Reads one message that lies in `pieces`, which protobuf merges as if they lay side by side.
pub(crate) fn read<'a>(pieces: &[&'a [u8]], direction: Direction) -> Result<Message<'a>, Unreadable> {
    let Parts { mut message, tensors, raw } = find(pieces, direction)?;
    let mut entries = Entries::new(raw, tensors.len());
    message.tensors.reserve_exact(tensors.len());
    for body in tensors {
        let header = Header::read(body)?;
        let name = header.name;
        match header.tensor(body, &mut entries, direction) {
            Ok(tensor) => message.tensors.push(tensor),
            Err(Flaw::Tensor(defect)) => message.defects.push((name, defect)),
            Err(Flaw::Message(reason)) => return Err(reason),
        }
    }
    Ok(message)
}

fn find<'a>(pieces: &[&'a [u8]], direction: Direction) -> Result<Parts<'a>, Unreadable> {
    let raw_contents = match direction {
        Direction::Input => RAW_INPUT_CONTENTS,
        Direction::Output => RAW_OUTPUT_CONTENTS,
    };
    let mut parts = Parts { message: Message::default(), tensors: Vec::new(), raw: Vec::new() };
    for field in pieces.iter().flat_map(|piece| Fields::new(piece)) {
        match field? {
            (MODEL_NAME, Value::Len(name)) => parts.message.model = text(name)?,
            (MODEL_VERSION, Value::Len(version)) => parts.message.model_version = text(version)?,
            (ID, Value::Len(id)) => parts.message.id = text(id)?,
            (TENSORS, Value::Len(body)) => push(&mut parts.tensors, body)?,
            (number, Value::Len(entry)) if number == raw_contents => push(&mut parts.raw, entry)?,
            _ => {}
        }
    }
    Ok(parts)
}

fn push<'a>(list: &mut Vec<&'a [u8]>, part: &'a [u8]) -> Result<(), Unreadable> {
    if list.len() >= MAX_TENSORS {
        return Err(Unreadable::TooManyTensors);
    }
    list.push(part);
    Ok(())
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|_| Unreadable::InvalidUtf8)
}

// === impl Header ===

impl<'a> Header<'a> {
    fn read(body: &'a [u8]) -> Result<Header<'a>, Unreadable> {
        let mut header = Header { shape: Some(Vec::new()), ..Header::default() };
        for field in Fields::new(body) {
            match field? {
                (NAME, Value::Len(name)) => header.name = text(name)?,
                (DATATYPE, Value::Len(datatype)) => header.datatype = text(datatype)?,
                (SHAPE, Value::Varint(extent)) => header.extend_shape(extent),
                (SHAPE, Value::Len(mut run)) => {
                    while !run.is_empty() {
                        header.extend_shape(varint(&mut run)?);
                    }
                }
                (PARAMETERS, Value::Len(entry)) => header.in_shared_memory |= is_shared_memory(entry)?,
                _ => {}
            }
        }
        Ok(header)
    }

    fn extend_shape(&mut self, extent: u64) {
        // A gRPC message has at most 4 GiB, so that larger extents (negative ones are such) cannot be meant.
        let extent = u32::try_from(extent).ok().and_then(|extent| usize::try_from(extent).ok());
        self.shape = self.shape.take().zip(extent).and_then(|(mut shape, extent)| {
            shape.push(extent);
            (shape.len() <= MAX_RANK).then_some(shape)
        });
    }

    fn tensor(
        self,
        body: &'a [u8],
        entries: &mut Entries<'a>,
        direction: Direction,
    ) -> Result<Tensor<'a>, Flaw> {
        // Before anything else, for a tensor that has an entry takes it even if it turns out to be defective.
        let entry = entries.take(self.in_shared_memory);
        if self.in_shared_memory {
            return Err(Defect::SharedMemory.into());
        }
        let datatype = Datatype::from_name(self.datatype).ok_or(Defect::UnknownDatatype)?;
        let shape = self.shape.ok_or(Defect::ShapeMismatch)?;
        let data = if entries.is_empty() {
            contents::read(body, datatype)?
        } else {
            let entry = entry.ok_or(Defect::MalformedContents)?;
            if direction == Direction::Output && entry.is_empty() && !shape.contains(&0) {
                // Triton answers an empty entry for an output that it wrote to shared memory, and no parameter
                // (`triton-inference-server/server`, `ResponseAllocatorHelper`).
                return Err(Defect::SharedMemory.into());
            }
            raw::read(entry, datatype)?
        };
        Ok(Tensor::new(self.name, datatype, shape, data)?)
    }
}

fn is_shared_memory(entry: &[u8]) -> Result<bool, Unreadable> {
    let mut key: &[u8] = &[];
    for field in Fields::new(entry) {
        if let (KEY, Value::Len(bytes)) = field? {
            key = bytes;
        }
    }
    Ok(key == SHARED_MEMORY)
}

//! Messages read as protobuf: never a panic, never more than the bytes can hold.

use pilotfish_wire::{MAX_TENSORS, Message, Unreadable};

const UNARY: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

pub fn request(data: &[u8]) {
    check(data, &pilotfish_wire::request(UNARY, data));
    check(data, &pilotfish_wire::request(STREAM, data));
}

pub fn response(data: &[u8]) {
    check(data, &pilotfish_wire::response(UNARY, data));
    check(data, &pilotfish_wire::response(STREAM, data));
}

fn check(data: &[u8], read: &Result<Message<'_>, Unreadable>) {
    let Ok(message) = read else { return };
    assert!(message.tensors.len() + message.defects.len() <= 2 * MAX_TENSORS);
    assert!(message.model.len() + message.id.len() <= data.len());
    for tensor in &message.tensors {
        let mut visited = 0;
        tensor.for_each(|_, _| visited += 1);
        assert!(visited == tensor.len() || tensor.datatype.width().is_none());
        assert!(tensor.is_empty() || tensor.rows() * tensor.columns() == tensor.len());
        assert!(tensor.len() <= 8 * data.len());
    }
}

//! One whole gRPC message, held by reference: the very bytes that were forwarded.
//!
//! A message that came in one frame is a slice of it. One that came in several is joined only when somebody reads it,
//! which is the observer, on its own thread.

use std::sync::OnceLock;

use bytes::Bytes;

#[derive(Clone, Debug)]
pub struct Message {
    parts: Parts,
    compressed: bool,
}

#[derive(Clone, Debug)]
enum Parts {
    One(Bytes),
    Many { parts: Vec<Bytes>, length: usize, joined: OnceLock<Box<[u8]>> },
}

// === impl Message ===

impl Message {
    pub fn whole(bytes: Bytes, compressed: bool) -> Message {
        Message { parts: Parts::One(bytes), compressed }
    }

    pub fn joined(mut parts: Vec<Bytes>, compressed: bool) -> Message {
        if parts.len() <= 1 {
            return Message::whole(parts.pop().unwrap_or_default(), compressed);
        }
        let length = parts.iter().map(Bytes::len).sum();
        Message { parts: Parts::Many { parts, length, joined: OnceLock::new() }, compressed }
    }

    /// Whether the compressed flag is set: such a message cannot be read here.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    pub fn len(&self) -> usize {
        match &self.parts {
            Parts::One(bytes) => bytes.len(),
            Parts::Many { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices it came in, in order.
    pub fn slices(&self) -> &[Bytes] {
        match &self.parts {
            Parts::One(bytes) => std::slice::from_ref(bytes),
            Parts::Many { parts, .. } => parts,
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        match &self.parts {
            Parts::One(bytes) => bytes,
            Parts::Many { parts, joined, .. } => joined.get_or_init(|| parts.concat().into_boxed_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_as_one() {
        let message = Message::joined(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")], false);
        assert_eq!((message.len(), message.as_ref()), (3, &b"abc"[..]));
    }

    #[test]
    fn nothing_is_a_message_too() {
        assert!(Message::joined(Vec::new(), false).is_empty());
    }
}

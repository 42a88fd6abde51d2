//! One whole gRPC message, held by reference: the very bytes that were forwarded.
//!
//! A message that came in one frame is a slice of it. One that came in several is joined only when somebody reads it,
//! which is the observer, on its own thread and in room of its own, or the journal.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use pilotfish_observe::Whole;

#[derive(Clone, Debug)]
pub struct Message {
    parts: Parts,
    compressed: bool,
}

#[derive(Clone, Debug)]
enum Parts {
    One(Bytes),
    Many(Arc<[Bytes]>),
}

// === impl Message ===

impl Message {
    pub fn whole(bytes: Bytes, compressed: bool) -> Message {
        Message { parts: Parts::One(bytes), compressed }
    }

    pub fn of(mut parts: Vec<Bytes>, compressed: bool) -> Message {
        if parts.len() <= 1 {
            return Message::whole(parts.pop().unwrap_or_default(), compressed);
        }
        Message { parts: Parts::Many(parts.into()), compressed }
    }

    /// Whether the compressed flag is set: such a message cannot be read here.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    pub fn len(&self) -> usize {
        self.slices().iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices it came in, in order.
    pub fn slices(&self) -> &[Bytes] {
        match &self.parts {
            Parts::One(bytes) => std::slice::from_ref(bytes),
            Parts::Many(parts) => parts,
        }
    }

    /// Its bytes side by side; a message that came in several frames is copied.
    pub fn joined(&self) -> Cow<'_, [u8]> {
        match &self.parts {
            Parts::One(bytes) => Cow::Borrowed(bytes),
            Parts::Many(parts) => Cow::Owned(parts.concat()),
        }
    }
}

impl Whole for Message {
    fn length(&self) -> usize {
        self.len()
    }

    fn in_one_piece<'m>(&'m self, room: &'m mut Vec<u8>) -> &'m [u8] {
        match &self.parts {
            Parts::One(bytes) => bytes,
            Parts::Many(parts) => {
                room.clear();
                parts.iter().for_each(|part| room.extend_from_slice(part));
                room
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_as_one() {
        let message = Message::of(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")], false);
        assert_eq!((message.len(), &*message.joined()), (3, &b"abc"[..]));
        let mut room = b"of the one before".to_vec();
        assert_eq!(message.in_one_piece(&mut room), b"abc");
    }

    #[test]
    fn nothing_is_a_message_too() {
        assert!(Message::of(Vec::new(), false).is_empty());
    }
}

//! Raw contents: the elements of all tensors as bytes beside them, little endian, row major, without padding.
//!
//! The usual form, and the cheap one: numbers are borrowed as they lie. A single raw entry means that all tensors are
//! raw, even those with a `contents` field: MLServer sends an empty one beside the raw entries.

use pilotfish_core::tensor::{Data, Datatype, Defect};

/// The raw entries of a message, handed out to its tensors in order.
pub(crate) struct Entries<'a> {
    entries: Vec<&'a [u8]>,
    next: usize,
    /// Whether tensors in shared memory have an (empty) entry too, as in Triton's answers. Else they have none, as in
    /// the requests of `tritonclient`.
    one_for_every_tensor: bool,
}

// === impl Entries ===

impl<'a> Entries<'a> {
    pub(crate) fn new(entries: Vec<&'a [u8]>, tensors: usize) -> Entries<'a> {
        let one_for_every_tensor = entries.len() >= tensors;
        Entries { entries, next: 0, one_for_every_tensor }
    }

    /// Whether the message is typed: it has no raw entry at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of the next tensor; `None` when it has none.
    pub(crate) fn take(&mut self, in_shared_memory: bool) -> Option<&'a [u8]> {
        if in_shared_memory && !self.one_for_every_tensor {
            return None;
        }
        let entry = self.entries.get(self.next).copied();
        self.next += 1;
        entry
    }
}

/// The elements of one entry.
///
/// # Errors
/// [`Defect::MalformedContents`] when the entry of a BYTES tensor ends within an element.
pub(crate) fn read(entry: &[u8], datatype: Datatype) -> Result<Data<'_>, Defect> {
    Ok(match datatype {
        Datatype::Bytes => Data::Bytes(split(entry)?),
        _ => Data::Raw(entry),
    })
}

/// The elements of a BYTES tensor: each is a little-endian `u32` length and as many bytes.
fn split(mut entry: &[u8]) -> Result<Vec<&[u8]>, Defect> {
    let mut elements = Vec::new();
    while !entry.is_empty() {
        let (length, rest) = entry.split_first_chunk().ok_or(Defect::MalformedContents)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Defect::MalformedContents)?;
        let (element, rest) = rest.split_at_checked(length).ok_or(Defect::MalformedContents)?;
        elements.push(element);
        entry = rest;
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_elements_carry_their_length() {
        let entry = b"\x05\0\0\0hello\x03\0\0\0h\xc3\xa9\0\0\0\0";
        assert_eq!(split(entry).unwrap(), [b"hello".as_slice(), "h\u{e9}".as_bytes(), b""]);
    }

    #[test]
    fn a_bytes_entry_that_ends_within_an_element_is_malformed() {
        for entry in [b"\x05\0\0\0hell".as_slice(), b"\x05\0\0", b"\xff\xff\xff\xffx"] {
            assert_eq!(split(entry), Err(Defect::MalformedContents));
        }
    }

    #[test]
    fn a_tensor_in_shared_memory_takes_no_entry() {
        let mut entries = Entries::new(vec![b"a", b"b"], 3);
        assert_eq!(entries.take(false), Some(b"a".as_slice()));
        assert_eq!(entries.take(true), None);
        assert_eq!(entries.take(false), Some(b"b".as_slice()));
        assert_eq!(entries.take(false), None);
    }

    #[test]
    fn a_tensor_in_shared_memory_takes_an_entry_where_every_tensor_has_one() {
        let mut entries = Entries::new(vec![b"a", b"", b"b"], 3);
        assert_eq!(entries.take(false), Some(b"a".as_slice()));
        assert_eq!(entries.take(true), Some(b"".as_slice()));
        assert_eq!(entries.take(false), Some(b"b".as_slice()));
    }
}

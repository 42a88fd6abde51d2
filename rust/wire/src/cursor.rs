//! The fields of a protobuf message, one after another, with the numbers they carry and no names.
//!
//! It is all of protobuf that reading needs. Every length is held against the bytes that are left before it is used,
//! and groups, which no known message has, are skipped here, so that the readers above never see one.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>

use crate::Unreadable::{self, Malformed};

/// Groups within groups that are skipped before the message counts as malformed; protobuf's own parsers stop at 100.
const MAX_DEPTH: usize = 100;

/// A varint of 64 bits takes at most ten bytes.
const MAX_VARINT: usize = 10;

/// What a field carries, by wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1: eight bytes, little endian.
    Fixed64(&'a [u8]),
    /// Wire type 2: a string, bytes, a message or a packed run of numbers.
    Len(&'a [u8]),
    /// Wire type 5: four bytes, little endian.
    Fixed32(&'a [u8]),
}

/// Iterator over `(field number, value)` of a message. It ends at the first error.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field, or a group's frame around fields.
enum Token<'a> {
    Value(Value<'a>),
    GroupStart,
    GroupEnd,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Unreadable> {
        while !self.rest.is_empty() {
            match self.token()? {
                (number, Token::Value(value)) => return Ok(Some((number, value))),
                (number, Token::GroupStart) => self.skip_group(number)?,
                (_, Token::GroupEnd) => return Err(Malformed),
            }
        }
        Ok(None)
    }

    fn token(&mut self) -> Result<(u32, Token<'a>), Unreadable> {
        let tag = u32::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
        let token = match tag & 7 {
            0 => Token::Value(Value::Varint(varint(&mut self.rest)?)),
            1 => Token::Value(Value::Fixed64(self.take(8)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
                Token::Value(Value::Len(self.take(length)?))
            }
            3 => Token::GroupStart,
            4 => Token::GroupEnd,
            5 => Token::Value(Value::Fixed32(self.take(4)?)),
            _ => return Err(Malformed),
        };
        match tag >> 3 {
            0 => Err(Malformed),
            number => Ok((number, token)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Skips to the end of the group `number`, whose start was just read.
    fn skip_group(&mut self, number: u32) -> Result<(), Unreadable> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.token()? {
                (_, Token::Value(_)) => {}
                (number, Token::GroupStart) if open.len() < MAX_DEPTH => open.push(number),
                (number, Token::GroupEnd) if number == innermost => {
                    open.pop();
                }
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Unreadable>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        field.transpose()
    }
}

/// Takes one varint off the front of `rest`. Bits above the 64th are dropped, as protobuf's own parsers do.
///
/// # Errors
/// [`Unreadable::Malformed`] when `rest` ends within the varint, or it has more than ten bytes.
#[inline]
pub(crate) fn varint(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    match *rest {
        [byte, tail @ ..] if *byte < 0x80 => {
            *rest = tail;
            Ok(u64::from(*byte))
        }
        _ => long_varint(rest),
    }
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut value = 0;
    let mut tail = *rest;
    for shift in (0..7 * MAX_VARINT).step_by(7) {
        let (byte, after) = tail.split_first().ok_or(Malformed)?;
        tail = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            *rest = tail;
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Unreadable> {
        Fields::new(message).collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let message = b"\x08\x96\x01\x11\x01\x02\x03\x04\x05\x06\x07\x08\x1a\x02hi\x25\x01\x02\x03\x04";
        assert_eq!(
            all(message).unwrap(),
            [
                (1, Value::Varint(150)),
                (2, Value::Fixed64(&[1, 2, 3, 4, 5, 6, 7, 8])),
                (3, Value::Len(b"hi")),
                (4, Value::Fixed32(&[1, 2, 3, 4])),
            ]
        );
    }

    #[test]
    fn negative_numbers_take_ten_bytes() {
        let mut minus_one = [0xff; 10];
        minus_one[9] = 0x01;
        assert_eq!(varint(&mut minus_one.as_slice()), Ok(u64::MAX));
        assert_eq!(varint(&mut [0xff; 11].as_slice()), Err(Malformed));
        assert_eq!(varint(&mut [0xff; 3].as_slice()), Err(Malformed));
        assert_eq!(varint(&mut [].as_slice()), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_message_is_malformed() {
        assert_eq!(all(b"\x0a\x05hi"), Err(Malformed));
        assert_eq!(all(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Err(Malformed));
    }

    #[test]
    fn field_zero_and_unused_wire_types_are_malformed() {
        assert_eq!(all(b"\x00\x01"), Err(Malformed));
        assert_eq!(all(b"\x0e"), Err(Malformed));
        assert_eq!(all(b"\x0f"), Err(Malformed));
    }

    #[test]
    fn groups_are_skipped_with_what_they_hold() {
        // group 2 { 1: 5, group 3 { 1: "x" } }, then 1: 7
        assert_eq!(all(b"\x13\x08\x05\x1b\x0a\x01x\x1c\x14\x08\x07").unwrap(), [(1, Value::Varint(7))]);
        assert_eq!(all(b"\x13\x08\x05"), Err(Malformed), "unfinished");
        assert_eq!(all(b"\x13\x1c"), Err(Malformed), "ended by another");
        assert_eq!(all(b"\x14"), Err(Malformed), "ended without a start");
    }

    #[test]
    fn groups_are_followed_to_a_depth_of_one_hundred() {
        let nested = |depth| [vec![0x13u8; depth], vec![0x14; depth]].concat();
        assert_eq!(all(&nested(MAX_DEPTH)), Ok(vec![]));
        assert_eq!(all(&nested(MAX_DEPTH + 1)), Err(Malformed));
    }
}

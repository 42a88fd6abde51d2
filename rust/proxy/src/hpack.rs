//! Header blocks as they are on the wire (HPACK, RFC 7541), as far as they must be read before the HTTP/2 library reads
//! them: where the authority of a request stands. What the peers' tables hold is not followed.

pub mod huffman;

use std::ops::Range;

/// Where the static table has `:authority` (RFC 7541, appendix A).
const AUTHORITY: usize = 1;

/// Entries of the static table from here on are no pseudo headers.
const FIRST_FIELD: usize = 15;
const LAST_STATIC: usize = 61;

/// Longest integer that is read: as much as any frame may hold.
const MOST: usize = 1 << 24;

/// A string in a header block: whether it is Huffman coded, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    pub coded: bool,
    pub place: Range<usize>,
}

/// The value of `:authority`, when the block has it as a literal.
pub fn authority(block: &[u8]) -> Option<Literal> {
    let mut at = 0;
    while at < block.len() {
        let (bits, literal) = match block[at] {
            first if first & 0x80 != 0 => (7, false),
            first if first & 0x40 != 0 => (6, true),
            first if first & 0x20 != 0 => {
                integer(block, &mut at, 5)?;
                continue;
            }
            _ => (4, true),
        };
        let index = integer(block, &mut at, bits)?;
        if (FIRST_FIELD..=LAST_STATIC).contains(&index) {
            // Pseudo headers come first (RFC 9113, section 8.3).
            return None;
        }
        if literal && index == 0 {
            string(block, &mut at)?;
        }
        if literal {
            let value = string(block, &mut at)?;
            if index == AUTHORITY {
                return Some(value);
            }
        }
    }
    None
}

/// Section 5.1.
fn integer(block: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let most = (1usize << bits) - 1;
    let mut value = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let next = usize::from(*block.get(*at)?);
        *at += 1;
        value += (next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return (value <= MOST).then_some(value);
        }
    }
    None
}

/// Section 5.2.
fn string(block: &[u8], at: &mut usize) -> Option<Literal> {
    let coded = block.get(*at)? & 0x80 != 0;
    let length = integer(block, at, 7)?;
    let place = *at..*at + length;
    *at = place.end;
    (place.end <= block.len()).then_some(Literal { coded, place })
}

/// A string as it is written: how long it is, and the bytes.
pub fn written(coded: bool, bytes: &[u8]) -> Vec<u8> {
    let flag = if coded { 0x80 } else { 0 };
    let mut text = Vec::with_capacity(bytes.len() + 4);
    match u8::try_from(bytes.len()) {
        Ok(short) if short < 0x7f => text.push(flag | short),
        _ => {
            text.push(flag | 0x7f);
            let mut rest = bytes.len() - 0x7f;
            while rest >= 0x80 {
                text.push(0x80 | (rest & 0x7f) as u8);
                rest >>= 7;
            }
            text.push(rest as u8);
        }
    }
    text.extend_from_slice(bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_authority_is_found_behind_other_pseudo_headers() {
        // RFC 7541, C.3.1 and C.4.1: the same request, not coded and coded.
        let plain = b"\x82\x86\x84\x41\x0fwww.example.com";
        assert_eq!(authority(plain), Some(Literal { coded: false, place: 5..20 }));
        let coded = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        assert_eq!(authority(coded), Some(Literal { coded: true, place: 5..17 }));
    }

    #[test]
    fn an_authority_that_the_table_holds_is_none_of_a_literal() {
        // C.3.2: `:authority` from the dynamic table, then `cache-control: no-cache`.
        assert_eq!(authority(b"\x82\x86\x84\xbe\x58\x08no-cache"), None);
    }

    #[test]
    fn what_is_cut_short_has_none() {
        let whole = b"\x3f\x81\x1f\x00\x03:xy\x01z\x41\x0fwww.example.com";
        assert!(authority(whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(authority(&whole[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn a_written_string_is_read_again(
            bytes in prop::collection::vec(any::<u8>(), 0..400), coded in any::<bool>(),
        ) {
            let block = [&[0x01][..], &written(coded, &bytes)].concat();
            let literal = authority(&block).unwrap();
            prop_assert_eq!(&block[literal.place], &bytes[..]);
            prop_assert_eq!(literal.coded, coded);
        }

        #[test]
        fn any_bytes_may_come(block in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(literal) = authority(&block) {
                prop_assert!(literal.place.end <= block.len());
            }
        }
    }
}

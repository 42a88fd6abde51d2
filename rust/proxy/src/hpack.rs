//! Header blocks as they are on the wire (HPACK, RFC 7541), as far as they must be read before the HTTP/2 library reads
//! them: where the authority of a request stands.

pub mod huffman;

use std::collections::VecDeque;
use std::ops::Range;

/// Where the static table has `:authority` (RFC 7541, appendix A).
const AUTHORITY: usize = 1;

/// The same, and the colon that names of pseudo headers begin with, in the code of appendix B.
const CODED_AUTHORITY: &[u8] = b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f";
const CODED_COLON: u8 = 0x5c;

/// Entries of the static table from here on are no pseudo headers.
const FIRST_FIELD: usize = 15;
const LAST_STATIC: usize = 61;

/// Entries that a table of 4 KiB has room for, at 32 bytes and more each (section 4.1): nobody is allowed a larger one.
const MOST_ENTRIES: usize = 128;

/// Longest integer that is read: as much as any frame may hold.
const MOST: usize = 1 << 24;

/// A string in a header block: whether it is Huffman coded, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    pub coded: bool,
    pub place: Range<usize>,
}

/// What a peer's encoder has put into the dynamic table (section 2.3.2), as far as it must be known: which entries are
/// named `:authority`. They are counted from the newest, so that what was evicted makes no difference.
#[derive(Debug, Default)]
pub struct Table {
    inserted: usize,
    /// By number; those that may still be there.
    authorities: VecDeque<usize>,
    /// A block was not seen as a whole: what later ones refer to is not known any more.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Authority,
    /// Of another pseudo header, or not known.
    Other,
    Field,
}

// === impl Table ===

impl Table {
    /// Reads the next block, or the beginning of one that is not `whole`: the value of `:authority` in it, where that is
    /// a literal.
    pub fn read(&mut self, block: &[u8], whole: bool) -> Option<Literal> {
        let (mut at, mut amid_pseudo, mut authority) = (0, true, None);
        while at < block.len() {
            // A field of the table's, as most are, has no value here (section 6.1).
            if let indexed @ 0x80..=0xfe = block[at] {
                amid_pseudo &= !(FIRST_FIELD..=LAST_STATIC).contains(&usize::from(indexed & 0x7f));
                at += 1;
                continue;
            }
            let Some((name, value)) = self.field(block, &mut at) else {
                self.lost = true;
                return authority;
            };
            // Pseudo headers come first (RFC 9113, section 8.3).
            amid_pseudo &= name != Name::Field;
            if amid_pseudo && name == Name::Authority && authority.is_none() {
                authority = value;
            }
        }
        self.lost |= !whole;
        authority
    }

    /// Section 6. A change of the table's size is none, and has no value either.
    fn field(&mut self, block: &[u8], at: &mut usize) -> Option<(Name, Option<Literal>)> {
        let (bits, literal) = match block.get(*at)? {
            first if first & 0x80 != 0 => (7, false),
            first if first & 0x40 != 0 => (6, true),
            first if first & 0x20 != 0 => (5, false),
            _ => (4, true),
        };
        let index = integer(block, at, bits)?;
        if bits == 5 {
            return Some((Name::Other, None));
        }
        let name = if literal && index == 0 { Name::read(block, at)? } else { self.name(index) };
        let value = if literal { Some(string(block, at)?) } else { None };
        if bits == 6 {
            self.insert(name);
        }
        Some((name, value))
    }

    fn name(&self, index: usize) -> Name {
        match index {
            AUTHORITY => Name::Authority,
            FIRST_FIELD..=LAST_STATIC => Name::Field,
            ..FIRST_FIELD => Name::Other,
            _ => {
                let number = (self.inserted + LAST_STATIC + 1).checked_sub(index);
                let known = !self.lost && number.is_some_and(|number| self.authorities.contains(&number));
                if known { Name::Authority } else { Name::Other }
            }
        }
    }

    fn insert(&mut self, name: Name) {
        self.inserted += 1;
        let oldest = self.inserted.saturating_sub(MOST_ENTRIES);
        while self.authorities.front().is_some_and(|number| *number <= oldest) {
            self.authorities.pop_front();
        }
        if name == Name::Authority {
            self.authorities.push_back(self.inserted);
        }
    }
}

// === impl Name ===

impl Name {
    /// One that is written out, as grpc-core does.
    fn read(block: &[u8], at: &mut usize) -> Option<Name> {
        let name = string(block, at)?;
        Some(match (name.coded, block.get(name.place)?) {
            (false, b":authority") | (true, CODED_AUTHORITY) => Name::Authority,
            (false, [b':', ..]) => Name::Other,
            (true, [first, ..]) if first >> 1 == CODED_COLON => Name::Other,
            _ => Name::Field,
        })
    }
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

    fn authority(block: &[u8]) -> Option<Literal> {
        Table::default().read(block, true)
    }

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
    fn the_authority_may_be_named_in_letters() {
        for coded in [false, true] {
            let name = if coded { huffman::encode(b":authority").unwrap() } else { b":authority".to_vec() };
            let path = if coded { huffman::encode(b":path").unwrap() } else { b":path".to_vec() };
            let block =
                [b"\x83\x40", &written(coded, &path)[..], b"\x02/x\x40", &written(coded, &name), b"\x01h"];
            let block = block.concat();
            assert_eq!(
                authority(&block),
                Some(Literal { coded: false, place: block.len() - 1..block.len() })
            );
        }
    }

    #[test]
    fn what_is_named_like_an_authority_behind_the_first_field_is_none() {
        for name in [&b"te"[..], b"authority", b""] {
            let block = [b"\x40", &written(false, name)[..], b"\x01x\x41\x01h"].concat();
            assert_eq!(authority(&block), None);
        }
    }

    #[test]
    fn what_is_cut_short_has_none() {
        let whole = b"\x3f\x81\x1f\x00\x03:xy\x01z\x41\x0fwww.example.com";
        assert!(authority(whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(authority(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_authority_may_be_named_by_an_entry_of_the_table() {
        let mut table = Table::default();
        let value = |block: &[u8], found: Option<Literal>| found.map(|literal| block[literal.place].to_vec());
        let mut read = |block: &[u8], whole| value(block, table.read(block, whole));
        // An authority, and two fields behind it: then it is the third.
        assert_eq!(read(b"\x83\x41\x01a\x40\x02te\x01x\x7e\x01y", true), Some(b"a".to_vec()));
        assert_eq!(read(b"\x83\x3f\xe1\x1f\x0f\x31\x01b", true), Some(b"b".to_vec()));
        // Named by it, and remembered: there are two.
        assert_eq!(read(b"\x7f\x01\x01c", true), Some(b"c".to_vec()));
        assert_eq!(read(b"\x0f\x2f\x01d", true), Some(b"d".to_vec()));
        assert_eq!(read(b"\x0f\x32\x01e", true), Some(b"e".to_vec()));
        assert_eq!(read(b"\x0f\x30\x01f", true), None);
        assert_eq!(read(b"\xbe", true), None);
        // What more was inserted is not known.
        assert_eq!(read(b"\x83", false), None);
        assert_eq!(read(b"\x0f\x2f\x01g", true), None);
        assert_eq!(read(b"\x41\x01h", true), Some(b"h".to_vec()));
    }

    #[test]
    fn entries_that_must_have_been_evicted_are_forgotten() {
        let mut table = Table::default();
        for _ in 0..1000 {
            table.read(b"\x41\x01a", true);
        }
        assert_eq!(table.authorities.len(), MOST_ENTRIES);
        table.read(&b"\x40\x01x\x01y".repeat(MOST_ENTRIES), true);
        assert!(table.authorities.is_empty());
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

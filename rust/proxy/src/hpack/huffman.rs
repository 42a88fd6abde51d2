//! The Huffman code of header strings (RFC 7541, appendix B), of its symbols those that an authority may hold.
//!
//! The code is canonical: within a length, codes count up with the symbols. So a group is its length, its first code and
//! its symbols.

struct Group {
    bits: u32,
    first: u32,
    symbols: &'static [u8],
}

const GROUPS: [Group; 10] = [
    Group { bits: 5, first: 0x0, symbols: b"012aceiost" },
    Group { bits: 6, first: 0x14, symbols: b" %-./3456789=A_bdfghlmnpru" },
    Group { bits: 7, first: 0x5c, symbols: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz" },
    Group { bits: 8, first: 0xf8, symbols: b"&*,;XZ" },
    Group { bits: 10, first: 0x3f8, symbols: b"!\"()?" },
    Group { bits: 11, first: 0x7fa, symbols: b"'+|" },
    Group { bits: 12, first: 0xffa, symbols: b"#>" },
    Group { bits: 13, first: 0x1ff8, symbols: b"\0$@[]~" },
    Group { bits: 14, first: 0x3ffc, symbols: b"^}" },
    Group { bits: 15, first: 0x7ffc, symbols: b"<`{" },
];

/// Bits that the code of a symbol has; `None` for one that is not in [`GROUPS`].
pub fn bits(symbol: u8) -> Option<u32> {
    code(symbol).map(|(_, bits)| bits)
}

fn code(symbol: u8) -> Option<(u32, u32)> {
    GROUPS.iter().find_map(|group| {
        let index = group.symbols.iter().position(|known| *known == symbol)?;
        Some((group.first + u32::try_from(index).ok()?, group.bits))
    })
}

pub fn encode(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut count) = (Vec::with_capacity(text.len()), 0u64, 0);
    for symbol in text {
        let (code, bits) = code(*symbol)?;
        held = held << bits | u64::from(code);
        count += bits;
        while count >= 8 {
            count -= 8;
            bytes.push((held >> count) as u8);
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        bytes.push((held << (8 - count)) as u8 | (0xff >> count));
    }
    Some(bytes)
}

/// `None` for what is no such code, and for symbols that are not in [`GROUPS`].
pub fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut text, mut code, mut count) = (Vec::with_capacity(bytes.len() * 8 / 5), 0u32, 0);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            count += 1;
            if let Some(symbol) = symbol(code, count) {
                text.push(symbol);
                (code, count) = (0, 0);
            } else if count > 15 {
                return None;
            }
        }
    }
    // Padding is the beginning of the longest code: ones, and fewer than a byte.
    (count < 8 && code == (1 << count) - 1).then_some(text)
}

fn symbol(code: u32, bits: u32) -> Option<u8> {
    let group = GROUPS.iter().find(|group| group.bits == bits)?;
    let index = code.checked_sub(group.first)?;
    group.symbols.get(index as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_specification() {
        // RFC 7541, C.4.1 to C.4.3 and C.6.1.
        for (text, coded) in [
            (&b"www.example.com"[..], &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..]),
            (b"no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            (b"custom-key", b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"),
            (
                b"https://www.example.com",
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
            ),
        ] {
            assert_eq!(encode(text).unwrap(), coded);
            assert_eq!(decode(coded).unwrap(), text);
        }
    }

    #[test]
    fn padding_is_ones_and_shorter_than_a_byte() {
        assert_eq!(decode(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decode(&[0b0000_0110]), None);
        assert_eq!(decode(&[0b0000_0111, 0xff]), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "[!-Z_a-~]{0,80}") {
            let coded = encode(text.as_bytes()).unwrap();
            let bits: u32 = text.bytes().map(|symbol| bits(symbol).unwrap()).sum();
            prop_assert_eq!(coded.len(), bits.div_ceil(8) as usize);
            prop_assert_eq!(decode(&coded).unwrap(), text.as_bytes());
        }

        #[test]
        fn any_bytes_may_come(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(text) = decode(&bytes) {
                prop_assert_eq!(encode(&text).unwrap(), bytes);
            }
        }
    }
}

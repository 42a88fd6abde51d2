//! The headers of a call as the engine and the journal want to see them.

use bytes::Bytes;
use http::HeaderMap;
use pilotfish_core::route::Metadata;

/// The engine's view of a request's headers. Values of `-bin` names are given decoded, as every client has them.
#[derive(Debug)]
pub struct Headers<'h>(pub &'h HeaderMap);

impl Metadata for Headers<'_> {
    fn for_each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0 {
            match name.as_str() {
                name if name.ends_with("-bin") => {
                    if let Some(bytes) = base64(value.as_bytes()) {
                        visit(name, &bytes);
                    }
                }
                name => visit(name, value.as_bytes()),
            }
        }
    }
}

/// A name and a value: one line of metadata as it came.
pub type Pair = (String, Bytes);

/// The pairs whose names are wanted, in order; `-bin` values decoded where they can be.
pub fn wanted(headers: &HeaderMap, names: &[String]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for name in names {
        for value in headers.get_all(name) {
            let value = value.as_bytes();
            let decoded = if name.ends_with("-bin") { base64(value) } else { None };
            pairs.push((name.clone(), decoded.map_or_else(|| Bytes::copy_from_slice(value), Bytes::from)));
        }
    }
    pairs
}

/// Base64 with or without padding (RFC 4648, section 4; gRPC accepts both).
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits {
        bits = bits << 6 | u32::from(sextet(*digit)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, bytes) in
            [("", ""), ("Zg", "f"), ("Zg==", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("+/+/", "\u{fb}")]
        {
            let read = base64(text.as_bytes());
            if text == "+/+/" {
                assert_eq!(read.as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
            } else {
                assert_eq!(read.as_deref(), Some(bytes.as_bytes()));
            }
        }
        assert_eq!(base64(b"a"), None);
        assert_eq!(base64(b"a b="), None);
    }

    #[test]
    fn wanted_names_are_kept_with_all_their_values() {
        let mut headers = HeaderMap::new();
        headers.append("x-user", HeaderValue::from_static("a"));
        headers.append("x-user", HeaderValue::from_static("b"));
        headers.append("secret", HeaderValue::from_static("c"));
        let pairs = wanted(&headers, &["x-user".into(), "absent".into()]);
        assert_eq!(pairs, [("x-user".into(), "a".into()), ("x-user".into(), "b".into())]);
    }
}

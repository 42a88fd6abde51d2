//! What a certificate says of itself: for how long, and who.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::UnixSeconds;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub not_before: UnixSeconds,
    pub not_after: UnixSeconds,
    /// As OpenSSL writes it with `-nameopt RFC2253`: printable ASCII.
    pub subject: String,
    pub uris: Vec<String>,
    pub dns: Vec<String>,
    /// SHA-256 of the whole certificate, hexadecimal.
    pub hash: String,
}

// === impl Certificate ===

impl Certificate {
    /// `None` when it is no certificate.
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        let parsed = parsed.tbs_certificate();
        let validity = parsed.validity();
        let (mut uris, mut dns) = (Vec::new(), Vec::new());
        if let Ok(Some((_, SubjectAltName(names)))) = parsed.get_extension::<SubjectAltName>() {
            for name in names {
                match name {
                    GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.to_string()),
                    GeneralName::DnsName(name) => dns.push(name.to_string()),
                    _ => {}
                }
            }
        }
        Some(Certificate {
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            subject: distinguished(parsed.subject()),
            uris,
            dns,
            hash: hexadecimal(&Sha256::digest(der)),
        })
    }

    /// Whether less than a quarter of its life is left.
    pub fn is_ending(&self, now: UnixSeconds) -> bool {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(now) < life / 4
    }
}

/// RFC 2253: the last name first, joined by commas; within a set too, as OpenSSL does it.
fn distinguished(name: &Name) -> String {
    let mut sets: Vec<String> = name
        .iter_rdn()
        .map(|set| {
            let mut attributes: Vec<String> = set.iter().map(attribute).collect();
            attributes.reverse();
            attributes.join("+")
        })
        .collect();
    sets.reverse();
    sets.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue) -> String {
    let known = SHORT_NAMES.iter().find(|(oid, _)| *oid == attribute.oid);
    match (known, text(attribute)) {
        (Some((_, name)), Some(text)) => format!("{name}={}", escaped(&text)),
        // A type that the reader need not know, or a value that is no text: as it is encoded (section 2.4).
        (known, _) => {
            let der = attribute.value.to_der().unwrap_or_default();
            let name = known.map_or_else(|| attribute.oid.to_string(), |(_, name)| (*name).into());
            format!("{name}=#{}", hexadecimal(&der).to_ascii_uppercase())
        }
    }
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const SHORT_NAMES: [(ObjectIdentifier, &str); 15] = [
    (oid("2.5.4.3"), "CN"),
    (oid("2.5.4.4"), "SN"),
    (oid("2.5.4.5"), "serialNumber"),
    (oid("2.5.4.6"), "C"),
    (oid("2.5.4.7"), "L"),
    (oid("2.5.4.8"), "ST"),
    (oid("2.5.4.9"), "street"),
    (oid("2.5.4.10"), "O"),
    (oid("2.5.4.11"), "OU"),
    (oid("2.5.4.12"), "title"),
    (oid("2.5.4.42"), "GN"),
    (oid("2.5.4.43"), "initials"),
    (oid("0.9.2342.19200300.100.1.1"), "UID"),
    (oid("0.9.2342.19200300.100.1.25"), "DC"),
    (oid("1.2.840.113549.1.9.1"), "emailAddress"),
];

fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let bytes = attribute.value.value();
    match attribute.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        // In practice Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

/// Everything that is not printable ASCII as `\XX`, so that it can stand in a header.
fn escaped(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(byte)]),
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    out
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_name_is_escaped() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b+c\"d\\e<f>g;h", r#"a\,b\+c\"d\\e\<f\>g\;h"#),
            ("#a#", r"\#a#"),
            (" a b ", r"\ a b\ "),
            ("M\u{fc}ller\n", r"M\C3\BCller\0A"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_quarter_of_its_life_before_its_end_a_certificate_is_ending() {
        let certificate = Certificate {
            not_before: 1000,
            not_after: 2000,
            subject: String::new(),
            uris: Vec::new(),
            dns: Vec::new(),
            hash: String::new(),
        };
        assert!(!certificate.is_ending(1750));
        assert!(certificate.is_ending(1751));
        assert!(certificate.is_ending(3000));
    }

    #[test]
    fn bytes_that_are_no_certificate_are_none() {
        assert_eq!(Certificate::parse(b"0\x82"), None);
    }
}

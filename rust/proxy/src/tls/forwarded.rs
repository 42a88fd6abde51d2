//! `x-forwarded-client-cert`: who the client is, told to the model server in the form Envoy gives it.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert>,
//! mode SANITIZE_SET with subject, URI and DNS: what a client sends under this name never goes on.

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::Certificate;
use crate::forwarded::Forwarded;

pub const NAME: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// For a client's certificate (DER), if it has shown one. `by` are the URIs of the listener's own certificate.
pub fn forwarded(client: Option<&[u8]>, by: &[String]) -> Forwarded {
    let value = client.and_then(Certificate::parse).and_then(|client| value(&client, by));
    value.map_or(Forwarded::Stripped, Forwarded::Set)
}

/// The header's value from PEM, for who shakes hands elsewhere: of the client's certificate, and the listener's own.
/// `None` when the client's is none.
pub fn forwarded_client_certificate(client: &[u8], own: &[u8]) -> Option<String> {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).ok().and_then(|der| Certificate::parse(&der));
    let own = read(own).map(|own| own.uris).unwrap_or_default();
    let value = value(&read(client)?, &own)?;
    value.to_str().ok().map(Into::into)
}

/// `None` for names that cannot stand in a header.
fn value(client: &Certificate, by: &[String]) -> Option<HeaderValue> {
    let mut parts: Vec<String> = by.iter().map(|uri| format!("By={}", quoted(uri))).collect();
    parts.push(format!("Hash={}", client.hash));
    parts.push(format!("Subject=\"{}\"", client.subject));
    match client.uris.as_slice() {
        [] => parts.push("URI=".into()),
        uris => parts.extend(uris.iter().map(|uri| format!("URI={}", quoted(uri)))),
    }
    parts.extend(client.dns.iter().map(|name| format!("DNS={}", quoted(name))));
    HeaderValue::try_from(parts.join(";")).ok()
}

/// As it is, unless it holds what would end the value: then a name could pretend to be another one.
fn quoted(text: &str) -> String {
    if !text.contains([',', ';', '"']) {
        return text.into();
    }
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uris: &[&str]) -> Certificate {
        Certificate {
            not_before: 0,
            not_after: 0,
            subject: "CN=a,O=b".into(),
            uris: uris.iter().map(|uri| (*uri).into()).collect(),
            dns: vec!["a.example".into(), "b.example".into()],
            hash: "00ff".into(),
        }
    }

    #[test]
    fn the_form_is_the_one_envoy_writes() {
        let text = value(&client(&["spiffe://a/b"]), &["spiffe://me".into()]).unwrap();
        let expected =
            r#"By=spiffe://me;Hash=00ff;Subject="CN=a,O=b";URI=spiffe://a/b;DNS=a.example;DNS=b.example"#;
        assert_eq!(text, expected);
        let without = value(&client(&[]), &[]).unwrap();
        assert_eq!(without, r#"Hash=00ff;Subject="CN=a,O=b";URI=;DNS=a.example;DNS=b.example"#);
    }

    #[test]
    fn a_name_cannot_pretend_to_be_another_part() {
        let text = value(&client(&["x:a;DNS=evil\","]), &[]).unwrap();
        assert!(text.to_str().unwrap().contains(r#"URI="x:a;DNS=evil\",";"#), "{text:?}");
    }

    #[test]
    fn a_client_without_certificate_says_nothing_of_itself() {
        assert_eq!(forwarded(None, &[]), Forwarded::Stripped);
        assert_eq!(forwarded(Some(b"no certificate"), &[]), Forwarded::Stripped);
    }
}

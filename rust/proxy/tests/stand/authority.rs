//! Certificates made for one test, and the folder they lie in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair, SanType,
};
use rustls::pki_types::CertificateDer;

/// When the tests take place, for who asks: the certificates are good from 1975 to 4096.
pub const NOW: u64 = 1_900_000_000;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

// === impl Authority ===

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", next()));
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub fn server(&self) -> CertifiedKey<KeyPair> {
        let mut params = CertificateParams::new(["localhost".into()]).unwrap();
        params.subject_alt_names.push(uri("spiffe://example/pilotfish"));
        self.sign(params)
    }

    pub fn client(&self) -> CertifiedKey<KeyPair> {
        self.sign(client_params())
    }

    pub fn expired_client(&self) -> CertifiedKey<KeyPair> {
        let mut params = client_params();
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    /// One that is its own authority, as `openssl req -x509` makes it.
    pub fn self_signed() -> CertifiedKey<KeyPair> {
        let mut params = CertificateParams::new(["localhost".into()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signing_key = KeyPair::generate().unwrap();
        CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
    }

    pub fn sign(&self, params: CertificateParams) -> CertifiedKey<KeyPair> {
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&signing_key, &self.0).unwrap();
        CertifiedKey { cert, signing_key }
    }
}

fn client_params() -> CertificateParams {
    let mut params = CertificateParams::new(["a.example".into(), "b.example".into()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, "client, one");
    params.subject_alt_names.push(uri("spiffe://example/client"));
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Files of one test; gone at its end.
pub struct Folder(PathBuf);

// === impl Folder ===

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("pilotfish-tls-{}-{}", std::process::id(), next()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub fn pair(&self, name: &str, pair: &CertifiedKey<KeyPair>) {
        self.write(&format!("{name}.crt"), pair.cert.pem());
        self.write(&format!("{name}.key"), pair.signing_key.serialize_pem());
    }

    /// A configuration of the listener; it asks for clients' certificates when their authority is there.
    pub fn listener(&self, extra: &str) -> String {
        let path = self.0.display();
        let ca = self.0.join("ca.crt");
        let ca = if ca.exists() { format!(r#""{}""#, ca.display()) } else { "null".into() };
        let require = if extra.contains("require") { "" } else { r#", "require_client_certificate": true"# };
        let forward = if extra.contains("forward") { "" } else { r#", "forward_client_certificate": false"# };
        format!(
            r#"{{"upstreams": {{}}, "listener": {{"certificate": "{path}/server.crt", "key": "{path}/server.key",
                "client_ca": {ca} {require} {forward} {extra}}}}}"#
        )
    }

    /// A configuration of the upstream `v1`.
    pub fn upstream(&self, name: &str, mutual: bool) -> String {
        let path = self.0.display();
        let own = match mutual {
            true => format!(r#""certificate": "{path}/client.crt", "key": "{path}/client.key""#),
            false => r#""certificate": null, "key": null"#.into(),
        };
        format!(
            r#"{{"listener": null, "upstreams": {{"v1": {{"ca": "{path}/ca.crt", "server_name": "{name}", {own}}}}}}}"#
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

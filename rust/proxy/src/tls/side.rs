//! One side of a handshake, made from the contents of its files.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};
use x509_cert::der::DateTime;

use super::UnixSeconds;
use super::certificate::Certificate;
use super::certificates::{ListenerFiles, UpstreamFiles};
use super::files::{Contents, Files, Unusable};
use super::forwarded;
use super::pinned::Pinned;
use crate::forwarded::Forwarded;

const ALPN: &[u8] = b"h2";
const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What one `tls` section is made into.
pub trait Side: Sized {
    /// The section.
    type Config: PartialEq;

    fn files(config: &Self::Config) -> Files;

    /// # Errors
    /// The contents cannot be used, now.
    fn make(config: &Self::Config, contents: &Contents, now: UnixSeconds) -> Result<Self, Unusable>;

    /// The certificate that is shown to the other side, if there is one.
    fn certificate(&self) -> Option<&Certificate>;
}

/// What a listener needs to shake hands with clients.
#[derive(Debug)]
pub struct Accepting {
    pub config: Arc<ServerConfig>,
    certificate: Certificate,
    forwards: bool,
}

/// What is needed to shake hands with a model server.
#[derive(Debug)]
pub struct Connecting {
    pub config: Arc<ClientConfig>,
    pub server_name: ServerName<'static>,
    certificate: Option<Certificate>,
}

// === impl Accepting ===

impl Accepting {
    /// What is forwarded of a client that has shaken hands.
    pub fn forwarded(&self, connection: &ServerConnection) -> Forwarded {
        if !self.forwards {
            return Forwarded::Untouched;
        }
        let client = connection.peer_certificates().and_then(<[_]>::first);
        forwarded::forwarded(client.map(|der| der.as_ref()), &self.certificate.uris)
    }
}

impl Side for Accepting {
    type Config = ListenerFiles;

    fn files(config: &ListenerFiles) -> Files {
        Files::new([
            ("certificate", Some(config.certificate.clone())),
            ("key", Some(config.key.clone())),
            ("client_ca", config.client_ca.clone()),
        ])
    }

    fn make(config: &ListenerFiles, contents: &Contents, now: UnixSeconds) -> Result<Accepting, Unusable> {
        let chain = contents.chain("certificate")?;
        let certificate = leaf(contents, &chain, now)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| contents.unusable("certificate", error))?;
        let builder = match &config.client_ca {
            None => builder.with_no_client_auth(),
            Some(_) => {
                let roots = Arc::new(contents.roots("client_ca")?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = match config.require_client_certificate {
                    true => verifier,
                    false => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| contents.unusable("client_ca", error))?;
                let pinned = Pinned::new(verifier, contents.chain("client_ca")?);
                builder.with_client_cert_verifier(Arc::new(pinned))
            }
        };
        let made = builder.with_single_cert(chain, contents.key()?);
        let mut tls = made.map_err(|error| mismatch(contents, &error))?;
        tls.alpn_protocols = vec![ALPN.into()];
        Ok(Accepting { config: Arc::new(tls), certificate, forwards: config.forward_client_certificate })
    }

    fn certificate(&self) -> Option<&Certificate> {
        Some(&self.certificate)
    }
}

// === impl Connecting ===

impl Side for Connecting {
    type Config = UpstreamFiles;

    fn files(config: &UpstreamFiles) -> Files {
        Files::new([
            ("ca", Some(config.ca.clone())),
            ("certificate", config.certificate.clone()),
            ("key", config.key.clone()),
        ])
    }

    fn make(config: &UpstreamFiles, contents: &Contents, now: UnixSeconds) -> Result<Connecting, Unusable> {
        let server_name = ServerName::try_from(config.server_name.clone()).map_err(|_| Unusable {
            setting: "server_name",
            what: format!(
                "'{}' is no host name; write the name in the model server's certificate",
                config.server_name
            ),
        })?;
        let verifier = Pinned::new(verifier(contents.roots("ca")?, contents)?, contents.chain("ca")?);
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| contents.unusable("ca", error))?
            // Not dangerous: all it adds is what stands in the file of authorities.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let (mut tls, certificate) = match contents.pem("certificate") {
            None => (builder.with_no_client_auth(), None),
            Some(_) => {
                let chain = contents.chain("certificate")?;
                let certificate = leaf(contents, &chain, now)?;
                let made = builder.with_client_auth_cert(chain, contents.key()?);
                (made.map_err(|error| mismatch(contents, &error))?, Some(certificate))
            }
        };
        tls.alpn_protocols = vec![ALPN.into()];
        Ok(Connecting { config: Arc::new(tls), server_name, certificate })
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

fn verifier(roots: RootCertStore, contents: &Contents) -> Result<Arc<WebPkiServerVerifier>, Unusable> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier.build().map_err(|error| contents.unusable("ca", error))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What the first certificate says, which must be valid now.
fn leaf(
    contents: &Contents,
    chain: &[CertificateDer<'_>],
    now: UnixSeconds,
) -> Result<Certificate, Unusable> {
    let refuse = |what: String| contents.unusable("certificate", what);
    let Some(certificate) = chain.first().and_then(|der| Certificate::parse(der)) else {
        return Err(refuse("its first certificate cannot be read; write an X.509 certificate in PEM".into()));
    };
    // As moments, not as time from now: what is wrong must be the same at every look.
    if now > certificate.not_after {
        return Err(refuse(format!("has expired on {}; renew it", moment(certificate.not_after))));
    }
    if now < certificate.not_before {
        let from = moment(certificate.not_before);
        return Err(refuse(format!("is not valid before {from}; wait, or set the clock")));
    }
    Ok(certificate)
}

fn moment(at: UnixSeconds) -> String {
    DateTime::from_unix_duration(Duration::from_secs(at)).map_or_else(|_| at.to_string(), |at| at.to_string())
}

fn mismatch(contents: &Contents, error: &Error) -> Unusable {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            contents.unusable("key", "is not the key of the certificate; write both files of one pair")
        }
        error => {
            contents.unusable("key", format!("cannot be used: {error}; write an RSA, ECDSA or Ed25519 key"))
        }
    }
}

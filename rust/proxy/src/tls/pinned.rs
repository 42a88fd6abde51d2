//! Certificates that stand in the file of authorities themselves, as self-signed ones do.
//!
//! The library takes no certificate for an authority and for the other side at once (`CaUsedAsEndEntity`). What model
//! servers and clients are built on does, and `openssl req -x509` makes such ones. So the very certificate in the file
//! is taken, if it is valid now: its key must be proven and its name must fit as for any other.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::certificate::Certificate;

#[derive(Debug)]
pub struct Pinned<V: ?Sized> {
    /// Judges all others.
    chains: Arc<V>,
    named: Vec<CertificateDer<'static>>,
}

// === impl Pinned ===

impl<V: ?Sized> Pinned<V> {
    /// `named` is what stands in the file.
    pub fn new(chains: Arc<V>, named: Vec<CertificateDer<'static>>) -> Pinned<V> {
        Pinned { chains, named }
    }

    fn names(&self, shown: &CertificateDer<'_>, now: UnixTime) -> bool {
        let valid = |shown: &Certificate| (shown.not_before..=shown.not_after).contains(&now.as_secs());
        self.named.contains(shown) && Certificate::parse(shown).as_ref().is_some_and(valid)
    }
}

impl<V: ServerCertVerifier + ?Sized> ServerCertVerifier for Pinned<V> {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.names(shown, now) {
            return self.chains.verify_server_cert(shown, between, name, ocsp, now);
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

impl<V: ClientCertVerifier + ?Sized> ClientCertVerifier for Pinned<V> {
    fn client_auth_mandatory(&self) -> bool {
        self.chains.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.names(shown, now) {
            return Ok(ClientCertVerified::assertion());
        }
        self.chains.verify_client_cert(shown, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

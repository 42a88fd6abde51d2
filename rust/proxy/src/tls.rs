//! TLS on either side: what the files say, what a handshake needs, and how new files take the place of old ones.
//!
//! Versions 1.2 and 1.3, and only the cipher suites that HTTP/2 allows (RFC 9113, section 9.2.2: the library has no
//! others). `h2` is offered in ALPN; a client that offers other protocols and not this one is refused, a client that
//! offers none is taken at its word that it speaks HTTP/2: its first bytes tell.

mod certificate;
mod certificates;
mod error;
mod files;
mod forwarded;
mod pinned;
mod side;
mod slot;

pub use certificates::{CertificateConfig, Certificates, VersionTls};
pub use error::CertificateError;
pub use files::Contents;
pub use forwarded::{NAME as FORWARDED_CERTIFICATE, forwarded_client_certificate};
pub use side::{Accepting, Connecting};
pub use slot::{CertificateState, News};

/// Seconds since 1970 of wall time, as certificates count it.
pub type UnixSeconds = u64;

//! A file that cannot be used, and what to do about it.

use std::fmt;

/// Names the setting that leads to the file, so that whoever reports it can say where that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateError {
    /// Version whose `tls` section it is; `None` for the listener's.
    pub version: Option<String>,
    /// Key in the section.
    pub setting: &'static str,
    /// The file, what is wrong with it, and the remedy.
    pub what: String,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            None => write!(f, "tls.{}: {}", self.setting, self.what),
            Some(version) => write!(f, "versions.{version}.tls.{}: {}", self.setting, self.what),
        }
    }
}

impl std::error::Error for CertificateError {}

//! The PEM files of one `tls` section, as they are read at one moment.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// The public authorities of a whole system are some 200 KiB.
const LARGEST: u64 = 4 << 20;

/// What is wrong with the file of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub setting: &'static str,
    pub what: String,
}

/// The files of a section: the setting that names each, and where it is.
#[derive(Clone, Debug)]
pub struct Files(Vec<(&'static str, PathBuf)>);

/// What was in them.
#[derive(Clone, Debug)]
pub struct Contents {
    files: Vec<(&'static str, PathBuf, Vec<u8>)>,
    pub digest: [u8; 32],
}

// === impl Unusable ===

impl Unusable {
    pub fn new(setting: &'static str, path: &Path, what: impl std::fmt::Display) -> Unusable {
        Unusable { setting, what: format!("{}: {what}", path.display()) }
    }
}

// === impl Files ===

impl Files {
    pub fn new(files: impl IntoIterator<Item = (&'static str, Option<PathBuf>)>) -> Files {
        Files(files.into_iter().filter_map(|(setting, path)| path.map(|path| (setting, path))).collect())
    }

    /// # Errors
    /// A file is missing, cannot be read, or is too long to be what it should be.
    pub fn read(&self) -> Result<Contents, Unusable> {
        let mut files = Vec::with_capacity(self.0.len());
        let mut digest = Sha256::new();
        for (setting, path) in &self.0 {
            let bytes = read(path).map_err(|what| Unusable::new(setting, path, what))?;
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(&bytes);
            files.push((*setting, path.clone(), bytes));
        }
        Ok(Contents { files, digest: digest.finalize().into() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = bytes(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "no such file; check the path, and that the secret is mounted".into(),
        ErrorKind::IsADirectory => "is a folder; name the file in it".into(),
        ErrorKind::PermissionDenied => {
            format!("cannot be read: {error}; give the user that pilotfish runs as the right")
        }
        _ => format!("cannot be read: {error}; check the path and the disk"),
    })?;
    match read {
        None => Err("is no regular file; name one in PEM form".into()),
        Some(bytes) if bytes.len() as u64 > LARGEST => {
            Err("is longer than 4 MiB; name a file in PEM form".into())
        }
        Some(bytes) => Ok(bytes),
    }
}

/// `None` for what is no file: to open a pipe would wait until somebody writes to it.
fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let kind = fs::metadata(path)?;
    if !kind.is_file() && !kind.is_dir() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// In words; the reader's own show a marker as numbers.
fn torn(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it breaks off before END".into(),
        pem::Error::IllegalSectionStart { .. } => "a line that begins with BEGIN is torn".into(),
        error => error.to_string(),
    }
}

// === impl Contents ===

impl Contents {
    /// The PEM text of a setting, if it has been given.
    pub fn pem(&self, setting: &str) -> Option<&[u8]> {
        self.files.iter().find(|(name, ..)| *name == setting).map(|(.., bytes)| bytes.as_slice())
    }

    /// The PEM text of each setting that has been given.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files.iter().map(|(setting, _, bytes)| (*setting, bytes.as_slice()))
    }

    pub fn unusable(&self, setting: &'static str, what: impl std::fmt::Display) -> Unusable {
        let path = self.files.iter().find(|(name, ..)| *name == setting).map(|(_, path, _)| path.as_path());
        Unusable::new(setting, path.unwrap_or(Path::new("")), what)
    }

    /// The certificates of a file, the leaf first.
    ///
    /// # Errors
    /// It holds none, or is not PEM.
    pub fn chain(&self, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let bytes = self.pem(setting).unwrap_or_default();
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
        match chain {
            Ok(chain) if chain.is_empty() => {
                Err(self.unusable(setting, "holds no certificate; write one in PEM (BEGIN CERTIFICATE)"))
            }
            Ok(chain) => Ok(chain),
            Err(error) => {
                let what = format!("is not PEM: {}; write the certificate again in PEM", torn(&error));
                Err(self.unusable(setting, what))
            }
        }
    }

    /// # Errors
    /// The file holds no private key that is not encrypted.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, Unusable> {
        let bytes = self.pem("key").unwrap_or_default();
        PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
            let encrypted = bytes.windows(9).any(|word| word == b"ENCRYPTED");
            match error {
                _ if encrypted => self.unusable("key", "is encrypted; write it without a passphrase"),
                pem::Error::NoItemsFound => {
                    self.unusable("key", "holds no private key; write one in PEM (BEGIN PRIVATE KEY)")
                }
                error => {
                    let what = format!("is not PEM: {}; write the private key again in PEM", torn(&error));
                    self.unusable("key", what)
                }
            }
        })
    }

    /// The authorities in a file.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn roots(&self, setting: &'static str) -> Result<RootCertStore, Unusable> {
        let mut roots = RootCertStore::empty();
        // A bundle of a whole system may hold one that is odd.
        let (added, _) = roots.add_parsable_certificates(self.chain(setting)?);
        if added == 0 {
            let what = "holds no certificate of an authority that can be read; write one in PEM";
            return Err(self.unusable(setting, what));
        }
        Ok(roots)
    }
}

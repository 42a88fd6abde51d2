//! All the certificates of one sidecar: the listener's, and those that are shown to model servers.
//!
//! Nobody is called back: whoever has a clock looks from time to time and is told what there is to tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::UnixSeconds;
use super::error::CertificateError;
use super::files::Contents;
use super::side::{Accepting, Connecting};
use super::slot::{CertificateState, News, Slot};
use crate::config::ConfigurationError;

/// The `tls` sections, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    pub listener: Option<ListenerFiles>,
    /// By version; those without TLS are left out.
    pub upstreams: BTreeMap<String, UpstreamFiles>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of clients; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    pub require_client_certificate: bool,
    pub forward_client_certificate: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamFiles {
    pub ca: PathBuf,
    /// Name or address that the model server's certificate must be for.
    pub server_name: String,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub struct Certificates {
    listener: Option<Arc<Slot<Accepting>>>,
    upstreams: BTreeMap<String, Arc<Slot<Connecting>>>,
}

// === impl CertificateConfig ===

impl CertificateConfig {
    /// # Errors
    /// Text that is not JSON of this shape.
    pub fn from_json(text: &str) -> Result<CertificateConfig, ConfigurationError> {
        serde_json::from_str(text).map_err(|error| ConfigurationError(error.to_string()))
    }
}

// === impl Certificates ===

impl Certificates {
    /// Reads all files.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub fn open(config: CertificateConfig, now: UnixSeconds) -> Result<Certificates, CertificateError> {
        let listener =
            config.listener.map(|files| Slot::open(None, files, now).map(Into::into)).transpose()?;
        let upstreams = config.upstreams.into_iter().map(|(version, files)| {
            let slot = Slot::open(Some(version.clone()), files, now)?;
            Ok((version, slot.into()))
        });
        Ok(Certificates { listener, upstreams: upstreams.collect::<Result<_, _>>()? })
    }

    /// For the listener; `None` when it speaks without TLS.
    pub fn listener(&self) -> Option<Arc<Slot<Accepting>>> {
        self.listener.clone()
    }

    /// For a version's model server; `None` when it is spoken to without TLS.
    pub fn upstream(&self, version: &str) -> Option<Arc<Slot<Connecting>>> {
        self.upstreams.get(version).cloned()
    }

    /// Looks at all files; what has happened since the last look.
    pub fn look(&self, now: UnixSeconds) -> Vec<News> {
        let mut news = self.listener.as_ref().map_or_else(Vec::new, |slot| slot.look(now));
        news.extend(self.upstreams.values().flat_map(|slot| slot.look(now)));
        news
    }

    pub fn states(&self) -> Vec<CertificateState> {
        let listener = self.listener.iter().map(|slot| slot.state());
        listener.chain(self.upstreams.values().map(|slot| slot.state())).collect()
    }

    /// The files in use, for who shakes hands elsewhere; `None` for a section that there is not.
    pub fn contents(&self, version: Option<&str>) -> Option<Contents> {
        match version {
            None => self.listener.as_deref().map(Slot::contents),
            Some(version) => self.upstreams.get(version).map(|slot| slot.contents()),
        }
    }
}

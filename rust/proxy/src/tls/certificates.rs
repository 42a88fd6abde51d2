//! All the certificates of one sidecar: the listener's, and those that are shown to model servers.
//!
//! Nobody is called back: whoever has a clock looks from time to time and is told what there is to tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

use super::UnixSeconds;
use super::error::CertificateError;
use super::files::Contents;
use super::side::{Accepting, Connecting, Side};
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

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of clients; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    pub require_client_certificate: bool,
    pub forward_client_certificate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamFiles {
    pub ca: PathBuf,
    /// Name or address that the model server's certificate must be for.
    pub server_name: String,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub struct Certificates(RwLock<Sections>);

#[derive(Clone, Debug, Default)]
struct Sections {
    listener: Option<Arc<Slot<Accepting>>>,
    upstreams: BTreeMap<String, Arc<Slot<Connecting>>>,
}

/// TLS with the model server of one version, as it is at the moment.
#[derive(Clone, Debug)]
pub struct VersionTls {
    certificates: Arc<Certificates>,
    version: Arc<str>,
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
        let certificates = Certificates::default();
        certificates.apply(config, now)?;
        Ok(certificates)
    }

    /// Puts other sections in the place of those there are. What stays the same keeps its state.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used; nothing has changed then.
    pub fn apply(&self, config: CertificateConfig, now: UnixSeconds) -> Result<(), CertificateError> {
        let before = self.sections();
        let listener =
            config.listener.map(|files| kept_or_opened(before.listener.as_ref(), None, files, now));
        let upstreams = config.upstreams.into_iter().map(|(version, files)| {
            let slot = kept_or_opened(before.upstreams.get(&version), Some(version.clone()), files, now)?;
            Ok((version, slot))
        });
        let sections =
            Sections { listener: listener.transpose()?, upstreams: upstreams.collect::<Result<_, _>>()? };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = sections;
        Ok(())
    }

    /// For a client that connects now; `None` when the listener speaks without TLS.
    pub fn listener(&self) -> Option<Arc<Accepting>> {
        let sections = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sections.listener.as_deref().map(Slot::current)
    }

    /// For connections to a version's model server.
    pub fn upstream(self: &Arc<Certificates>, version: &Arc<str>) -> VersionTls {
        VersionTls { certificates: Arc::clone(self), version: Arc::clone(version) }
    }

    /// Looks at all files; what has happened since the last look.
    pub fn look(&self, now: UnixSeconds) -> Vec<News> {
        let Sections { listener, upstreams } = self.sections();
        let mut news = listener.map_or_else(Vec::new, |slot| slot.look(now));
        news.extend(upstreams.values().flat_map(|slot| slot.look(now)));
        news
    }

    pub fn states(&self) -> Vec<CertificateState> {
        let Sections { listener, upstreams } = self.sections();
        let listener = listener.iter().map(|slot| slot.state());
        listener.chain(upstreams.values().map(|slot| slot.state())).collect()
    }

    /// The files in use, for who shakes hands elsewhere; `None` for a section that there is not.
    pub fn contents(&self, version: Option<&str>) -> Option<Contents> {
        let Sections { listener, upstreams } = self.sections();
        match version {
            None => listener.as_deref().map(Slot::contents),
            Some(version) => upstreams.get(version).map(|slot| slot.contents()),
        }
    }

    /// Name that the certificate of a version's model server must be for; `None` without TLS.
    pub fn server_name(&self, version: &str) -> Option<String> {
        self.sections().upstreams.get(version).map(|slot| slot.config().server_name.clone())
    }

    fn sections(&self) -> Sections {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl VersionTls ===

impl VersionTls {
    /// For a connection that is made now; `None` when the server is spoken to without TLS.
    pub fn current(&self) -> Option<Arc<Connecting>> {
        let sections = self.certificates.0.read().unwrap_or_else(PoisonError::into_inner);
        sections.upstreams.get(&*self.version).map(|slot| slot.current())
    }
}

fn kept_or_opened<S: Side>(
    before: Option<&Arc<Slot<S>>>,
    version: Option<String>,
    config: S::Config,
    now: UnixSeconds,
) -> Result<Arc<Slot<S>>, CertificateError> {
    match before {
        Some(slot) if *slot.config() == config => Ok(Arc::clone(slot)),
        _ => Slot::open(version, config, now).map(Arc::new),
    }
}

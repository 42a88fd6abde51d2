//! The certificates, as Python sees them: opened, looked at, told of.

use std::sync::Arc;

use pilotfish_proxy::{CertificateConfig, Certificates as Inner, forwarded_client_certificate as forwarded};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::Error;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Certificates {
    inner: Arc<Inner>,
}

#[pymethods]
impl Certificates {
    #[new]
    fn new(py: Python<'_>, configuration: &str, now: u64) -> PyResult<Certificates> {
        let opened = py.detach(|| {
            let config = CertificateConfig::from_json(configuration)?;
            Ok::<_, Error>(Inner::open(config, now)?)
        });
        Ok(Certificates { inner: Arc::new(opened?) })
    }

    fn apply(&self, py: Python<'_>, configuration: &str, now: u64) -> PyResult<()> {
        let applied = py.detach(|| {
            let config = CertificateConfig::from_json(configuration)?;
            Ok::<_, Error>(self.inner.apply(config, now)?)
        });
        Ok(applied?)
    }

    fn look<'py>(&self, py: Python<'py>, now: u64) -> PyResult<Bound<'py, PyBytes>> {
        let news = py.detach(|| self.inner.look(now));
        json(py, &news)
    }

    fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let states = py.detach(|| self.inner.states());
        json(py, &states)
    }

    fn contents<'py>(&self, py: Python<'py>, version: Option<&str>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(contents) = py.detach(|| self.inner.contents(version)) else { return Ok(None) };
        let files = PyDict::new(py);
        for (setting, bytes) in contents.all() {
            files.set_item(setting, PyBytes::new(py, bytes))?;
        }
        Ok(Some(files))
    }

    fn server_name(&self, version: &str) -> Option<String> {
        self.inner.server_name(version)
    }
}

// === impl Certificates ===

impl Certificates {
    pub fn shared(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }
}

/// What a model server is told of a client that has shown this certificate (PEM).
#[pyfunction]
pub fn forwarded_client_certificate(client: &[u8], own: &[u8]) -> Option<String> {
    forwarded(client, own)
}

fn json<'py>(py: Python<'py>, value: &impl serde::Serialize) -> PyResult<Bound<'py, PyBytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
        Err(error) => Err(PyRuntimeError::new_err(format!("the certificates could not be encoded: {error}"))),
    }
}

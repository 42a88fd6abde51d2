//! What was decided for one call, as Python sees it.

use pilotfish_core::policy::Ruling;
use pyo3::prelude::*;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Decision {
    pub(crate) inner: Ruling,
}

#[pymethods]
impl Decision {
    #[getter]
    fn version(&self) -> &str {
        &self.inner.answering().name
    }

    #[getter]
    fn upstream(&self) -> &str {
        &self.inner.answering().upstream
    }

    #[getter]
    fn route(&self) -> &str {
        &self.inner.route().name
    }

    #[getter]
    fn role(&self) -> &'static str {
        self.inner.role.name()
    }

    #[getter]
    fn strategy(&self) -> &'static str {
        self.inner.strategy.name()
    }

    #[getter]
    fn shadow(&self) -> Option<&str> {
        self.inner.copied_to().map(|shadow| &*self.inner.policy().version(shadow.version).name)
    }

    #[getter]
    fn shadow_upstream(&self) -> Option<&str> {
        self.inner.copied_to().map(|shadow| &*self.inner.policy().version(shadow.version).upstream)
    }

    #[getter]
    fn shadow_timeout(&self) -> f64 {
        self.inner.copied_to().map_or(0.0, |shadow| shadow.config.timeout_ns as f64 / 1e9)
    }

    #[getter]
    fn call_id(&self) -> &str {
        &self.inner.call_id
    }

    #[getter]
    fn traceparent(&self) -> Option<&str> {
        self.inner.traceparent.as_deref()
    }

    fn __repr__(&self) -> String {
        format!(
            "Decision(version='{}', route='{}', call_id='{}')",
            self.version(),
            self.route(),
            self.call_id()
        )
    }
}

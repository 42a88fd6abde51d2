//! What was decided for one call, as Python sees it.

use std::sync::Arc;

use pilotfish_core::call;
use pilotfish_core::engine::Engine;
use pyo3::prelude::*;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Decision {
    pub(crate) inner: call::Decision,
    pub(crate) engine: Arc<Engine>,
}

#[pymethods]
impl Decision {
    #[getter]
    fn version(&self) -> &str {
        self.engine.version_name(self.inner.version)
    }

    #[getter]
    fn route(&self) -> &str {
        &self.engine.route(&self.inner).name
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
        self.inner.shadow.map(|version| self.engine.version_name(version))
    }

    #[getter]
    fn shadow_timeout(&self) -> f64 {
        let shadow = self.inner.shadow.and(self.engine.route(&self.inner).shadow.as_ref());
        shadow.map_or(0.0, |shadow| shadow.config.timeout_ns as f64 / 1e9)
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

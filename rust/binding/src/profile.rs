//! Building and describing reference profiles, as Python sees it.

use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pilotfish_core::profile;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::Error;
use crate::message::direction_named;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct ProfileBuilder {
    /// None once finished.
    inner: Mutex<Option<profile::ProfileBuilder>>,
}

#[pymethods]
impl ProfileBuilder {
    #[new]
    #[pyo3(signature = (model, bins = 32))]
    fn new(model: &str, bins: u16) -> ProfileBuilder {
        ProfileBuilder { inner: Mutex::new(Some(profile::ProfileBuilder::new(model, bins))) }
    }

    fn add_numbers(
        &self,
        py: Python<'_>,
        name: &str,
        direction: &str,
        values: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<()> {
        let direction = direction_named(direction)?;
        let values = values.as_array();
        match values.as_slice() {
            Some(values) => {
                py.detach(|| self.build(|builder| builder.add_column_f64(name, direction, values)))
            }
            // A column of a row-major table: not contiguous.
            None => {
                let values = values.to_vec();
                py.detach(|| self.build(|builder| builder.add_column_f64(name, direction, &values)))
            }
        }
    }

    fn add_categories(
        &self,
        name: &str,
        direction: &str,
        values: Vec<Option<Bound<'_, PyAny>>>,
    ) -> PyResult<()> {
        let direction = direction_named(direction)?;
        let values = values.iter().map(|value| value.as_ref().map(category).transpose());
        let values = values.collect::<PyResult<Vec<_>>>()?;
        self.build(|builder| builder.add_column_bytes(name, direction, values.iter().map(Option::as_deref)))
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let builder =
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(finished)?;
        let bytes = py.detach(|| builder.finish().map(|profile| profile.to_bytes())).map_err(Error::from)?;
        Ok(PyBytes::new(py, &bytes))
    }
}

impl ProfileBuilder {
    fn build(
        &self,
        add: impl FnOnce(&mut profile::ProfileBuilder) -> Result<(), profile::ProfileError>,
    ) -> PyResult<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        add(inner.as_mut().ok_or_else(finished)?).map_err(|error| Error::from(error).into())
    }
}

/// What a profile file holds, as a dictionary.
#[pyfunction]
pub fn describe_profile<'py>(py: Python<'py>, profile: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let profile = profile::Profile::from_bytes(profile).map_err(Error::from)?;
    let text = serde_json::to_string(&profile.describe())
        .map_err(|error| PyRuntimeError::new_err(format!("the profile could not be described: {error}")))?;
    py.import("json")?.call_method1("loads", (text,))
}

fn category(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.as_bytes().to_vec());
    }
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => Err(PyValueError::new_err(format!("category {value}: must be str, bytes or None"))),
    }
}

fn finished() -> PyErr {
    PyRuntimeError::new_err("the profile is finished already: make a new builder")
}

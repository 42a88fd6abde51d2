//! Recorded rows through the live code, as Python sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use numpy::PyReadonlyArray2;
use pilotfish_core::backtest;
use pilotfish_core::backtest::{BacktestConfig, Values};
use pilotfish_core::error::ConfigurationError;
use pilotfish_core::profile::Profile;
use pilotfish_core::tensor::Direction;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::error::Error;
use crate::message::direction_named;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Backtest {
    inner: Mutex<backtest::Backtest>,
}

/// Rows of a tensor: name, direction, and numbers or texts.
type Rows<'py> = (PyBackedStr, PyBackedStr, Column<'py>);

#[derive(FromPyObject)]
enum Column<'py> {
    Numbers(PyReadonlyArray2<'py, f64>),
    Texts(Vec<Option<Text>>),
}

#[derive(FromPyObject)]
enum Text {
    Str(PyBackedStr),
    Bytes(PyBackedBytes),
}

/// Numbers that lie in memory row by row, or a copy of those that do not.
enum Held<'a> {
    Borrowed(&'a [f64]),
    Owned(Vec<f64>),
}

#[pymethods]
impl Backtest {
    #[new]
    fn new(profile: &[u8], configuration: &str) -> PyResult<Backtest> {
        let profile = Profile::from_bytes(profile).map_err(Error::from)?;
        let config: BacktestConfig =
            serde_json::from_str(configuration).map_err(|error| refused(error.to_string()))?;
        let inner = backtest::Backtest::new(config, Arc::new(profile)).map_err(Error::from)?;
        Ok(Backtest { inner: Mutex::new(inner) })
    }

    fn watched(&self) -> Vec<(&'static str, String)> {
        self.lock().watched().into_iter().map(|(direction, feature)| (direction.name(), feature)).collect()
    }

    fn add_rows(&self, py: Python<'_>, tensors: Vec<Rows<'_>>) -> PyResult<()> {
        let held: Vec<Option<(usize, Held<'_>)>> = tensors.iter().map(|(.., column)| column.held()).collect();
        let parts = tensors
            .iter()
            .zip(&held)
            .map(|((name, direction, column), held)| {
                Ok((&**name, direction_named(direction)?, column.values(held.as_ref())))
            })
            .collect::<PyResult<Vec<_>>>()?;
        let ragged = "the tensors have different numbers of rows; give each as many";
        py.detach(|| self.lock().observe(&parts)).map_err(|_| PyValueError::new_err(ragged))
    }

    fn add_message(
        &self,
        py: Python<'_>,
        method: &str,
        direction: &str,
        message: PyBackedBytes,
    ) -> PyResult<()> {
        let direction = direction_named(direction)?;
        let read = py.detach(|| {
            let read = match direction {
                Direction::Input => pilotfish_wire::request(method, &message),
                Direction::Output => pilotfish_wire::response(method, &message),
            };
            read.map(|message| self.lock().observe_message(direction, &message.tensors))
        });
        read.map_err(|reason| PyValueError::new_err(reason.name()))
    }

    fn alarms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        encoded(py, || self.lock().take_alarms())
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        encoded(py, || self.lock().finish())
    }

    fn measured<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        encoded(py, || self.lock().measured())
    }

    #[pyo3(signature = (detail = false))]
    fn snapshot<'py>(&self, py: Python<'py>, detail: bool) -> PyResult<Bound<'py, PyBytes>> {
        encoded(py, || self.lock().snapshot(detail))
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.lock().rows()
    }

    #[getter]
    fn fewest_rows(&self) -> u64 {
        self.lock().fewest_rows()
    }
}

impl Backtest {
    fn lock(&self) -> MutexGuard<'_, backtest::Backtest> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Column<'_> {
    fn held(&self) -> Option<(usize, Held<'_>)> {
        let Column::Numbers(array) = self else { return None };
        let held = match array.as_array().to_slice() {
            Some(values) => Held::Borrowed(values),
            None => Held::Owned(array.as_array().iter().copied().collect()),
        };
        Some((array.as_array().ncols(), held))
    }

    fn values<'a>(&'a self, held: Option<&'a (usize, Held<'_>)>) -> Values<'a> {
        match (self, held) {
            (Column::Texts(texts), _) => Values::Texts(texts.iter().map(text).collect()),
            (Column::Numbers(_), Some((columns, Held::Borrowed(values)))) => {
                Values::Numbers { columns: *columns, values }
            }
            (Column::Numbers(_), Some((columns, Held::Owned(values)))) => {
                Values::Numbers { columns: *columns, values }
            }
            (Column::Numbers(_), None) => Values::Numbers { columns: 1, values: &[] },
        }
    }
}

fn text(text: &Option<Text>) -> &[u8] {
    match text {
        Some(Text::Str(text)) => text.as_bytes(),
        Some(Text::Bytes(bytes)) => bytes,
        None => b"",
    }
}

fn refused(reason: String) -> PyErr {
    Error::from(ConfigurationError(format!("the backtest's configuration is not readable: {reason}"))).into()
}

fn encoded<'py, T: Serialize>(
    py: Python<'py>,
    gather: impl FnOnce() -> T + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    match py.detach(|| serde_json::to_vec(&gather())) {
        Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
        Err(error) => Err(PyRuntimeError::new_err(format!("the alarms could not be encoded: {error}"))),
    }
}

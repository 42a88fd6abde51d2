//! Joint distributions, as Python sees them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyArray2, PyReadonlyArray2};
use pilotfish_core::detect::AlarmState;
use pilotfish_core::detect::edetector::terms::Terms;
use pilotfish_core::error::ConfigurationError;
use pilotfish_core::multivariate::builder;
use pilotfish_core::multivariate::comoments::{self, CorrelationDistance};
use pilotfish_core::multivariate::detector::{self, JointAlarm};
use pilotfish_core::multivariate::joint::Wanted;
use pilotfish_core::profile::{Profile, ProfileError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::Error;

type Rows<'py> = PyReadonlyArray2<'py, f64>;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct CoMoments {
    inner: Mutex<comoments::CoMoments>,
}

#[pymethods]
impl CoMoments {
    #[new]
    fn new(columns: usize) -> PyResult<CoMoments> {
        let found = comoments::CoMoments::new(columns);
        let inner = found.ok_or_else(|| {
            let most = comoments::COLUMNS_MAX;
            PyValueError::new_err(format!("{columns} columns: co-moments of up to {most} are possible"))
        })?;
        Ok(CoMoments { inner: Mutex::new(inner) })
    }

    /// Rows with a value that is no finite number are passed over; how many.
    fn update(&self, py: Python<'_>, rows: Rows<'_>) -> PyResult<u64> {
        let rows = rows.as_array();
        let columns = self.lock().columns();
        if rows.ncols() != columns {
            return Err(wrong_width(rows.ncols(), columns));
        }
        let values: Vec<f64> = rows.iter().copied().collect();
        Ok(py.detach(|| {
            let mut comoments = self.lock();
            let complete = |row: &&[f64]| row.iter().all(|value| value.is_finite());
            let whole = values.chunks_exact(columns.max(1)).filter(complete).map(|row| comoments.add(row));
            (values.len() / columns.max(1) - whole.count()) as u64
        }))
    }

    fn merge(&self, other: &CoMoments) -> PyResult<()> {
        let other = other.lock().clone();
        let mut mine = self.lock();
        let columns = mine.columns();
        mine.merge(&other).then_some(()).ok_or_else(|| wrong_width(other.columns(), columns))
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.lock().count()
    }

    fn correlations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        Ok(PyArray2::from_vec2(py, &self.lock().correlations())?)
    }

    /// Frobenius norm, and what to expect of it by chance.
    fn distance(&self, live: &CoMoments) -> PyResult<(f64, f64)> {
        let live = live.lock().clone();
        let found = self.lock().distance(&live);
        found
            .map(pair)
            .ok_or_else(|| PyValueError::new_err("two rows, and the same columns, are needed on each side"))
    }
}

impl CoMoments {
    fn lock(&self) -> MutexGuard<'_, comoments::CoMoments> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct JointDetector {
    names: Vec<String>,
    columns: usize,
    inner: Mutex<detector::JointDetector>,
}

#[pymethods]
impl JointDetector {
    #[new]
    #[pyo3(signature = (reference, columns, *, features, pairs, principal, seed, bins, tolerance, arl, delta, pane_rows, clear_after))]
    #[expect(clippy::too_many_arguments, reason = "the Python wrapper names and checks them")]
    fn new(
        py: Python<'_>,
        reference: Rows<'_>,
        columns: Vec<String>,
        features: usize,
        pairs: usize,
        principal: bool,
        seed: u64,
        bins: usize,
        tolerance: f64,
        arl: f64,
        delta: f64,
        pane_rows: u64,
        clear_after: u32,
    ) -> PyResult<JointDetector> {
        let width = reference.as_array().ncols();
        let values: Vec<f64> = reference.as_array().iter().copied().collect();
        let terms = Terms { pane_rows, arl, tolerance, delta, clear_after };
        let made = py.detach(|| {
            let wanted = Wanted { features, pairs, principal, seed };
            let mut builder = builder::JointBuilder::new("x", width, bins, wanted);
            builder.add(&values);
            let (joint, references) = builder.finish(&columns).ok_or_else(|| {
                ConfigurationError(format!(
                    "a reference of {} values in {width} columns: rows, 1 to 8192 columns, and something to watch are needed",
                    values.len()
                ))
            })?;
            detector::JointDetector::new(joint, references, terms)
        });
        let inner = made.map_err(Error::from)?;
        let names = inner.joint().names(&columns);
        Ok(JointDetector { names, columns: width, inner: Mutex::new(inner) })
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn update<'py>(&self, py: Python<'py>, rows: Rows<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = rows.as_array();
        if rows.ncols() != self.columns {
            return Err(wrong_width(rows.ncols(), self.columns));
        }
        let values: Vec<f64> = rows.iter().copied().collect();
        let alarms = py.detach(|| self.lock().update(&values));
        alarms.iter().map(|alarm| self.to_python(py, alarm)).collect()
    }

    /// The numbers of each row.
    fn project<'py>(&self, py: Python<'py>, rows: Rows<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let rows = rows.as_array();
        if rows.ncols() != self.columns {
            return Err(wrong_width(rows.ncols(), self.columns));
        }
        let joint = self.lock().joint().clone();
        let project = |row: Vec<f64>| {
            let (mut standard, mut numbers) = (vec![0.0; self.columns], vec![0.0; joint.width()]);
            joint.standardise(&row, &mut standard);
            joint.project(&standard, &mut numbers);
            numbers
        };
        let numbers: Vec<Vec<f64>> = rows.rows().into_iter().map(|row| project(row.to_vec())).collect();
        Ok(PyArray2::from_vec2(py, &numbers)?)
    }

    fn distances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.lock().distances();
        let result = PyDict::new(py);
        result.set_item("correlation", found.correlation.map(|distance| distance.value))?;
        result.set_item("correlation_expected", found.correlation.map(|distance| distance.expected))?;
        result.set_item("discrepancy", found.discrepancy)?;
        result.set_item("discrepancy_expected", found.discrepancy_expected)?;
        Ok(result)
    }

    fn evidence_bits(&self) -> Vec<f64> {
        self.lock().evidence_bits()
    }
}

impl JointDetector {
    fn lock(&self) -> MutexGuard<'_, detector::JointDetector> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_python<'py>(&self, py: Python<'py>, alarm: &JointAlarm) -> PyResult<Bound<'py, PyDict>> {
        let event = PyDict::new(py);
        event.set_item("feature", self.names.get(alarm.number))?;
        event.set_item("state", if alarm.state == AlarmState::Raised { "raised" } else { "cleared" })?;
        event.set_item("row", alarm.row)?;
        event.set_item("evidence_bits", alarm.evidence_bits)?;
        event.set_item("threshold_bits", alarm.threshold_bits)?;
        event.set_item("shape", alarm.finding.map(|finding| finding.shape.to_string()))?;
        event.set_item("change_row", alarm.finding.map(|finding| finding.onset.estimate.row))?;
        event.set_item("change_from_row", alarm.finding.map(|finding| finding.onset.earliest.row))?;
        event.set_item("change_to_row", alarm.finding.map(|finding| finding.onset.latest.row))?;
        Ok(event)
    }
}

/// The profile file with a map of the columns of an input, learned from rows.
/// Learns what is needed to watch the columns of an input together, from rows that come some at a time.
#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct JointBuilder {
    columns: Vec<String>,
    embedding: bool,
    inner: Mutex<builder::JointBuilder>,
}

#[pymethods]
impl JointBuilder {
    #[new]
    fn new(tensor: &str, columns: Vec<String>, embedding: bool) -> JointBuilder {
        let wanted = Wanted::of_tensor(tensor, embedding);
        let inner = builder::JointBuilder::new(tensor, columns.len(), builder::BINS, wanted);
        JointBuilder { columns, embedding, inner: Mutex::new(inner) }
    }

    fn add(&self, py: Python<'_>, rows: Rows<'_>) -> PyResult<()> {
        let rows = rows.as_array();
        if rows.ncols() != self.columns.len() {
            return Err(wrong_width(rows.ncols(), self.columns.len()));
        }
        let values: Vec<f64> = rows.iter().copied().collect();
        py.detach(|| self.lock().add(&values));
        Ok(())
    }

    fn added_to<'py>(&self, py: Python<'py>, profile: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let made = py.detach(|| {
            let known = Profile::from_bytes(profile)?;
            Ok(self.lock().clone().into_profile(&known, &self.columns, self.embedding)?.to_bytes())
        });
        made.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error: ProfileError| Error::from(error).into())
    }
}

impl JointBuilder {
    fn lock(&self) -> MutexGuard<'_, builder::JointBuilder> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(distance: CorrelationDistance) -> (f64, f64) {
    (distance.value, distance.expected)
}

fn wrong_width(found: usize, wanted: usize) -> PyErr {
    PyValueError::new_err(format!("rows of {found} columns: {wanted} are needed"))
}

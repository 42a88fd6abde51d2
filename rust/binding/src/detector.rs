//! The familiar detectors, as Python sees them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyArray1, PyReadonlyArray1};
use pilotfish_core::detect::sequential::{Domain, Sequential, Side, Verdict, named};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Detector {
    name: String,
    domain: Domain,
    inner: Mutex<Box<dyn Sequential>>,
}

/// Index, how many values since the change, and where they went.
type Found = (u64, u64, Option<&'static str>);

#[pymethods]
impl Detector {
    #[new]
    #[pyo3(signature = (name, **parameters))]
    fn new(py: Python<'_>, name: &str, parameters: Option<&Bound<'_, PyDict>>) -> PyResult<Detector> {
        let settings: String = match parameters {
            Some(parameters) => py.import("json")?.call_method1("dumps", (parameters,))?.extract()?,
            None => "{}".to_owned(),
        };
        let detector = named(name, &settings).map_err(Error::from)?;
        Ok(Detector { name: name.to_owned(), domain: detector.domain(), inner: Mutex::new(detector) })
    }

    fn update(&self, value: f64) -> PyResult<&'static str> {
        self.check(&[value])?;
        Ok(match self.lock().update(value) {
            Verdict::Quiet => "quiet",
            Verdict::Warning => "warning",
            Verdict::Drift(_) => "drift",
        })
    }

    fn update_many<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray1<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let found = self.find(py, values)?;
        Ok(PyArray1::from_vec(py, found.into_iter().map(|(index, ..)| index as i64).collect()))
    }

    fn find(&self, py: Python<'_>, values: PyReadonlyArray1<'_, f64>) -> PyResult<Vec<Found>> {
        let view = values.as_array();
        match view.as_slice() {
            Some(values) => py.detach(|| self.drifts(values)),
            // A column of a row-major table: not contiguous.
            None => {
                let values = view.to_vec();
                py.detach(|| self.drifts(&values))
            }
        }
    }
}

impl Detector {
    fn drifts(&self, values: &[f64]) -> PyResult<Vec<Found>> {
        self.check(values)?;
        let mut detector = self.lock();
        let drift = |(index, &value): (u64, &f64)| match detector.update(value) {
            Verdict::Drift(drift) => Some((index, drift.since, drift.side.map(named_side))),
            Verdict::Quiet | Verdict::Warning => None,
        };
        Ok((0..).zip(values).filter_map(drift).collect())
    }

    /// Refuses values that the detector cannot judge; those that are missing or infinite it passes over.
    fn check(&self, values: &[f64]) -> PyResult<()> {
        let alien = |value: &f64| value.is_finite() && !self.domain.contains(*value);
        let Some(index) = values.iter().position(alien) else { return Ok(()) };
        Err(PyValueError::new_err(format!(
            "{} takes {}: got {} at index {index}; give it those, or use another detector",
            self.name, self.domain, values[index]
        )))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Sequential>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named_side(side: Side) -> &'static str {
    match side {
        Side::Up => "up",
        Side::Down => "down",
    }
}

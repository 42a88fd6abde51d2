//! Building and describing reference profiles, as Python sees it.

use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pilotfish_core::distance::Chance;
use pilotfish_core::profile;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::distance::to_python;
use crate::error::Error;
use crate::histogram::Histogram;
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

    #[staticmethod]
    fn on(edges: &[u8]) -> PyResult<ProfileBuilder> {
        let edges = profile::Profile::from_bytes(edges).map_err(Error::from)?;
        Ok(ProfileBuilder { inner: Mutex::new(Some(profile::ProfileBuilder::on(&edges))) })
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

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Profile {
    inner: profile::Profile,
}

#[pymethods]
impl Profile {
    #[new]
    fn new(py: Python<'_>, data: &[u8]) -> PyResult<Profile> {
        let inner = py.detach(|| profile::Profile::from_bytes(data)).map_err(Error::from)?;
        Ok(Profile { inner })
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.inner.to_bytes()))
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        described(py, &self.inner, true)
    }

    fn merged(&self, py: Python<'_>, other: &Profile) -> PyResult<Profile> {
        let inner = py.detach(|| self.inner.merge(&other.inner)).map_err(Error::from)?;
        Ok(Profile { inner })
    }

    fn renamed(&self, model: &str) -> Profile {
        Profile { inner: self.inner.clone().renamed(model) }
    }

    /// With these features alone; None when there is none of them.
    fn only(&self, features: Vec<(String, String)>) -> Option<Profile> {
        let chosen = |reference: &profile::Reference| {
            features
                .iter()
                .any(|(direction, name)| reference.direction.name() == direction && reference.name == *name)
        };
        Some(Profile { inner: self.inner.only(chosen)? })
    }

    /// The counts of one feature; None when there is no such feature.
    fn histogram(&self, direction: &str, name: &str) -> PyResult<Option<Histogram>> {
        let reference = self.inner.get(direction_named(direction)?, name);
        Ok(reference.map(|reference| Histogram::of_reference(reference)))
    }

    /// The sketch of its different values in the portable format; None when there is none.
    fn distinct<'py>(
        &self,
        py: Python<'py>,
        direction: &str,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let reference = self.inner.get(direction_named(direction)?, name);
        let distinct = reference.and_then(|reference| reference.distinct.as_ref());
        Ok(distinct.map(|distinct| PyBytes::new(py, &distinct.to_bytes())))
    }

    #[pyo3(signature = (current, chance = 0.001))]
    fn diff<'py>(
        &self,
        py: Python<'py>,
        current: &Profile,
        chance: f64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = py.detach(|| self.inner.diff(&current.inner, &Chance::of(chance)));
        found.iter().map(|difference| difference_to_python(py, difference)).collect()
    }
}

/// What a profile file holds, as a dictionary.
#[pyfunction]
#[pyo3(signature = (profile, detail = false))]
pub fn describe_profile<'py>(py: Python<'py>, profile: &[u8], detail: bool) -> PyResult<Bound<'py, PyAny>> {
    let profile = profile::Profile::from_bytes(profile).map_err(Error::from)?;
    described(py, &profile, detail)
}

fn described<'py>(py: Python<'py>, profile: &profile::Profile, detail: bool) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(&profile.describe(detail))
        .map_err(|error| PyRuntimeError::new_err(format!("the profile could not be described: {error}")))?;
    py.import("json")?.call_method1("loads", (text,))
}

fn difference_to_python<'py>(
    py: Python<'py>,
    difference: &profile::Difference,
) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("name", &difference.name)?;
    entry.set_item("direction", difference.direction.name())?;
    entry.set_item("why_not", difference.why_not)?;
    let distances = match &difference.distances {
        Some(distances) => to_python(py, distances)?,
        None => PyDict::new(py),
    };
    entry.set_item("distances", distances)?;
    Ok(entry)
}

pub fn category(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
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

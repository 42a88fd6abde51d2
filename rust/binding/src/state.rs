//! State files of sidecars that are not running, as Python sees them.

use std::sync::Arc;

use pilotfish_core::profile::Profile;
use pilotfish_core::state::State;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::engine::json;
use crate::error::Error;

/// Adds up the state files of several sidecars; each comes with its name, for messages.
#[pyfunction]
pub fn merge_states<'py>(
    py: Python<'py>,
    files: Vec<(String, PyBackedBytes)>,
    profiles: Vec<PyBackedBytes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let merge = || {
        let profiles = read(&profiles)?;
        let states = files.iter().map(|(name, bytes)| Ok((name.clone(), State::read(name, bytes)?)));
        let states = states.collect::<Result<Vec<_>, Error>>()?;
        Ok::<_, Error>(State::merged(states, &profiles)?.to_bytes()?)
    };
    Ok(PyBytes::new(py, &py.detach(merge)?))
}

/// What a state file holds, as JSON: the models of a snapshot.
#[pyfunction]
#[pyo3(signature = (name, file, profiles, detail = false))]
pub fn describe_state<'py>(
    py: Python<'py>,
    name: &str,
    file: PyBackedBytes,
    profiles: Vec<PyBackedBytes>,
    detail: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let models =
        py.detach(|| Ok::<_, Error>(State::read(name, &file)?.models(name, &read(&profiles)?, detail)?))?;
    json(py, || models)
}

fn read(profiles: &[PyBackedBytes]) -> Result<Vec<Arc<Profile>>, Error> {
    profiles.iter().map(|bytes| Ok(Arc::new(Profile::from_bytes(bytes)?))).collect()
}

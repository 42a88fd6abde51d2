//! The engine and its observer, as Python sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_core::call::{Nanos, Outcome, VersionId};
use pilotfish_core::engine;
use pilotfish_core::engine::{EngineConfig, Profiles};
use pilotfish_core::monitor::Lost;
use pilotfish_core::policy::PolicyConfig;
use pilotfish_core::profile::Profile;
use pilotfish_core::tensor::Direction;
use pilotfish_observe::{Job, Messages, Observer};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::decision::Decision;
use crate::error::Error;
use crate::message::direction_named;
use crate::metadata::Pairs;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Engine {
    inner: Arc<engine::Engine>,
    observer: Observer<PyBackedBytes>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(
        configuration: &str,
        profiles: BTreeMap<String, PyBackedBytes>,
        now_ns: Nanos,
    ) -> PyResult<Engine> {
        let config = EngineConfig::from_json(configuration).map_err(Error::from)?;
        let queue = config.queue;
        let profiles = read(profiles)?;
        let inner = Arc::new(engine::Engine::new(config, profiles, now_ns).map_err(Error::from)?);
        let observer = Observer::start(Arc::clone(&inner), queue).map_err(Error::from)?;
        Ok(Engine { inner, observer })
    }

    fn apply(
        &self,
        py: Python<'_>,
        configuration: &str,
        profiles: BTreeMap<String, PyBackedBytes>,
    ) -> PyResult<u64> {
        let applied = py.detach(|| {
            let config = PolicyConfig::from_json(configuration)?;
            Ok::<_, Error>(self.inner.apply(config, read(profiles)?)?)
        });
        Ok(applied?)
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.inner.policy().generation()
    }

    fn decide(&self, method: &str, metadata: &Bound<'_, PyAny>, seed: u64) -> Decision {
        Decision { inner: self.inner.decide(&self.inner.policy(), method, &Pairs(metadata), seed) }
    }

    #[allow(clippy::too_many_arguments, reason = "one crossing per call: a struct would cost a second one")]
    fn observe(
        &self,
        decision: &Decision,
        code: u32,
        duration_ns: Nanos,
        upstream_ns: Nanos,
        now_ns: Nanos,
        request: Option<PyBackedBytes>,
        response: Option<PyBackedBytes>,
        request_bytes: u64,
        response_bytes: u64,
    ) -> Option<&'static str> {
        let outcome =
            Outcome { code, duration: duration_ns, upstream: upstream_ns, request_bytes, response_bytes };
        // Queued before the call counts as ended: a call is never in between.
        let messages = Messages::Call { request, response };
        let counted = decision.inner.is_counted();
        self.offer(decision, decision.inner.version, code == 0, now_ns, counted, messages);
        let reason = self.inner.ended(&decision.inner, &outcome);
        reason.map(|reason| reason.name())
    }

    fn observe_message(
        &self,
        decision: &Decision,
        direction: &str,
        message: PyBackedBytes,
        now_ns: Nanos,
    ) -> PyResult<()> {
        let direction = direction_named(direction)?;
        // A message from the model server is its answer; one from the client may still be refused.
        let messages = Messages::One(direction, message);
        let (answered, counted) = (direction == Direction::Output, decision.inner.counts_next());
        self.offer(decision, decision.inner.version, answered, now_ns, counted, messages);
        Ok(())
    }

    #[pyo3(signature = (outcome))]
    fn settle(&self, outcome: Option<&str>) -> PyResult<()> {
        if self.inner.settle(outcome) {
            Ok(())
        } else {
            Err(PyRuntimeError::new_err("no kept call is waiting: each may be settled once"))
        }
    }

    fn admit_shadow(&self, decision: &Decision, held: usize) -> bool {
        decision.inner.copied_to().is_some_and(|copy| copy.admit(held))
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one crossing per shadow call: a struct would cost a second one"
    )]
    fn observe_shadow(
        &self,
        decision: &Decision,
        code: u32,
        now_ns: Nanos,
        response: Option<PyBackedBytes>,
        primary_code: u32,
        primary_response: Option<PyBackedBytes>,
        held: usize,
    ) {
        let copy = decision.inner.copied_to();
        let Some(copy) = copy.filter(|copy| copy.ended(code, primary_code, held)) else { return };
        let queued = match (primary_response, response) {
            (Some(primary), Some(shadow)) => {
                let messages = Messages::Shadow { ruling: Box::new(decision.inner.clone()), primary, shadow };
                self.offer(decision, copy.version, true, now_ns, decision.inner.is_counted(), messages)
            }
            _ => false,
        };
        if !queued {
            copy.compare(None);
        }
    }

    #[pyo3(signature = (now_ns, detail = false))]
    fn snapshot<'py>(&self, py: Python<'py>, now_ns: Nanos, detail: bool) -> PyResult<Bound<'py, PyBytes>> {
        json(py, || self.inner.snapshot(now_ns, detail))
    }

    fn snapshot_pieces<'py>(
        &self,
        py: Python<'py>,
        now_ns: Nanos,
        detail: bool,
        features: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let encoded = py.detach(|| {
            let (rest, pieces) = self.inner.snapshot(now_ns, detail).in_pieces(features);
            let pieces = pieces.iter().map(serde_json::to_vec);
            std::iter::once(serde_json::to_vec(&rest)).chain(pieces).collect::<Result<Vec<_>, _>>()
        });
        encoded
            .map(|pieces| pieces.iter().map(|piece| PyBytes::new(py, piece)).collect())
            .map_err(not_encoded)
    }

    fn alarms<'py>(&self, py: Python<'py>, after: u64) -> PyResult<Bound<'py, PyBytes>> {
        json(py, || self.inner.alarms(after))
    }

    fn unfitting<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, || self.inner.unfitting())
    }

    /// Encodes without the GIL; one model is locked at a time.
    fn state<'py>(&self, py: Python<'py>, clock: &str, now_ns: Nanos) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.inner.state(clock, now_ns)).map_err(Error::from)?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[pyo3(signature = (file, clock, now_ns))]
    fn restore<'py>(
        &self,
        py: Python<'py>,
        file: Option<&[u8]>,
        clock: &str,
        now_ns: Nanos,
    ) -> PyResult<Bound<'py, PyBytes>> {
        json(py, || match file {
            Some(file) => self.inner.restore(file, clock, now_ns),
            None => vec![self.inner.state_lost(Lost::Unreadable)],
        })
    }

    #[pyo3(signature = (failed))]
    fn state_written(&self, failed: Option<&str>) {
        self.inner.state_written(failed);
    }

    fn learned_profile<'py>(&self, py: Python<'py>, version: &str) -> Option<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.inner.learned(version).map(|profile| profile.to_bytes()))?;
        Some(PyBytes::new(py, &bytes))
    }

    fn flush(&self, py: Python<'_>, timeout: f64) -> bool {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        py.detach(|| self.observer.flush(timeout))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.observer.close());
    }
}

impl Engine {
    /// For a data plane that asks it directly.
    pub(crate) fn shared(&self) -> Arc<engine::Engine> {
        Arc::clone(&self.inner)
    }

    fn offer(
        &self,
        decision: &Decision,
        version: VersionId,
        answered: bool,
        now: Nanos,
        counted: bool,
        messages: Messages<PyBackedBytes>,
    ) -> bool {
        self.inner.watching()
            && self.observer.offer(Job {
                method: Arc::clone(&decision.inner.method),
                version,
                answered,
                now,
                counted,
                bytes: messages.bytes(),
                messages,
            })
    }
}

fn read(profiles: BTreeMap<String, PyBackedBytes>) -> Result<Profiles, Error> {
    let read = |(version, bytes): (String, PyBackedBytes)| Ok((version, Profile::from_bytes(&bytes)?));
    profiles.into_iter().map(read).collect()
}

/// Gathers and encodes without the GIL, so that no call waits for a reader.
pub(crate) fn json<'py, T: Serialize>(
    py: Python<'py>,
    gather: impl FnOnce() -> T + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    let encoded = py.detach(|| serde_json::to_vec(&gather()));
    encoded.map(|bytes| PyBytes::new(py, &bytes)).map_err(not_encoded)
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn not_encoded(error: serde_json::Error) -> PyErr {
    PyRuntimeError::new_err(format!("the snapshot could not be encoded: {error}"))
}

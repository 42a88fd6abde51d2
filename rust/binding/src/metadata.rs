//! gRPC metadata as grpcio has it: a sequence of pairs of a name and a `str` or `bytes`.

use pilotfish_core::route::Metadata;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

/// Reads pairs without copying. What is no such pair is passed over: a client must not be able to fail a decision.
#[derive(Debug)]
pub struct Pairs<'a, 'py>(pub &'a Bound<'py, PyAny>);

impl Metadata for Pairs<'_, '_> {
    fn for_each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        let Ok(pairs) = self.0.try_iter() else { return };
        for pair in pairs.flatten() {
            let Ok(pair) = pair.cast::<PyTuple>() else { continue };
            let (Ok(name), Ok(value)) = (pair.get_item(0), pair.get_item(1)) else { continue };
            let Some(name) = name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) else {
                continue;
            };
            if let Ok(text) = value.cast::<PyString>() {
                if let Ok(text) = text.to_str() {
                    visit(name, text.as_bytes());
                }
            } else if let Ok(bytes) = value.cast::<PyBytes>() {
                visit(name, bytes.as_bytes());
            }
        }
    }
}

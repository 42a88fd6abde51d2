//! The only crate that knows PyO3: it converts, calls and maps errors, and has nothing to understand in it.

use pyo3::prelude::*;

/// `pilotfish._core`.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

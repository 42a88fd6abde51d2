//! The only crate that knows PyO3: it converts, calls and maps errors, and has nothing to understand in it.

//! Taking a lock whose holder may have panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic while counting leaves counts that are at worst one short; better those than no counts at all.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Means of a stream, updated one value at a time.
//!
//! Not the moments of the sketches, which are exact in any order: the familiar detectors must round at every step as
//! the implementations do that they are equal to.

/// The mean of all values, after Welford.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    pub n: f64,
    pub value: f64,
}

/// Mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variance {
    pub mean: Mean,
    squares: f64,
}

// === impl Mean ===

impl Mean {
    pub fn update(&mut self, value: f64) {
        self.n += 1.0;
        self.value += (1.0 / self.n) * (value - self.value);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.n as u64
    }
}

// === impl Variance ===

impl Variance {
    pub fn update(&mut self, value: f64) {
        let before = self.mean.value;
        self.mean.update(value);
        self.squares += (value - before) * (value - self.mean.value);
    }

    /// The standard deviation of the sample; 0 of fewer than two values.
    pub fn deviation(&self) -> f64 {
        if self.mean.n > 1.0 { (self.squares / (self.mean.n - 1.0)).sqrt() } else { 0.0 }
    }
}

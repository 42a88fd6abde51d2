//! Numbers that look like chance and follow from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
//!
//! The seed is always an argument or stored with what was made from it: the core has no chance of its own.

/// A stream of numbers; its state is the seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

// === impl Random ===

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Above 0 and below 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// By Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
impl Random {
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// 1 with this probability, else 0.
    pub fn coins(&mut self, count: usize, probability: f64) -> Vec<f64> {
        (0..count).map(|_| f64::from(u8::from(self.uniform() < probability))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_paper() {
        // The first outputs of the reference implementation for the seed 1234567.
        let mut random = Random(1_234_567);
        let first = [(); 3].map(|()| random.bits());
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random(1);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let normals = random.normals(100_000);
        let squares: Vec<f64> = normals.iter().map(|value| value * value).collect();
        assert!(mean(&normals).abs() < 0.02 && (mean(&squares) - 1.0).abs() < 0.03);
        assert!((mean(&random.coins(100_000, 0.3)) - 0.3).abs() < 0.01);
    }
}

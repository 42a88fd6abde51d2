//! Random bits for the engine's draws: cheap, one generator per thread, seeded by the operating system.
//!
//! They need to be even, not secret: what a client could predict is only which version answers it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
#[derive(Debug)]
pub struct Seeds {
    state: u64,
}

// === impl Seeds ===

impl Seeds {
    pub fn from_system() -> Seeds {
        // The standard library's one door to the operating system's random source.
        Seeds { state: RandomState::new().build_hasher().finish() }
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub fn fixed(state: u64) -> Seeds {
        Seeds { state }
    }

    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut seeds = Seeds::fixed(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| seeds.draw()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn two_threads_do_not_draw_the_same() {
        assert_ne!(Seeds::from_system().draw(), Seeds::from_system().draw());
    }
}

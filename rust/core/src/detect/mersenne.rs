//! The Mersenne Twister, as Python's `random` seeds it and samples with it.
//!
//! Matsumoto, Nishimura: Mersenne Twister. ACM Transactions on Modeling and Computer Simulation 8 (1998), pages 3-30.
//! KSWIN compares with a random part of its window; with Python's generator it draws the same part as river does.

const LENGTH: usize = 624;
const SHIFT: usize = 397;

/// `random.Random(seed)`.
#[derive(Clone, Debug)]
pub struct Mersenne {
    words: Vec<u32>,
    next: usize,
}

// === impl Mersenne ===

impl Mersenne {
    pub fn new(seed: u64) -> Mersenne {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        Mersenne { words: seeded(key), next: LENGTH }
    }

    /// `count` different numbers below `population`, in the order in which `random.sample` draws them.
    pub fn sample(&mut self, population: u32, count: usize) -> Vec<u32> {
        if population as usize > set_size(count) {
            return self.sample_by_rejection(population, count);
        }
        let mut pool: Vec<u32> = (0..population).collect();
        let draw = |left: u32| {
            let last = pool[left as usize - 1];
            std::mem::replace(&mut pool[self.below(left) as usize], last)
        };
        (1..=population).rev().take(count).map(draw).collect()
    }

    fn sample_by_rejection(&mut self, population: u32, count: usize) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            let number = self.below(population);
            if !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        drawn
    }

    /// A number below `limit`, which is above 0: as many bits as `limit` has, drawn again when they are too large.
    fn below(&mut self, limit: u32) -> u32 {
        loop {
            let number = self.word() >> limit.leading_zeros();
            if number < limit {
                return number;
            }
        }
    }

    fn word(&mut self) -> u32 {
        if self.next == LENGTH {
            self.twist();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn twist(&mut self) {
        for place in 0..LENGTH {
            let both = self.words[place] & 0x8000_0000 | self.words[(place + 1) % LENGTH] & 0x7fff_ffff;
            let odd = if both & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[place] = self.words[(place + SHIFT) % LENGTH] ^ both >> 1 ^ odd;
        }
        self.next = 0;
    }
}

/// The state that a key makes: `init_by_array` of the authors' program.
fn seeded(key: &[u32]) -> Vec<u32> {
    let mut words = vec![19_650_218u32; LENGTH];
    for place in 1..LENGTH {
        words[place] = mixed(words[place - 1]).wrapping_mul(1_812_433_253).wrapping_add(place as u32);
    }
    let mut place = 1;
    let step = |words: &mut Vec<u32>, place: &mut usize, mix: &dyn Fn(u32, u32) -> u32| {
        words[*place] = mix(words[*place], mixed(words[*place - 1]));
        *place += 1;
        if *place == LENGTH {
            words[0] = words[LENGTH - 1];
            *place = 1;
        }
    };
    for round in 0..LENGTH.max(key.len()) {
        let digit = round % key.len();
        let added = key[digit].wrapping_add(digit as u32);
        step(&mut words, &mut place, &|word, before| {
            (word ^ before.wrapping_mul(1_664_525)).wrapping_add(added)
        });
    }
    for _ in 1..LENGTH {
        let subtracted = place as u32;
        step(&mut words, &mut place, &|word, before| {
            (word ^ before.wrapping_mul(1_566_083_941)).wrapping_sub(subtracted)
        });
    }
    words[0] = 0x8000_0000;
    words
}

fn mixed(word: u32) -> u32 {
    word ^ word >> 30
}

/// Up to which population Python samples from a list rather than from a set.
fn set_size(count: usize) -> usize {
    if count <= 5 {
        return 21;
    }
    let digits = (count as f64 * 3.0).log(4.0).ceil();
    21 + 4usize.pow(digits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_python() {
        // random.Random(seed).sample(range(population), count)
        let sample = |seed, population, count| Mersenne::new(seed).sample(population, count);
        assert_eq!(sample(0, 70, 30)[..12], [49, 53, 5, 33, 65, 62, 51, 58, 50, 68, 19, 30]);
        assert_eq!(sample(42, 70, 30)[26..], [41, 59, 26, 51, 65][1..]);
        assert_eq!(sample((1 << 40) + 5, 70, 5), [64, 66, 34, 3, 67]);
        assert_eq!(sample(1, 1_000, 10), [137, 582, 867, 821, 782, 64, 261, 120, 507, 779]);
        assert_eq!(sample(3, 100, 3), [30, 75, 69]);
    }

    #[test]
    fn every_number_is_drawn_as_often() {
        let mut generator = Mersenne::new(7);
        let mut drawn = [0u32; 70];
        for _ in 0..7_000 {
            generator.sample(70, 30).iter().for_each(|&number| drawn[number as usize] += 1);
        }
        assert!(drawn.iter().all(|&times| times.abs_diff(3_000) < 200), "{drawn:?}");
    }
}

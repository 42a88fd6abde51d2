//! The arithmetic of a closing pane: what hundreds of bets per feature win, a block of them at a time.
//!
//! Straight-line code over arrays, without calls and without branches, so that the compiler turns it into vector
//! instructions of whatever width the processor has. Operations and their order are the same in every width (nothing
//! is fused), and so are the results.

use super::{CAPITAL_MAX, GAIN_MAX, GAIN_MIN};
use serde::{Deserialize, Serialize};

/// Capital, in half the memory of a float: its upper half, which is it rounded down to 21 bits. Every operation on
/// capital grows with it, so what is held so is never more than without rounding, and still an e-detector; and it is less
/// by a millionth per weighing at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capital(u32);

/// Bets in a block.
pub const LANES: usize = 16;

/// Partial sums that do not wait for each other.
const SUMS: usize = 8;

/// Sums over the cells of factor × count, for a block of bets. Cells without values are left out.
#[inline(always)]
pub fn products(factors: &[f32], counts: &[f64]) -> [f64; LANES] {
    let (rows, _) = factors.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (factors, &count) in rows.iter().zip(counts) {
        if count > 0.0 {
            for lane in 0..LANES {
                sums[lane] += f64::from(factors[lane]) * count;
            }
        }
    }
    sums
}

/// What bets on shares win: so many of the `total` values are in each one's share.
#[inline(always)]
pub fn split(held: &[f64; LANES], total: f64, inside: &[f32; LANES], outside: &[f32; LANES]) -> [f64; LANES] {
    let mut gains = [0.0; LANES];
    for lane in 0..LANES {
        gains[lane] = held[lane] * f64::from(inside[lane]) + (total - held[lane]) * f64::from(outside[lane]);
    }
    gains
}

/// (capital + stake) × exp(gain), for as many as there are of both.
#[inline(always)]
pub fn grow(capital: &mut [Capital], stake: f64, gains: &[f64; LANES]) {
    change(
        capital,
        gains,
        #[inline(always)]
        |capital, factor| (capital + stake) * factor,
    );
}

/// capital + stake × exp(gain), likewise.
#[inline(always)]
pub fn win(capital: &mut [Capital], stake: f64, gains: &[f64; LANES]) {
    change(
        capital,
        gains,
        #[inline(always)]
        |capital, factor| capital + stake * factor,
    );
}

#[inline(always)]
fn change(capital: &mut [Capital], gains: &[f64; LANES], change: impl Fn(f64, f64) -> f64) {
    if let Some(capital) = capital.first_chunk_mut() {
        return change_block(capital, gains, change);
    }
    let mut last = [Capital::default(); LANES];
    last.iter_mut().zip(&*capital).for_each(|(lane, capital)| *lane = *capital);
    change_block(&mut last, gains, change);
    capital.iter_mut().zip(last).for_each(|(capital, lane)| *capital = lane);
}

#[inline(always)]
fn change_block(capital: &mut [Capital; LANES], gains: &[f64; LANES], change: impl Fn(f64, f64) -> f64) {
    for lane in 0..LANES {
        let gain = if gains[lane] < GAIN_MAX { gains[lane] } else { GAIN_MAX };
        let changed = change(capital[lane].get(), exp(if gain > GAIN_MIN { gain } else { GAIN_MIN }));
        capital[lane] = Capital::of(if changed < CAPITAL_MAX { changed } else { CAPITAL_MAX });
    }
}

/// Logarithms of factors g per row turned into those of g/(1 - γ + γg), rounded down; a rest that is no whole block
/// stays as it was.
#[inline(always)]
pub fn tune(logs: &mut [f32], stickiness: f64) {
    let (blocks, _) = logs.as_chunks_mut::<LANES>();
    for block in blocks {
        for log in block {
            let exact = f64::from(*log);
            *log = rounded_down(exact - ln(1.0 - stickiness + stickiness * exp(exact)));
        }
    }
}

/// The logarithms of factors g = 1 + x per row turned into those of g/(1 - γ + γg): a millionth of each below the exact
/// one, so that short floats, of which twice as many are worked out at once, never win anything.
#[inline(always)]
pub fn logs(x: &[f64; LANES], stickiness: f64) -> [f32; LANES] {
    const DOUBT: f32 = 1.0 / (1 << 20) as f32;
    let (mut wins, mut logs) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        wins[lane] = x[lane] as f32;
    }
    if stickiness > 0.0 {
        for lane in 0..LANES {
            wins[lane] = ((1.0 - stickiness) * x[lane] / (1.0 + stickiness * x[lane])) as f32;
        }
    }
    for lane in 0..LANES {
        let log = ln_1p(wins[lane]);
        logs[lane] = log - log.abs() * DOUBT;
    }
    logs
}

/// The logarithm of 1 + x for x > -1, by the same series as [`ln`]; where 1 + x is near 1, of x as it was.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const ONE: u32 = 0x3f80_0000;
    const MANTISSA_BITS: u32 = 23;
    let bits = (1.0 + x).to_bits().wrapping_add(ONE - ROOT_HALF);
    let exponent = (bits >> MANTISSA_BITS) as i32 - 127;
    let mantissa = f32::from_bits((bits & ((1 << MANTISSA_BITS) - 1)) + ROOT_HALF);
    let above = if exponent == 0 { x } else { mantissa - 1.0 };
    let s = above / (2.0 + above);
    let z = s * s;
    let series = (1.0 + z * (1.0 / 3.0)) + (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0))) * (z * z);
    exponent as f32 * std::f32::consts::LN_2 + 2.0 * s * series
}

/// A shorter float, at most the next one below, that is not above.
#[inline(always)]
pub fn rounded_down(exact: f64) -> f32 {
    let nearest = exact as f32;
    if f64::from(nearest) > exact { nearest - nearest.abs() * f32::EPSILON } else { nearest }
}

// ln 2 in two parts, the first with trailing zeros: times a whole number it is exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const BIAS: u64 = 1_023;
const MANTISSA_BITS: u32 = 52;

/// The exponential function between ±[`GAIN_MAX`], to two units in the last place: the power of two is split off
/// (Cody and Waite, "Software Manual for the Elementary Functions", 1980), the rest is a Taylor series, of which parts
/// are summed that need not wait for each other (Estrin).
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // 1.5 × 2^52: adding it leaves the nearest whole number in the lowest bits.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let shifted = x * std::f64::consts::LOG2_E + WHOLE;
    let whole = shifted - WHOLE;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let (r2, r4, r8) = (r * r, (r * r) * (r * r), ((r * r) * (r * r)) * ((r * r) * (r * r)));
    let low = (1.0 + r) + (1.0 / 2.0 + r * (1.0 / 6.0)) * r2;
    let middle = (1.0 / 24.0 + r * (1.0 / 120.0)) + (1.0 / 720.0 + r * (1.0 / 5_040.0)) * r2;
    let high = (1.0 / 40_320.0 + r * (1.0 / 362_880.0)) + (1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0)) * r2;
    let series = (low + middle * r4) + (high + (1.0 / 479_001_600.0) * r4) * r8;
    series * f64::from_bits(shifted.to_bits().wrapping_add(BIAS) << MANTISSA_BITS)
}

/// The natural logarithm of a positive normal number: 2 artanh((m - 1)/(m + 1)) of a mantissa between √½ and √2.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    const ROOT_HALF: u64 = 0x3fe6_a09e_0000_0000;
    // 2^52: a whole number in the lowest bits of it is read by taking it away again.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let bits = x.to_bits().wrapping_add((BIAS << MANTISSA_BITS) - ROOT_HALF);
    let exponent = f64::from_bits(bits >> MANTISSA_BITS | WHOLE.to_bits()) - (WHOLE + BIAS as f64);
    let mantissa = f64::from_bits((bits & ((1 << MANTISSA_BITS) - 1)) + ROOT_HALF);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let (z, z2, z4) = (s * s, (s * s) * (s * s), ((s * s) * (s * s)) * ((s * s) * (s * s)));
    let low = (1.0 + z * (1.0 / 3.0)) + (1.0 / 5.0 + z * (1.0 / 7.0)) * z2;
    let high = (1.0 / 9.0 + z * (1.0 / 11.0)) + (1.0 / 13.0 + z * (1.0 / 15.0)) * z2;
    let series = (low + high * z4) + (1.0 / 17.0 + z * (1.0 / 19.0)) * (z4 * z4);
    exponent * LN2_HIGH + (2.0 * s * series + exponent * LN2_LOW)
}

// === impl Capital ===

impl Capital {
    /// Of a float that is not negative.
    #[inline(always)]
    pub fn of(capital: f64) -> Capital {
        Capital((capital.to_bits() >> 32) as u32)
    }

    /// Its digits, as a whole number that grows with it.
    pub fn digits(self) -> u32 {
        self.0
    }

    pub fn of_digits(digits: u32) -> Capital {
        Capital(digits)
    }

    #[inline(always)]
    pub fn get(self) -> f64 {
        f64::from_bits(u64::from(self.0) << 32)
    }
}

/// The sum, in partial sums whose order depends on nothing but the length.
#[inline]
pub fn sum(capital: &[Capital]) -> f64 {
    let (chunks, rest) = capital.as_chunks::<SUMS>();
    let mut sums = [0.0; SUMS];
    for chunk in chunks {
        for lane in 0..SUMS {
            sums[lane] += chunk[lane].get();
        }
    }
    sums.into_iter().chain(rest.iter().map(|capital| capital.get())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_leave_nothing_out() {
        let values: Vec<Capital> = (0..21).map(|value| Capital::of(value.into())).collect();
        assert_eq!(sum(&values), 210.0);
    }

    #[test]
    fn capital_is_bounded_and_never_below_nothing() {
        let mut capital = [0.0, 1e279, 5.0].map(Capital::of);
        let mut gains = [0.0; LANES];
        gains[..3].copy_from_slice(&[-1e9, 1e9, 0.0]);
        grow(&mut capital, 1.0, &gains);
        assert!(capital[0].get() > 0.0 && capital[0].get() < 1e-270);
        assert_eq!(capital[1..], [CAPITAL_MAX, 6.0].map(Capital::of));
    }

    proptest! {
        #[test]
        fn what_is_held_is_never_more_and_at_most_a_millionth_less(capital in prop::num::f64::POSITIVE) {
            let held = Capital::of(capital).get();
            prop_assert!(held <= capital && (held >= capital * (1.0 - 1e-6) || capital < 1e-300));
        }

        #[test]
        fn the_exponential_function_is_that_of_the_library(x in -640f64..640.0) {
            let (found, expected) = (exp(x), x.exp());
            prop_assert!((found - expected).abs() <= 4.0 * f64::EPSILON * expected, "{} {}", found, expected);
        }

        #[test]
        fn the_logarithm_is_that_of_the_library(x in prop_oneof![1e-300f64..1e300, 0.01f64..10.0, 0.99f64..1.01]) {
            let (found, expected) = (ln(x), x.ln());
            let close = 4.0 * f64::EPSILON * expected.abs().max(f64::EPSILON);
            prop_assert!((found - expected).abs() <= close, "{} {}", found, expected);
        }

        #[test]
        fn what_a_row_wins_is_never_more_and_two_millionths_less_at_most(
            x in prop_oneof![-0.96f64..10.0, -1e-3f64..1e-3, -1e-12f64..1e-12, 1f64..1e9], stickiness in 0f64..0.99,
        ) {
            for stickiness in [0.0, stickiness] {
                let found = f64::from(logs(&[x; LANES], stickiness)[LANES - 1]);
                let exact = ((1.0 - stickiness) * x / (1.0 + stickiness * x)).ln_1p();
                prop_assert!(found <= exact && exact - found <= 2e-6 * exact.abs(), "{} {}", found, exact);
            }
        }

        #[test]
        fn rounding_down_is_never_up_and_never_far(exact in -1e3f64..1e3) {
            let short = f64::from(rounded_down(exact));
            prop_assert!(short <= exact && exact - short <= 2.5e-7 * exact.abs());
        }
    }
}

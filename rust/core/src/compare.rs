//! Whether a shadow's answer agrees with the answer that was given.

use std::collections::BTreeMap;

use crate::tensor::{Data, Tensor};

/// How far two numbers may lie apart and still agree: `absolute + relative * |primary|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

/// What came of comparing two answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Same tensors, same shapes, all values within the tolerance.
    pub matches: bool,
    /// Largest finite absolute difference of each numeric tensor that both answers have with the same shape.
    pub differences: BTreeMap<String, f64>,
}

/// Compares the tensors of two answers by name. Names that only one answer has, other datatypes and other shapes are
/// disagreement; NaN agrees with NaN.
pub fn compare(primary: &[Tensor<'_>], shadow: &[Tensor<'_>], tolerance: Tolerance) -> Comparison {
    let mut matches = primary.len() == shadow.len();
    let mut differences = BTreeMap::new();
    for tensor in primary {
        let Some(other) = shadow.iter().find(|other| other.name == tensor.name) else {
            matches = false;
            continue;
        };
        if other.datatype != tensor.datatype || other.shape != tensor.shape {
            matches = false;
        } else if let (Data::Bytes(left), Data::Bytes(right)) = (&tensor.data, &other.data) {
            matches &= left == right;
        } else {
            let (agrees, largest) = compare_numbers(tensor, other, tolerance);
            matches &= agrees;
            differences.insert(tensor.name.to_owned(), largest);
        }
    }
    Comparison { matches, differences }
}

fn compare_numbers(primary: &Tensor<'_>, shadow: &Tensor<'_>, tolerance: Tolerance) -> (bool, f64) {
    let mut values = Vec::with_capacity(primary.len());
    primary.for_each(|_, value| values.push(value));
    let (mut agrees, mut largest) = (true, 0.0f64);
    shadow.for_each(|i, other| {
        let value = values[i];
        if value == other || (value.is_nan() && other.is_nan()) {
            return;
        }
        let difference = (value - other).abs();
        // NaN against a number gives NaN here, which must not pass as small.
        let within = difference <= tolerance.absolute + tolerance.relative * value.abs();
        agrees &= within && difference.is_finite();
        if difference.is_finite() {
            largest = largest.max(difference);
        }
    });
    (agrees, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Datatype;

    const TOLERANCE: Tolerance = Tolerance { absolute: 1e-3, relative: 0.0 };

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn tensor<'a>(name: &'a str, bytes: &'a [u8]) -> Tensor<'a> {
        Tensor::new(name, Datatype::Fp32, vec![bytes.len() / 4], Data::Raw(bytes)).unwrap()
    }

    #[test]
    fn values_within_the_tolerance_match_and_the_largest_difference_is_told() {
        let (left, right) = (floats(&[1.0, 2.0, f32::NAN]), floats(&[1.0005, 2.0, f32::NAN]));
        let result = compare(&[tensor("y", &left)], &[tensor("y", &right)], TOLERANCE);
        assert!(result.matches);
        assert!((result.differences["y"] - 0.0005).abs() < 1e-6);
    }

    #[test]
    fn other_values_shapes_names_or_nan_do_not_match() {
        let (one, two, nan) = (floats(&[1.0]), floats(&[1.0, 2.0]), floats(&[f32::NAN]));
        let differs = |left: Tensor<'_>, right: Tensor<'_>| !compare(&[left], &[right], TOLERANCE).matches;
        assert!(differs(tensor("y", &one), tensor("y", &two)));
        assert!(differs(tensor("y", &one), tensor("z", &one)));
        assert!(differs(tensor("y", &one), tensor("y", &nan)));
        assert!(differs(tensor("y", &nan), tensor("y", &one)));
        assert!(!compare(&[tensor("y", &one)], &[], TOLERANCE).matches);
        assert!(!compare(&[], &[tensor("y", &one)], TOLERANCE).matches);
    }
}

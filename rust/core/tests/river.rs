//! The familiar detectors raise alarms where river's do: over 16 million values, at the same index.
//!
//! `tests/data/detectors.json` holds river's alarms; `tests/data/detectors.py` wrote it, and says how the streams are
//! made.

use pilotfish_core::detect::sequential::{Verdict, named};
use serde_json::Value;

const EXPECTED: &str = include_str!("../../../tests/data/detectors.json");

/// SplitMix64, as numbers from 0 to 1.
struct Uniforms(u64);

impl Uniforms {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn value(&mut self, level: f64, spread: f64) -> f64 {
        if spread == 0.0 {
            return f64::from(u8::from(self.next() < level));
        }
        let total = (1..4).fold(self.next(), |total, _| total + self.next());
        level + spread * (total - 2.0)
    }
}

fn stream(description: &Value) -> Vec<f64> {
    let mut uniforms = Uniforms(description["seed"].as_u64().expect("a number"));
    let mut values = Vec::new();
    for segment in description["segments"].as_array().expect("a list") {
        let number = |place: usize| segment[place].as_f64().expect("a number");
        values.extend((0..number(0) as u64).map(|_| uniforms.value(number(1), number(2))));
    }
    values
}

/// Where the alarms are, and how many values are warned of.
fn found(name: &str, settings: &Value, values: &[f64]) -> (Vec<u64>, u64) {
    let mut detector = named(name, &settings.to_string()).expect("settings of river");
    let (mut alarms, mut warnings) = (Vec::new(), 0);
    for (row, &value) in (0..).zip(values) {
        match detector.update(value) {
            Verdict::Quiet => {}
            Verdict::Warning => warnings += 1,
            Verdict::Drift(_) => alarms.push(row),
        }
    }
    (alarms, warnings)
}

#[test]
fn alarms_and_warnings_are_those_of_river() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let (mut made, mut values) = (&Value::Null, Vec::new());
    for case in expected["cases"].as_array().unwrap() {
        if *made != case["stream"] {
            made = &case["stream"];
            values = stream(&expected["streams"][made.as_str().unwrap()]);
        }
        let (alarms, warnings) = found(case["detector"].as_str().unwrap(), &case["settings"], &values);
        let alarmed: Vec<u64> = case["alarms"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        let of = format!("{} {} on {made}", case["detector"], case["settings"]);
        assert_eq!(alarms, alarmed, "{of}");
        assert_eq!(Some(warnings), case["warnings"].as_u64(), "warnings of {of}");
    }
}

//! The profile as a file: JSON, so that people can read it, with a checksum, so that nobody edits it unnoticed.
//!
//! ```json
//! {"format": "pilotfish-profile", "format_version": 4, "sha256": "…",
//!  "body": {"model": …, "rows": …, "features": […], "sections": {"name": {"version": …, "content": …}}}}
//! ```
//!
//! The checksum is taken over the body as this module writes it (compact, fields in order, shortest exact floats), so
//! re-indenting the file does no harm, and changing a number does.
//!
//! The autocorrelation time of a feature may be left out; then it is measured live. Version 3 is the same without `others`, the
//! categories that are known and have no bin, which it counts as `unseen`. Version 2 is without
//! `sums`, `distinct` and `sections`; see [`section`](super::section) for what they are, and how to add one.

use super::section::Sections;
use super::{Profile, ProfileError, Reference};
use crate::hex;
use crate::sketch::binning::{Binning, Kind, Others};
use crate::sketch::bins::Bins;
use crate::sketch::distinct::Distinct;
use crate::sketch::exact::{self, Exact};
use crate::sketch::moments::Moments;
use crate::sketch::screen::Specials;
use crate::tensor::Direction;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const FORMAT: &str = "pilotfish-profile";
const FORMAT_VERSION: u64 = 4;
const FORMAT_VERSION_MIN: u64 = 2;

/// What can be read of any version.
#[derive(Deserialize)]
struct Header {
    format: String,
    format_version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    format_version: u64,
    sha256: String,
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    model: String,
    rows: u64,
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "Sections::is_empty")]
    sections: Sections,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    name: String,
    direction: Direction,
    axis: Axis,
    counts: Vec<u64>,
    /// Distances of the values from the lower ends of their bins, and of those outside from the bins, added up.
    offsets: Vec<u64>,
    tails: [u128; 2],
    under: u64,
    over: u64,
    unseen: u64,
    specials: Specials,
    moments: Moments,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sums: Option<exact::Stored>,
    /// The sketch in its portable format, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distinct: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    autocorrelation_time: Option<f64>,
}

/// Where the bins lie, by kind.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Axis {
    Numeric {
        edges: Vec<f64>,
    },
    Discrete {
        values: Vec<f64>,
    },
    Category {
        labels: Vec<Label>,
        #[serde(default, skip_serializing_if = "Others::is_empty")]
        others: Others,
    },
}

/// A category: text where it is UTF-8, else its bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Label {
    Text(String),
    Bytes(Vec<u8>),
}

/// Checksum of what `to_bytes` would write.
pub(super) fn checksum(profile: &Profile) -> String {
    digest(&Body::of(profile))
}

/// The file's bytes.
pub(super) fn to_bytes(profile: &Profile) -> Vec<u8> {
    let body = Body::of(profile);
    let file =
        File { format: FORMAT.to_owned(), format_version: FORMAT_VERSION, sha256: digest(&body), body };
    serde_json::to_vec(&file).expect("plain data with string keys is always JSON")
}

/// Reads and checks a file.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Profile, ProfileError> {
    let header: Header = serde_json::from_slice(bytes).map_err(|error| unreadable(bytes, &error))?;
    if header.format != FORMAT {
        return Err(ProfileError::NotAProfile);
    }
    if header.format_version > FORMAT_VERSION {
        return Err(ProfileError::Newer { found: header.format_version, known: FORMAT_VERSION });
    }
    if header.format_version < FORMAT_VERSION_MIN {
        return Err(ProfileError::Older { found: header.format_version, known: FORMAT_VERSION_MIN });
    }
    let file: File = serde_json::from_slice(bytes).map_err(|error| malformed(&error.to_string()))?;
    let found = digest(&file.body);
    if file.sha256 != found {
        return Err(ProfileError::Altered { expected: file.sha256, found });
    }
    let rows = file.body.rows;
    let references: Result<Vec<Reference>, ProfileError> =
        file.body.features.into_iter().map(Feature::into_reference).collect();
    let profile = Profile::with_sections(&file.body.model, references?, file.body.sections)?;
    if profile.rows() != rows || profile.hash() != super::prefixed(&found) {
        return Err(malformed("its features are not in order, or do not add up to its rows"));
    }
    Ok(profile)
}

/// A file cut in the middle of a number is no premature end to the parser, only a bad number: look at the last byte.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> ProfileError {
    let cut = bytes.starts_with(b"{") && !bytes.trim_ascii_end().ends_with(b"}");
    if error.is_eof() || cut { ProfileError::Truncated } else { ProfileError::NotAProfile }
}

fn malformed(reason: &str) -> ProfileError {
    ProfileError::Malformed { reason: reason.to_owned() }
}

fn digest(body: &Body) -> String {
    let canonical = serde_json::to_vec(body).expect("plain data with string keys is always JSON");
    hex::encode(&Sha256::digest(canonical))
}

// === impl Body ===

impl Body {
    fn of(profile: &Profile) -> Body {
        Body {
            model: profile.model().to_owned(),
            rows: profile.rows(),
            features: profile.references().iter().map(|reference| Feature::of(reference)).collect(),
            sections: profile.sections().clone(),
        }
    }
}

// === impl Feature ===

impl Feature {
    fn of(reference: &Reference) -> Feature {
        let (bins, binning) = (&reference.bins, reference.bins.binning());
        Feature {
            name: reference.name.clone(),
            direction: reference.direction,
            axis: match binning.kind() {
                Kind::Numeric => Axis::Numeric { edges: binning.edges() },
                Kind::Discrete => Axis::Discrete { values: binning.values().to_vec() },
                Kind::Category => Axis::Category {
                    labels: binning.labels().iter().map(|l| Label::of(l)).collect(),
                    others: binning.others().cloned().unwrap_or_default(),
                },
            },
            counts: bins.bins().to_vec(),
            offsets: bins.offsets().collect(),
            tails: bins.tails(),
            under: bins.under(),
            over: bins.cells()[binning.over()],
            unseen: bins.unseen(),
            specials: bins.specials(),
            moments: reference.moments.clone(),
            sums: reference.sums.as_deref().and_then(Exact::unpacked).map(|sums| sums.stored()),
            distinct: reference.distinct.as_ref().map(|distinct| hex::encode(&distinct.to_bytes())),
            autocorrelation_time: reference.autocorrelation_time,
        }
    }

    fn into_reference(self) -> Result<Reference, ProfileError> {
        let binning = match self.axis {
            Axis::Numeric { edges } => Binning::numeric(&edges),
            Axis::Discrete { values } => Binning::discrete(&values),
            Axis::Category { labels, others } => {
                let binning = Binning::category(labels.into_iter().map(Label::into_bytes).collect());
                binning.filter(|_| others.is_ordered()).map(|binning| binning.with_others(others))
            }
        };
        let binning =
            binning.ok_or_else(|| malformed(&format!("the bins of {:?} are out of order", self.name)))?;
        let [missing, nan, neg_inf, pos_inf] =
            [self.specials.missing, self.specials.nan, self.specials.neg_inf, self.specials.pos_inf];
        let mut cells = vec![missing, nan, self.unseen, neg_inf, self.under];
        cells.extend(self.counts);
        cells.extend([self.over, pos_inf]);
        let bins = Bins::from_cells(Arc::new(binning), cells, &self.offsets, self.tails)
            .ok_or_else(|| malformed(&format!("{:?} has not one count and offset per bin", self.name)))?;
        if bins.checked_total().is_none() {
            return Err(malformed(&format!("{:?} has more rows than can be counted", self.name)));
        }
        let Feature { name, direction, moments, sums, autocorrelation_time, .. } = self;
        if autocorrelation_time.is_some_and(|time| !(time.is_finite() && time >= 1.0)) {
            return Err(malformed(&format!("the autocorrelation time of {name:?} is not a number from 1")));
        }
        let sums = sums.map(|sums| {
            let exact = Exact::from_stored(&sums, &moments).filter(|exact| exact.moments() == moments);
            let exact =
                exact.ok_or_else(|| malformed(&format!("the sums of {name:?} are not those of its moments")));
            exact.map(|exact| Box::new(exact.packed()))
        });
        let sums = sums.transpose()?;
        let distinct = self.distinct.as_deref().map(|text| {
            let sketch = hex::decode(text).and_then(|bytes| Distinct::from_bytes(&bytes).ok());
            sketch
                .map(Box::new)
                .ok_or_else(|| malformed(&format!("the distinct values of {name:?} are no sketch of them")))
        });
        let distinct = distinct.transpose()?;
        Ok(Reference { name, direction, bins, moments, sums, distinct, autocorrelation_time })
    }
}

// === impl Label ===

impl Label {
    fn of(label: &[u8]) -> Label {
        match std::str::from_utf8(label) {
            Ok(text) => Label::Text(text.to_owned()),
            Err(_) => Label::Bytes(label.to_vec()),
        }
    }

    fn into_bytes(self) -> Box<[u8]> {
        match self {
            Label::Text(text) => text.into_bytes().into(),
            Label::Bytes(bytes) => bytes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProfileBuilder;
    use super::*;
    use proptest::prelude::*;

    fn profile() -> Profile {
        let mut builder = ProfileBuilder::new("digits", 8);
        let values: Vec<f64> = (0..1_000).map(|i| f64::from(i) / 7.0).collect();
        builder.add_column_f64("x[0]", Direction::Input, &values).unwrap();
        builder.add_column_f64("x[1]", Direction::Input, &[0.0, 1.0, f64::NAN].repeat(100)).unwrap();
        builder.add_column_f64("x[2]", Direction::Input, &[f64::NAN]).unwrap();
        builder
            .add_column_bytes("y", Direction::Output, [Some(&b"cat"[..]), Some(b"\xff\x00"), None])
            .unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn a_profile_survives_the_round_trip() {
        let bytes = profile().to_bytes();
        let read = Profile::from_bytes(&bytes).unwrap();
        assert_eq!(read, profile());
        assert_eq!(read.to_bytes(), bytes);
        assert!(read.hash().starts_with("sha256:") && read.hash().len() == 71);
    }

    #[test]
    fn the_largest_numbers_survive_the_file() {
        for values in [[1e300, -1e300, 3.0], [f64::MAX; 3], [-f64::MAX, f64::MAX, f64::MAX]] {
            let mut builder = ProfileBuilder::new("m", 8);
            builder.add_column_f64("x", Direction::Input, &values).unwrap();
            let profile = builder.finish().unwrap();
            assert_eq!(Profile::from_bytes(&profile.to_bytes()).unwrap(), profile);
        }
    }

    #[test]
    fn indenting_the_file_does_no_harm() {
        let value: serde_json::Value = serde_json::from_slice(&profile().to_bytes()).unwrap();
        assert_eq!(Profile::from_bytes(&serde_json::to_vec_pretty(&value).unwrap()).unwrap(), profile());
    }

    #[test]
    fn a_changed_count_is_noticed() {
        let text = String::from_utf8(profile().to_bytes()).unwrap();
        let altered = text.replace("\"counts\":[125,", "\"counts\":[126,");
        assert_ne!(altered, text);
        let error = Profile::from_bytes(altered.as_bytes()).unwrap_err();
        assert!(matches!(error, ProfileError::Altered { .. }), "{error}");
    }

    #[test]
    fn a_newer_format_says_to_upgrade() {
        let text = String::from_utf8(profile().to_bytes()).unwrap();
        let newer = text.replace("\"format_version\":4", "\"format_version\":9,\"more\":{}");
        let error = Profile::from_bytes(newer.as_bytes()).unwrap_err();
        assert_eq!(error, ProfileError::Newer { found: 9, known: 4 });
        assert!(error.to_string().contains("upgrade"));
    }

    #[test]
    fn a_file_without_autocorrelation_is_read_and_knows_none() {
        let profile = profile();
        let references = profile.references().iter().map(|reference| (**reference).clone());
        let older =
            references.map(|reference| Reference { autocorrelation_time: None, ..reference }).collect();
        let older = Profile::new("digits", older).unwrap();
        let text = String::from_utf8(older.to_bytes()).unwrap();
        assert!(!text.contains("autocorrelation"));
        assert_eq!(Profile::from_bytes(text.as_bytes()).unwrap(), older);
    }

    #[test]
    fn an_older_format_says_to_rebuild() {
        let text = String::from_utf8(profile().to_bytes()).unwrap();
        let older = text.replace("\"format_version\":4", "\"format_version\":1");
        let error = Profile::from_bytes(older.as_bytes()).unwrap_err();
        assert_eq!(error, ProfileError::Older { found: 1, known: 2 });
        assert!(error.to_string().contains("rebuild"));
    }

    #[test]
    fn files_of_the_versions_before_are_read() {
        let text = String::from_utf8(profile().to_bytes()).unwrap();
        for version in [2, 3] {
            let older = text.replace("\"format_version\":4", &format!("\"format_version\":{version}"));
            assert_ne!(older, text);
            assert_eq!(Profile::from_bytes(older.as_bytes()).unwrap(), profile());
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(Profile::from_bytes(b"{\"a\": 1}").unwrap_err(), ProfileError::NotAProfile);
        assert_eq!(Profile::from_bytes(b"PK\x03\x04").unwrap_err(), ProfileError::NotAProfile);
        assert_eq!(Profile::from_bytes(b"").unwrap_err(), ProfileError::Truncated);
    }

    proptest! {
        #[test]
        fn a_truncated_file_is_called_truncated(share in 0.0f64..1.0) {
            let bytes = profile().to_bytes();
            let cut = ((bytes.len() - 1) as f64 * share) as usize;
            prop_assert_eq!(Profile::from_bytes(&bytes[..cut]).unwrap_err(), ProfileError::Truncated);
        }

        #[test]
        fn no_changed_byte_is_read_as_a_different_profile(position in 0usize..2_000, byte: u8) {
            let mut bytes = profile().to_bytes();
            let position = position % bytes.len();
            bytes[position] = byte;
            if let Ok(read) = Profile::from_bytes(&bytes) {
                prop_assert_eq!(read, profile());
            }
        }
    }
}

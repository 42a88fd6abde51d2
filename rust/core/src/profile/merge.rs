//! Profiles of parts of the data, added up to the profile of the whole.
//!
//! Counts, sums and sketches add up exactly, so that any order and any grouping gives the same file, byte for byte. What
//! does not add up is where the bins lie: parts are built on the same edges ([`ProfileBuilder::on`]), or refused. The
//! autocorrelation time of the whole is the longest of its parts: how the last row of one and the first of another hang
//! together is not known.
//!
//! [`ProfileBuilder::on`]: super::ProfileBuilder::on

use super::{Profile, ProfileError, Reference};
use crate::sketch::Sketch;
use crate::sketch::distinct::Distinct;
use crate::sketch::exact::Exact;

impl Profile {
    /// The profile of the rows of both.
    ///
    /// # Errors
    /// [`ProfileError::Unmergeable`] when they are of different models, features or edges, or one of them does not hold
    /// what it takes; those of [`Sections::merged`](super::Sections::merged).
    pub fn merge(&self, other: &Profile) -> Result<Profile, ProfileError> {
        if self.model != other.model {
            let reason = format!(
                "one is of {:?}, the other of {:?}; give both the same name with --model",
                self.model, other.model
            );
            return Err(ProfileError::Unmergeable { what: "their models differ".to_owned(), reason });
        }
        self.check_features(other)?;
        let pairs = self.references.iter().zip(&other.references);
        let merged: Result<Vec<_>, _> = pairs.map(|(mine, theirs)| mine.merged(theirs)).collect();
        Profile::with_sections(&self.model, merged?, self.sections.merged(&other.sections)?)
    }

    /// Both must have the same features.
    fn check_features(&self, other: &Profile) -> Result<(), ProfileError> {
        for (one, another) in [(self, other), (other, self)] {
            let alone = |reference: &&super::Arc<Reference>| {
                another.get(reference.direction, &reference.name).is_none()
            };
            if let Some(reference) = one.references.iter().find(alone) {
                return Err(
                    reference.unmergeable("only one of them has it; build both from the same columns")
                );
            }
        }
        Ok(())
    }

    /// The same profile, of a model of another name.
    pub fn renamed(self, model: &str) -> Profile {
        Profile { model: model.to_owned(), ..self }.hashed()
    }
}

impl Reference {
    fn merged(&self, other: &Reference) -> Result<Reference, ProfileError> {
        let (binning, other_binning) = (self.bins.binning(), other.bins.binning());
        if binning.kind() != other_binning.kind() {
            let reason = format!(
                "it is {} in one and {} in the other; build the parts on the same edges with --edges-from",
                binning.kind().name(),
                other_binning.kind().name()
            );
            return Err(self.unmergeable(&reason));
        }
        if binning != other_binning {
            return Err(
                self.unmergeable("its bins differ; build the parts on the same edges with --edges-from")
            );
        }
        let mut bins = self.bins.clone();
        if self
            .bins
            .checked_total()
            .zip(other.bins.checked_total())
            .is_none_or(|(a, b)| a.checked_add(b).is_none())
        {
            return Err(self.unmergeable("together they have more rows than can be counted"));
        }
        bins.merge(&other.bins);
        let sums = self.exact()?.merged(&other.exact()?);
        let mut distinct = Distinct::clone(self.known_distinct()?);
        distinct.merge(other.known_distinct()?);
        let times = [self.autocorrelation_time, other.autocorrelation_time];
        Ok(Reference {
            name: self.name.clone(),
            direction: self.direction,
            bins,
            moments: sums.moments(),
            sums: Some(Box::new(sums.packed())),
            distinct: Some(Box::new(distinct)),
            autocorrelation_time: times.into_iter().flatten().reduce(f64::max),
        })
    }

    fn exact(&self) -> Result<Exact, ProfileError> {
        self.sums.as_deref().and_then(Exact::unpacked).ok_or_else(|| self.too_old())
    }

    fn known_distinct(&self) -> Result<&Distinct, ProfileError> {
        self.distinct.as_deref().ok_or_else(|| self.too_old())
    }

    fn too_old(&self) -> ProfileError {
        self.unmergeable("an earlier pilotfish wrote it without exact sums; rebuild it with this one")
    }

    fn unmergeable(&self, reason: &str) -> ProfileError {
        ProfileError::Unmergeable { what: format!("feature {:?}", self.name), reason: reason.to_owned() }
    }
}

impl Exact {
    fn merged(mut self, other: &Exact) -> Exact {
        self.merge(other);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProfileBuilder;
    use super::*;
    use crate::tensor::Direction;
    use proptest::prelude::*;

    const IN: Direction = Direction::Input;

    type Row = (f64, Option<&'static str>);

    fn add(mut builder: ProfileBuilder, rows: &[Row]) -> Result<Profile, ProfileError> {
        let numbers: Vec<f64> = rows.iter().map(|row| row.0).collect();
        builder.add_column_f64("x", IN, &numbers)?;
        builder.add_column_bytes("c", IN, rows.iter().map(|row| row.1.map(str::as_bytes)))?;
        builder.finish()
    }

    fn edges() -> Profile {
        let rows: Vec<Row> = (0..500)
            .map(|i| (f64::from(i * 37 % 500) / 7.0, Some(["a", "b", "c"][i as usize % 3])))
            .collect();
        add(ProfileBuilder::new("m", 16), &rows).unwrap()
    }

    fn part(rows: &[Row]) -> Profile {
        add(ProfileBuilder::on(&edges()), rows).unwrap()
    }

    fn row() -> impl Strategy<Value = Row> {
        let number = prop_oneof![
            6 => -20f64..120.0,
            1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(-0.0), 1 => Just(1e300), 1 => Just(1e-300)
        ];
        (number, prop::option::of(prop::sample::select(vec!["a", "b", "c", "never seen", ""])))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_order_and_grouping_gives_the_same_bytes(
            parts in prop::collection::vec(prop::collection::vec(row(), 1..40), 3),
        ) {
            let [a, b, c] = [&parts[0], &parts[1], &parts[2]].map(|rows| part(rows));
            let left = a.merge(&b).unwrap().merge(&c).unwrap();
            let right = c.merge(&b.merge(&a).unwrap()).unwrap();
            prop_assert!(left.to_bytes() == right.to_bytes());
            prop_assert_eq!(Profile::from_bytes(&left.to_bytes()).unwrap(), left);
        }

        #[test]
        fn parts_add_up_to_one_pass_over_all_rows(rows in prop::collection::vec(row(), 2..200), cut in 1usize..200) {
            let (head, tail) = rows.split_at(cut.min(rows.len() - 1));
            let merged = part(head).merge(&part(tail)).unwrap();
            let whole = part(&rows);
            for (merged, whole) in merged.references().iter().zip(whole.references()) {
                // All but the autocorrelation time, which one pass knows better.
                let merged = Reference { autocorrelation_time: whole.autocorrelation_time, ..(**merged).clone() };
                prop_assert_eq!(&merged, &**whole);
            }
        }
    }

    #[test]
    fn a_merged_profile_is_of_the_rows_of_its_parts() {
        let merged = part(&[(1.0, Some("a")), (f64::NAN, None)]).merge(&part(&[(3.0, Some("d"))])).unwrap();
        let x = merged.get(IN, "x").unwrap();
        assert_eq!((merged.rows(), x.moments.mean(), x.bins.specials().nan), (3, Some(2.0), 1));
        let c = merged.get(IN, "c").unwrap();
        assert_eq!((c.bins.unseen(), c.bins.specials().missing), (1, 1));
        assert_eq!(c.distinct.as_ref().unwrap().estimate().round(), 2.0);
    }

    fn refusal(one: &Profile, other: &Profile) -> String {
        one.merge(other).unwrap_err().to_string()
    }

    #[test]
    fn other_edges_are_refused_by_the_name_of_the_feature() {
        let elsewhere = add(ProfileBuilder::new("m", 4), &[(1.0, Some("a")), (9.0, Some("b"))]).unwrap();
        let message = refusal(&edges(), &elsewhere);
        assert!(message.contains("feature \"c\"") && message.contains("--edges-from"), "{message}");
    }

    #[test]
    fn other_kinds_features_and_models_are_refused() {
        let mut numbers = ProfileBuilder::new("m", 4);
        numbers.add_column_f64("x", IN, &[1.0]).unwrap();
        numbers.add_column_f64("c", IN, &[1.0]).unwrap();
        assert!(
            refusal(&edges(), &numbers.finish().unwrap())
                .contains("is category in one and discrete in the other")
        );
        let mut fewer = ProfileBuilder::new("m", 4);
        fewer.add_column_f64("x", IN, &[1.0]).unwrap();
        let fewer = fewer.finish().unwrap();
        for message in [refusal(&edges(), &fewer), refusal(&fewer, &edges())] {
            assert!(message.contains("feature \"c\": only one of them has it"), "{message}");
        }
        assert!(refusal(&edges(), &edges().renamed("n")).contains("--model"));
    }

    #[test]
    fn a_file_without_exact_sums_is_refused() {
        let older = |reference: &Reference| Reference { sums: None, ..reference.clone() };
        let references = edges().references().iter().map(|reference| older(reference)).collect();
        let older = Profile::new("m", references).unwrap();
        assert!(refusal(&edges(), &older).contains("rebuild it"));
    }

    #[test]
    fn more_rows_than_a_counter_holds_are_refused() {
        let huge = |reference: &Reference| {
            let mut bins = reference.bins.clone();
            bins.add_unseen(u64::MAX - bins.total());
            Reference { bins, ..reference.clone() }
        };
        let references = edges().references().iter().map(|reference| huge(reference)).collect();
        let huge = Profile::new("m", references).unwrap();
        assert!(refusal(&huge, &edges()).contains("more rows"));
    }
}

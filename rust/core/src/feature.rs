//! Which features a tensor has, and what they are called.
//!
//! A 2-D numeric tensor is a table: one feature per column. A tensor with one column is one feature of its own name.
//! Strings have a category and a length. Images, classes and scores add numbers computed from each row, because a
//! dirty lens shows in the brightness long before it shows in any single pixel.

pub mod stage;
pub mod summary;

use crate::sketch::binning::Kind;
use crate::tensor::{Datatype, Direction, Tensor};
use serde::{Deserialize, Serialize};
use summary::Summary;

/// Widest output row that is taken for class scores.
const CLASSES_MAX: usize = 1_000;

/// What is known of a tensor beyond its datatype and shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TensorConfig {
    pub kind: TensorKind,
    /// Names of the columns, in order; columns beyond them are called by their number.
    pub names: Vec<String>,
    /// Whether it is watched how the columns of an input go together.
    pub joint: bool,
}

/// How a tensor is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorKind {
    /// As its datatype suggests.
    #[default]
    Auto,
    /// A row is an image: brightness, contrast and size as well. Of encoded images (BYTES) the size alone.
    Image,
    /// Numbers are codes of categories.
    Category,
    /// A row is a vector whose single elements mean nothing: only how they go together is watched.
    Embedding,
    /// Not at all.
    Ignore,
}

/// A feature that is to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spec {
    pub name: String,
    /// What is expected of its values; a profile may know better.
    pub kind: Kind,
    /// Whether it is computed from values that are features themselves.
    pub derived: bool,
}

/// The features of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Nothing is read.
    Nothing,
    /// One feature per column, then those of the summary.
    Columns { columns: Vec<Spec>, summary: Summary },
    /// All elements in one feature, then those of the summary: for rows wider than there is room.
    Pooled { all: Spec, summary: Summary },
    /// Strings: category and length per column; or of all columns together.
    Strings { categories: Vec<Spec>, lengths: Vec<Spec> },
}

/// What may be made of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Features that may be made.
    pub features: usize,
    /// Whether the columns must share one feature, because the tensor keeps changing its width.
    pub pooled: bool,
}

// === impl Room ===

impl Room {
    /// Whether every column may have a feature, beside `others`.
    fn fits(self, columns: usize, others: usize) -> bool {
        !self.pooled && columns + others <= self.features
    }
}

// === impl Reading ===

impl Reading {
    /// How to read `tensor` where there is `room`.
    pub fn of(direction: Direction, tensor: &Tensor<'_>, config: &TensorConfig, room: Room) -> Reading {
        match (config.kind, tensor.datatype) {
            (TensorKind::Ignore | TensorKind::Embedding, _) => Reading::Nothing,
            (TensorKind::Image, Datatype::Bytes) => Reading::encoded_images(tensor, config, room),
            (_, Datatype::Bytes) => Reading::strings(tensor, config, room),
            _ => Reading::numbers(direction, tensor, config, room),
        }
    }

    /// How many features there are at most.
    pub fn width(&self) -> usize {
        match self {
            Reading::Nothing => 0,
            Reading::Columns { columns, summary } => columns.len() + summary.width(),
            Reading::Pooled { summary, .. } => 1 + summary.width(),
            Reading::Strings { categories, lengths } => categories.len() + lengths.len(),
        }
    }

    fn numbers(direction: Direction, tensor: &Tensor<'_>, config: &TensorConfig, room: Room) -> Reading {
        let columns = tensor.columns();
        let summary = match config.kind {
            TensorKind::Image => Summary::Image,
            _ if direction == Direction::Output && has_scores(tensor) => Summary::Scores,
            _ => Summary::Nothing,
        };
        let is_class = direction == Direction::Output && columns == 1 && tensor.datatype.is_integer();
        let kind =
            if is_class || config.kind == TensorKind::Category { Kind::Discrete } else { Kind::Numeric };
        let spec = |name| Spec { name, kind, derived: false };
        if room.fits(columns, summary.width()) {
            let columns = (0..columns).map(|column| spec(column_name(tensor, config, column))).collect();
            Reading::Columns { columns, summary }
        } else if room.features > summary.width() {
            Reading::Pooled { all: spec(pooled_name(tensor)), summary }
        } else {
            Reading::Nothing
        }
    }

    fn strings(tensor: &Tensor<'_>, config: &TensorConfig, room: Room) -> Reading {
        let names = names(tensor, config, Room { features: room.features / 2, ..room });
        Reading::Strings {
            categories: names
                .iter()
                .map(|name| Spec { name: name.clone(), kind: Kind::Category, derived: false })
                .collect(),
            lengths: names.iter().map(|name| derived(name, "length", Kind::Numeric)).collect(),
        }
    }

    fn encoded_images(tensor: &Tensor<'_>, config: &TensorConfig, room: Room) -> Reading {
        let names = names(tensor, config, room);
        let lengths = names.iter().map(|name| derived(name, "size", Kind::Numeric)).collect();
        Reading::Strings { categories: Vec::new(), lengths }
    }
}

/// A float row of 2 to 1,000 outputs: one score per class.
fn has_scores(tensor: &Tensor<'_>) -> bool {
    !tensor.datatype.is_integer() && (2..=CLASSES_MAX).contains(&tensor.columns())
}

/// The names of a tensor's columns, or the one they share, or none, as room allows.
fn names(tensor: &Tensor<'_>, config: &TensorConfig, room: Room) -> Vec<String> {
    if room.features == 0 {
        Vec::new()
    } else if room.fits(tensor.columns(), 0) {
        (0..tensor.columns()).map(|column| column_name(tensor, config, column)).collect()
    } else {
        vec![pooled_name(tensor)]
    }
}

fn column_name(tensor: &Tensor<'_>, config: &TensorConfig, column: usize) -> String {
    match config.names.get(column) {
        Some(name) => name.clone(),
        None if tensor.columns() == 1 => tensor.name.to_owned(),
        None => format!("{}[{column}]", tensor.name),
    }
}

fn pooled_name(tensor: &Tensor<'_>) -> String {
    format!("{}[*]", tensor.name)
}

/// The feature `name.what`.
pub(crate) fn derived(name: &str, what: &str, kind: Kind) -> Spec {
    Spec { name: format!("{name}.{what}"), kind, derived: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Data;

    fn floats(shape: &[usize]) -> Tensor<'static> {
        static ZEROS: [u8; 65_536] = [0; 65_536];
        let length = shape.iter().product::<usize>() * 4;
        Tensor::new("x", Datatype::Fp32, shape.to_vec(), Data::Raw(&ZEROS[..length])).unwrap()
    }

    fn strings(shape: &[usize]) -> Tensor<'static> {
        let length = shape.iter().product();
        Tensor::new("x", Datatype::Bytes, shape.to_vec(), Data::Bytes(vec![b"a"; length])).unwrap()
    }

    fn names_of(reading: Reading) -> Vec<String> {
        let specs = match reading {
            Reading::Nothing => vec![],
            Reading::Columns { columns, summary } => [columns, summary.specs("x")].concat(),
            Reading::Pooled { all, summary } => [vec![all], summary.specs("x")].concat(),
            Reading::Strings { categories, lengths } => [categories, lengths].concat(),
        };
        specs.into_iter().map(|spec| spec.name).collect()
    }

    fn read(direction: Direction, tensor: &Tensor<'_>, config: &TensorConfig, room: usize) -> Vec<String> {
        names_of(Reading::of(direction, tensor, config, Room { features: room, pooled: false }))
    }

    fn of_kind(kind: TensorKind) -> TensorConfig {
        TensorConfig { kind, ..TensorConfig::default() }
    }

    #[test]
    fn a_table_gives_a_feature_per_column_and_a_column_one_of_its_name() {
        let auto = TensorConfig::default();
        assert_eq!(read(Direction::Input, &floats(&[2, 3]), &auto, 99), ["x[0]", "x[1]", "x[2]"]);
        assert_eq!(read(Direction::Input, &floats(&[1, 2, 2]), &auto, 99), ["x[0]", "x[1]", "x[2]", "x[3]"]);
        for shape in [&[5][..], &[5, 1], &[]] {
            assert_eq!(read(Direction::Input, &floats(shape), &auto, 99), ["x"]);
        }
    }

    #[test]
    fn configured_names_come_first() {
        let config = TensorConfig {
            kind: TensorKind::Auto,
            names: vec!["age".into(), "income".into()],
            ..TensorConfig::default()
        };
        assert_eq!(read(Direction::Input, &floats(&[1, 3]), &config, 99), ["age", "income", "x[2]"]);
    }

    #[test]
    fn rows_wider_than_the_room_are_pooled() {
        let auto = TensorConfig::default();
        assert_eq!(read(Direction::Input, &floats(&[1, 100]), &auto, 99), ["x[*]"]);
        assert_eq!(read(Direction::Input, &floats(&[1, 100]), &auto, 0), [""; 0]);
        assert_eq!(read(Direction::Input, &strings(&[1, 3]), &auto, 5), ["x[*]", "x[*].length"]);
    }

    #[test]
    fn a_tensor_that_keeps_changing_its_width_is_pooled() {
        let (room, auto) = (Room { features: 99, pooled: true }, TensorConfig::default());
        for (tensor, names) in [(floats(&[1, 3]), &["x[*]"][..]), (strings(&[1]), &["x[*]", "x[*].length"])] {
            assert_eq!(names_of(Reading::of(Direction::Input, &tensor, &auto, room)), names);
        }
    }

    #[test]
    fn images_add_brightness_contrast_and_size() {
        let image = of_kind(TensorKind::Image);
        let expected = ["x[0]", "x[1]", "x.brightness", "x.contrast", "x.size"];
        assert_eq!(read(Direction::Input, &floats(&[1, 2]), &image, 5), expected);
        let pooled = ["x[*]", "x.brightness", "x.contrast", "x.size"];
        assert_eq!(read(Direction::Input, &floats(&[1, 64, 64, 3]), &image, 99), pooled);
        assert_eq!(read(Direction::Input, &strings(&[2]), &image, 99), ["x.size"]);
    }

    #[test]
    fn strings_have_a_category_and_a_length() {
        let auto = TensorConfig::default();
        assert_eq!(read(Direction::Input, &strings(&[2]), &auto, 99), ["x", "x.length"]);
        let wide = ["x[0]", "x[1]", "x[0].length", "x[1].length"];
        assert_eq!(read(Direction::Input, &strings(&[1, 2]), &auto, 99), wide);
    }

    #[test]
    fn outputs_of_scores_add_the_class_and_its_score() {
        let auto = TensorConfig::default();
        assert_eq!(
            read(Direction::Output, &floats(&[4, 2]), &auto, 99),
            ["x[0]", "x[1]", "x.class", "x.score"]
        );
        assert_eq!(read(Direction::Output, &floats(&[4, 1]), &auto, 99), ["x"]);
        let ids = Tensor::new("x", Datatype::Int64, vec![1], Data::Signed(vec![3])).unwrap();
        let room = Room { features: 99, pooled: false };
        let Reading::Columns { columns, .. } = Reading::of(Direction::Output, &ids, &auto, room) else {
            unreachable!("one column of integers")
        };
        assert_eq!(columns[0].kind, Kind::Discrete);
    }

    #[test]
    fn ignored_tensors_have_no_features() {
        assert_eq!(read(Direction::Input, &floats(&[1, 2]), &of_kind(TensorKind::Ignore), 99), [""; 0]);
    }
}

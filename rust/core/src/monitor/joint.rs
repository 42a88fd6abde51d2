//! How the columns of an input go together, as features of their own.
//!
//! Every row of such a tensor becomes a row of numbers by the profile's map, and these go the way of any other tensor:
//! features, panes, e-detectors, alarms. Nothing is done for tensors that are not configured so.

use super::config::MonitorConfig;
use crate::feature::{TensorConfig, TensorKind};
use crate::multivariate::builder::{BINS, JointBuilder};
use crate::multivariate::joint::{Joint, Joints, Wanted};
use crate::profile::{Profile, Reference};
use crate::tensor::{Data, Datatype, Tensor};
use std::ops::Range;

/// All tensors whose columns are watched together.
#[derive(Debug, Default)]
pub struct JointWatches(Vec<JointWatch>);

/// One of them.
#[derive(Debug)]
struct JointWatch {
    tensor: String,
    names: Vec<String>,
    wanted: Wanted,
    stage: Stage,
    /// Kept so that a message allocates little.
    values: Vec<f64>,
    standard: Vec<f64>,
    numbers: Vec<f64>,
}

#[derive(Debug)]
enum Stage {
    /// To be learned, once a row was seen.
    New,
    Learning(Box<JointBuilder>),
    /// With the name under which its numbers are watched.
    Mapped(Box<Joint>, String),
    /// The profile has no map of it.
    Unknown,
}

// === impl JointWatches ===

impl JointWatches {
    /// Those that are configured. Without a profile they are learned.
    pub fn new(config: &MonitorConfig, profile: Option<&Profile>) -> JointWatches {
        // A section that cannot be read is as good as none: the features are watched all the same.
        let known = profile.and_then(|profile| profile.section::<Joints>().ok().flatten());
        let is_wanted = |(_, tensor): &(&String, &TensorConfig)| is_joint(tensor);
        let watch = |(name, tensor): (&String, &TensorConfig)| {
            let map = known.as_ref().and_then(|known| known.of(name)).cloned();
            let stage = match (profile, map) {
                (None, _) => Stage::New,
                (Some(_), Some(joint)) => Stage::mapped(joint),
                (Some(_), None) => Stage::Unknown,
            };
            JointWatch {
                tensor: name.clone(),
                names: tensor.names.clone(),
                wanted: Wanted::of_tensor(name, tensor.kind == TensorKind::Embedding),
                stage,
                values: Vec::new(),
                standard: Vec::new(),
                numbers: Vec::new(),
            }
        };
        JointWatches(config.tensors.iter().filter(is_wanted).map(watch).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How the numbers of the maps are called, by the tensors they are watched as.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorConfig)> + '_ {
        self.0.iter().filter_map(|watch| match &watch.stage {
            Stage::Mapped(joint, name) => {
                let names = joint.names(&watch.names);
                Some((name.clone(), TensorConfig { names, ..TensorConfig::default() }))
            }
            Stage::New | Stage::Learning(_) | Stage::Unknown => None,
        })
    }

    /// Whether the numbers of a map are watched under this name.
    pub fn is_map(&self, name: &str) -> bool {
        self.0.iter().any(|watch| matches!(&watch.stage, Stage::Mapped(_, mapped) if mapped == name))
    }

    /// Takes in a range of the rows of an input; the tensor of their numbers, if there is a map.
    pub fn observe(&mut self, tensor: &Tensor<'_>, rows: Range<usize>) -> Option<Tensor<'_>> {
        let watch = self.0.iter_mut().find(|watch| watch.tensor == tensor.name)?;
        watch.observe(tensor, rows)
    }

    /// Ends learning: the maps that were learned, and the references of their numbers.
    pub fn learned(&mut self) -> (Joints, Vec<Reference>) {
        let (mut joints, mut references) = (Joints::default(), Vec::new());
        for watch in &mut self.0 {
            let stage = std::mem::replace(&mut watch.stage, Stage::Unknown);
            let Stage::Learning(builder) = stage else { continue };
            if let Some((joint, of_numbers)) = builder.finish(&watch.names) {
                joints.maps.push(joint.clone());
                references.extend(of_numbers);
                watch.stage = Stage::mapped(joint);
            }
        }
        (joints, references)
    }
}

fn is_joint(tensor: &TensorConfig) -> bool {
    tensor.joint || tensor.kind == TensorKind::Embedding
}

// === impl JointWatch ===

impl JointWatch {
    fn observe(&mut self, tensor: &Tensor<'_>, rows: Range<usize>) -> Option<Tensor<'_>> {
        let columns = tensor.columns();
        if tensor.datatype == Datatype::Bytes || columns == 0 {
            return None;
        }
        self.values.resize(rows.len() * columns, 0.0);
        tensor.read(rows.start * columns, &mut self.values);
        if matches!(self.stage, Stage::New) {
            let builder = JointBuilder::new(&self.tensor, columns, BINS, self.wanted);
            self.stage = Stage::Learning(Box::new(builder));
        }
        match &mut self.stage {
            Stage::Unknown | Stage::New => None,
            Stage::Learning(builder) => {
                if builder.columns() == columns {
                    builder.add(&self.values);
                }
                None
            }
            Stage::Mapped(joint, name) if joint.columns() == columns => {
                let width = joint.width();
                self.standard.resize(columns, 0.0);
                self.numbers.resize(width, 0.0);
                let mut bytes = Vec::with_capacity(rows.len() * width * 8);
                for row in self.values.chunks_exact(columns) {
                    joint.standardise(row, &mut self.standard);
                    joint.project(&self.standard, &mut self.numbers);
                    bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
                }
                Tensor::new(name, Datatype::Fp64, vec![rows.len(), width], Data::Owned(bytes)).ok()
            }
            Stage::Mapped(..) => None,
        }
    }
}

// === impl Stage ===

impl Stage {
    fn mapped(joint: Joint) -> Stage {
        let name = format!("{}.joint", joint.tensor());
        Stage::Mapped(Box::new(joint), name)
    }
}

//! Untrained reference networks: what speed is measured on, and tests where accuracy does not matter.
//!
//! The shapes are those of the papers, batch normalization folded; weights are seeded noise of the variance that keeps
//! activations alive through the depth (He et al. 2015), halved at the end of each residual branch.

mod builder;
mod mobilenet;
mod resnet;

use lowbit_graph::Graph;

/// A reference network.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    build: fn(u64) -> Graph,
}

impl Entry {
    /// The network, with an input `[N, 3, h, w]`, its weights drawn from `seed`.
    pub fn build(&self, seed: u64) -> Graph {
        (self.build)(seed)
    }
}

/// Every network, by name.
pub const ALL: &[Entry] = &[
    Entry {
        name: "mobilenetv2",
        summary: "MobileNetV2 1.0 for 224×224 images, 1000 classes (Sandler et al. 2018)",
        build: mobilenet::v2,
    },
    Entry {
        name: "resnet20",
        summary: "ResNet-20 for 32×32 images, 10 classes (He et al. 2016)",
        build: resnet::resnet20,
    },
    Entry {
        name: "resnet50",
        summary: "ResNet-50 for 224×224 images, 1000 classes (He et al. 2016, strides in the 3×3 as in PyTorch)",
        build: resnet::resnet50,
    },
];

/// The network called `name`.
pub fn named(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_engine::Network;
    use lowbit_tensor::Tensor;

    #[test]
    fn parameters_are_those_of_the_papers() {
        let count = |name: &str| -> usize {
            let graph = named(name).unwrap().build(0);
            graph
                .values
                .iter()
                .filter_map(|v| v.constant.as_ref())
                .filter(|t| !t.shape().is_empty())
                .map(|t| t.len())
                .sum()
        };
        // PyTorch's counts, less one of the two numbers per channel that a batch normalization has.
        assert_eq!(count("resnet20"), 271_690);
        assert_eq!(count("resnet50"), 25_530_472);
        assert_eq!(count("mobilenetv2"), 3_487_816);
    }

    #[test]
    fn files_can_be_read_again() {
        for entry in ALL {
            let bytes = crate::facade::zoo(entry, 3).unwrap();
            assert_eq!(
                lowbit_onnx::read_bytes(&bytes, None).unwrap().nodes.len(),
                entry.build(3).nodes.len()
            );
        }
    }

    #[test]
    fn activations_neither_die_nor_explode() {
        for entry in ALL.iter().filter(|entry| entry.name != "resnet50") {
            let graph = entry.build(1);
            let side = if entry.name == "resnet20" { 32 } else { 224 };
            let x = (0..3 * side * side).map(|i| ((i * 37 % 101) as f32 - 50.0) / 30.0).collect();
            let y = Network::new(&graph).unwrap().run(&[Tensor::from_f32([1, 3, side, side], x)]).unwrap();
            let largest = y[0].to_f32().iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!((0.01..1e3).contains(&largest), "{}: {largest}", entry.name);
        }
    }
}

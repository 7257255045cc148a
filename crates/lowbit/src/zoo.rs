//! Untrained reference networks: what training begins with, speed is measured on, and tests use where accuracy does
//! not matter.
//!
//! The shapes are those of the papers, with batch normalization; weights are seeded noise of the variance that keeps
//! activations alive through the depth (He et al. 2015), halved at the end of each residual branch.

mod builder;
mod mobilenet;
mod plain;
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
    /// The network, with an input `x: [N, c, h, w]`, its weights drawn from `seed`.
    pub fn build(&self, seed: u64) -> Graph {
        (self.build)(seed)
    }
}

/// Every network, by name.
pub const ALL: &[Entry] = &[
    Entry {
        name: "alexnet-bn",
        summary: "AlexNet with batch normalization for 224×224 images, 1000 classes (Krizhevsky et al. 2012)",
        build: plain::alexnet_bn,
    },
    Entry {
        name: "lenet-digits",
        summary: "three convolutions for 8×8 grey digits, 10 classes",
        build: plain::lenet_digits,
    },
    Entry {
        name: "mobilenetv2",
        summary: "MobileNetV2 1.0 for 224×224 images, 1000 classes (Sandler et al. 2018)",
        build: mobilenet::v2,
    },
    Entry {
        name: "mobilenetv2-cifar",
        summary: "MobileNetV2 with strides for 32×32 images, 10 classes",
        build: mobilenet::cifar,
    },
    Entry {
        name: "resnet18",
        summary: "ResNet-18 for 224×224 images, 1000 classes (He et al. 2016)",
        build: resnet::resnet18,
    },
    Entry {
        name: "resnet20",
        summary: "ResNet-20 for 32×32 images, 10 classes (He et al. 2016)",
        build: resnet::resnet20,
    },
    Entry {
        name: "resnet32",
        summary: "ResNet-32 for 32×32 images, 10 classes (He et al. 2016)",
        build: resnet::resnet32,
    },
    Entry {
        name: "resnet50",
        summary: "ResNet-50 for 224×224 images, 1000 classes (He et al. 2016, strides in the 3×3 as in PyTorch)",
        build: resnet::resnet50,
    },
    Entry {
        name: "resnet56",
        summary: "ResNet-56 for 32×32 images, 10 classes (He et al. 2016)",
        build: resnet::resnet56,
    },
    Entry {
        name: "vgg9",
        summary: "VGG-9 for 32×32 images, 10 classes (Dong et al. 2017)",
        build: plain::vgg9,
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
    use lowbit_graph::Dim;
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
        // PyTorch's counts of torchvision, and the two running statistics per channel.
        for (name, trained, channels) in [
            ("resnet18", 11_689_512, 4_800),
            ("resnet50", 25_557_032, 26_560),
            ("mobilenetv2", 3_504_872, 17_056),
        ] {
            assert_eq!(count(name), trained + 2 * channels, "{name}");
        }
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
        for entry in ALL.iter().filter(|entry| !["resnet50", "alexnet-bn"].contains(&entry.name)) {
            let graph = entry.build(1);
            let shape = graph.value(graph.inputs[0]).shape.clone().unwrap();
            let shape: Vec<usize> =
                shape.iter().map(|d| if let Dim::Known(d) = d { *d } else { 1 }).collect();
            let x = (0..shape.iter().product()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 30.0).collect();
            let y = Network::new(&graph).unwrap().run(&[Tensor::from_f32(shape, x)]).unwrap();
            let largest = y[0].to_f32().iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!((0.01..1e3).contains(&largest), "{}: {largest}", entry.name);
        }
    }
}

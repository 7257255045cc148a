//! Bad input: every refusal names the file and the place, ends with exit code 1, and leaves no file behind.

mod case;

use std::fs;
use std::path::Path;

use case::{Case, declare_output, digits, golden, images, npy, npz, png, tar};
use lowbit_graph::ops::{ConstantOfShape, Expand};
use lowbit_tensor::Tensor;

#[test]
fn every_damaged_network_is_refused_by_name() {
    let names = fs::read_to_string(golden("bad/expect.tsv")).unwrap();
    let names = names.lines().filter_map(|line| line.split('\t').next()).filter(|n| !n.starts_with("valid"));
    let mut checked = 0;
    for name in names {
        let case = Case::new();
        let model = golden(&format!("bad/{name}"));
        let said = case.refused(&["quantize", &model, "--data", &case.digits(), "-o", "out.onnx"]);
        assert!(said.contains(name), "{name}: {said}");
        checked += 1;
    }
    assert!(checked > 30);
}

#[test]
fn a_truncated_network_is_refused_wherever_it_ends() {
    let bytes = fs::read(digits("digits.onnx")).unwrap();
    for end in [1, 2, 100, bytes.len() / 2, bytes.len() - 1] {
        let case = Case::new();
        case.write("cut.onnx", &bytes[..end]);
        let said = case.refused(&["inspect", "cut.onnx"]);
        assert!(said.starts_with("error: cut.onnx: not an ONNX model"), "{end}: {said}");
    }
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let case = Case::new();
        case.write_digits("bad.onnx", |graph| {
            let id = (0..graph.values.len()).find(|&i| graph.values[i].name == "head.weight").unwrap();
            let tensor = graph.values[id].constant.clone().unwrap();
            let mut values = tensor.to_f32();
            values[3] = value;
            let tensor = Tensor::from_f32(tensor.shape(), values);
            graph.set_constant(lowbit_graph::ValueId(id), tensor.into());
        });
        let said = case.refused(&["quantize", "bad.onnx", "--data", &case.digits(), "-o", "out.onnx"]);
        assert_eq!(said, format!("error: bad.onnx: constant `head.weight`: element 3 is {word}\n"));
    }
}

#[test]
fn a_network_whose_values_leave_the_numbers_is_refused() {
    let case = Case::new();
    case.write_digits("bad.onnx", |graph| {
        let id = (0..graph.values.len()).find(|&i| graph.values[i].name.contains("var")).unwrap();
        let shape = graph.values[id].constant.as_ref().unwrap().shape().to_vec();
        let values = vec![-1.0; shape.iter().product()];
        graph.set_constant(lowbit_graph::ValueId(id), Tensor::from_f32(shape, values).into());
    });
    let said = case.refused(&["quantize", "bad.onnx", "--data", &case.digits(), "-o", "out.onnx"]);
    assert!(said.contains("`stem.") && said.contains("not finite"), "{said}");
}

#[test]
fn a_small_file_cannot_ask_for_more_memory_than_there_is() {
    type Grow = fn(&mut lowbit_graph::Graph, lowbit_graph::ValueId) -> lowbit_graph::ValueId;
    let filled: Grow = |graph, shape| {
        graph.add_node(
            "bomb",
            ConstantOfShape { value: Tensor::scalar(1.0).reshape(vec![1]).unwrap().into() },
            &[shape],
        )
    };
    let expanded: Grow = |graph, shape| {
        let one = graph.add_constant("one", Tensor::scalar(1.0));
        graph.add_node("bomb", Expand, &[one, shape])
    };
    for (grow, extents) in
        [filled, expanded].into_iter().flat_map(|g| [(g, [1 << 45, 1]), (g, [1 << 62, 1 << 62])])
    {
        let case = Case::new();
        case.write_digits("bomb.onnx", |graph| {
            let shape = graph.add_constant("extents", Tensor::from_i64s(&extents));
            let output = grow(graph, shape);
            declare_output(graph, output);
        });
        let said = case.refused(&["inspect", "bomb.onnx"]);
        assert!(said.contains("bomb.onnx") && said.contains("`bomb`"), "{said}");
    }
}

#[test]
fn data_without_samples_is_refused() {
    let case = Case::new();
    fs::create_dir(case.path("empty")).unwrap();
    fs::create_dir_all(case.path("hollow/cat")).unwrap();
    case.write("none.npy", &npy("<f4", "0, 1, 8, 8", &[]));
    case.write("nothing.tar", &tar(&[]));
    for data in ["empty", "hollow", "none.npy", "nothing.tar", "missing"] {
        let said = case.quantize(data, &[]);
        assert!(said.contains(data), "{said}");
    }
}

#[test]
fn samples_that_do_not_fit_the_network_are_refused() {
    let case = Case::new();
    let zeros = vec![0; 4 * 2 * 3 * 9 * 9];
    for (name, shape, elements) in [
        ("channels.npy", [2, 3, 8, 8], 384),
        ("size.npy", [2, 1, 9, 9], 162),
        ("flat.npy", [2, 64, 1, 1], 128),
    ] {
        let [n, c, h, w] = shape;
        case.write(name, &npy("<f4", &format!("{n}, {c}, {h}, {w}"), &zeros[..4 * elements]));
        let said = case.quantize(name, &["--preprocess", "none"]);
        assert!(said.contains(&format!("[{c}, {h}, {w}]")) && said.contains("[1, 8, 8]"), "{said}");
    }
}

#[test]
fn labels_that_do_not_fit_the_network_are_refused() {
    let case = Case::new();
    let x = npy("<f4", "2, 1, 8, 8", &[0; 4 * 128]);
    case.write("class.npz", &npz(&[("x.npy", &x), ("y.npy", &npy("|u1", "2,", &[3, 10]))]));
    let said = case.quantize("class.npz", &[]);
    assert!(said.contains("class.npz") && said.contains("10"), "{said}");
    case.write("count.npz", &npz(&[("x.npy", &x), ("y.npy", &npy("|u1", "3,", &[1, 2, 3]))]));
    let said = case.quantize("count.npz", &[]);
    assert!(said.contains("count.npz") && said.contains('3') && said.contains('2'), "{said}");
    let classes: Vec<String> = (0..11).map(|class| format!("class{class:02}")).collect();
    images(&case.path("eleven"), &classes);
    let said = case.quantize("eleven", &[]);
    assert!(said.contains("eleven") && said.contains("11") && said.contains("10"), "{said}");
}

#[test]
fn samples_that_are_not_numbers_are_refused() {
    let case = Case::new();
    let mut x = vec![0f32; 128];
    x[70] = f32::NAN;
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    case.write("nan.npy", &npy("<f4", "2, 1, 8, 8", &bytes));
    let said = case.quantize("nan.npy", &[]);
    assert!(said.contains("nan.npy") && said.contains("NaN"), "{said}");
}

#[test]
fn a_damaged_image_is_refused_by_name() {
    let whole = png(8, 8);
    let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let bomb = {
        let mut bytes = whole.clone();
        // Width and height of the header.
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        bytes
    };
    for (name, bytes) in [
        ("noise.png", &b"\x89PNG\r\n\x1a\nnot really a picture at all"[..]),
        ("cut.png", &whole[..whole.len() / 2]),
        ("bomb.png", &bomb),
        ("empty.png", b""),
        ("cut.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"),
    ] {
        let case = Case::new();
        images(&case.path("photos"), &classes);
        fs::write(case.path("photos/3").join(name), bytes).unwrap();
        let said = case.quantize("photos", &[]);
        assert!(said.contains(name), "{said}");
        let names: Vec<String> = classes.iter().map(|class| format!("{class}/good.png")).collect();
        let bad = format!("3/{name}");
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &whole[..])).collect();
        files.insert(3, (&bad, bytes));
        case.write("photos.tar", &tar(&files));
        let said = case.quantize("photos.tar", &[]);
        assert!(said.contains("photos.tar") && said.contains(name), "{said}");
    }
}

#[test]
fn slips_in_recipes_and_names_are_refused_with_the_nearest_word() {
    let case = Case::new();
    let data = case.digits();
    let quantize = |extra: &[&str]| {
        let fixed = ["quantize", &digits("digits.onnx"), "--data", &data, "-o", "out.onnx"];
        case.refused(&[&fixed[..], extra].concat())
    };
    for (text, words) in [
        ("[weights]\nbitts = 4", "`bits`"),
        ("[weights]\nbits = 1", "2 to 8"),
        ("[weights]\nbits = \"four\"", "bits"),
        ("[[step]]\nmethod = \"acqi\"", "`aciq`"),
        ("[[step]]\nmethod = \"percentile\"\npercents = 99", "`percent`"),
        ("[weights]\nbits = 4", "no step chose a code"),
        ("[[override]]\nlayer = \"hed\"\nweight_bits = 8", "`head`"),
        ("[weights\nbits = 4", "mine"),
        ("\u{0}", "mine"),
    ] {
        case.write("mine.toml", text.as_bytes());
        let said = quantize(&["--recipe", "mine.toml"]);
        assert!(said.contains("mine") && said.contains(words), "{text}: {said}");
    }
    assert!(quantize(&["--recipe", "w8a9"]).contains("did you mean `w8a8`"));
    assert!(quantize(&["--recipe", "absent.toml"]).contains("absent.toml"));
    assert!(quantize(&["--target", "onnxruntme"]).contains("did you mean `onnxruntime`"));
    assert!(quantize(&["--preprocess", "imagnet"]).contains("`imagenet`"));
}

#[test]
fn methods_that_learn_refuse_what_they_cannot_learn_from() {
    let case = Case::new();
    let said = case.quantize(&case.digits(), &["--recipe", "w4-brecq", "--limit", "8"]);
    assert!(said.contains("8 calibration samples are too few, it needs at least 32"), "{said}");
    let said = case.quantize(&case.digits(), &["--recipe", "mixed-brecq", "--limit", "1"]);
    assert!(said.contains("mixed-precision: 1 calibration samples are too few"), "{said}");
    case.write(
        "labels.toml",
        b"[weights]\nbits = 4\n[activations]\nbits = 4\n[[step]]\nmethod = \"minmax\"\n[[step]]\nmethod = \"lapq\"\nloss = \
          \"cross-entropy\"",
    );
    case.write("plain.npy", &npy("<f4", "64, 1, 8, 8", &[0; 4 * 64 * 64]));
    let said = case.quantize("plain.npy", &["--recipe", "labels.toml", "--preprocess", "none"]);
    assert!(said.contains("lapq: this loss needs labels"), "{said}");
}

#[test]
fn a_dry_run_does_not_learn() {
    let case = Case::new();
    let (model, data) = (digits("digits.onnx"), case.digits());
    for recipe in ["w4a4-brecq", "w4a4-lapq", "mixed-brecq", "w3-multipoint", "a4w8-sparq"] {
        // Too few samples to learn from do not matter.
        let arguments =
            ["quantize", &model, "--data", &data, "--limit", "4", "--recipe", recipe, "--dry-run"];
        let said = case.says(&arguments);
        assert!(
            said.contains("would learn from these 4 samples") && said.contains("nothing was written"),
            "{said}"
        );
    }
}

#[test]
fn networks_that_cannot_be_compared_or_quantized_are_refused() {
    let case = Case::new();
    let (model, data) = (digits("digits.onnx"), case.digits());
    case.write_digits("flat.onnx", |graph| {
        let inner = graph.nodes.iter().find(|n| n.name == "flatten").unwrap().outputs[0];
        declare_output(graph, inner);
    });
    let said = case.refused(&["evaluate", &model, "flat.onnx", "--data", &data, "--preprocess", "digits"]);
    assert!(said.contains("flat.onnx") && said.contains("10"), "{said}");
    case.done(&["quantize", &model, "--data", &data, "--preprocess", "digits", "-o", "small.onnx"]);
    let said = case.refused(&["quantize", "small.onnx", "--data", &data, "-o", "out.onnx"]);
    assert!(said.contains("small.onnx is quantized already"), "{said}");
}

#[test]
fn a_command_line_without_sense_ends_with_2() {
    let case = Case::new();
    let model = digits("digits.onnx");
    for arguments in [
        &["quantize"][..],
        &["quantize", &model, "-o", "out.onnx"],
        &["quantize", &model, "--data", "d", "-o", "out.onnx", "--flavour", "pickled"],
        &["run", &model, "--data", "d"],
        &["frobnicate"],
        &[],
    ] {
        case.ends_with(2, arguments);
    }
}

#[test]
fn an_older_result_survives_a_refusal() {
    let case = Case::new();
    case.write("out.onnx", b"older");
    case.quantize("missing", &[]);
    assert_eq!(fs::read(case.path("out.onnx")).unwrap(), b"older");
    assert!(Path::new(&case.path("out.onnx")).is_file());
}

#[test]
fn what_is_no_state_of_ours_is_not_overwritten() {
    let case = Case::new();
    case.write("out.onnx.state", b"my notes");
    let said = case.quantize(&case.digits(), &["--recipe", "w3-multipoint", "--fresh"]);
    assert!(said.contains("out.onnx.state") && said.contains("move it away"), "{said}");
    assert_eq!(fs::read(case.path("out.onnx.state")).unwrap(), b"my notes");
}

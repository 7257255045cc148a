//! Levels as a file has them. A weight is indices and a table of int8 levels, put together by nodes that runtimes fold at load
//! (`Gather`), so that what runs is an int8 weight like any other.
//!
//! Of the ways to write indices in few bits the one that makes the file smallest is taken:
//!
//! * as they are: int8 levels, without a table;
//! * two to a byte: UINT4, up to 16 levels;
//! * bit [`planes`]: 3 bits for 5 to 8 levels;
//! * groups: a byte names all levels of a run of weights, and is looked up in a table of such runs. Eight binary weights,
//!   five ternary ones (1.6 bits each), four of four levels.

use super::builder::Builder;
use super::weights::{dequantized, float_weight};
use super::{Flavour, planes};
use lowbit_graph::ops::{BipolarQuant, Cast, Gather, Reshape, Slice};
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::number::code_range;
use lowbit_tensor::{DType, Data, Levels, Tensor, Uniform};

/// The decoded weight of `shape`.
pub(super) fn write(
    b: &mut Builder,
    name: &str,
    code: &Levels,
    mut values: Vec<f32>,
    shape: &[usize],
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    if flavour == Flavour::Qonnx {
        code.fake_quantize(&mut values, shape);
        return in_float(b, name, code, values, shape);
    }
    let indices = code.indices(&values, shape);
    let form = if flavour == Flavour::Packed {
        Form::smallest(code.levels.len(), indices.len())
    } else {
        Form::Plain
    };
    let stored = form.write(b, name, code, &indices, shape);
    dequantized(b, name, &code.grid, stored, flavour, spell_zero)
}

/// A tensor of grid codes: int8, or uint8 of an unsigned grid.
pub(super) fn tensor(grid: &Uniform, codes: impl Iterator<Item = i32>, shape: Vec<usize>) -> Tensor {
    let data = match grid.signed {
        true => Data::I8(codes.map(|q| q as i8).collect()),
        false => Data::U8(codes.map(|q| q as u8).collect()),
    };
    Tensor::new(shape, data).expect("one code each")
}

/// QONNX has no node for levels: values on them go through the narrowest `IntQuant` that holds them all, which leaves them
/// as they are, or through `BipolarQuant`.
fn in_float(b: &mut Builder, name: &str, code: &Levels, values: Vec<f32>, shape: &[usize]) -> ValueId {
    let (grid, levels) = (&code.grid, code.levels.as_slice());
    if levels == [-1, 1] && grid.is_symmetric() {
        let mut extents = vec![];
        if let Some(axis) = grid.axis {
            extents = vec![1; shape.len()];
            extents[axis] = grid.scale.len();
        }
        let value = b.constant(format!("{name}.float"), Tensor::from_f32(shape, values));
        let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(extents, grid.scale.clone()));
        return b.node(format!("{name}.quantized"), Op::BipolarQuant(BipolarQuant), &[value, scale]);
    }
    let holds = |bits: &u8| {
        let [lo, hi] = code_range(*bits, grid.signed);
        levels.iter().all(|level| (lo..=hi).contains(level))
    };
    // One signed bit is another code in QONNX.
    let bits = (2..8).find(holds).unwrap_or(8);
    let narrow = Uniform { bits: vec![bits; grid.bits.len()], ..grid.clone() };
    float_weight(b, name, &narrow, values, shape)
}

/// How indices are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Plain,
    Nibbles,
    /// Planes of this many bits in all.
    Planes(u8),
    /// This many to a byte.
    Groups(u32),
}

impl Form {
    /// The form that takes the fewest bytes for `count` indices among `levels`.
    fn smallest(levels: usize, count: usize) -> Form {
        let bits = levels.next_power_of_two().trailing_zeros();
        let mut forms = vec![Form::Plain];
        if levels <= 16 {
            // As many to a byte as it can tell runs apart.
            forms.extend([Form::Nibbles, Form::Planes(bits as u8), Form::Groups(256usize.ilog(levels))]);
        }
        forms.into_iter().min_by_key(|form| form.bytes(levels, count)).unwrap_or(Form::Plain)
    }

    /// Bytes in a file, about, with nodes, names and tables.
    fn bytes(self, levels: usize, count: usize) -> usize {
        match self {
            Form::Plain => count + 60,
            Form::Nibbles => count / 2 + levels + 250,
            Form::Planes(bits) => planes::bytes(&[bits], count) + levels + 150,
            Form::Groups(each) => count / each as usize + levels.pow(each) * each as usize + 450,
        }
    }

    fn write(self, b: &mut Builder, name: &str, code: &Levels, indices: &[u8], shape: &[usize]) -> ValueId {
        let table = |indices: &mut dyn Iterator<Item = usize>, shape| {
            tensor(&code.grid, indices.map(|k| code.levels[k]), shape)
        };
        let all = code.levels.len();
        let indices = match self {
            Form::Plain => {
                let levels = table(&mut indices.iter().map(|&k| k.into()), shape.to_vec());
                return b.constant(format!("{name}.codes"), levels);
            }
            Form::Groups(each) => {
                let runs = all.pow(each);
                let digits = (0..runs).flat_map(|run| (0..each).map(move |place| run / all.pow(place) % all));
                let key = code
                    .levels
                    .iter()
                    .fold(format!("lowbit.runs{each}"), |key, level| format!("{key}.{level}"));
                let mut digits = digits;
                let runs = b.shared(&key, || table(&mut digits, vec![runs, each as usize]));
                return groups(b, name, indices, [all, each as usize], runs, shape);
            }
            Form::Nibbles => {
                let indices =
                    Tensor::new(shape.to_vec(), Data::U4(indices.to_vec())).expect("one index each");
                b.constant(format!("{name}.indices"), indices)
            }
            Form::Planes(bits) => planes::unsigned(b, name, indices, shape, bits),
        };
        let wide = b.node(format!("{name}.i"), Op::Cast(Cast { to: DType::I32 }), &[indices]);
        let levels = b.constant(format!("{name}.levels"), table(&mut (0..all), vec![all]));
        b.node(format!("{name}.codes"), Op::Gather(Gather { axis: 0 }), &[levels, wide])
    }
}

/// Runs of `each` levels, the index of a run as a number whose digits are the indices of its levels, the first one lowest.
fn groups(
    b: &mut Builder,
    name: &str,
    indices: &[u8],
    [levels, each]: [usize; 2],
    runs: ValueId,
    shape: &[usize],
) -> ValueId {
    let number = |run: &[u8]| run.iter().rev().fold(0, |number, &k| number * levels + usize::from(k)) as u8;
    let packed: Vec<u8> = indices.chunks(each).map(number).collect();
    let len = packed.len();
    let packed = Tensor::new(vec![len], Data::U8(packed)).expect("one number each");
    let packed = b.constant(format!("{name}.runs"), packed);
    let wide = b.node(format!("{name}.i"), Op::Cast(Cast { to: DType::I32 }), &[packed]);
    let mut codes = b.node(format!("{name}.g"), Op::Gather(Gather { axis: 0 }), &[runs, wide]);
    if len * each != indices.len() {
        let flat = b.shared("lowbit.flat", || Tensor::from_i64s(&[-1]));
        codes = b.node(format!("{name}.f"), Op::Reshape(Reshape::default()), &[codes, flat]);
        let start = b.shared("lowbit.start", || Tensor::from_i64s(&[0]));
        let end = b.constant(format!("{name}.e"), Tensor::from_i64s(&[indices.len() as i64]));
        codes = b.node(format!("{name}.c"), Op::Slice(Slice), &[codes, start, end]);
    }
    let extents: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    let extents = b.constant(format!("{name}.shape"), Tensor::from_i64s(&extents));
    b.node(format!("{name}.codes"), Op::Reshape(Reshape::default()), &[codes, extents])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::Graph;
    use lowbit_graph::passes::fold_constants;

    #[test]
    fn every_form_folds_back_to_its_levels() {
        for (levels, forms) in [
            (vec![-1, 1], vec![Form::Plain, Form::Nibbles, Form::Planes(1), Form::Groups(8)]),
            (vec![-1, 0, 1], vec![Form::Planes(2), Form::Groups(5), Form::Groups(1)]),
            (vec![-127, -55, -23, 0, 23, 55, 127], vec![Form::Nibbles, Form::Planes(3), Form::Groups(2)]),
            ((-8..8).collect(), vec![Form::Nibbles, Form::Groups(2)]),
        ] {
            let code = Levels::nearest(Uniform::per_tensor(8, true, 0.5, 0), levels.clone()).unwrap();
            for form in forms {
                // As many as fill bytes, and one more.
                for shape in [[8, 15], [11, 11]] {
                    let indices: Vec<u8> =
                        (0..shape[0] * shape[1]).map(|i| (i * 7 % levels.len()) as u8).collect();
                    let mut b = Builder::new(&Graph::default());
                    let value = form.write(&mut b, "w", &code, &indices, &shape);
                    let mut graph = b.into_graph();
                    graph.outputs = vec![value];
                    fold_constants(&mut graph, &lowbit_engine::evaluate_for_pass).unwrap();
                    let tensor = graph.constant(value).expect("folds to a constant");
                    assert_eq!((tensor.dtype(), tensor.shape()), (DType::I8, &shape[..]), "{form:?}");
                    let expected: Vec<i64> = indices.iter().map(|&k| levels[usize::from(k)].into()).collect();
                    assert_eq!(tensor.to_i64().unwrap(), expected, "{form:?}");
                }
            }
        }
    }

    #[test]
    fn the_form_follows_from_levels_and_size() {
        let large = 100_000;
        let forms = [2, 3, 4, 7, 15, 17].map(|levels| Form::smallest(levels, large));
        assert_eq!(
            forms,
            [Form::Planes(1), Form::Groups(5), Form::Planes(2), Form::Planes(3), Form::Nibbles, Form::Plain]
        );
        assert_eq!(Form::smallest(3, 100), Form::Plain);
    }
}

//! Addition of two edges of codes, where it is not fused into the layer before it.

use super::bytes::{ByteKernel, ByteSimd, CodeLanes, StepLanes};
use super::{Code, Plane, Residual};
use crate::{Isa, ShapeError};

/// `code(Σ (x − zero)·scale)` over two terms.
#[derive(Clone, Copy, Debug)]
pub struct IntAdd {
    isa: Isa,
    terms: [Residual; 2],
    output: Plane,
    code: Code,
}

impl IntAdd {
    /// The sum of `terms` as `code` in `output`, whose interior is as large as theirs.
    ///
    /// # Errors
    /// A plane does not fit the output's: it has another size or fewer stored channels.
    pub fn new(isa: Isa, terms: [Residual; 2], output: Plane, code: Code) -> Result<IntAdd, ShapeError> {
        let size = [output.h, output.w, output.c];
        output.check("output", size, [0; 4])?;
        for term in &terms {
            term.plane.check("term", size, [0; 4])?;
        }
        Ok(IntAdd { isa, terms, output, code })
    }

    /// How its output lies in memory.
    pub fn output(&self) -> &Plane {
        &self.output
    }

    /// The definition: the code of two codes.
    pub fn encode(&self, codes: [u8; 2]) -> u8 {
        let term = |i: usize| (f32::from(codes[i]) - f32::from(self.terms[i].zero)) * self.terms[i].scale;
        self.code.encode(term(0) + term(1))
    }

    /// Adds images of the terms' planes into the interiors of as many images of the output's.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn run(&self, terms: [&[u8]; 2], output: &mut [u8]) {
        let images = output.len() / self.output.len();
        assert_eq!(output.len(), images * self.output.len(), "output of {self:?}");
        for (term, codes) in self.terms.iter().zip(terms) {
            assert_eq!(codes.len(), images * term.plane.len(), "term of {self:?}");
        }
        self.isa.run_bytes(Rows { add: self, terms, output });
    }
}

struct Rows<'a> {
    add: &'a IntAdd,
    terms: [&'a [u8]; 2],
    output: &'a mut [u8],
}

impl ByteKernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        let IntAdd { terms: [a, b], output: plane, .. } = self.add;
        let rows = a.plane.interiors(self.terms[0]).zip(b.plane.interiors(self.terms[1]));
        for ((row_a, row_b), output) in rows.zip(plane.interiors_mut(self.output)) {
            if a.plane.c == plane.c && b.plane.c == plane.c {
                add(s, self.add, row_a, row_b, output);
            } else {
                let pixels = row_a.chunks_exact(a.plane.c).zip(row_b.chunks_exact(b.plane.c));
                for ((a, b), output) in pixels.zip(output.chunks_exact_mut(plane.c)) {
                    add(s, self.add, &a[..plane.c], &b[..plane.c], output);
                }
            }
        }
    }
}

/// Adds neighbouring codes.
#[inline(always)]
fn add<S: ByteSimd>(s: S, add: &IntAdd, a: &[u8], b: &[u8], output: &mut [u8]) {
    let [of_a, of_b] = add.terms;
    let of_a = StepLanes::new(s, of_a.zero, of_a.scale);
    let of_b = StepLanes::new(s, of_b.zero, of_b.scale);
    let code = CodeLanes::new(s, add.code);
    for at in (0..output.len()).step_by(S::BYTES) {
        let (a, b) = (s.widen(s.read(&a[at..])), s.widen(s.read(&b[at..])));
        let mut codes = a;
        for v in 0..4 {
            codes[v] = code.encode(s, s.add(of_a.decode(s, a[v]), of_b.decode(s, b[v])));
        }
        s.write(&mut output[at..], s.narrow(codes));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::bytes;

    proptest! {
        #[test]
        fn every_instruction_set_equals_the_definition(
            [h, w, channels, images] in [1usize..5, 1usize..5, 1usize..90, 0usize..3],
            borders: [[bool; 4]; 3],
            wider in [0usize..3, 0usize..3],
            zeros: [u8; 3],
            scales in [-2f32..2.0, 1e-3f32..300.0],
            [lo, hi] in [0u8..=100, 100u8..=255],
        ) {
            let plane = |border: [bool; 4]| Plane::new(h, w, channels).with_border(border.map(usize::from));
            let term = |i: usize| {
                let plane = plane(borders[i]);
                Residual { plane: Plane { c: plane.c + 4 * wider[i], ..plane }, zero: zeros[i], scale: scales[i] }
            };
            let (terms, output) = ([term(0), term(1)], plane(borders[2]));
            let codes = [0, 1].map(|i| bytes(images * terms[i].plane.len(), i as u64));
            let code = Code { zero: zeros[2], lo, hi };
            for isa in Isa::supported() {
                let add = IntAdd::new(isa, terms, output, code).unwrap();
                let mut got = vec![77; images * output.len()];
                let mut want = got.clone();
                add.run([&codes[0], &codes[1]], &mut got);
                for (n, y, x, c) in places(images, &output) {
                    let of = |i: usize| codes[i][n * terms[i].plane.len() + terms[i].plane.offset(y, x) + c];
                    want[n * output.len() + output.offset(y, x) + c] = add.encode([of(0), of(1)]);
                }
                prop_assert_eq!(&got, &want, "{}", isa);
            }
        }
    }

    fn places(images: usize, plane: &Plane) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let Plane { h, w, c, .. } = *plane;
        (0..images * h * w * c).map(move |i| (i / (h * w * c), i / (w * c) % h, i / c % w, i % c))
    }

    #[test]
    fn codes_are_added_in_steps_of_the_output() {
        let plane = Plane::new(1, 1, 4);
        let terms = [Residual { plane, zero: 10, scale: 0.5 }, Residual { plane, zero: 0, scale: 2.0 }];
        let add = IntAdd::new(Isa::best(), terms, plane, Code { zero: 100, lo: 100, hi: 255 }).unwrap();
        let mut output = [0; 4];
        // 1.5 + 2 ties to 4, 2.5 + 0 to 2, what is below zero is clipped, what is above 155 too.
        add.run([&[13, 15, 0, 255], &[1, 0, 1, 255]], &mut output);
        assert_eq!(output, [104, 102, 100, 255]);
    }

    #[test]
    fn planes_of_another_size_are_refused() {
        let term = |w| Residual { plane: Plane::new(3, w, 4), zero: 0, scale: 1.0 };
        let code = Code { zero: 0, lo: 0, hi: 255 };
        let refused = IntAdd::new(Isa::best(), [term(2), term(5)], Plane::new(3, 2, 4), code).unwrap_err();
        assert_eq!(refused.to_string(), "term plane: width is 5, expected 2");
    }
}

//! Index maps: data is moved by saying where each element of the result comes from, so that no arithmetic touches it.

/// Row-major strides of a shape, in elements.
pub(in crate::ops) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut stride = 1;
    let mut strides: Vec<isize> = shape
        .iter()
        .rev()
        .map(|&d| {
            let this = stride as isize;
            stride *= d;
            this
        })
        .collect();
    strides.reverse();
    strides
}

/// Flat index into a buffer of each element of a view with these extents: `start + Σ position[i] · strides[i]`, in
/// row-major order of positions.
pub(in crate::ops) fn strided(
    extents: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
) -> impl Iterator<Item = usize> {
    let mut position = vec![0; extents.len()];
    let mut index = start as isize;
    (0..extents.iter().product::<usize>()).map(move |_| {
        let found = index as usize;
        // The odometer: the last axis turns fastest, and a full turn takes back what it added.
        for axis in (0..extents.len()).rev() {
            position[axis] += 1;
            index += strides[axis];
            if position[axis] < extents[axis] {
                break;
            }
            index -= strides[axis] * extents[axis] as isize;
            position[axis] = 0;
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_walked_in_row_major_order() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        let of = |extents: &[usize], strides: &[isize], start| {
            strided(extents.into(), strides.into(), start).collect()
        };
        let transposed: Vec<usize> = of(&[3, 2], &[1, 3], 0);
        assert_eq!(transposed, [0, 3, 1, 4, 2, 5]);
        let reversed: Vec<usize> = of(&[3], &[-2], 5);
        assert_eq!(reversed, [5, 3, 1]);
        let scalar: Vec<usize> = of(&[], &[], 7);
        assert_eq!(scalar, [7]);
        let empty: Vec<usize> = of(&[2, 0], &[1, 1], 0);
        assert_eq!(empty, []);
    }
}

//! Physical buffers, each lent to one value after another.

use crate::program::Slot;

/// Buffers so far, and which of them nobody holds.
#[derive(Default)]
pub(crate) struct Slots {
    /// Elements of each buffer.
    pub(crate) lens: Vec<usize>,
    free: Vec<Slot>,
}

impl Slots {
    /// A buffer of at least `len` elements: the free one that fits best; if none is large enough, the largest grows.
    pub(crate) fn acquire(&mut self, len: usize) -> Slot {
        let fits = self.free.iter().copied().filter(|&s| self.lens[s] >= len).min_by_key(|&s| self.lens[s]);
        let Some(slot) = fits.or_else(|| self.free.iter().copied().max_by_key(|&s| self.lens[s])) else {
            self.lens.push(len);
            return self.lens.len() - 1;
        };
        self.free.retain(|&s| s != slot);
        self.lens[slot] = self.lens[slot].max(len);
        slot
    }

    /// Gives a buffer back.
    pub(crate) fn release(&mut self, slot: Slot) {
        if !self.free.contains(&slot) {
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_serves_one_value_after_another() {
        let mut slots = Slots::default();
        let (small, large) = (slots.acquire(10), slots.acquire(100));
        slots.release(small);
        slots.release(large);
        assert_eq!(slots.acquire(50), large);
        assert_eq!(slots.acquire(20), small);
        assert_eq!(slots.lens, [20, 100]);
        assert_eq!(slots.acquire(1), 2);
    }
}

//! Numbers that follow from a seed (splitmix64).

use std::ops::Range;

/// A sequence of numbers that a seed repeats.
///
/// ```
/// use lakehouse_testkit::Random;
///
/// assert_eq!(Random::of_case(1, 7).next(), Random::of_case(1, 7).next());
/// assert!(Random::of_case(1, 8).within(3..5) < 5);
/// ```
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of one case of one seed.
    pub fn of_case(seed: u64, case: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ case.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// The next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "a sequence without an end is no iterator anybody would collect"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        let width = (range.end - range.start) as u64;
        range.start + usize::try_from(self.next() % width).unwrap_or(0)
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1_000 < per_mille
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of several; there must be one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.within(0..of.len())]
    }
}

//! How large messages are.
//!
//! A message's size depends on the seed and its number alone, so that the same messages have the same sizes however many
//! sessions and threads share them.

use std::f64::consts::TAU;

use fulmar_tests::dice::Dice;

use super::options::Size;

/// Half of typical messages are smaller, in octets.
pub const TYPICAL_MEDIAN: usize = 30 << 10;
/// Standard deviation of the logarithm: one message in ten is over 160 KiB, one in thirty over 340 KiB.
const TYPICAL_SPREAD: f64 = 1.3;
/// No typical message is larger, in octets.
pub const TYPICAL_MOST: usize = 1 << 20;
/// No typical message is smaller, in octets.
pub const TYPICAL_LEAST: usize = 1 << 10;

/// The sizes of a run's messages.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    size: Size,
    seed: u64,
}

impl Sizes {
    /// Sizes of this kind; the seed chooses typical ones.
    pub fn new(size: Size, seed: u64) -> Self {
        Self { size, seed }
    }

    /// How many octets message `number` has.
    pub fn of(&self, number: u64) -> usize {
        match self.size {
            Size::Fixed(octets) => octets,
            Size::Typical => typical(&mut self.dice(number)),
        }
    }

    /// The largest size that there can be, in octets.
    pub fn most(&self) -> usize {
        match self.size {
            Size::Fixed(octets) => octets,
            Size::Typical => TYPICAL_MOST,
        }
    }

    /// The smallest size that there can be, in octets.
    pub fn least(&self) -> usize {
        match self.size {
            Size::Fixed(octets) => octets,
            Size::Typical => TYPICAL_LEAST,
        }
    }

    /// Mixed twice, since dice of neighbouring seeds fall alike one throw apart.
    fn dice(&self, number: u64) -> Dice {
        Dice::new(Dice::new(Dice::new(self.seed).draw() ^ number).draw())
    }
}

/// Log-normal, cut at both ends.
fn typical(dice: &mut Dice) -> usize {
    let octets = TYPICAL_MEDIAN as f64 * (TYPICAL_SPREAD * normal(dice)).exp();
    (octets as usize).clamp(TYPICAL_LEAST, TYPICAL_MOST)
}

/// A standard normal deviate, by the method of Box and Muller.
fn normal(dice: &mut Dice) -> f64 {
    (-2.0 * unit(dice).ln()).sqrt() * (TAU * unit(dice)).cos()
}

/// Above 0, up to 1.
fn unit(dice: &mut Dice) -> f64 {
    ((dice.draw() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<usize> {
        let sizes = Sizes::new(Size::Typical, seed);
        (0..20_000).map(|number| sizes.of(number)).collect()
    }

    #[test]
    fn typical_sizes_have_their_median_and_a_long_bounded_tail() {
        let mut sizes = drawn(7);
        sizes.sort_unstable();
        let at = |share: f64| sizes[(share * sizes.len() as f64) as usize];
        let median = at(0.5);
        assert!((28 << 10..=32 << 10).contains(&median), "{median}");
        assert!((140 << 10..=180 << 10).contains(&at(0.9)), "{}", at(0.9));
        assert_eq!(*sizes.last().unwrap(), TYPICAL_MOST);
        assert!(at(0.99) < TYPICAL_MOST, "the bound is hit by few");
        assert!(sizes[0] >= TYPICAL_LEAST);
    }

    #[test]
    fn the_same_seed_gives_the_same_sizes_and_another_one_others() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_size_that_was_asked_for_is_given_to_every_message() {
        let sizes = Sizes::new(Size::Fixed(5_000), 1);
        assert!((0..100).all(|number| sizes.of(number) == 5_000));
    }
}

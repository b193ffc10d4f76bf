//! Randomness.

use fulmar_core::platform::Entropy;

/// The operating system's generator.
///
/// # Panics
///
/// `fill` panics where the system gives no randomness. Linux can fail only before its generator exists (a kernel older
/// than 3.17, without `/dev/urandom`), so the first draw of a process shows it. To go on would be worse: identities
/// would repeat, and one message would overwrite another.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolEntropy;

impl Entropy for SmolEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            panic!("the system gives no randomness: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SmolEntropy.fill(&mut one);
        SmolEntropy.fill(&mut two);
        assert_ne!(one, two);
    }
}

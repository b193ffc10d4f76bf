//! Content out of its transport form, and what a scan of the same octets takes that does nothing else.

use divan::Bencher;
use divan::counter::BytesCount;
use fulmar_core::smtp::data::{Decoded, Decoder};
use memchr::{memchr_iter, memchr2_iter, memmem};

/// Octets of text in a line.
const LINE: usize = 76;
const SIZES: [usize; 2] = [10 << 10, 1 << 20];
/// Octets that a session reads at a time.
const CHUNK: usize = 16 << 10;
/// Far beyond all that is decoded here.
const UNLIMITED: u64 = 1 << 40;

#[divan::bench(args = SIZES)]
fn without_dots(bencher: Bencher<'_, '_>, octets: usize) {
    unstuff(bencher, &lines(octets, ""), octets);
}

/// Every line begins with a dot.
#[divan::bench(args = SIZES)]
fn with_dots(bencher: Bencher<'_, '_>, octets: usize) {
    unstuff(bencher, &lines(octets, ".."), octets);
}

/// As `without_dots`, into a buffer of its own: what a session does.
#[divan::bench(args = SIZES)]
fn without_dots_and_copied(bencher: Bencher<'_, '_>, octets: usize) {
    copy(bencher, &lines(octets, ""), octets);
}

#[divan::bench(args = SIZES)]
fn with_dots_and_copied(bencher: Bencher<'_, '_>, octets: usize) {
    copy(bencher, &lines(octets, ".."), octets);
}

/// Where every CR and LF is, and nothing else.
#[divan::bench(args = SIZES)]
fn find_cr_and_lf(bencher: Bencher<'_, '_>, octets: usize) {
    let content = lines(octets, "");
    // Not `count`, which looks for no places.
    let find = || memchr2_iter(b'\r', b'\n', divan::black_box(&content)).fold(0, |sum, at| sum ^ at);
    bencher.counter(BytesCount::new(octets)).bench(find);
}

/// The same for LF alone.
#[divan::bench(args = SIZES)]
fn find_lf(bencher: Bencher<'_, '_>, octets: usize) {
    let content = lines(octets, "");
    let find = || memchr_iter(b'\n', divan::black_box(&content)).fold(0, |sum, at| sum ^ at);
    bencher.counter(BytesCount::new(octets)).bench(find);
}

/// The same for dots at the start of lines, of which there are none.
#[divan::bench(args = SIZES)]
fn find_dots(bencher: Bencher<'_, '_>, octets: usize) {
    let content = lines(octets, "");
    let find = || memmem::find_iter(divan::black_box(&content), b"\r\n.").count();
    bencher.counter(BytesCount::new(octets)).bench(find);
}

/// How many LF there are, not where.
#[divan::bench(args = SIZES)]
fn count_lf(bencher: Bencher<'_, '_>, octets: usize) {
    let content = lines(octets, "");
    let count = || memchr_iter(b'\n', divan::black_box(&content)).count();
    bencher.counter(BytesCount::new(octets)).bench(count);
}

/// What every octet is checked with on its way into a segment.
#[divan::bench(args = SIZES)]
fn checksum(bencher: Bencher<'_, '_>, octets: usize) {
    let content = lines(octets, "");
    bencher.counter(BytesCount::new(octets)).bench(|| crc32fast::hash(divan::black_box(&content)));
}

fn unstuff(bencher: Bencher<'_, '_>, stuffed: &[u8], octets: usize) {
    bencher.counter(BytesCount::new(octets)).bench(|| {
        let mut given = 0;
        decode(divan::black_box(stuffed), &mut |content| given += content.len());
        given
    });
}

fn copy(bencher: Bencher<'_, '_>, stuffed: &[u8], octets: usize) {
    bencher.counter(BytesCount::new(octets)).bench(|| {
        let mut copied = Vec::with_capacity(octets + LINE);
        decode(divan::black_box(stuffed), &mut |content| copied.extend_from_slice(content));
        copied
    });
}

fn decode(stuffed: &[u8], take: &mut dyn FnMut(&[u8])) {
    let mut decoder = Decoder::new(1_000, UNLIMITED);
    for mut chunk in stuffed.chunks(CHUNK) {
        while let Some(decoded) = decoder.decode(&mut chunk) {
            match decoded {
                Decoded::Content(content) => take(content),
                other => assert_eq!(other, Decoded::End),
            }
            if decoded == Decoded::End {
                return;
            }
        }
    }
}

/// At least so many octets in whole lines, each with this in front.
pub(super) fn lines(octets: usize, front: &str) -> Vec<u8> {
    let line = format!("{front}{:w$}\r\n", "text", w = LINE - front.len());
    line.bytes().cycle().take(octets.next_multiple_of(line.len())).collect()
}

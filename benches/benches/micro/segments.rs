//! Segments: the object that many messages are accepted with.

use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use fulmar_core::model::{
    Address, Incarnation, MailOptions, Nonce, QueueId, RecipientOptions, ReversePath, UtcTime,
};
use fulmar_core::state::frame::Data;
use fulmar_core::state::log::{Body, Class, Content, Entry, Envelope, Part, Recipient, Record, Segment};

use super::content::lines;

/// Messages in a segment.
const MESSAGES: usize = 64;
/// Octets of a body.
const BODY: usize = 10 << 10;
const HEADER: &[u8] = b"Received: from client.test (client.test [192.0.2.1]) by mx.test with ESMTP;\r\n\
    \tSun, 22 Nov 2026 11:09:50 +0000\r\nSubject: measured\r\n\r\n";
const NOW: UtcTime = UtcTime(1_795_306_347_500);

/// Puts messages into a segment whose checksums are known.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (header, body) = parts();
    bencher.counter(octets()).bench(|| {
        let (segment, data) = segment(&header, &body);
        segment.encode(data)
    });
}

/// The same, into one buffer: no store that we write to needs that.
#[divan::bench]
fn encode_and_copy(bencher: Bencher<'_, '_>) {
    let (header, body) = parts();
    bencher.counter(octets()).bench(|| {
        let (segment, data) = segment(&header, &body);
        segment.encode(data).payload.to_bytes()
    });
}

/// What the body's checksums take, each message by itself.
#[divan::bench]
fn checksums(bencher: Bencher<'_, '_>) {
    let (_, body) = parts();
    bencher
        .counter(octets())
        .bench(|| (0..MESSAGES).fold(0, |sum, _| sum ^ crc32fast::hash(divan::black_box(&body))));
}

/// Reads the records of a segment.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let (header, body) = parts();
    let (segment, data) = segment(&header, &body);
    let object = segment.encode(data).payload.to_bytes();
    bencher.counter(octets()).bench(|| Segment::decode(divan::black_box(&object)).unwrap());
}

fn parts() -> (Bytes, Bytes) {
    (Bytes::from_static(HEADER), lines(BODY, "").into())
}

fn octets() -> BytesCount {
    BytesCount::new(MESSAGES * BODY)
}

fn segment(header: &Bytes, body: &Bytes) -> (Segment, Data) {
    let (inc, mut data) = (Incarnation::draw(NOW, [1; 10]), Data::default());
    let records = (0..MESSAGES).map(|number| Record::Accept(entry(number, inc, header, body, &mut data)));
    let records = records.collect();
    (Segment { inc, seq: 1, nonce: Nonce::draw(NOW, [2; 10]), at: NOW, records }, data)
}

fn entry(number: usize, inc: Incarnation, header: &Bytes, body: &Bytes, data: &mut Data) -> Entry {
    let mut part = |octets: &Bytes| Part { inc, seq: 1, extent: data.push(std::slice::from_ref(octets), 1) };
    let content = Content { header: part(header), body: Body::Inline(part(body)) };
    let envelope = Envelope {
        id: QueueId::draw(NOW, [number as u8; 10]),
        accepted: NOW,
        reverse_path: ReversePath::Address(Address::parse("somebody@example.org").unwrap()),
        options: MailOptions::default(),
        verdict: None,
        size: (header.len() + body.len()) as u64,
        content,
    };
    let recipient = Recipient {
        to: 0,
        address: Address::parse("somebody.else@example.com").unwrap(),
        alias: None,
        class: Class::Local,
        attempts: 0,
        next: NOW,
        last_reply: None,
        options: RecipientOptions::default(),
    };
    Entry { envelope: Arc::new(envelope), recipients: vec![recipient] }
}

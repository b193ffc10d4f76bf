//! Sessions written down as text, driven through the sessions that do no I/O: in one piece, octet by octet, and in chunks
//! of every other length. How to write one stands in `transcripts/README.md`.

mod pop3;
mod smtp;
mod smtp_client;

use std::fs;
use std::path::Path;

/// Lengths of chunks that each session is driven with.
const CHUNKS: [usize; 7] = [usize::MAX, 1, 2, 3, 5, 7, 11];

/// One session of a file, line by line: the kind, and the rest.
struct Script {
    /// File and title.
    place: String,
    lines: Vec<(String, String)>,
}

/// Every session in a folder of transcripts.
fn scripts(folder: &str) -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(folder);
    let mut scripts: Vec<Script> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix("== ") {
                let place = format!("{}: {title}", path.display());
                scripts.push(Script { place, lines: Vec::new() });
                continue;
            }
            let (kind, rest) = line.split_once(':').unwrap_or_else(|| panic!("no kind of line: {line}"));
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            let script = scripts.last_mut().expect("a title comes first");
            script.lines.push((kind.to_owned(), rest.to_owned()));
        }
    }
    scripts
}

/// A session, and what answers its questions.
trait Machine {
    /// One step of the driver; false where the session is idle or over.
    fn step(&mut self, input: &mut &[u8]) -> bool;
    /// Octets to be sent.
    fn take_output(&mut self) -> Vec<u8>;
}

/// What passes between client and server.
#[derive(Debug, Default)]
struct Dialogue {
    /// What the client sends at once, and the lines that it must get back.
    exchanges: Vec<(Vec<u8>, Vec<String>)>,
    /// How the session must end; open where absent.
    closing: Option<String>,
}

impl Dialogue {
    /// Takes a line of a script that is the same for every protocol; false where it is not.
    fn take(&mut self, kind: &str, rest: &str) -> bool {
        match kind {
            "C" => self.send(&[&octets(rest)[..], b"\r\n"].concat()),
            "R" => self.send(&octets(rest)),
            "S" => {
                // The greeting comes unasked.
                if self.exchanges.is_empty() {
                    self.exchanges.push(Default::default());
                }
                let line = String::from_utf8(octets(rest)).unwrap();
                self.exchanges.last_mut().unwrap().1.push(line);
            }
            "E" => self.closing = Some(rest.to_owned()),
            _ => return false,
        }
        true
    }

    /// Lines sent in a row go out as one group.
    fn send(&mut self, octets: &[u8]) {
        match self.exchanges.last_mut() {
            Some((sent, replies)) if replies.is_empty() => sent.extend_from_slice(octets),
            _ => self.exchanges.push((octets.to_vec(), Vec::new())),
        }
    }

    /// Something sent, and lines of which only the beginning matters.
    fn exchange(&mut self, sent: &str, replies: &[&str]) {
        let replies = replies.iter().map(|reply| format!("{reply} ...")).collect();
        self.exchanges.push((sent.as_bytes().to_vec(), replies));
    }

    /// Sends everything in chunks of at most this length, and compares what comes back.
    fn play(&self, machine: &mut impl Machine, chunk: usize, place: &str) {
        for (sent, expected) in &self.exchanges {
            for mut piece in sent.chunks(chunk.min(sent.len().max(1))) {
                while !piece.is_empty() && machine.step(&mut piece) {}
            }
            while machine.step(&mut &b""[..]) {}
            let output = String::from_utf8(machine.take_output()).unwrap();
            let got: Vec<&str> = output.split_terminator("\r\n").collect();
            let agrees =
                got.len() == expected.len() && got.iter().zip(expected).all(|(got, line)| matches(got, line));
            assert!(
                agrees,
                "{place}, in chunks of {chunk}\nsent {:?}\n got {got:#?}\nwant {expected:#?}",
                String::from_utf8_lossy(sent)
            );
        }
    }
}

/// A line that ends with ` ...` stands for every line that begins so.
fn matches(got: &str, expected: &str) -> bool {
    expected.strip_suffix(" ...").map_or(got == expected, |start| got.starts_with(start))
}

/// Octets of a line that passes or is kept: `\r`, `\n`, `\t`, `\\`, `\xHH`, and `\{N}c` for N times the character c.
fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let taken = match &escape[..1] {
            "r" => push(&mut octets, b"\r", 1),
            "n" => push(&mut octets, b"\n", 1),
            "t" => push(&mut octets, b"\t", 1),
            "\\" => push(&mut octets, b"\\", 1),
            "x" => push(&mut octets, &[u8::from_str_radix(&escape[1..3], 16).unwrap()], 3),
            "{" => {
                let (count, tail) = escape[1..].split_once('}').unwrap();
                let run = tail[..1].repeat(count.parse().unwrap());
                push(&mut octets, run.as_bytes(), count.len() + 3)
            }
            other => panic!("unknown escape: \\{other}"),
        };
        rest = &escape[taken..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

fn push(octets: &mut Vec<u8>, run: &[u8], taken: usize) -> usize {
    octets.extend_from_slice(run);
    taken
}

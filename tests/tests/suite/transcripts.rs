//! SMTP sessions written down as text, driven through the session that does no I/O: in one piece, octet by octet, and in
//! chunks of every other length. How to write one stands in `transcripts/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fulmar_core::config::SmtpLimits;
use fulmar_core::model::{Domain, Reply};
use fulmar_core::smtp::server::{Session, Step};

/// One session of a file.
#[derive(Debug, Default)]
struct Transcript {
    title: String,
    limits: SmtpLimits,
    /// What the handler refuses: `mail a@x.test`, `recipient b@x.test`, `data`, `content`; or says at `end`.
    answers: BTreeMap<String, Reply>,
    /// What the client sends at once, and what it must get back.
    exchanges: Vec<(Vec<u8>, Vec<String>)>,
    /// Content that must come out of it.
    kept: Vec<u8>,
    /// How the session must end; open where absent.
    closing: Option<String>,
}

/// What a driven session has done.
#[derive(Debug, Default)]
struct Outcome {
    content: Vec<u8>,
    kept: Vec<u8>,
    closing: Option<String>,
}

#[test]
fn sessions_go_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/smtp");
    let mut sessions = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for transcript in parse(&fs::read_to_string(&path).unwrap()) {
            for chunk in [usize::MAX, 1, 2, 3, 5, 7, 11] {
                check(&transcript, chunk, &format!("{}: {}", path.display(), transcript.title));
            }
            sessions += 1;
        }
    }
    assert!(sessions > 50, "only {sessions} sessions were found");
}

fn check(transcript: &Transcript, chunk: usize, place: &str) {
    let place = format!("{place}, in chunks of {chunk}");
    let mut session = Session::new(Domain::parse("mx.test").unwrap(), transcript.limits.clone());
    let mut outcome = Outcome::default();
    for (sent, expected) in &transcript.exchanges {
        for mut piece in sent.chunks(chunk.min(sent.len().max(1))) {
            while !piece.is_empty() && step(transcript, &mut session, &mut piece, &mut outcome) {}
        }
        while step(transcript, &mut session, &mut &b""[..], &mut outcome) {}
        let output = String::from_utf8(session.take_output()).unwrap();
        let got: Vec<&str> = output.split_terminator("\r\n").collect();
        let agrees =
            got.len() == expected.len() && got.iter().zip(expected).all(|(got, line)| matches(got, line));
        assert!(
            agrees,
            "{place}\nsent {:?}\n got {got:#?}\nwant {expected:#?}",
            String::from_utf8_lossy(sent)
        );
    }
    let kept = [&outcome.kept, &transcript.kept].map(|octets| String::from_utf8_lossy(octets));
    assert_eq!(kept[0], kept[1], "{place}: content");
    assert_eq!(outcome.closing, transcript.closing, "{place}: end");
}

/// A line that ends with ` ...` stands for every line that begins so.
fn matches(got: &str, expected: &str) -> bool {
    expected.strip_suffix(" ...").map_or(got == expected, |start| got.starts_with(start))
}

/// One step of the driver; false where the session is idle or over.
fn step(transcript: &Transcript, session: &mut Session, input: &mut &[u8], outcome: &mut Outcome) -> bool {
    let answer = |question: String| transcript.answers.get(&question).cloned().map_or(Ok(()), Err);
    match session.advance(input) {
        Step::Idle => return false,
        Step::Send => panic!("no transcript has so many replies"),
        Step::Mail(mail) => session.answer(answer(format!("mail {}", mail.reverse_path))),
        Step::Recipient(forward_path) => session.answer(answer(format!("recipient {forward_path}"))),
        Step::Data => session.answer(answer("data".to_owned())),
        Step::Content(octets) => {
            outcome.content.extend_from_slice(octets);
            session.answer(answer("content".to_owned()));
        }
        Step::EndOfContent => {
            outcome.kept.append(&mut outcome.content);
            let reply = transcript.answers.get("end").cloned();
            session.conclude(reply.unwrap_or_else(|| Reply::new(250, (2, 0, 0), "ID queued")));
        }
        Step::Reset => outcome.content.clear(),
        Step::Refused { .. } => {}
        Step::Closed(closing) => {
            outcome.closing = Some(closing.to_string());
            return false;
        }
    }
    true
}

fn parse(text: &str) -> Vec<Transcript> {
    let mut transcripts: Vec<Transcript> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            transcripts.push(Transcript { title: title.to_owned(), ..Transcript::default() });
            continue;
        }
        let transcript = transcripts.last_mut().expect("a title comes first");
        let (kind, rest) = line.split_once(':').unwrap_or_else(|| panic!("no kind of line: {line}"));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match kind {
            "C" => transcript.send(&[&octets(rest)[..], b"\r\n"].concat()),
            "R" => transcript.send(&octets(rest)),
            "S" => {
                // The greeting comes unasked.
                if transcript.exchanges.is_empty() {
                    transcript.exchanges.push(Default::default());
                }
                transcript.exchanges.last_mut().unwrap().1.push(rest.to_owned());
            }
            "K" => transcript.kept.extend([&octets(rest)[..], b"\r\n"].concat()),
            "E" => transcript.closing = Some(rest.to_owned()),
            "H" => transcript.set(rest),
            _ => panic!("unknown kind of line: {line}"),
        }
    }
    transcripts
}

impl Transcript {
    /// Lines sent in a row go out as one group.
    fn send(&mut self, octets: &[u8]) {
        match self.exchanges.last_mut() {
            Some((sent, replies)) if replies.is_empty() => sent.extend_from_slice(octets),
            _ => self.exchanges.push((octets.to_vec(), Vec::new())),
        }
    }

    /// A setting: `after EHLO`, `after DATA`, `limit NAME NUMBER`, or an answer of the handler.
    fn set(&mut self, setting: &str) {
        match setting.split_once(' ') {
            Some(("after", place)) => self.begin(place),
            Some(("limit", limit)) => {
                let (name, number) = limit.split_once(' ').unwrap();
                let number: usize = number.parse().unwrap();
                match name {
                    "command_line" => self.limits.command_line = number,
                    "content_line" => self.limits.content_line = number,
                    "message_size" => self.limits.message_size = number as u64,
                    "recipients" => self.limits.recipients = number,
                    "errors" => self.limits.errors = number,
                    "refused_content" => self.limits.refused_content = number as u64,
                    "fruitless_commands" => self.limits.fruitless_commands = number,
                    _ => panic!("unknown limit: {name}"),
                }
            }
            Some((question @ ("mail" | "recipient"), rest)) => {
                let (path, reply) = rest.split_once(' ').unwrap();
                self.answers.insert(format!("{question} {path}"), parse_reply(reply));
            }
            Some((question @ ("data" | "content" | "end"), reply)) => {
                self.answers.insert(question.to_owned(), parse_reply(reply));
            }
            _ => panic!("unknown setting: {setting}"),
        }
    }

    /// The usual beginning, for sessions in which something else is of interest.
    fn begin(&mut self, place: &str) {
        let lines = |replies: &[&str]| replies.iter().map(|reply| format!("{reply} ...")).collect();
        let ehlo = lines(&["220", "250-mx.test", "250-", "250-", "250-", "250-", "250"]);
        self.exchanges.push((b"EHLO client.test\r\n".to_vec(), ehlo));
        if place == "DATA" {
            let group = b"MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n".to_vec();
            self.exchanges.push((group, lines(&["250 2.1.0", "250 2.1.5", "354"])));
        }
    }
}

/// `550 5.1.1 text`
fn parse_reply(text: &str) -> Reply {
    let mut words = text.splitn(3, ' ');
    let code = words.next().unwrap().parse().unwrap();
    let status: Vec<u16> = words.next().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    let class = u8::try_from(status[0]).unwrap();
    Reply::new(code, (class, status[1], status[2]), words.next().unwrap().to_owned())
}

/// Octets of a line that the client sends or that is kept: `\r`, `\n`, `\t`, `\\`, `\xHH`, and `\{N}c` for N times the character c.
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

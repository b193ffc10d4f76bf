//! Writes a field of tags, folded.

/// Columns of a line, its CRLF not counted (RFC 5322 §2.1.1).
const COLUMNS: usize = 78;

/// A field being written. White space stands only where it may: behind the semicolons between tags, behind the colons of `h=`, and anywhere in
/// base64.
#[derive(Debug)]
pub(in crate::authn) struct FieldWriter {
    text: String,
    column: usize,
}

impl FieldWriter {
    /// A field of this name.
    pub(in crate::authn) fn new(name: &str) -> Self {
        Self { text: format!("{name}:"), column: name.len() + 1 }
    }

    /// Writes a tag whose value has no place to fold.
    pub(in crate::authn) fn tag(&mut self, name: &str, value: &str) {
        self.word(&format!("{name}={value};"));
    }

    /// Writes a tag whose value is a list with colons.
    pub(in crate::authn) fn list<'a>(&mut self, name: &str, elements: impl IntoIterator<Item = &'a str>) {
        let mut elements = elements.into_iter().peekable();
        let mut start = format!("{name}=");
        while let Some(element) = elements.next() {
            let end = if elements.peek().is_some() { ':' } else { ';' };
            let piece = format!("{start}{element}{end}");
            if start.is_empty() {
                self.piece(&piece);
            } else {
                self.word(&piece);
            }
            start.clear();
        }
    }

    /// Begins the last tag, `b=`, and gives the field as it is signed: without the value.
    pub(in crate::authn) fn begin_signature(&mut self) -> &[u8] {
        self.word("b=");
        self.text.as_bytes()
    }

    /// Ends the field with the value of its last tag, in base64.
    pub(in crate::authn) fn finish(mut self, signature: &str) -> String {
        let mut rest = signature;
        while !rest.is_empty() {
            let room = COLUMNS.saturating_sub(self.column);
            if room == 0 {
                self.fold();
                continue;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.append(now);
            rest = later;
        }
        self.text.push_str("\r\n");
        self.text
    }

    /// What white space stands before.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > COLUMNS {
            self.fold();
        } else {
            self.append(" ");
        }
        self.append(word);
    }

    /// What white space may stand before.
    fn piece(&mut self, piece: &str) {
        if self.column + piece.len() > COLUMNS {
            self.fold();
        }
        self.append(piece);
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n ");
        self.column = 1;
    }

    fn append(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }
}

//! BDAT (RFC 3030 §2). The octets of a chunk follow its command whatever that is answered: they are always read, and never taken for
//! commands.

use super::state::{Asked, Chunk, Chunking, Size, State, Transaction};
use super::{Session, Step, replies};
use crate::model::Reply;
use crate::smtp::inspector::Inspector;

impl Session {
    pub(super) fn bdat(&mut self, size: Size) {
        match self.take_state() {
            State::Transaction(transaction) if transaction.recipients > 0 => {
                self.steps.push_back(Step::Data);
                self.state = State::Asked(Asked::Chunk(transaction, size));
            }
            State::Transaction(transaction) => {
                let reply = self.no_recipients(&transaction);
                self.swallow(State::Transaction(transaction), size, reply);
            }
            State::BetweenChunks(chunking) => {
                let refusal = chunking.has_failed.then(replies::failed_chunks);
                self.begin_chunk(chunking, size, refusal);
            }
            state => {
                let reply = self.out_of_order(&state);
                self.swallow(state, size, reply);
            }
        }
    }

    /// The first chunk of a transaction, now that it is known whether its content is wanted.
    pub(super) fn begin_chunks(&mut self, transaction: Transaction, size: Size, refusal: Option<Reply>) {
        if let Some(reply) = refusal {
            return self.swallow(State::Transaction(transaction), size, reply);
        }
        let Transaction { client, body, recipients, .. } = transaction;
        let inspector = Inspector::new(body, self.limits.content_line);
        let chunking =
            Chunking { client, recipients, inspector, announced: 0, has_failed: false, swallowed: 0 };
        self.begin_chunk(chunking, size, None);
    }

    fn begin_chunk(&mut self, chunking: Chunking, Size { octets, is_last }: Size, refusal: Option<Reply>) {
        let announced = chunking.announced.saturating_add(octets);
        let is_too_big = refusal.is_none() && announced > self.limits.message_size;
        let content = Ok(Chunking { announced, ..chunking });
        self.state = State::Chunk(Chunk { content, left: octets, is_last, refusal });
        if is_too_big {
            self.refuse_content(replies::too_big());
        }
    }

    /// A chunk that belongs to nothing.
    fn swallow(&mut self, before: State, Size { octets, is_last }: Size, reply: Reply) {
        let content = Err(Box::new(before));
        self.state = State::Chunk(Chunk { content, left: octets, is_last, refusal: Some(reply) });
    }

    /// The next of a chunk; nothing where there is something else to be handed out.
    pub(super) fn receive_chunk<'a>(&mut self, input: &mut &'a [u8]) -> Option<Step<'a>> {
        let State::Chunk(chunk) = &mut self.state else { return None };
        if chunk.left == 0 {
            self.end_chunk();
            return None;
        }
        if input.is_empty() {
            return Some(Step::Idle);
        }
        let taken = usize::try_from(chunk.left).map_or(input.len(), |left| left.min(input.len()));
        let (octets, rest) = input.split_at(taken);
        *input = rest;
        chunk.left -= taken as u64;
        match &mut chunk.content {
            Ok(chunking) if !chunking.has_failed => match chunking.inspector.inspect(octets) {
                Ok(()) => return Some(Step::Content(octets)),
                Err(fault) => self.refuse_content(replies::faulty_content(fault)),
            },
            Ok(chunking) => {
                chunking.swallowed += taken as u64;
                if chunking.swallowed > self.limits.refused_content {
                    self.give_up_chunk();
                }
            }
            // Many small ones are errors enough to end the session.
            Err(_) if chunk.left > self.limits.refused_content => self.give_up_chunk(),
            Err(_) => {}
        }
        None
    }

    /// What was refused does not end: its reply, and no more of it.
    fn give_up_chunk(&mut self) {
        self.end_chunk();
        self.close_endless();
    }

    fn end_chunk(&mut self) {
        self.progress += 1;
        let State::Chunk(Chunk { content, is_last, refusal, .. }) = self.take_state() else { return };
        let chunking = match content {
            Ok(chunking) => chunking,
            Err(before) => {
                self.state = *before;
                return refusal.into_iter().for_each(|reply| self.reply(reply));
            }
        };
        let fault = if is_last && refusal.is_none() { chunking.inspector.finish().err() } else { None };
        if let Some(fault) = fault {
            self.steps.push_back(Step::Reset);
            let (client, recipients) = (chunking.client, chunking.recipients);
            self.state = State::Ready(client);
            return self.final_reply(replies::faulty_content(fault), recipients);
        }
        match (is_last, refusal) {
            (false, refusal) => {
                let reply = refusal.unwrap_or_else(|| replies::chunk_taken(chunking.announced));
                self.state = State::BetweenChunks(chunking);
                self.reply(reply);
            }
            (true, Some(reply)) => {
                self.state = State::Ready(chunking.client);
                self.final_reply(reply, chunking.recipients);
            }
            (true, None) => {
                self.steps.push_back(Step::EndOfContent);
                self.state = State::Asked(Asked::EndOfContent(chunking.client, chunking.recipients));
            }
        }
    }
}

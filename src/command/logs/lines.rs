//! Rendered lines of one log as they come: all of them, or the last ones.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, Stream, StreamExt, try_unfold};
use tokio::time::timeout;

use crate::render::transcript::Rendering;

/// A followed log that gives nothing for so long was read to its end for now.
const PAUSE: Duration = Duration::from_millis(300);

/// The lines of a log. With `tail`, of what is there already only so many, the last ones; where the
/// log is followed, what comes later is given, too.
pub(super) fn of<'a>(
    bytes: LocalBoxStream<'a, anyhow::Result<Bytes>>,
    rendering: Rendering<'a>,
    tail: Option<usize>,
    follow: bool,
) -> impl Stream<Item = anyhow::Result<Vec<u8>>> + 'a {
    let tail = tail.map(Tail::new);
    let reader = Reader { bytes, rendering, tail, follow, has_read: false, end: None };
    try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|lines| (lines, reader))))
}

struct Reader<'a> {
    bytes: LocalBoxStream<'a, anyhow::Result<Bytes>>,
    rendering: Rendering<'a>,
    /// The last lines, until all that was there already is read.
    tail: Option<Tail>,
    follow: bool,
    has_read: bool,
    /// How the log ended.
    end: Option<anyhow::Result<()>>,
}

impl Reader<'_> {
    /// The next lines. What came before an error is given before it.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        while lines.is_empty() {
            if let Some(end) = self.end.take() {
                end?;
                self.end = Some(Ok(()));
                return Ok(None);
            }
            match self.piece().await {
                Piece::Bytes(bytes) => {
                    self.has_read = true;
                    let tail = &mut self.tail;
                    self.rendering.read(&bytes, |line| keep(tail, &mut lines, line));
                }
                Piece::Pause => lines = self.tail.take().map(Tail::lines).unwrap_or_default(),
                Piece::End(end) => {
                    let tail = &mut self.tail;
                    self.rendering.finish(|line| keep(tail, &mut lines, line));
                    lines.extend(self.tail.take().map(Tail::lines).unwrap_or_default());
                    self.end = Some(end);
                }
            }
        }
        Ok(Some(lines))
    }

    async fn piece(&mut self) -> Piece {
        let next = self.bytes.next();
        let piece = if self.follow && self.tail.is_some() && self.has_read {
            match timeout(PAUSE, next).await {
                Ok(piece) => piece,
                Err(_) => return Piece::Pause,
            }
        } else {
            next.await
        };
        match piece {
            Some(Ok(bytes)) => Piece::Bytes(bytes),
            Some(Err(error)) => Piece::End(Err(error)),
            None => Piece::End(Ok(())),
        }
    }
}

/// What a log gives next.
enum Piece {
    Bytes(Bytes),
    /// Nothing for a while.
    Pause,
    End(anyhow::Result<()>),
}

fn keep(tail: &mut Option<Tail>, lines: &mut Vec<u8>, line: &[u8]) {
    match tail {
        Some(tail) => tail.push(line),
        None => lines.extend_from_slice(line),
    }
}

/// The last lines of a text.
struct Tail {
    max: usize,
    lines: VecDeque<Vec<u8>>,
}

impl Tail {
    fn new(max: usize) -> Self {
        Self { max, lines: VecDeque::new() }
    }

    /// The room of the line that leaves is used again.
    fn push(&mut self, line: &[u8]) {
        let gone = if self.lines.len() < self.max { None } else { self.lines.pop_front() };
        if self.max == 0 {
            return;
        }
        let mut room = gone.unwrap_or_default();
        room.clear();
        room.extend_from_slice(line);
        self.lines.push_back(room);
    }

    fn lines(self) -> Vec<u8> {
        self.lines.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;

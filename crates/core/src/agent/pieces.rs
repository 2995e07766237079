//! Splits an agent's output into lines, with bounded memory.

/// A longer line is not kept whole.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// A piece of an output. All of them in their order are the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line, with its line break where it has one.
    Line(&'a [u8]),
    /// A part of a line of more than [`MAX_LINE_BYTES`]; the last part has the line break.
    Part(&'a [u8]),
}

/// Splits bytes that come in any portions.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The line so far, without a line break.
    line: Vec<u8>,
    /// Parts of the line were given already.
    is_long: bool,
}

impl Splitter {
    /// Calls `each` with every line that the bytes complete, and with the parts of long ones.
    pub fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let end = memchr(bytes).map(|at| at + 1);
            let room = MAX_LINE_BYTES - self.line.len();
            let taken = end.unwrap_or(bytes.len()).min(room);
            let (piece, rest) = bytes.split_at(taken);
            let is_end = end == Some(taken);
            bytes = rest;
            if is_end && self.line.is_empty() {
                // Most lines come whole: no copy.
                each(self.piece(piece));
                self.is_long = false;
                continue;
            }
            self.line.extend_from_slice(piece);
            if is_end || self.line.len() >= MAX_LINE_BYTES {
                self.is_long |= !is_end;
                each(self.piece(&self.line));
                self.is_long &= !is_end;
                self.line.clear();
            }
        }
    }

    /// Calls `each` with the last line, where it has no line break.
    pub fn finish(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if !self.line.is_empty() {
            each(self.piece(&self.line));
        }
        *self = Self::default();
    }

    fn piece<'a>(&self, bytes: &'a [u8]) -> Piece<'a> {
        if self.is_long { Piece::Part(bytes) } else { Piece::Line(bytes) }
    }
}

/// The first line break.
fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(portions: &[&[u8]]) -> Vec<(bool, Vec<u8>)> {
        let (mut splitter, mut pieces) = (Splitter::default(), Vec::new());
        let mut keep = |piece: Piece<'_>| match piece {
            Piece::Line(bytes) => pieces.push((true, bytes.to_vec())),
            Piece::Part(bytes) => pieces.push((false, bytes.to_vec())),
        };
        for portion in portions {
            splitter.read(portion, &mut keep);
        }
        splitter.finish(&mut keep);
        pieces
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_parts_and_the_next_one_is_whole() {
        let long = vec![b'x'; 2 * MAX_LINE_BYTES + 7];
        let pieces = split(&[b"a\n", &long, b"y\nb\n", b"c"]);
        let kinds: Vec<(bool, usize)> =
            pieces.iter().map(|(is_line, bytes)| (*is_line, bytes.len())).collect();
        let expected = [
            (true, 2),
            (false, MAX_LINE_BYTES),
            (false, MAX_LINE_BYTES),
            (false, 9),
            (true, 2),
            (true, 1),
        ];
        assert_eq!(kinds, expected);
        let all: Vec<u8> = pieces.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(all, [b"a\n", &long[..], b"y\nb\nc"].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn where_the_bytes_are_split_never_matters(
            text in "[ab\n]{0,40}", at in any::<prop::sample::Index>(),
        ) {
            let (first, second) = text.as_bytes().split_at(at.index(text.len() + 1));
            let whole = split(&[text.as_bytes()]);
            prop_assert_eq!(split(&[first, second]), whole.clone());
            let lines: Vec<&[u8]> =
                text.as_bytes().split_inclusive(|byte| *byte == b'\n').collect();
            prop_assert_eq!(whole.iter().map(|(_, line)| &line[..]).collect::<Vec<_>>(), lines);
        }
    }
}

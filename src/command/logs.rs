//! `coordinator logs`: what an agent wrote, its secrets masked and its escape sequences removed. On
//! this machine the file itself, whose path `coordinator sessions -o json` shows, has every byte.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, bail};
use futures_util::StreamExt;

use crate::cli::{Global, Logs};
use crate::command::{Finished, Refused, clients, in_time, slots};
use crate::platforms::Log;
use crate::secrets::MaskedStderr;
use crate::workflow_commands::{Escape, EscapedWriter};
use coordinator_core::sanitize;
use coordinator_core::secrets::Secrets;
use coordinator_roster::Roster;

const WRITING: &str = "cannot write the log to standard output";

/// Prints the log as it comes, because it may be long or followed.
pub async fn run(
    options: &Logs,
    global: &Global,
    roster: &Roster,
    secrets: &Secrets,
) -> anyhow::Result<Finished> {
    let slots = slots::meant(roster, &options.slot)?;
    let platform = clients::platform_to_look(roster, global).await?;
    if options.follow && !platform.can_follow().await {
        let why = "the plugin cannot follow a log; run the command again without --follow";
        bail!(Refused::Usage(why.to_owned()));
    }
    let log = platform.logs(&slots, options.generation, options.follow);
    let log = in_time(roster, format!("reading the log of {}", options.slot), log).await?;
    let out = &mut EscapedWriter::over(io::stdout().lock(), Escape::from_environment());
    print(log, secrets, out).await?;
    Ok(Finished::ok(String::new()))
}

/// Prints a log to `out` until it ends, and its note to standard error. What came before an error
/// is printed, too. A reader that goes away (`| head`) is not an error.
pub async fn print(log: Log<'_>, secrets: &Secrets, out: &mut impl Write) -> anyhow::Result<()> {
    if !log.note.is_empty() {
        MaskedStderr::new(secrets.clone()).write_all(format!("{}\n", log.note).as_bytes())?;
    }
    let mut printer = Printer { out, secrets, line: Vec::new() };
    let mut bytes = log.bytes;
    let mut end = Ok(());
    while let Some(piece) = bytes.next().await {
        let printed = piece.and_then(|bytes| {
            printer.print(&bytes)?;
            printer.out.flush().context(WRITING)
        });
        if printed.is_err() {
            end = printed;
            break;
        }
    }
    unless_unread(end.and(printer.finish()))
}

fn unless_unread(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_unread = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    match printed {
        Err(error) if is_unread(&error) => Ok(()),
        other => other,
    }
}

/// Prints whole lines, because a secret may stand across two reads.
struct Printer<'a, W> {
    out: &'a mut W,
    secrets: &'a Secrets,
    line: Vec<u8>,
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> anyhow::Result<()> {
        let line = sanitize::lines(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        self.out.write_all(self.secrets.mask(&line).as_bytes()).context(WRITING)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            self.end_line()?;
        }
        self.out.flush().context(WRITING)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};

    use super::*;

    fn printed(chunks: &[&str]) -> String {
        let secrets = Secrets::new(["s3cret-value".to_owned()]);
        let mut out = Vec::new();
        let mut printer = Printer { out: &mut out, secrets: &secrets, line: Vec::new() };
        for chunk in chunks {
            printer.print(chunk.as_bytes()).expect("a vector takes everything");
        }
        printer.finish().expect("a vector takes everything");
        String::from_utf8(out).expect("only text is printed")
    }

    fn streamed(pieces: Vec<anyhow::Result<Bytes>>) -> (anyhow::Result<()>, String) {
        let secrets = Secrets::new(["s3cret-value".to_owned()]);
        let mut out = Vec::new();
        let log = Log { note: String::new(), bytes: stream::iter(pieces).boxed() };
        let printed = print(log, &secrets, &mut out).now_or_never().expect("nothing to wait for");
        (printed, String::from_utf8(out).expect("only text is printed"))
    }

    #[test]
    fn a_streamed_log_is_printed_like_a_file() {
        let pieces = ["key s3cret-", "value\u{1b}[31m end\nla", "st"];
        let pieces = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let (printed, text) = streamed(pieces.collect());
        assert!(printed.is_ok(), "{printed:?}");
        assert_eq!(text, "key *** end\nlast\n");
    }

    #[test]
    fn what_came_before_a_stream_broke_off_is_printed_and_the_break_is_an_error() {
        let (printed, text) =
            streamed(vec![Ok(Bytes::from_static(b"one\ntw")), Err(anyhow::anyhow!("cut"))]);
        assert_eq!(printed.expect_err("it broke off").to_string(), "cut");
        assert_eq!(text, "one\ntw\n");
    }

    /// `| head` that has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let bytes = stream::iter([Ok(Bytes::from_static(b"one\n"))]).boxed();
        let log = Log { note: String::new(), bytes };
        let printed = print(log, &Secrets::default(), &mut Gone).now_or_never();
        assert!(printed.expect("nothing to wait for").is_ok());
    }

    #[test]
    fn a_secret_across_two_reads_is_masked() {
        assert_eq!(printed(&["key s3cret-", "value end\nnext"]), "key *** end\nnext\n");
    }

    #[test]
    fn a_secret_cannot_hide_behind_an_escape_sequence() {
        assert_eq!(printed(&["s3cret\u{1b}[1m-value\n"]), "***\n");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        let log = "a\u{1b}[31mred\u{1b}[0m\tb\r\n10%\r20%\n\u{1b}]0;title\u{7}\u{9b}2Jc\n";
        assert_eq!(printed(&[log]), "ared\tb\n10%\n20%\n2Jc\n");
    }
}

//! `coordinator logs`: what an agent wrote, its secrets masked and its escape sequences removed. On this machine the file
//! itself, whose path `coordinator sessions -o json` tells, has every byte.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::cli::Logs;
use crate::fleet::{FleetName, Slot};
use crate::platform::actions::{Log, LogText};
use crate::platform::process::{Process, SlotFiles};
use crate::roster::Roster;
use crate::secrets::{MaskedStderr, Secrets};
use crate::untrusted;

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(200);

const CHUNK_BYTES: usize = 64 << 10;

/// Prints the log of a local session to `out`; with `--follow` goes on until the session has ended. Blocks. A reader that
/// goes away (`| head`) is no error.
pub fn from_files(
    process: &Process,
    options: &Logs,
    secrets: &Secrets,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let files = find(process, &options.slot)?;
    let home = files.home(options.generation)?;
    let mut printer = Printer { out, secrets, line: Vec::new() };
    let printed = print(&mut printer, &files, &home, options.follow);
    unless_nobody_reads(printed).with_context(|| format!("print the log in {}", home.display()))
}

/// Prints a log that comes in pieces to `out`, until it ends. What came before an error is printed, too.
pub async fn from_stream(
    log: impl Stream<Item = anyhow::Result<Bytes>>,
    secrets: &Secrets,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut printer = Printer { out, secrets, line: Vec::new() };
    let mut log = pin!(log);
    let mut end = Ok(());
    while let Some(piece) = log.next().await {
        let printed = piece.and_then(|bytes| {
            printer.print(&bytes)?;
            Ok(printer.out.flush()?)
        });
        if printed.is_err() {
            end = printed;
            break;
        }
    }
    unless_nobody_reads(end.and(printer.finish()))
}

/// Prints to `out` what GitHub has of a run's log, and to stderr where all of it is. GitHub gives no log of
/// a job that still runs, so there is nothing to follow.
pub fn of_run(log: &Log, follow: bool, secrets: &Secrets, out: &mut impl Write) -> anyhow::Result<()> {
    let Log { url, generation, text } = log;
    let note = match text {
        LogText::Whole(_) => "the whole log",
        LogText::Tail(_) => "the end of the log; all of it is on the run's page",
        LogText::NotYet => {
            "it still runs, and GitHub gives a log when the job is over; its page shows it live"
        }
        LogText::NoAgent => "no agent ran in it; its page says why",
        LogText::Gone => "GitHub has no log of it any more",
    };
    let nothing =
        if follow && *text != LogText::NotYet { "; GitHub gives no live log to follow" } else { "" };
    let line = format!("generation {generation}, {url}: {note}{nothing}\n");
    MaskedStderr::new(secrets.clone()).write_all(line.as_bytes())?;
    let (LogText::Whole(bytes) | LogText::Tail(bytes)) = text else { return Ok(()) };
    let mut printer = Printer { out, secrets, line: Vec::new() };
    unless_nobody_reads(printer.print(bytes).and_then(|()| printer.finish()))
}

fn unless_nobody_reads(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    let nobody_reads = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    match printed {
        Err(error) if nobody_reads(&error) => Ok(()),
        other => other,
    }
}

fn find(process: &Process, text: &str) -> anyhow::Result<SlotFiles> {
    let slots = readings(process.fleet(), text)?;
    let known = slots.into_iter().map(|slot| process.files(slot)).find(SlotFiles::exist);
    known.with_context(|| format!("no session of `{text}` is remembered; see `coordinator sessions`"))
}

/// The slot that is meant, where only the roster can tell: one of its roles, else the text as it stands.
pub fn slot(roster: &Roster, text: &str) -> anyhow::Result<Slot> {
    let slots = readings(&roster.fleet, text)?;
    let is_served = |slot: &&Slot| roster.roles.iter().any(|role| slot.group == role.key);
    let meant = slots.iter().find(is_served).or(slots.last());
    meant.cloned().with_context(|| no_slot(text))
}

/// What a slot's name may mean. A role's name may begin like the fleet's, so the longer reading comes first.
fn readings(fleet: &FleetName, text: &str) -> anyhow::Result<Vec<Slot>> {
    let readings = [format!("{fleet}-{text}"), text.to_owned()];
    let slots: Vec<Slot> = readings.iter().filter_map(|reading| Slot::parse(fleet, reading)).collect();
    if slots.is_empty() {
        bail!(no_slot(text));
    }
    Ok(slots)
}

fn no_slot(text: &str) -> String {
    format!("`{text}` is no slot; slots look like ui-builder-s0, see `coordinator sessions`")
}

fn print(
    printer: &mut Printer<'_, impl Write>,
    files: &SlotFiles,
    home: &Path,
    goes_on: bool,
) -> anyhow::Result<()> {
    copy(&home.join("out.log.1"), 0, printer)?;
    let offset = copy(&home.join("out.log"), 0, printer)?;
    if goes_on {
        follow(printer, files, home, offset)?;
    }
    printer.finish()
}

/// Prints what comes after `offset` until the session has ended.
fn follow(
    printer: &mut Printer<'_, impl Write>,
    files: &SlotFiles,
    home: &Path,
    mut offset: u64,
) -> anyhow::Result<()> {
    let (log, rotated) = (home.join("out.log"), home.join("out.log.1"));
    loop {
        let has_ended = files.has_ended(home)?;
        if log.metadata().is_ok_and(|metadata| metadata.len() < offset) {
            // The log was copied aside and emptied: what we have not seen of it is in the copy.
            copy(&rotated, offset, printer)?;
            offset = 0;
        }
        offset = copy(&log, offset, printer)?;
        printer.out.flush()?;
        if has_ended {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// Prints the file from `offset` to its present end, and returns that; a file that is not there is empty.
fn copy(path: &Path, mut offset: u64, printer: &mut Printer<'_, impl Write>) -> anyhow::Result<u64> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(offset),
        other => other?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(offset);
        }
        offset += count as u64;
        printer.print(&chunk[..count])?;
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
        let line = untrusted::lines(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        Ok(self.out.write_all(self.secrets.mask(&line).as_bytes())?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            self.end_line()?;
        }
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

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
        let log = futures_util::stream::iter(pieces);
        let printed = from_stream(log, &secrets, &mut out).now_or_never().expect("nothing to wait for");
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
        let (printed, text) = streamed(vec![Ok(Bytes::from_static(b"one\ntw")), Err(anyhow::anyhow!("cut"))]);
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
        let log = futures_util::stream::iter([Ok(Bytes::from_static(b"one\n"))]);
        let printed = from_stream(log, &Secrets::default(), &mut Gone).now_or_never();
        assert!(printed.expect("nothing to wait for").is_ok());
    }

    #[test]
    fn a_slot_has_two_readings_when_its_role_may_begin_like_the_fleet() {
        let fleet = FleetName::parse("demo").expect("a valid name");
        let names =
            |text| readings(&fleet, text).map(|slots| slots.iter().map(Slot::name).collect::<Vec<_>>()).ok();
        assert_eq!(names("demo-tester-s0"), Some(vec!["demo-tester-s0".to_owned(), "tester-s0".to_owned()]));
        assert_eq!(names("tester-s0"), Some(vec!["tester-s0".to_owned(); 2]));
        assert_eq!(names("../etc"), None);
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

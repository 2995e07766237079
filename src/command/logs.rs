//! `coordinator logs`: what agents wrote, readable or as it is, its secrets masked.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::SystemTime;

use anyhow::{Context, bail};
use futures_util::stream::{self, LocalBoxStream, SelectAll, StreamExt};

use crate::cli::{Global, Logs};
use crate::command::{Finished, Refused, clients, in_time, slots};
use crate::platforms::{AnyPlatform, Log};
use crate::render::transcript::Rendering;
use crate::render::{Form, shown};
use crate::secrets::MaskedStderr;
use crate::sources;
use crate::workflow_commands::{Escape, EscapedWriter};
use coordinator_core::agent::Profile;
use coordinator_core::fleet::Slot;
use coordinator_core::secrets::Secrets;
use coordinator_core::source::Source;
use coordinator_roster::Roster;

mod lines;
mod print;
mod select;
mod unstarted;

use print::Printer;
use select::{Filter, Session};

/// Characters of a note on standard error.
const MAX_NOTE: usize = 2_000;

/// What the logs of a command have in common.
#[derive(Clone, Copy)]
struct Reader<'a> {
    platform: &'a AnyPlatform,
    roster: &'a Roster,
    options: &'a Logs,
    form: Form<'a>,
}

/// Prints logs as they come, because they may be long or followed.
pub async fn run(
    options: &Logs,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let filter = filter(options, roster)?;
    let platform = &clients::platform_to_look(roster, global).await?;
    let reader = Reader { platform, roster, options, form };
    match (&options.slot, options.since) {
        (Some(name), None) => reader.one(name).await,
        (Some(_), Some(_)) | (None, _) => reader.many(&filter).await,
    }
}

/// Which sessions the options mean, where they name no single one.
fn filter(options: &Logs, roster: &Roster) -> anyhow::Result<Filter> {
    let role = options.role.as_deref().map(|role| slots::role(roster, role)).transpose()?;
    if let Some(name) = &options.source {
        let sources = sources::configured(roster, &[], &[]);
        let names: Vec<&str> = sources.iter().map(Source::name).collect();
        if !names.contains(&name.as_str()) {
            let known = names.join(", ");
            bail!(Refused::Usage(format!("no source named `{name}`; this roster has {known}")));
        }
    }
    let slots = options.slot.as_deref().map(|name| slots::meant(roster, name)).transpose()?;
    Ok(Filter {
        slots: slots.unwrap_or_default(),
        role: role.map(|role| role.key.clone()),
        source: options.source.clone(),
        since: options.since,
    })
}

impl<'a> Reader<'a> {
    /// The log of one slot. A slot that has not run yet is explained.
    async fn one(self, name: &str) -> anyhow::Result<Finished> {
        let meant = slots::meant(self.roster, name)?;
        let generation = self.options.generation;
        let log = self.platform.logs(&meant, generation, self.options.follow);
        let log = match in_time(self.roster, format!("reading the log of {name}"), log).await {
            Ok(log) => log,
            Err(error) if generation.is_none() => {
                let explained = unstarted::explain(self.platform, self.roster, &meant, self.form);
                let explained = in_time(self.roster, "listing sessions", explained).await;
                return explained.ok().flatten().map(Finished::ok).ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let profile = self.profile_of(&meant).await;
        note(&log, self.form.secrets)?;
        let mut printer = Printer::new(out(), &[], self.form.screen.color);
        let mut lines = self.lines(log, profile);
        while let Some(text) = lines.next().await {
            if printer.print(0, &text?)?.is_break() {
                break;
            }
        }
        Ok(Finished::ok(String::new()))
    }

    /// The logs of several sessions, each line under the name of its session: those that ended one
    /// after another, then the live ones; these all at once where they are followed.
    async fn many(self, filter: &Filter) -> anyhow::Result<Finished> {
        let now = SystemTime::now();
        let found = select::sessions(self.platform, self.roster, filter, now);
        let found = in_time(self.roster, "listing sessions", found).await?;
        if found.is_empty() {
            say(self.form.secrets, select::none(filter))?;
        }
        let names: Vec<String> = found.iter().map(|session| session.name.clone()).collect();
        let mut printer = Printer::new(out(), &names, self.form.screen.color);
        let (mut live, mut read) = (SelectAll::new(), 0);
        for (place, session) in found.iter().enumerate() {
            let Some(mut lines) = self.open(session).await? else { continue };
            read += 1;
            if self.options.follow && session.is_live {
                live.push(lines.map(move |text| (place, text)).boxed_local());
                continue;
            }
            while let Some(text) = lines.next().await {
                if self.print(&mut printer, session, place, text)?.is_break() {
                    return Ok(Finished::ok(String::new()));
                }
            }
        }
        while let Some((place, text)) = live.next().await {
            if self.print(&mut printer, &found[place], place, text)?.is_break() {
                break;
            }
        }
        Ok(Finished { stdout: String::new(), code: u8::from(read == 0 && !found.is_empty()) })
    }

    /// A log that breaks off is a note: the others go on.
    fn print(
        self,
        printer: &mut Printer<impl Write>,
        session: &Session,
        place: usize,
        text: anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<ControlFlow<()>> {
        match text {
            Ok(text) => printer.print(place, &text),
            Err(error) => {
                say(self.form.secrets, &format!("{}: {error:#}", session.name))?;
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// The log of a session; a note, where it has none any more.
    async fn open(
        self,
        session: &Session,
    ) -> anyhow::Result<Option<LocalBoxStream<'a, anyhow::Result<Vec<u8>>>>> {
        let slot = std::slice::from_ref(&session.slot);
        let follow = self.options.follow && session.is_live;
        let log = self.platform.logs(slot, session.generation, follow);
        match in_time(self.roster, format!("reading the log of {}", session.name), log).await {
            Ok(log) => {
                note(&log, self.form.secrets)?;
                Ok(Some(self.lines(log, session.profile).boxed_local()))
            }
            Err(error) => {
                say(self.form.secrets, &format!("{}: {error:#}", session.name))?;
                Ok(None)
            }
        }
    }

    fn lines(
        self,
        log: Log<'a>,
        profile: Profile,
    ) -> impl stream::Stream<Item = anyhow::Result<Vec<u8>>> + Unpin + 'a {
        let rendering = if self.options.raw {
            Rendering::raw(io::stdout().is_terminal(), self.form.secrets)
        } else {
            Rendering::readable(profile, self.form.screen.color, self.form.secrets)
        };
        let tail = self.options.lines;
        lines::of(log.bytes, rendering, tail, self.options.follow).boxed_local()
    }

    /// The form of the output in the first of these slots that has a role.
    async fn profile_of(self, slots: &[Slot]) -> Profile {
        let known = slots.iter().find_map(|slot| select::profile(&self.roster.roles, slot, None));
        if let Some(known) = known {
            return known;
        }
        // The role of a work item is in its record alone.
        let found = self.platform.sessions().await.map(|found| found.slots).unwrap_or_default();
        let record = found.iter().find(|found| slots.contains(&found.slot));
        record
            .and_then(|record| {
                select::profile(&self.roster.roles, &record.slot, select::item(record))
            })
            .unwrap_or_default()
    }
}

/// Standard output, where a runner obeys no line of an agent.
fn out() -> EscapedWriter<io::StdoutLock<'static>> {
    EscapedWriter::over(io::stdout().lock(), Escape::from_environment())
}

/// What a person should know of the log, on standard error.
fn note(log: &Log<'_>, secrets: &Secrets) -> anyhow::Result<()> {
    if log.note.is_empty() { Ok(()) } else { say(secrets, &log.note) }
}

fn say(secrets: &Secrets, line: &str) -> anyhow::Result<()> {
    let line = shown(line, MAX_NOTE, secrets) + "\n";
    MaskedStderr::new(secrets.clone()).write_all(line.as_bytes()).context("write a note")
}

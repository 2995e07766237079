//! The report for people.

use std::iter;

use super::outline::{Entry, Line, Mark, StepOutline, Tone, steps};
use super::words::{count, minute, sentence, span};
use super::{Screen, wrap};
use coordinator_core::report::{Report, Status};
use coordinator_core::sanitize::one_line;

/// Where a step's lines begin.
const INDENT: usize = 13;
/// Where the cost of a cycle begins, when there is much to say before it.
const COST: usize = 65;
/// Where advice begins.
const ADVICE: usize = 8;
/// Columns grow no wider for one long name or title.
const WIDEST: usize = 40;
/// With less room beside the columns, a detail begins on a line of its own.
const NARROWEST: usize = 30;

/// The report, with a line break at its end.
pub fn report(report: &Report, screen: Screen) -> String {
    let page = Page { screen };
    let mut lines = vec![page.heading(report), String::new()];
    for step in steps(report) {
        lines.extend(page.summary(&step));
        let columns = Columns::of(&step.entries);
        lines.extend(step.entries.iter().flat_map(|entry| page.entry(entry, columns)));
    }
    lines.push(String::new());
    lines.extend(page.verdict(report));
    if !report.advice.is_empty() {
        lines.push(String::new());
        lines.extend(page.advice(report));
    }
    lines.join("\n") + "\n"
}

/// Lays text out for one screen.
#[derive(Clone, Copy)]
struct Page {
    screen: Screen,
}

impl Page {
    fn paint(self, tone: Tone, text: &str) -> String {
        let style = style(tone);
        if self.screen.color && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn wrapped(self, text: &str, column: usize) -> Vec<String> {
        wrap::wrapped(text, self.screen.width.map(|width| width.saturating_sub(column)))
    }

    fn heading(self, report: &Report) -> String {
        let time = self.paint(Tone::Detail, &format!("{} UTC", minute(report.started_at)));
        let note = if report.dry_run { "  dry run: nothing was changed" } else { "" };
        format!("coordinator  {}  {time}{note}", report.fleet)
    }

    fn summary(self, step: &StepOutline) -> Vec<String> {
        let rows = step.lines.iter().flat_map(|Line { tone, text }| {
            self.wrapped(text, INDENT).into_iter().map(|row| self.paint(*tone, &row))
        });
        let names = iter::once(step.name).chain(iter::repeat(""));
        rows.zip(names).map(|(row, name)| format!("  {name:<width$}{row}", width = INDENT - 2)).collect()
    }

    fn entry(self, entry: &Entry, columns: Columns) -> Vec<String> {
        let head = columns.head(entry, self.screen.width.is_some());
        let used = INDENT + head.chars().count();
        let beside = self.screen.width.is_none_or(|width| used + NARROWEST <= width);
        let column = if beside { used } else { INDENT + 2 };
        let rows = entry.detail.iter().flat_map(|line| self.wrapped(line, column));
        let mut rows = rows.map(|row| self.paint(detail_tone(entry.mark), &row));
        let first = if beside { rows.next() } else { None };
        let head = if first.is_some() { &head } else { head.trim_end() };
        let head = self.paint(mark_tone(entry.mark), head);
        let first = format!("{:INDENT$}{head}{}", "", first.unwrap_or_default());
        iter::once(first).chain(rows.map(|row| format!("{:column$}{row}", ""))).collect()
    }

    fn verdict(self, report: &Report) -> Vec<String> {
        let requests = report.requests.github + report.requests.platform + report.requests.health;
        let cost = format!("{}, {}", span(report.duration), count(requests, "request"));
        let (tone, status) = (verdict_tone(report.status), report.status.word());
        if report.reasons.is_empty() {
            return vec![format!("{}  {}", self.paint(tone, status), self.paint(Tone::Detail, &cost))];
        }
        let reasons =
            report.reasons.iter().map(|reason| sentence(&reason.text)).collect::<Vec<_>>().join("; ");
        let rows = self.wrapped(&format!("{status}: {reasons}"), 0);
        let length = rows.last().map_or(0, |row| row.chars().count());
        let gap = COST.saturating_sub(length).max(2);
        let fits = self.screen.width.is_none_or(|width| length + gap + cost.chars().count() <= width);
        let mut lines: Vec<_> = rows.iter().map(|row| self.paint(tone, row)).collect();
        let cost = self.paint(Tone::Detail, &cost);
        match lines.last_mut() {
            Some(last) if fits => *last = format!("{last}{:gap$}{cost}", ""),
            _ => lines.push(cost),
        }
        lines
    }

    fn advice(self, report: &Report) -> Vec<String> {
        let rows = report.advice.iter().flat_map(|advice| {
            self.wrapped(&format!("{}: {}", sentence(&advice.signal), sentence(&advice.action)), ADVICE)
        });
        let titles = iter::once("advice").chain(iter::repeat(""));
        rows.zip(titles).map(|(row, title)| format!("{title:<ADVICE$}{row}")).collect()
    }
}

/// Widths of the columns of one step.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    title: usize,
}

impl Columns {
    fn of(entries: &[Entry]) -> Self {
        let width = |text: &str| text.chars().count();
        let widest = |text: fn(&Entry) -> &str| {
            entries.iter().map(|entry| width(text(entry))).max().unwrap_or(0).min(WIDEST)
        };
        Self { name: widest(|entry| &entry.name), title: widest(|entry| &entry.title) }
    }

    /// Mark, name and title in their columns, and the gap before the detail.
    fn head(self, entry: &Entry, cut: bool) -> String {
        let title = if cut { one_line(&entry.title, WIDEST - 1) } else { entry.title.clone() };
        let mut head = String::from(symbol(entry.mark));
        for (text, width) in [(&entry.name, self.name), (&title, self.title)] {
            if width > 0 {
                head = format!("{head}{}{text:<width$}", if head.len() == 1 { " " } else { "  " });
            }
        }
        head + "  "
    }
}

fn symbol(mark: Mark) -> char {
    match mark {
        Mark::Done => '+',
        Mark::Present => '=',
        Mark::Held => '~',
        Mark::Left => '-',
        Mark::Stuck => '?',
        Mark::Failed => '!',
    }
}

fn mark_tone(mark: Mark) -> Tone {
    match mark {
        Mark::Done => Tone::Done,
        Mark::Present => Tone::Plain,
        Mark::Held | Mark::Left | Mark::Stuck => Tone::Held,
        Mark::Failed => Tone::Failed,
    }
}

fn detail_tone(mark: Mark) -> Tone {
    match mark {
        Mark::Done | Mark::Present | Mark::Stuck | Mark::Failed => Tone::Plain,
        Mark::Held | Mark::Left => Tone::Detail,
    }
}

fn verdict_tone(status: Status) -> Tone {
    match status {
        Status::Healthy => Tone::Done,
        Status::Degraded => Tone::Held,
        Status::Broken => Tone::Failed,
    }
}

fn style(tone: Tone) -> anstyle::Style {
    let style = anstyle::Style::new();
    match tone {
        Tone::Plain => style,
        Tone::Done => style.fg_color(Some(anstyle::AnsiColor::Green.into())),
        Tone::Held => style.fg_color(Some(anstyle::AnsiColor::Yellow.into())),
        Tone::Failed => style.fg_color(Some(anstyle::AnsiColor::Red.into())),
        Tone::Detail => style.dimmed(),
    }
}

//! The Markdown report as the summary of a workflow's step.

use std::borrow::Cow;

/// GitHub drops the whole summary of a step that has more bytes
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>).
pub const MOST_BYTES: u64 = 1 << 20;

/// What stands where lines are missing.
const CUT: &str =
    "\nThe rest is cut: GitHub takes no more than 1 MiB. `coordinator reconcile -o json` has it all.\n";

/// The report behind a summary that has `used` bytes already: cut after a line, with a sentence that says so, where it
/// would not fit; empty where not even that fits.
pub fn behind(used: u64, markdown: &str) -> Cow<'_, str> {
    let gap = if used == 0 { "" } else { "\n" };
    let room = usize::try_from(MOST_BYTES.saturating_sub(used)).unwrap_or(usize::MAX);
    if gap.len() + markdown.len() <= room {
        return if gap.is_empty() { Cow::Borrowed(markdown) } else { Cow::Owned(format!("{gap}{markdown}")) };
    }
    let Some(room) = room.checked_sub(gap.len() + CUT.len()) else {
        return Cow::Borrowed("");
    };
    let ends = markdown.bytes().take(room).rposition(|byte| byte == b'\n').map_or(0, |at| at + 1);
    Cow::Owned(format!("{gap}{}{CUT}", &markdown[..ends]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "### coordinator\n\n- größer\n- last\n";

    #[test]
    fn what_fits_is_whole_and_a_blank_line_keeps_it_from_what_was_there() {
        assert_eq!(behind(0, REPORT), REPORT);
        assert_eq!(behind(7, REPORT), format!("\n{REPORT}"));
        assert_eq!(behind(MOST_BYTES - 1 - REPORT.len() as u64, REPORT), format!("\n{REPORT}"));
    }

    #[test]
    fn a_report_that_does_not_fit_is_cut_after_a_line_and_says_so() {
        let long = "- größer\n".repeat(200_000);
        for used in [0, 1, 4_321, MOST_BYTES - 300] {
            let shown = behind(used, &long);
            let size = used + shown.len() as u64;
            assert!(size <= MOST_BYTES && size > MOST_BYTES - 20, "{size}");
            let lines = shown.strip_suffix(CUT).expect("it says so");
            assert!(lines.trim_start().is_empty() || lines.ends_with("- größer\n"), "{:?}", lines.get(..9));
        }
    }

    #[test]
    fn a_summary_without_room_for_a_sentence_gets_nothing() {
        for used in [MOST_BYTES - 5, MOST_BYTES, MOST_BYTES + 1, u64::MAX] {
            assert_eq!(behind(used, REPORT), "");
        }
    }
}

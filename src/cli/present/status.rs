//! Notes, log lines and the status line on standard error.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ColorChoice;
use oaktap::sync::locked;

use super::{output, printable};

/// The texts that share the last line of the terminal, by their owner.
static STATUS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Erases the current line and moves the cursor to its start.
const ERASE_LINE: &[u8] = b"\r\x1b[2K";

/// Standard error is the journal of systemd: each line begins with its level.
static JOURNAL: AtomicBool = AtomicBool::new(false);

/// Set with `--quiet`.
static QUIET: AtomicBool = AtomicBool::new(false);
static COLORED: AtomicBool = AtomicBool::new(false);

/// Sets whether notes are printed, and whether in color.
pub(crate) fn configure(quiet: bool, color: ColorChoice) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stderr().is_terminal() && !plain,
    };
    super::log::configure();
    JOURNAL.store(is_journal(), Ordering::Relaxed);
    QUIET.store(quiet, Ordering::Relaxed);
    COLORED.store(color, Ordering::Relaxed);
}

/// Returns whether standard error is the journal: `$JOURNAL_STREAM` has its device and inode. A program that was started with
/// another standard error inherits the variable, too.
fn is_journal() -> bool {
    #[cfg(unix)]
    {
        let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
        rustix::fs::fstat(io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
    }
    #[cfg(not(unix))]
    false
}

/// Puts the level of the journal before each line: 3 error, 4 warning, 6 information, 7 debugging.
fn with_levels(text: &str) -> String {
    let mut level = 6;
    let with_level = |line: &str| {
        level = match line.split([' ', ':']).next() {
            Some("error" | "ERROR") => 3,
            Some("WARN") => 4,
            Some("DEBUG" | "TRACE") => 7,
            // Indented lines continue the one before.
            Some("") => level,
            _ => 6,
        };
        format!("<{level}>{line}")
    };
    text.split_inclusive('\n').map(with_level).collect()
}

/// Returns whether standard error is colored.
pub(crate) fn colored() -> bool {
    COLORED.load(Ordering::Relaxed)
}

/// Prints one note on standard error, unless `--quiet` is given. Ignores errors: there is no other place to report them.
pub(crate) fn say(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        always_say(text);
    }
}

/// Like [`say`], for errors and questions, which `--quiet` keeps.
pub(crate) fn always_say(text: &str) {
    let text = printable(&super::repeating(text));
    let text = if colored() { painted(&text) } else { text };
    let _ = above_status(format!("{text}\n").as_bytes());
}

/// Colors the words that begin an error and its help.
fn painted(text: &str) -> String {
    let paint = |line: &str| match line.split_once(": ") {
        Some(("error", rest)) => format!("\x1b[1;31merror:\x1b[0m {rest}"),
        Some(("help", rest)) => format!("\x1b[1;36mhelp:\x1b[0m {rest}"),
        _ => line.to_owned(),
    };
    text.split('\n').map(paint).collect::<Vec<_>>().join("\n")
}

/// Shows `text` in the last line of the terminal; an empty text removes it. Standard error must be a terminal.
pub(crate) fn status(text: &str) {
    status_of("", text);
}

/// Like [`status`], for one of several owners that share the line.
pub(crate) fn status_of(owner: &str, text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    let mut status = locked(&STATUS);
    if text.is_empty() {
        status.remove(owner);
    } else {
        status.insert(owner.to_owned(), printable(text));
    }
    if output::stderr_has_room() {
        let _ = output::to_stderr(&[ERASE_LINE, joined(&status, terminal_columns()).as_bytes()].concat());
    }
}

/// Joins the texts into one line in which each has the same width.
fn joined(status: &BTreeMap<String, String>, columns: u16) -> String {
    let each = (usize::from(columns) / status.len().max(1)).saturating_sub(3).max(1);
    let cut = |text: &String| text.chars().take(if status.len() < 2 { each + 2 } else { each }).collect::<String>();
    status.values().map(cut).collect::<Vec<_>>().join(" | ")
}

fn above_status(text: &[u8]) -> io::Result<()> {
    if JOURNAL.load(Ordering::Relaxed) {
        return output::to_stderr(with_levels(&String::from_utf8_lossy(text)).as_bytes());
    }
    let status = locked(&STATUS);
    if status.is_empty() {
        output::to_stderr(text)
    } else {
        output::to_stderr(&[ERASE_LINE, text, joined(&status, terminal_columns()).as_bytes()].concat())
    }
}

/// Formats a list such as `a, b, c`, broken into lines of the width of the terminal. Without a terminal, one line of up to
/// 100 columns is not broken.
pub(crate) fn listed<T: AsRef<str>>(items: &[T]) -> String {
    let columns = if io::stderr().is_terminal() { terminal_columns().into() } else { 100 };
    listed_in(items, columns)
}

fn listed_in<T: AsRef<str>>(items: &[T], columns: usize) -> String {
    const INDENT: &str = "\n  ";
    let items = || items.iter().map(AsRef::as_ref);
    let line = items().collect::<Vec<_>>().join(", ");
    // Room for the words before the list.
    if line.chars().count() + columns / 3 <= columns {
        return line;
    }
    let (mut text, mut used, mut before) = (String::new(), columns, "");
    for item in items() {
        let width = item.chars().count() + 2;
        if used + width > columns {
            text.extend([before.trim_end(), INDENT]);
            used = INDENT.len() - 1;
        } else {
            text.push_str(before);
        }
        text.push_str(item);
        used += width;
        before = ", ";
    }
    text
}

/// Returns the width of the terminal at standard error, or 80.
fn terminal_columns() -> u16 {
    #[cfg(unix)]
    let columns =
        rustix::termios::tcgetwinsize(io::stderr()).map(|size| size.ws_col).ok().filter(|columns| *columns > 0);
    #[cfg(not(unix))]
    let columns = None;
    columns.unwrap_or(80)
}

/// Writes log lines to standard error, above the status line.
#[derive(Debug)]
pub(crate) struct LogWriter;

impl io::Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // A line that nothing reads is dropped, as other notes are.
        let _ = above_status(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_words_of_errors_and_help_are_colored() {
        assert_eq!(
            painted("error: no error: here\n  because\nhelp: x"),
            "\x1b[1;31merror:\x1b[0m no error: here\n  because\n\x1b[1;36mhelp:\x1b[0m x"
        );
        assert_eq!(painted("front: help: no"), "front: help: no");
    }

    #[test]
    fn each_line_has_a_level_of_the_journal() {
        assert_eq!(
            with_levels("error: no file\n  because\nhelp: make it\n")
                + &with_levels("WARN front: lost\n")
                + &with_levels("DEBUG x\n"),
            "<3>error: no file\n<3>  because\n<6>help: make it\n<4>WARN front: lost\n<7>DEBUG x\n"
        );
    }

    #[test]
    fn long_lists_are_broken_into_lines() {
        assert_eq!(listed_in(&["a", "b"], 20), "a, b");
        let ids = ["14442C01", "14442C02", "14442C03", "14442C04", "14442C05"];
        assert_eq!(listed_in(&ids, 24), "\n  14442C01, 14442C02,\n  14442C03, 14442C04,\n  14442C05");
        let many: Vec<_> = (0..40).map(|id| format!("14442C10D13EAB{id:04X}")).collect();
        let text = listed_in(&many, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.split([',', '\n']).map(str::trim).filter(|id| !id.is_empty()).collect::<Vec<_>>(), many);
    }

    #[test]
    fn several_owners_share_the_status_line() {
        let mut status = BTreeMap::from([("a".to_owned(), "a: writing 50 %".to_owned())]);
        assert_eq!(joined(&status, 12), "a: writing ", "one column stays free for the cursor");
        status.insert("b".to_owned(), "b: reading".to_owned());
        assert_eq!(joined(&status, 80), "a: writing 50 % | b: reading");
        assert_eq!(joined(&status, 24), "a: writin | b: readin");
        assert_eq!(joined(&BTreeMap::new(), 24), "");
    }
}

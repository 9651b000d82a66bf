//! Notes, log lines and the status line on standard error.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Mutex;

use oaktap::sync::locked;

use super::printable;

/// The texts that share the last line of the terminal, by their owner.
static STATUS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Erases the current line and moves the cursor to its start.
const ERASE_LINE: &[u8] = b"\r\x1b[2K";

/// Prints one note on standard error. Ignores errors: there is no other place to report them.
pub(crate) fn say(text: &str) {
    let _ = above_status(format!("{}\n", printable(text)).as_bytes());
}

/// Shows `text` in the last line of the terminal; an empty text removes it. Standard error must be a terminal.
pub(crate) fn status(text: &str) {
    status_of("", text);
}

/// Like [`status`], for one of several owners that share the line.
pub(crate) fn status_of(owner: &str, text: &str) {
    let mut status = locked(&STATUS);
    if text.is_empty() {
        status.remove(owner);
    } else {
        status.insert(owner.to_owned(), printable(text));
    }
    let _ = io::stderr().lock().write_all(&[ERASE_LINE, joined(&status, terminal_columns()).as_bytes()].concat());
}

/// Joins the texts into one line in which each has the same width.
fn joined(status: &BTreeMap<String, String>, columns: u16) -> String {
    let each = (usize::from(columns) / status.len().max(1)).saturating_sub(3).max(1);
    let cut = |text: &String| text.chars().take(if status.len() < 2 { each + 2 } else { each }).collect::<String>();
    status.values().map(cut).collect::<Vec<_>>().join(" | ")
}

fn above_status(text: &[u8]) -> io::Result<()> {
    let status = locked(&STATUS);
    let mut err = io::stderr().lock();
    if status.is_empty() {
        err.write_all(text)
    } else {
        err.write_all(&[ERASE_LINE, text, joined(&status, terminal_columns()).as_bytes()].concat())
    }
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
        above_status(text).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

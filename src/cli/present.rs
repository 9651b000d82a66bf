//! What people and programs are told: errors, notes, tables with units, JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use oaktap::source::{Class, SourceError};
use oaktap::stats::{SequenceCounts, Summary};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::recorded::Recorded;

/// The arguments make no sense together: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A camera refused, or something would not have been safe: exit code 4. Nothing is broken.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// An error, and what to do next.
#[derive(Debug)]
struct Advised {
    error: anyhow::Error,
    help: &'static str,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds what to do next.
pub(crate) fn advised(error: anyhow::Error, help: &'static str) -> anyhow::Error {
    Advised { error, help }.into()
}

/// Adds what to do next, if that is known.
pub(crate) fn with_help(error: anyhow::Error, help: Option<&'static str>) -> anyhow::Error {
    match help {
        Some(help) => advised(error, help),
        None => error,
    }
}

/// Text that may come from the network, for a terminal: control characters are written out, but for line ends.
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// What stands in the last line of a terminal until something else does: of each who has something to show.
static STATUS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Erases the line that the cursor is in, and goes to its beginning.
const ERASE: &[u8] = b"\r\x1b[2K";

/// One note on standard error. If nobody can read it, there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = above_status(format!("{}\n", printable(text)).as_bytes());
}

/// Shows how something goes in the last line of the terminal, which has to be one; an empty text ends that.
pub(crate) fn status(text: &str) {
    status_of("", text);
}

/// The same for one of several that go on at once: they share the line.
pub(crate) fn status_of(whose: &str, text: &str) {
    let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    if text.is_empty() {
        status.remove(whose);
    } else {
        status.insert(whose.to_owned(), printable(text));
    }
    let _ = io::stderr().lock().write_all(&[ERASE, joined(&status, terminal_columns()).as_bytes()].concat());
}

/// All of them in one line, each with as much room as the others.
fn joined(status: &BTreeMap<String, String>, columns: u16) -> String {
    let each = (usize::from(columns) / status.len().max(1)).saturating_sub(3).max(1);
    let cut = |text: &String| text.chars().take(if status.len() < 2 { each + 2 } else { each }).collect::<String>();
    status.values().map(cut).collect::<Vec<_>>().join(" | ")
}

fn above_status(text: &[u8]) -> io::Result<()> {
    let status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut err = io::stderr().lock();
    if status.is_empty() {
        err.write_all(text)
    } else {
        err.write_all(&[ERASE, text, joined(&status, terminal_columns()).as_bytes()].concat())
    }
}

/// Columns of the terminal that standard error is.
fn terminal_columns() -> u16 {
    #[cfg(unix)]
    let columns =
        rustix::termios::tcgetwinsize(io::stderr()).map(|size| size.ws_col).ok().filter(|columns| *columns > 0);
    #[cfg(not(unix))]
    let columns = None;
    columns.unwrap_or(80)
}

/// Where lines of the log go: standard error, without getting mixed up with the status.
#[derive(Debug)]
pub(crate) struct Log;

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        above_status(text).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Tells why it failed and what to do next.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    say(&explanation(error));
    let usage = is_caused_by(error, &|cause| {
        cause.is::<Usage>() || cause.downcast_ref::<Arc<SourceError>>().is_some_and(|e| e.class() == Class::Usage)
    });
    ExitCode::from(if usage {
        2
    } else if is_refusal(error) {
        4
    } else {
        1
    })
}

/// Whether there is such a cause, with advice or without.
fn is_caused_by(error: &anyhow::Error, wanted: &dyn Fn(&(dyn std::error::Error + 'static)) -> bool) -> bool {
    error.chain().any(|cause| {
        let advised = cause.downcast_ref::<Advised>();
        wanted(cause) || advised.is_some_and(|advised| is_caused_by(&advised.error, wanted))
    })
}

/// Whether a camera refused, or something would not have been safe.
pub(crate) fn is_refusal(error: &anyhow::Error) -> bool {
    is_caused_by(error, &|cause| cause.is::<Refused>())
}

fn explanation(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text.push_str("\n  because ");
        text.push_str(&cause.to_string());
    }
    let help = error.chain().find_map(|cause| {
        let advised = cause.downcast_ref::<Advised>().map(|advised| advised.help);
        advised.or_else(|| cause.downcast_ref::<Arc<SourceError>>()?.help())
    });
    let usage = error.chain().any(|cause| cause.is::<Usage>()).then_some("`oaktap --help` and `oaktap COMMAND --help`");
    if let Some(help) = help.or(usage) {
        text.push_str("\nhelp: ");
        text.push_str(help);
    }
    text
}

/// Puts a result on standard output. When its reader has left, that is no failure.
pub(crate) fn result(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output cannot be written"))
        }
        _ => Ok(()),
    }
}

/// What `--json` prints at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a, T> {
    /// What was asked.
    pub(crate) command: &'static str,
    /// What every camera did.
    pub(crate) cameras: &'a [T],
    /// What was recorded of them, if it was.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) recordings: &'a [Recorded],
}

/// Prints a document as one line: `{"summary": ...}`, so that it can be told from the lines before it.
pub(crate) fn document<T: Serialize>(document: &T) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        summary: &'a T,
    }
    result(json(&Line { summary: document })?.as_bytes())
}

/// The SHA-256 of something, as tools print it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line of JSON that is safe to look at: names in it come from the network.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let text = serde_json::to_string(value)?;
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Only strings can contain these, and there an escape means the same.
        if c.is_control() { write!(line, "\\u{:04x}", u32::from(c))? } else { line.push(c) }
    }
    line.push('\n');
    Ok(line)
}

/// The ledgers of all cameras on standard error, one row each.
pub(crate) fn table(cameras: &[Summary]) {
    say(&rows(cameras));
}

/// Rows of text, each column as wide as its widest cell.
pub(crate) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.extend([cell.as_str(), &" ".repeat(width - cell.chars().count() + 2)]);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

const HEADINGS: [&str; 13] = [
    "camera",
    "frames",
    "shown",
    "damaged",
    "lost",
    "missing",
    "stale",
    "dropped",
    "MB",
    "fps",
    "Mbit/s",
    "latency p50",
    "p99",
];

fn rows(cameras: &[Summary]) -> String {
    let mut table = vec![HEADINGS.map(str::to_owned)];
    table.extend(cameras.iter().map(row));
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for row in &table {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if column == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            let gap = if column == 0 { "" } else { "  " };
            text.extend([gap, before, cell, after]);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for camera in cameras {
        for remark in remarks(camera) {
            text.extend([camera.name.as_str(), ": ", remark.as_str(), "\n"]);
        }
    }
    text.truncate(text.trim_end().len());
    printable(&text)
}

fn row(camera: &Summary) -> [String; 13] {
    let frames = &camera.frames;
    let dropped: u64 = camera.lanes.iter().map(|lane| lane.dropped).sum();
    let latency = |at: fn(&oaktap::stats::LatencySummary) -> u64| {
        camera
            .latency_us
            .as_ref()
            .map_or_else(|| "-".to_owned(), |latency| format!("{:.2} ms", at(latency) as f64 / 1e3))
    };
    [
        printable(&camera.name),
        frames.received.to_string(),
        frames.shown.to_string(),
        frames.withdrawn.to_string(),
        frames.lost.to_string(),
        // Where the camera does not number its frames, a gap in its rhythm is all that can be seen.
        format!("{}{}", if camera.numbers.is_none() || frames.estimated > 0 { "~" } else { "" }, frames.missing),
        frames.stale.to_string(),
        dropped.to_string(),
        format!("{:.1}", camera.bytes.received as f64 / 1e6),
        format!("{:.1}", camera.fps),
        format!("{:.1}", camera.mbit_s),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
    ]
}

/// What is worth a line of its own.
fn remarks(camera: &Summary) -> Vec<String> {
    let lanes = camera.lanes.iter().filter(|lane| lane.dropped > 0).map(|lane| {
        let judgement = if lane.keeps { "it was to keep them all" } else { "older than what came next" };
        format!("lane {}: {} of {} frames dropped, {judgement}", lane.name, lane.dropped, lane.offered)
    });
    let counted = [
        (camera.reconnects, "reconnects"),
        (camera.reboots, "reboots of the camera"),
        (camera.resyncs, "times that the place of the next header was lost"),
        (camera.bytes.skipped, "bytes skipped"),
        (camera.bad_detections, "frames with detections that could not be read to their end"),
        (camera.dropped_by_camera, "frames dropped by the camera itself, as it says"),
    ];
    let numbered = camera.numbers.filter(|counts| counts.numbers > counts.came).map(|counts| {
        let SequenceCounts { numbers, came, damaged, not_sent, away, pending } = counts;
        let fates = [
            (came, "came"),
            (not_sent, "were never sent by the camera"),
            (damaged, "were damaged on the way"),
            (away, "passed before anybody read"),
            (pending, "were on their way"),
        ];
        let fates = fates.iter().filter(|(count, _)| *count > 0).map(|(count, fate)| format!("{count} {fate}"));
        format!("of {numbers} numbered frames {}", fates.collect::<Vec<_>>().join(", "))
    });
    let table = camera.introduction.as_ref().and_then(|introduction| introduction.table);
    let names = table.filter(|table| !table.complete).map(|table| {
        format!("the names of the camera's {} classes did not come whole: classes are numbers", table.count)
    });
    let counted = counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let books = (!camera.balances).then(|| "the books do not balance: this is a bug of oaktap".to_owned());
    counted.chain(numbered).chain(names).chain(lanes).chain(books).collect()
}

#[cfg(test)]
mod tests {
    use oaktap::frame::{DeviceTime, Frame};
    use oaktap::stats::Stats;
    use oaktap::wire::{Event, Record};

    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31m\u{9b}b\nc\r"), "a\\u{1b}[31m\\u{9b}b\nc\\r");
        assert_eq!(json(&"a\u{9b}\x1b\u{7f}").unwrap(), "\"a\\u009b\\u001b\\u007f\"\n");
    }

    #[test]
    fn several_share_the_last_line() {
        let mut status = BTreeMap::from([("a".to_owned(), "a: writing 50 %".to_owned())]);
        assert_eq!(joined(&status, 12), "a: writing ", "one column is left for the cursor");
        status.insert("b".to_owned(), "b: reading".to_owned());
        assert_eq!(joined(&status, 80), "a: writing 50 % | b: reading");
        assert_eq!(joined(&status, 24), "a: writin | b: readin");
        assert_eq!(joined(&BTreeMap::new(), 24), "");
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["id", "state"], ["\u{e4}bc", ""], ["d", "e"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "id   state\n\u{e4}bc\nd    e\n");
    }

    #[test]
    fn an_error_tells_its_causes_and_what_to_do() {
        let error = advised(anyhow::Error::new(io::Error::other("no such thing")).context("it failed"), "do that");
        let error = error.context("nothing works");
        assert_eq!(
            explanation(&error),
            "error: nothing works\n  because it failed\n  because no such thing\nhelp: do that"
        );
    }

    #[test]
    fn the_table_is_aligned_and_tells_what_is_odd() {
        let quiet = Stats::default().summary("tcp://192.168.1.50:5000");
        let mut stats = Stats::default();
        stats.reboots = 2;
        let odd = stats.summary("b");
        let text = rows(&[quiet, odd]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        for heading in ["frames", "damaged", "Mbit/s", "p99"] {
            let end = lines[0].find(heading).unwrap() + heading.len();
            for row in &lines[1..3] {
                let cell = &row[..end];
                assert!(cell.ends_with(['0', '-']) && !row[end..].starts_with(['0', '.']), "{heading}: {text}");
            }
        }
        assert_eq!(lines[3], "b: 2 reboots of the camera");
    }

    #[test]
    fn the_table_says_whether_it_counted_or_estimated() {
        let mut counted = Stats::default();
        counted.connected();
        for seq in [3, 4, 5, 8] {
            counted.event(&Event::Record(Record::Frame { seq, device_time: DeviceTime(0) }));
            let mut frame = Frame::default();
            frame.camera_seq = Some(seq);
            counted.event(&Event::Frame(frame.into()));
        }
        let text = rows(&[Stats::default().summary("a"), counted.summary("b")]);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!((lines[0][5], lines[1][5], lines[2][5]), ("missing", "~0", "2"), "{text}");
        assert!(text.ends_with("b: of 6 numbered frames 4 came, 2 were never sent by the camera"), "{text}");
    }
}

//! Writes to standard output and standard error that end in time, although nothing reads the other end of a pipe or the
//! terminal is stopped.
//!
//! Standard output waits for its reader, because results are complete or an error. Once the command should have ended, it
//! waits no more. Standard error waits [`NOTE_PATIENCE`] at most, because threads that receive write to it: further notes are
//! then dropped and counted until it is read again.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use oaktap::sync::locked;

/// Time that a command may still print after a signal or its `--duration`.
const GRACE: Duration = Duration::from_secs(1);

/// Longest time that a note waits for the reader of standard error.
const NOTE_PATIENCE: Duration = Duration::from_millis(200);

/// Interval at which a waiting writer checks whether the command should have ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Time that a write waits at least, also after the end: a reader may be slow for a moment.
const PATIENCE_MIN: Duration = Duration::from_millis(200);

/// Bytes that a pipe takes without blocking once it is writable (POSIX: `PIPE_BUF` is at least this on Linux and macOS).
#[cfg(target_os = "linux")]
const CHUNK_BYTES: usize = 4096;
#[cfg(not(target_os = "linux"))]
const CHUNK_BYTES: usize = 512;

/// When standard output stops to wait for its reader.
static ENDS: Mutex<Option<Instant>> = Mutex::new(None);

/// State of a stream whose reader may have stopped.
#[derive(Debug)]
struct Reader {
    /// The last write was given up.
    stuck: bool,
    /// Texts that were given up since one was written.
    dropped: u64,
}

static STANDARD_OUTPUT: Mutex<Reader> = Mutex::new(Reader { stuck: false, dropped: 0 });
static STANDARD_ERROR: Mutex<Reader> = Mutex::new(Reader { stuck: false, dropped: 0 });

/// Standard output stops to wait for its reader [`GRACE`] after this moment. The earliest moment counts.
pub(crate) fn ends_at(moment: Instant) {
    let Some(end) = moment.checked_add(GRACE) else { return };
    let mut ends = locked(&ENDS);
    *ends = Some(ends.map_or(end, |known| known.min(end)));
}

/// Writes all bytes to standard output.
///
/// # Errors
/// `TimedOut` if the command should have ended and nothing reads.
pub(super) fn to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut reader = locked(&STANDARD_OUTPUT);
    let began = Instant::now();
    let stuck = reader.stuck;
    let patience = || {
        let end = (*locked(&ENDS))?;
        let least = if stuck { began } else { began + PATIENCE_MIN };
        Some(end.max(least))
    };
    let written = write_all(&io::stdout(), bytes, patience);
    reader.stuck = is_given_up(&written);
    written
}

/// Writes all bytes to standard error, or drops them if nothing reads.
pub(super) fn to_stderr(bytes: &[u8]) -> io::Result<()> {
    let mut reader = locked(&STANDARD_ERROR);
    let end = Instant::now() + if reader.stuck { Duration::ZERO } else { NOTE_PATIENCE };
    let missed = match reader.dropped {
        0 => Vec::new(),
        dropped => format!("({dropped} lines are missing here, because standard error was not read)\n").into_bytes(),
    };
    let written = write_all(&io::stderr(), &[&missed, bytes].concat(), || Some(end));
    reader.stuck = is_given_up(&written);
    reader.dropped = if reader.stuck { reader.dropped + 1 } else { 0 };
    written
}

/// Returns whether the write was given up, because nothing read the stream.
fn is_given_up<T>(written: &io::Result<T>) -> bool {
    written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Returns whether standard error takes text now.
pub(super) fn stderr_has_room() -> bool {
    wait_for_room(&io::stderr(), Duration::ZERO).unwrap_or(true)
}

#[cfg(unix)]
fn write_all(to: &impl std::os::fd::AsFd, mut bytes: &[u8], ends: impl Fn() -> Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        let left = ends().map(|end| end.saturating_duration_since(Instant::now()));
        if !wait_for_room(to, left.map_or(CHECK_INTERVAL, |left| left.min(CHECK_INTERVAL)))? {
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing reads it"));
            }
            continue;
        }
        match rustix::io::write(to, &bytes[..bytes.len().min(CHUNK_BYTES)]) {
            Ok(written) => bytes = &bytes[written..],
            // Another writer was quicker, or a signal arrived.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // Closed by the parent: there is no reader.
            Err(rustix::io::Errno::BADF) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the stream takes [`CHUNK_BYTES`] without blocking, or has an error to report.
#[cfg(unix)]
fn wait_for_room(to: &impl std::os::fd::AsFd, limit: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    match poll(&mut [PollFd::new(to, PollFlags::OUT)], Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn write_all<W>(to: &W, bytes: &[u8], _ends: impl Fn() -> Option<Instant>) -> io::Result<()>
where
    for<'a> &'a W: Into<Stream<'a>>,
{
    to.into().write(bytes)
}

#[cfg(not(unix))]
fn wait_for_room<W>(_to: &W, _limit: Duration) -> io::Result<bool> {
    Ok(true)
}

/// A standard stream.
#[cfg(not(unix))]
enum Stream<'a> {
    Out(&'a io::Stdout),
    Err(&'a io::Stderr),
}

#[cfg(not(unix))]
impl<'a> From<&'a io::Stdout> for Stream<'a> {
    fn from(out: &'a io::Stdout) -> Self {
        Self::Out(out)
    }
}

#[cfg(not(unix))]
impl<'a> From<&'a io::Stderr> for Stream<'a> {
    fn from(err: &'a io::Stderr) -> Self {
        Self::Err(err)
    }
}

#[cfg(not(unix))]
impl Stream<'_> {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        match self {
            Self::Out(out) => {
                let mut out = out.lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Err(err) => err.lock().write_all(bytes),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_nothing_reads_ends_in_time_and_a_read_one_is_whole() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let text = vec![b'x'; 1 << 20];
        let end = Instant::now() + Duration::from_millis(20);
        let written = write_all(&writer, &text, || Some(end));
        assert!(is_given_up(&written), "{written:?}");

        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            io::Read::read_to_end(&mut std::fs::File::from(reader), &mut all).map(|_| all.len())
        });
        write_all(&writer, &text, || None).expect("it is read");
        drop(writer);
        let read = reading.join().expect("no panic").expect("readable");
        assert!(read >= text.len() && read < 2 * text.len(), "{read}");
    }

    #[test]
    fn a_closed_reader_is_reported_at_once() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        drop(reader);
        let error = write_all(&writer, b"text", || None).expect_err("nobody can read it");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

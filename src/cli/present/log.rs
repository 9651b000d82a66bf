//! Log lines on standard error: a time unless a reader adds one, the level, the camera and the text.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};

use oaktap::frame::Utc;
use oaktap::net::clock::received_now;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{printable, say};

/// Log lines begin with the time.
static TIMES: AtomicBool = AtomicBool::new(false);

/// Sets whether log lines begin with the time: not on a terminal, and not in the journal of systemd, which adds its own.
pub(super) fn configure() {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some_and(|stream| !stream.is_empty());
    TIMES.store(!journal && !io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Returns the time and a space, or nothing.
fn time() -> String {
    if !TIMES.load(Ordering::Relaxed) {
        return String::new();
    }
    format!("{} ", Utc::from_unix_ns(received_now().unix_ns))
}

/// Returns the time and a space for a line of `output`, or nothing if that is a terminal.
pub(crate) fn time_unless_terminal(output: &impl io::IsTerminal) -> String {
    if output.is_terminal() { String::new() } else { format!("{} ", Utc::from_unix_ns(received_now().unix_ns)) }
}

/// Prints lines about something that has just happened, unless `--quiet` is given.
pub(crate) fn log(text: &str) {
    let time = time();
    say(&text.split('\n').map(|line| format!("{time}{line}")).collect::<Vec<_>>().join("\n"));
}

/// Formats the events of `tracing` like [`log`], with their level: `TIME WARN front: frame lost`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFormat;

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = LogLine::default();
        event.record(&mut line);
        let level = *event.metadata().level();
        let color = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            _ => "2",
        };
        write!(writer, "{}", time())?;
        match writer.has_ansi_escapes() {
            true => write!(writer, "\x1b[{color}m{level}\x1b[0m ")?,
            false => write!(writer, "{level} ")?,
        }
        writeln!(writer, "{}", line.text())
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct LogLine {
    camera: String,
    message: String,
    others: String,
}

impl LogLine {
    fn text(&self) -> String {
        let Self { camera, message, others } = self;
        let colon = if camera.is_empty() { "" } else { ": " };
        printable(&format!("{camera}{colon}{message}{others}"))
    }
}

impl Visit for LogLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "camera" => write!(self.camera, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_its_level_its_camera_and_no_control_characters() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(LogFormat)
            .with_max_level(Level::DEBUG)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(camera = %"front\x1b[31m", frame = 3, "frame lost: {}", "why");
            tracing::debug!("no camera");
        });
        let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(text, "WARN front\\u{1b}[31m: frame lost: why frame=3\nDEBUG no camera\n");
    }
}

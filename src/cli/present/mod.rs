//! Output for people and programs: results on standard output, everything else on standard error.

mod command_line;
mod failure;
mod json;
mod log;
mod output;
mod progress;
mod status;
mod table;

use std::io;

use oaktap::units::hex;
use sha2::{Digest as _, Sha256};

pub(crate) use command_line::{advice_for, again_for, naming, naming_camera, naming_word, repeating};
#[cfg(feature = "python")]
pub(crate) use failure::text_and_help;
pub(crate) use failure::{
    Refused, Usage, WrongPort, advised, camera_error, cause, changed_nothing, detailed, details, failure, failure_of,
    flash_error, is_of_port, is_refusal, is_unconnected, recording_error, settings_error, stopped, with_file_named,
    with_help,
};
pub(crate) use json::{document, json};
pub(crate) use log::{LogFormat, log, time_unless_terminal};
pub(crate) use output::ends_at;
pub(crate) use progress::{Progress, watched};
pub(crate) use status::{LogWriter, always_say, colored, configure, listed, say, status, status_of};
pub(crate) use table::{ExitReason, LISTED_CAMERAS_MAX, aligned, exit_reason, exit_reasons, some_of, table};

/// Escapes control characters other than line feeds, so that text from the network cannot control the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// Writes to standard output. A closed pipe is not an error. Waits for the reader until the command should have ended.
pub(crate) fn result(bytes: &[u8]) -> anyhow::Result<()> {
    match line(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(output_error(error)),
        _ => Ok(()),
    }
}

/// Like [`result`], and returns every error of standard output.
pub(crate) fn line(bytes: &[u8]) -> io::Result<()> {
    output::to_stdout(bytes)
}

/// Describes an error of standard output.
pub(crate) fn output_error(error: io::Error) -> anyhow::Error {
    let is_unread = error.kind() == io::ErrorKind::TimedOut;
    let error = anyhow::Error::new(error).context("cannot write to standard output");
    if is_unread { advised(error, "read the output, for example from a file: `> FILE`") } else { error }
}

/// Returns the SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31m\u{9b}b\nc\r"), "a\\u{1b}[31m\\u{9b}b\nc\\r");
        assert_eq!(json(&"a\u{9b}\x1b\u{7f}").unwrap(), "\"a\\u009b\\u001b\\u007f\"\n");
    }
}

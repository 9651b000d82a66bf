//! Output for people and programs: results on standard output, everything else on standard error.

mod failure;
mod json;
mod progress;
mod status;
mod table;

use std::io::{self, Write as _};

use sha2::{Digest as _, Sha256};

pub(crate) use failure::{
    Refused, Usage, advised, camera_error, detailed, details, failure, failure_of, flash_error, is_refusal,
    recording_error, settings_error, stopped, with_help,
};
pub(crate) use json::{document, json};
pub(crate) use progress::{Progress, watched};
pub(crate) use status::{LogWriter, always_say, colored, configure, listed, say, status, status_of};
pub(crate) use table::{LISTED_CAMERAS_MAX, aligned, exit_reason, table};

/// Escapes control characters other than line feeds, so that text from the network cannot control the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// Writes to standard output and flushes it. A closed pipe is not an error.
pub(crate) fn result(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Returns the SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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

//! Errors with help, and the exit code of each kind.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use oaktap::bootloader::{ClientError, SettingsError};
use oaktap::flash::{FlashError, Phase};
use oaktap::net::talk::TalkError;
use oaktap::recording::RecordingError;
use oaktap::source::{SourceError, SourceErrorClass};
use oaktap::sync::locked;

use super::{always_say, command_line, json};
use crate::cli::new_files::EXISTS_HELP;

/// Wrong usage: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The user gave a TCP port that is not that of the bootloader: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongPort(pub(crate) String);

/// Refused by the camera, or unsafe to try: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// An error with a help text, which must stay reachable through `anyhow`'s chain of causes.
#[derive(Debug)]
struct Advised {
    error: anyhow::Error,
    help: Option<Cow<'static, str>>,
    /// More fields for the `--json` document of the failure.
    details: Option<Details>,
}

type Details = serde_json::Map<String, serde_json::Value>;

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

/// Adds a help text, which is printed on the last line.
pub(crate) fn advised(error: anyhow::Error, help: impl Into<Cow<'static, str>>) -> anyhow::Error {
    Advised { error, help: Some(help.into()), details: None }.into()
}

/// Adds fields for the `--json` document of the failure.
pub(crate) fn detailed(error: anyhow::Error, details: serde_json::Map<String, serde_json::Value>) -> anyhow::Error {
    Advised { error, help: None, details: Some(details) }.into()
}

/// Returns the fields of [`detailed`].
pub(crate) fn details(error: &anyhow::Error) -> Option<&serde_json::Map<String, serde_json::Value>> {
    error.chain().find_map(|cause| {
        let advised = cause.downcast_ref::<Advised>()?;
        advised.details.as_ref().or_else(|| details(&advised.error))
    })
}

/// Returns the help text of an error, or that of its causes.
fn help_of(error: &anyhow::Error) -> Option<Cow<'_, str>> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Advised>() {
        Some(advised) => advised.help.as_deref().map(Cow::Borrowed).or_else(|| help_of(&advised.error)),
        None => {
            let error = cause.downcast_ref::<Arc<SourceError>>()?;
            let help = error.help()?;
            Some(error.recording().map_or(help.clone(), |file| command_line::naming(&help, file).into()))
        }
    })
}

/// Describes the end of a command that the user stopped. `text` is the state of the camera.
pub(crate) fn stopped(text: impl fmt::Display) -> anyhow::Error {
    advised(anyhow::anyhow!("{text}"), format!("`{}` continues", command_line::again()))
}

/// Adds a help text, if there is one.
pub(crate) fn with_help(error: anyhow::Error, help: Option<impl Into<Cow<'static, str>>>) -> anyhow::Error {
    match help {
        Some(help) => advised(error, help),
        None => error,
    }
}

/// Converts an error of this recording, with its help.
pub(crate) fn recording_error(error: RecordingError, path: &Path) -> anyhow::Error {
    let help = error.help().map(|help| command_line::naming(help, error.path().unwrap_or(path)));
    with_help(error.into(), help)
}

/// Names the file in the help text of an error.
pub(crate) fn with_file_named(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let help = help_of(&error).map(|help| command_line::naming(&help, path));
    with_help(error, help)
}

/// Converts an error of a bootloader session.
pub(crate) fn camera_error(error: ClientError) -> anyhow::Error {
    match error {
        // The commands that do not flash change nothing before their last request, which holds a stop back.
        ClientError::Stopped(at) => stopped(format!("{at}; nothing was changed in the camera")),
        error if error.is_refusal() => Refused(error.to_string()).into(),
        error => error.into(),
    }
}

/// Converts an error of a camera's settings, with its help.
pub(crate) fn settings_error(error: SettingsError) -> anyhow::Error {
    match error {
        SettingsError::Camera(error) => camera_error(error),
        SettingsError::Config(error) => {
            let help = error.help();
            advised(error.into(), help)
        }
        error => error.into(),
    }
}

/// Converts an error of flashing, with its help.
pub(crate) fn flash_error(error: FlashError) -> anyhow::Error {
    if matches!(error, FlashError::Stopped { .. }) {
        return stopped(error);
    }
    let help = error.help();
    let refused = error.is_refusal();
    advised(if refused { Refused(error.to_string()).into() } else { error.into() }, help)
}

/// Prints the error, its causes and a help line, and returns the exit code. `command` is the name of the command that
/// failed. `json`: also prints `{"summary": ...}` with the error, unless the command has printed one.
pub(crate) fn failure(error: &anyhow::Error, command: &str, json: bool) -> u8 {
    always_say(&explanation(None, error, command));
    if json && !json::has_printed() {
        let mut fields = details(error).cloned().unwrap_or_default();
        fields.insert("command".to_owned(), command.into());
        fields.insert("error".to_owned(), format!("{error:#}").into());
        // Standard output may be what failed.
        let _ = json::document(&fields);
    }
    if is_usage(error) {
        2
    } else if is_refusal(error) {
        4
    } else {
        1
    }
}

/// Returns an error with its causes, and its help.
#[cfg(feature = "python")]
pub(crate) fn text_and_help(error: &anyhow::Error) -> (String, Option<String>) {
    (format!("{error:#}"), help_of(error).map(Cow::into_owned))
}

/// The help texts of failures that were printed: forty cameras can fail for one reason.
static HELPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Prints the failure of one of several cameras or files. `what` begins the text, and the error is its cause. Each help is printed
/// once, for the first camera that needs it.
pub(crate) fn failure_of(what: &str, error: &anyhow::Error, command: &str, camera: Option<&str>) {
    let text = explanation(Some(what), error, command);
    let (failure, help) = text.split_once("\nhelp: ").unwrap_or((&text, ""));
    if help.is_empty() || !locked(&HELPED).insert(help.to_owned()) {
        return always_say(failure);
    }
    let help = camera.map_or_else(|| help.to_owned(), |camera| command_line::naming_camera(help, camera));
    always_say(&format!("{failure}\nhelp: {help}"));
}

/// Returns the cause of this type, also below a help text.
pub(crate) fn cause<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|found| {
        let advised = found.downcast_ref::<Advised>();
        found.downcast_ref::<E>().or_else(|| advised.and_then(|advised| cause(&advised.error)))
    })
}

/// Searches the causes, including those below a help text.
fn is_caused_by(error: &anyhow::Error, wanted: &dyn Fn(&(dyn std::error::Error + 'static)) -> bool) -> bool {
    error.chain().any(|cause| {
        let advised = cause.downcast_ref::<Advised>();
        wanted(cause) || advised.is_some_and(|advised| is_caused_by(&advised.error, wanted))
    })
}

fn is_usage(error: &anyhow::Error) -> bool {
    is_caused_by(error, &|cause| {
        cause.is::<Usage>()
            || cause.is::<WrongPort>()
            || cause.downcast_ref::<Arc<SourceError>>().is_some_and(|e| e.class() == SourceErrorClass::Usage)
    })
}

/// Returns whether the camera refused, or trying would have been unsafe.
pub(crate) fn is_refusal(error: &anyhow::Error) -> bool {
    is_caused_by(error, &|cause| cause.is::<Refused>())
}

/// Returns whether the work on a camera failed before it changed anything but the running application: no session with its
/// bootloader, or one that was refused or that failed while it only asked.
pub(crate) fn changed_nothing(error: &anyhow::Error) -> bool {
    let changed = is_caused_by(error, &|cause| {
        cause.downcast_ref::<FlashError>().is_some_and(|error| error.phase() != Phase::Ask)
    });
    let asked = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<TalkError>() || cause.is::<Refused>() || cause.is::<FlashError>() || cause.is::<ClientError>()
    };
    !changed && is_caused_by(error, &asked)
}

/// Returns whether no connection to the bootloader could be established.
pub(crate) fn is_unconnected(error: &anyhow::Error) -> bool {
    is_caused_by(error, &|cause| cause.is::<TalkError>())
}

/// Returns whether another TCP port may help.
pub(crate) fn is_of_port(error: &anyhow::Error) -> bool {
    is_unconnected(error) || is_caused_by(error, &|cause| cause.is::<WrongPort>())
}

/// Returns the next step for a path that is not what the command expects.
fn path_help(error: &anyhow::Error, command: &str) -> Option<String> {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)?;
    // Permission may also be denied for a port.
    let begins =
        |starts: &[&str]| error.chain().any(|cause| starts.iter().any(|start| cause.to_string().starts_with(start)));
    Some(match kind {
        io::ErrorKind::IsADirectory => format!("this is a folder, but `oaktap {command}` expects a file here"),
        io::ErrorKind::NotADirectory => {
            format!("a part of this path is a file, but `oaktap {command}` expects a folder")
        }
        io::ErrorKind::NotFound => {
            let folder = std::env::current_dir().map_or_else(|_| ".".to_owned(), |folder| folder.display().to_string());
            format!("check the name with `ls`; a relative path begins in {folder}")
        }
        io::ErrorKind::AlreadyExists => EXISTS_HELP.to_owned(),
        io::ErrorKind::PermissionDenied if begins(&["cannot write ", "cannot create "]) => {
            "this user may not write there: name another path, or change its permissions".to_owned()
        }
        io::ErrorKind::PermissionDenied if begins(&["cannot open ", "cannot read "]) => {
            "this user may not read it: `ls -l` shows its owner and permissions".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => "this file system is read-only: name a path on another one".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full: free some space, or name a path on another disk".to_owned(),
        _ => return None,
    })
}

fn explanation(what: Option<&str>, error: &anyhow::Error, command: &str) -> String {
    let what = what.map(str::to_owned);
    let text = what.into_iter().chain(error.chain().map(ToString::to_string)).collect::<Vec<_>>().join("\n  because ");
    let mut text = format!("error: {text}");
    match help_of(error) {
        Some(help) => text.push_str(&format!("\nhelp: {help}")),
        None if path_help(error, command).is_some() => {
            text.extend(path_help(error, command).map(|help| format!("\nhelp: {help}")));
        }
        // Some errors of arguments hold their own help.
        None if is_usage(error) && !text.contains("\nhelp: ") => {
            text.push_str(&format!("\nhelp: oaktap {command} --help"));
        }
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_another_kind_is_explained_with_the_command() {
        let error = |kind: io::ErrorKind| anyhow::Error::new(io::Error::from(kind)).context("cannot read a");
        for (kind, help) in [
            (io::ErrorKind::IsADirectory, "\nhelp: this is a folder, but `oaktap verify` expects a file here"),
            (io::ErrorKind::NotFound, "\nhelp: check the name with `ls`; a relative path begins in "),
            (io::ErrorKind::AlreadyExists, "\nhelp: oaktap does not replace files"),
        ] {
            let text = explanation(None, &error(kind), "verify");
            assert!(text.contains(help), "{text}");
        }
        let denied = || anyhow::Error::new(io::Error::from(io::ErrorKind::PermissionDenied));
        let text = explanation(None, &denied().context("cannot write a"), "record");
        assert!(text.contains("\nhelp: this user may not write there"), "{text}");
        let text = explanation(None, &denied().context("cannot open a.mcap"), "verify");
        assert!(text.contains("\nhelp: this user may not read it"), "{text}");
        let full = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull)).context("cannot write a");
        assert!(explanation(None, &full, "export").contains("\nhelp: the disk is full"), "{full}");
        let text = explanation(None, &denied().context("cannot listen on 0.0.0.0:80"), "view");
        assert!(!text.contains("help:"), "{text}");
        let text = explanation(None, &error(io::ErrorKind::ConnectionRefused), "verify");
        assert!(!text.contains("help:"), "{text}");
        let text = explanation(None, &advised(error(io::ErrorKind::NotFound), "do that"), "verify");
        assert!(text.ends_with("\nhelp: do that") && text.matches("help:").count() == 1, "{text}");
    }

    #[test]
    fn an_error_is_printed_with_its_causes_and_its_help_last() {
        let error = advised(anyhow::Error::new(io::Error::other("no such thing")).context("it failed"), "do that");
        let error = error.context("nothing works");
        assert_eq!(
            explanation(None, &error, "view"),
            "error: nothing works\n  because it failed\n  because no such thing\nhelp: do that"
        );
    }

    #[test]
    fn details_keep_the_help_and_the_kind_of_an_error() {
        let error = advised(Refused("in use".to_owned()).into(), "end the program");
        let fields: Details = [("camera_has".to_owned(), "an application".into())].into_iter().collect();
        let error = detailed(error, fields.clone()).context("flash failed");
        assert_eq!(explanation(None, &error, "flash"), "error: flash failed\n  because in use\nhelp: end the program");
        assert!(is_refusal(&error) && details(&error) == Some(&fields));
    }

    #[test]
    fn wrong_usage_without_a_help_text_names_the_help_of_the_command() {
        let error = anyhow::Error::new(Usage("`--count 2` needs a folder".to_owned()));
        assert_eq!(
            explanation(None, &error, "snapshot"),
            "error: `--count 2` needs a folder\nhelp: oaktap snapshot --help"
        );
        assert_eq!(explanation(None, &anyhow::anyhow!("it failed"), "snapshot"), "error: it failed");
    }
}

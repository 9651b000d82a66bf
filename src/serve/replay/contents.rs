//! Finds a recording of the list, and reads the facts about it that a page shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::super::recordings::{OFF, blocking, list_for};
use super::REPLAYS_MAX;
use crate::error::with_causes;
use crate::recording::{Reader, RecordingError};

/// Longest wait for other replays to end: that of the same page may still read its file.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason for not playing a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    text: String,
    help: Option<String>,
}

impl Problem {
    fn new(text: impl Into<String>, help: &str) -> Self {
        Self { text: text.into(), help: Some(help.to_owned()) }
    }

    /// A panic, which was printed when it happened.
    pub(super) fn bug() -> Self {
        Self { text: "the server failed".to_owned(), help: None }
    }

    /// The system refuses a thread.
    pub(super) fn of_system(error: &std::io::Error) -> Self {
        Self { text: format!("cannot play it: {error}"), help: None }
    }
}

impl From<RecordingError> for Problem {
    fn from(error: RecordingError) -> Self {
        Self { text: with_causes(&error), help: error.help().map(str::to_owned) }
    }
}

/// A recording that can be played.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) path: PathBuf,
    pub(super) cameras: Vec<String>,
    /// The camera that is played.
    pub(super) camera: String,
    /// First and last arrival in nanoseconds since 1970, UTC.
    pub(super) span: (i64, i64),
    /// Notes for the user about the file, as sentences.
    pub(super) notes: Vec<String>,
    /// Counts as a replay until it is dropped.
    pub(super) permit: Arc<OwnedSemaphorePermit>,
}

/// Finds a recording by its name in the list, which never becomes a path. `camera`: `None` for the first one in the file.
pub(super) async fn find(
    folder: Option<PathBuf>,
    replays: Arc<Semaphore>,
    name: String,
    camera: Option<String>,
) -> Result<Contents, Problem> {
    let Some(folder) = folder else { return Err(Problem { text: OFF.to_owned(), help: None }) };
    let Ok(Ok(permit)) = timeout(TURN_TIMEOUT, replays.acquire_owned()).await else {
        let text = format!("other pages play {REPLAYS_MAX} recordings, and this server plays no more at the same time");
        return Err(Problem::new(text, "close one of them, or download the recording"));
    };
    let listed =
        list_for(folder).await.map_err(|_| Problem { text: "cannot list the recordings".to_owned(), help: None })?;
    let beside = |other: &str| folder_of(other) == folder_of(&name);
    let files: Vec<String> = listed
        .iter()
        .filter(|(recording, _)| beside(&recording.name))
        .map(|(recording, _)| file_of(&recording.name).to_owned())
        .collect();
    let Some((recording, path)) = listed.into_iter().find(|(recording, _)| recording.name == name) else {
        return Err(Problem::new("this recording is not in the list any more", "open the list again"));
    };
    let permit = Arc::new(permit);
    let read = blocking(move || read(&path, recording.finished, &files, camera, permit));
    read.await.unwrap_or_else(|_| Err(Problem::bug()))
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn file_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, file)| file)
}

/// Reads the facts. `files`: names of the recordings in the same folder.
fn read(
    path: &Path,
    finished: bool,
    files: &[String],
    camera: Option<String>,
    permit: Arc<OwnedSemaphorePermit>,
) -> Result<Contents, Problem> {
    let reader = Reader::open(path)?;
    let cameras: Vec<String> = reader.cameras().map(|camera| camera.name.clone()).collect();
    let Some(camera) = camera.or_else(|| cameras.first().cloned()).filter(|camera| cameras.contains(camera)) else {
        return Err(Problem {
            text: format!("this recording has no such camera; expected {}", cameras.join(", ")),
            help: None,
        });
    };
    let Some(span) = reader.span() else {
        return Err(Problem { text: "this recording has no frames".to_owned(), help: None });
    };
    let mut notes = Vec::new();
    if !finished {
        notes.push(
            "This recording is not finished: it plays up to the frames that were written when it was opened."
                .to_owned(),
        );
    } else if let Some(damage) = reader.damage() {
        notes.push(sentence(&with_causes(&damage)));
    }
    if let Some(part) = reader.part().map(|file| file.part).filter(|part| part.number > 0) {
        notes.push(match part.previous {
            Some(previous) if !files.contains(&previous) => {
                format!(
                    "This is part {} of a split recording. The part before it is missing: {previous}.",
                    part.number + 1
                )
            }
            _ => format!("This is part {} of a split recording.", part.number + 1),
        });
    }
    Ok(Contents { path: path.to_owned(), cameras, camera, span, notes, permit })
}

/// Returns a message of an error as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_a_recording_are_those_of_its_folder() {
        for (name, folder, file) in [("a.mcap", "", "a.mcap"), ("front/a.mcap", "front", "a.mcap")] {
            assert_eq!((folder_of(name), file_of(name)), (folder, file));
        }
    }
}

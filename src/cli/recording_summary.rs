//! Summary of a recording: for people, for programs, and for the exit code.

use std::path::{Path, PathBuf};

use oaktap::sink::record::{self, CameraBooks, RecordError};
use serde::Serialize;

use super::present;

/// Result of one recorder, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct RecordingSummary {
    /// Finished files.
    files: Vec<File>,
    /// Files that could not be finished. What is in them can be read.
    unfinished: Vec<PathBuf>,
    /// Old files that went because of `--keep`.
    deleted: u64,
    /// Frames in files.
    frames: u64,
    /// Bytes of finished files.
    bytes: u64,
    /// Holes, each marked in its file.
    gaps: u64,
    /// Frames that are missing because the disk was too slow.
    dropped: u64,
    /// Frames that are missing because a file could not be written.
    lost: u64,
    /// Whether nothing is missing.
    complete: bool,
    /// Whether every frame is accounted for.
    balances: bool,
    /// Each camera's frames.
    cameras: Vec<CameraBooks>,
    /// Why something could not be written.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    frames: u64,
    bytes: u64,
}

impl From<record::Outcome> for RecordingSummary {
    fn from(outcome: record::Outcome) -> Self {
        let complete = outcome.is_complete() && outcome.gaps == 0 && outcome.left.is_empty();
        let record::Outcome { files, left, deleted, cameras, frames, bytes, gaps, dropped, lost, problems } = outcome;
        let file = |record::Saved { path, frames, bytes }| File { path, frames, bytes };
        let files = files.into_iter().map(file).collect();
        let balances = cameras.iter().all(CameraBooks::balances);
        Self {
            files,
            unfinished: left,
            deleted,
            frames,
            bytes,
            gaps,
            dropped,
            lost,
            complete,
            balances,
            cameras,
            problems,
        }
    }
}

impl RecordingSummary {
    /// In lines.
    pub(crate) fn text(&self) -> String {
        let names: Vec<&str> = self.cameras.iter().map(|camera| camera.name.as_str()).collect();
        let Self { frames, gaps, dropped, lost, deleted, .. } = self;
        let mut text = match &*self.files {
            [] => format!("{}: {frames} frames recorded, no file finished", names.join(", ")),
            [one] => format!("{}: {frames} frames in {}, {}", names.join(", "), one.path.display(), size(self.bytes)),
            [first, .., last] => format!(
                "{}: {frames} frames in {} files from {} to {}, {}",
                names.join(", "),
                self.files.len(),
                first.path.display(),
                last.path.display(),
                size(self.bytes)
            ),
        };
        let counted = [
            (*dropped, "frames are missing because the disk was too slow"),
            (*lost, "frames are missing because a file could not be written"),
            (*gaps, "gaps are marked in the files"),
            (*deleted, "old files were deleted because of --keep"),
        ];
        let counted =
            counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let left = self
            .unfinished
            .iter()
            .map(|path| format!("cannot finish {}: `oaktap recover` completes the file", path.display()));
        let odd = (!self.balances).then(|| "the frame counts do not balance: this is a bug in oaktap".to_owned());
        for line in counted.chain(self.problems.iter().cloned()).chain(left).chain(odd) {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text
    }

    /// Returns the paths of the finished files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Fails if there were frames, but none of them could be written.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.frames > 0 || self.lost + self.dropped == 0,
            "no frame could be written: {}",
            self.problems.first().map_or("the disk is too slow", |problem| problem)
        );
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }
}

/// `1.23 GB`, `45.6 MB`
pub(crate) fn size(bytes: u64) -> String {
    match bytes as f64 {
        giga if giga >= 1e9 => format!("{:.2} GB", giga / 1e9),
        less => format!("{:.1} MB", less / 1e6),
    }
}

/// Why a recording was not begun, and what to do.
pub(crate) fn refused(error: RecordError) -> anyhow::Error {
    let help = error.help();
    let error = anyhow::Error::new(error).context("cannot start recording");
    match help {
        Some(help) => present::advised(error, help),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let saved = |path: &str| record::Saved { path: path.into(), frames: 5, bytes: 2_500_000 };
        let books =
            CameraBooks { name: "a".to_owned(), offered: 13, recorded: 10, dropped: 3, ..CameraBooks::default() };
        let outcome = record::Outcome {
            files: vec![saved("x.mcap"), saved("y.mcap")],
            cameras: vec![books],
            frames: 10,
            bytes: 5_000_000,
            ..record::Outcome::default()
        };
        let whole = RecordingSummary::from(outcome.clone());
        assert_eq!(whole.text(), "a: 10 frames in 2 files from x.mcap to y.mcap, 5.0 MB");
        assert!(whole.complete && whole.balances);
        let torn = record::Outcome { dropped: 3, gaps: 1, left: vec!["z.mcap.partial".into()], ..outcome };
        let torn = RecordingSummary::from(torn);
        assert!(!torn.complete);
        let text = torn.text();
        assert!(text.contains("\n  3 frames are missing because the disk was too slow\n  1 gaps"), "{text}");
        assert!(text.contains("cannot finish z.mcap.partial: `oaktap recover`"), "{text}");
    }
}

//! Summary of a recording: for people, for programs, and for the exit code.

use std::path::Path;

use oaktap::sink::record::{RecordError, RecorderCounts, RecorderOutcome};
use oaktap::units::{Bytes, count};
use serde::Serialize;

use super::present;

/// Outcome of one recorder for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct RecordingSummary {
    #[serde(flatten)]
    outcome: RecorderOutcome,
    /// No frame is missing, and every file is finished.
    complete: bool,
    /// Every frame is accounted for.
    balances: bool,
}

impl From<RecorderOutcome> for RecordingSummary {
    fn from(outcome: RecorderOutcome) -> Self {
        let complete = outcome.is_complete() && outcome.gaps == 0 && outcome.unfinished.is_empty();
        let balances = outcome.cameras.iter().all(RecorderCounts::balances);
        Self { outcome, complete, balances }
    }
}

impl RecordingSummary {
    /// Returns the summary as lines of text.
    pub(crate) fn text(&self) -> String {
        let RecorderOutcome { files, unfinished, deleted, frames, bytes, gaps, dropped, lost, cameras, problems } =
            &self.outcome;
        let names: Vec<&str> = cameras.iter().map(|camera| camera.name.as_str()).collect();
        let kept: u64 = files.iter().map(|file| file.frames).sum();
        // The others are in files that were deleted or not finished.
        let counted = if kept == *frames {
            format!("{frames} frames")
        } else {
            format!("{frames} frames recorded, {kept} of them")
        };
        let mut text = match &**files {
            [] => format!("{}: {frames} frames recorded, no file finished", names.join(", ")),
            [one] => format!("{}: {counted} in {}, {}", names.join(", "), one.path.display(), Bytes(*bytes)),
            [first, .., last] => format!(
                "{}: {counted} in {} files from {} to {}, {}",
                names.join(", "),
                files.len(),
                first.path.display(),
                last.path.display(),
                Bytes(*bytes)
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
        let left = unfinished
            .iter()
            .map(|path| format!("cannot finish {}: `oaktap recover` completes the file", path.display()));
        let odd = (!self.balances).then(|| "the frame counts do not balance: this is a bug in oaktap".to_owned());
        let idle = self.is_empty_handed().then(|| {
            let passed: u64 = cameras.iter().map(|camera| camera.passed).sum();
            format!("nothing was recorded: none of {passed} frames has a detection that matches the trigger")
        });
        for line in idle.into_iter().chain(counted).chain(problems.iter().cloned()).chain(left).chain(odd) {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text
    }

    /// Returns the paths of the finished files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.outcome.files.iter().map(|file| file.path.as_path())
    }

    /// Fails if there were frames, but none of them could be written.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.outcome.frames > 0 || self.outcome.is_complete(),
            "no frame could be written: {}",
            self.outcome.problems.first().map_or("the disk is too slow", |problem| problem)
        );
        Ok(())
    }

    /// Returns why the program exits with code 3 because of this recording.
    pub(crate) fn exit_reason(&self) -> Option<String> {
        let RecorderOutcome { dropped, lost, gaps, unfinished, .. } = &self.outcome;
        let unfinished = unfinished.len() as u64;
        let counted = [
            (
                *dropped,
                "frame not recorded because the disk was too slow",
                "frames not recorded because the disk was too slow",
            ),
            (*lost, "frame not recorded because of a write error", "frames not recorded because of a write error"),
            (*gaps, "gap in the files", "gaps in the files"),
            (unfinished, "unfinished file", "unfinished files"),
        ];
        let mut texts: Vec<_> =
            counted.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| count(*n, one, many)).collect();
        if self.is_empty_handed() {
            texts.push("nothing was recorded".to_owned());
        }
        (!texts.is_empty()).then(|| format!("{}: exit code 3: {}", self.names(), texts.join(", ")))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.outcome.cameras.iter().map(|camera| camera.name.as_str()).collect();
        names.join(", ")
    }

    /// Returns whether there were frames, but no detection matched the trigger.
    fn is_empty_handed(&self) -> bool {
        self.outcome.frames == 0 && self.outcome.cameras.iter().any(|camera| camera.passed > 0)
    }
}

/// Converts the error of a recording that cannot start, with its help.
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
    use oaktap::sink::record::RecordedFile;

    use super::*;

    #[test]
    fn missing_frames_are_reported() {
        let saved = |path: &str| RecordedFile { path: path.into(), frames: 5, bytes: 2_500_000 };
        let counts =
            RecorderCounts { name: "a".to_owned(), offered: 13, recorded: 10, dropped: 3, ..RecorderCounts::default() };
        let outcome = RecorderOutcome {
            files: vec![saved("x.mcap"), saved("y.mcap")],
            cameras: vec![counts],
            frames: 10,
            bytes: 5_000_000,
            ..RecorderOutcome::default()
        };
        let whole = RecordingSummary::from(outcome.clone());
        assert_eq!(whole.text(), "a: 10 frames in 2 files from x.mcap to y.mcap, 5.0 MB");
        assert!(whole.complete && whole.balances);
        let torn = RecorderOutcome { dropped: 3, gaps: 1, unfinished: vec!["z.mcap.partial".into()], ..outcome };
        let torn = RecordingSummary::from(torn);
        assert!(!torn.complete);
        let text = torn.text();
        assert!(text.contains("\n  3 frames are missing because the disk was too slow\n  1 gaps"), "{text}");
        assert!(text.contains("cannot finish z.mcap.partial: `oaktap recover`"), "{text}");
    }
}

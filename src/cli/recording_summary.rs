//! Summary of a recording: for people, for programs, and for the exit code.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use oaktap::file::{serialize_paths, shell_word};
use oaktap::sink::record::{RecordError, RecorderCounts, RecorderOutcome, RecorderState};
use oaktap::units::{Bytes, count};
use serde::Serialize;

use super::present::{self, ExitReason};

/// Unfinished files that a suggested command names.
const RECOVER_MAX: usize = 3;

/// Outcome of one recorder for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct RecordingSummary {
    #[serde(flatten)]
    outcome: RecorderOutcome,
    /// Finished files that are not there any more.
    gone: u64,
    /// A frame or a number of each camera was received, the files have every frame of the streams undamaged, and are finished.
    complete: bool,
    /// Every frame is accounted for.
    balances: bool,
}

impl From<RecorderOutcome> for RecordingSummary {
    fn from(mut outcome: RecorderOutcome) -> Self {
        let silent: Vec<_> =
            outcome.cameras.iter().filter(|camera| sent_nothing(camera)).map(|camera| camera.name.as_str()).collect();
        let has_all = outcome.is_complete() && outcome.gaps == 0 && outcome.is_undamaged();
        let complete = has_all && outcome.unfinished.is_empty() && silent.is_empty();
        if !silent.is_empty() {
            let problem = format!("no frame of {} to record", silent.join(", "));
            outcome.problems.push(problem);
        }
        let balances = outcome.cameras.iter().all(RecorderCounts::balances);
        Self { outcome, gone: 0, complete, balances }
    }
}

/// Returns whether neither a frame nor a number of a camera arrived.
const fn sent_nothing(camera: &RecorderCounts) -> bool {
    camera.offered == 0 && camera.measurements == 0
}

impl RecordingSummary {
    /// Returns the summary of a recorder that has ended. Files that somebody deleted or moved meanwhile are only counted: the
    /// `--keep` of another recording in the same folder deletes finished files, too.
    pub(crate) fn of(outcome: RecorderOutcome) -> Self {
        let mut summary = Self::from(outcome);
        let files = std::mem::take(&mut summary.outcome.files);
        let (there, gone): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.path.try_exists().unwrap_or(true));
        summary.outcome.bytes = summary.outcome.bytes.saturating_sub(gone.iter().map(|file| file.bytes).sum());
        (summary.outcome.files, summary.gone) = (there, gone.len() as u64);
        summary
    }

    /// Returns the summary as lines of text.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.names(), self.counts())
    }

    /// Returns the summary as lines of text, without the names of the cameras.
    pub(crate) fn counts(&self) -> String {
        let RecorderOutcome {
            summed,
            files,
            unfinished,
            deleted,
            frames,
            bytes,
            gaps,
            unmarked,
            dropped,
            lost,
            problems,
            ..
        } = &self.outcome;
        let kept: u64 = files.iter().map(|file| file.frames).sum();
        // Only complete chunks are counted. `recover` also saves the intact frames of the last one.
        let (at_least, at_most) = if unfinished.is_empty() { ("", "") } else { ("at least ", "at most ") };
        let whole = at_least.to_owned() + &count(*frames, "frame", "frames");
        // The others are in files that were deleted, moved or not finished.
        let counted = if kept == *frames { whole.clone() } else { format!("{whole} recorded, {kept} of them") };
        let measurements: u64 = self.outcome.cameras.iter().map(|camera| camera.measurements).sum();
        let measurements = match measurements {
            0 => String::new(),
            some => " and ".to_owned() + &count(some, "measurement", "measurements"),
        };
        let counted = counted + &measurements;
        let mut text = match &**files {
            // The paths are forgotten.
            [] if *summed > 1 => format!("{whole}{measurements} in {summed} recordings, {}", Bytes(*bytes)),
            [] if self.gone > 0 => format!("{whole}{measurements} recorded, no file is left"),
            [] => format!("{whole}{measurements} recorded, no file finished"),
            [one] => format!("{counted} in {}, {}", one.path.display(), Bytes(*bytes)),
            [first, .., last] => format!(
                "{counted} in {} files from {} to {}, {}",
                files.len(),
                first.path.display(),
                last.path.display(),
                Bytes(*bytes)
            ),
        };
        let not_written =
            count(*lost, "frame not recorded because of a write error", "frames not recorded because of a write error");
        let not_written = (*lost > 0).then(|| at_most.to_owned() + &not_written);
        let counted = [
            (
                *dropped,
                "frame not recorded because the disk was too slow or the memory too small",
                "frames not recorded because the disk was too slow or the memory too small",
            ),
            (*gaps, "gap is marked in the files", "gaps are marked in the files"),
            (
                if *frames > 0 { *unmarked } else { 0 },
                "missing frame is marked in no file, so that `oaktap inspect` does not count it",
                "missing frames are marked in no file, so that `oaktap inspect` does not count them",
            ),
            (*deleted, "old file was deleted because of --keep", "old files were deleted because of --keep"),
            (
                self.gone,
                "finished file is not there any more: deleted or moved by somebody else",
                "finished files are not there any more: deleted or moved by somebody else",
            ),
        ];
        let counted =
            counted.into_iter().filter(|(amount, ..)| *amount > 0).map(|(amount, one, many)| count(amount, one, many));
        let left = unfinished.iter().map(|path| {
            let (shown, path) = (path.display(), shell_word(path));
            format!("cannot finish {shown}: `oaktap recover {path}` completes it, and may find more frames in it")
        });
        let odd = (!self.balances).then(|| "the frame counts do not balance: this is a bug in oaktap".to_owned());
        for line in not_written.into_iter().chain(counted).chain(problems.iter().cloned()).chain(left).chain(odd) {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text
    }

    /// Returns the paths of the finished files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.outcome.files.iter().map(|file| file.path.as_path())
    }

    /// Returns whether there were frames, but none of them could be written.
    fn has_failed(&self) -> bool {
        self.outcome.frames == 0 && !self.outcome.is_complete()
    }

    /// Returns why the program exits with code 3 because of this recording.
    pub(crate) fn exit_reason(&self) -> Option<ExitReason> {
        let RecorderOutcome { dropped, lost, gaps, unfinished, .. } = &self.outcome;
        let unfinished = unfinished.len() as u64;
        let counted = [
            (
                *dropped,
                "frame not recorded because the disk was too slow or the memory too small",
                "frames not recorded because the disk was too slow or the memory too small",
                "use a faster disk, or give --buffer more memory",
            ),
            (
                *lost,
                "frame not recorded because of a write error",
                "frames not recorded because of a write error",
                "check the disk and the folder of -o: the lines above say what failed",
            ),
            (*gaps, "gap in the files", "gaps in the files", "`oaktap inspect FILE` lists the gaps"),
            (unfinished, "unfinished file", "unfinished files", ""),
        ];
        let counted = counted.iter().filter(|(n, ..)| *n > 0);
        let mut help = counted.clone().map(|(.., help)| Cow::Borrowed(*help)).next();
        if let (Some(text), Some(path)) = (&help, self.paths().next()) {
            help = Some(present::naming(text, path).into());
        }
        // Whatever is done about the disk, the frames of these files have to be saved.
        let recover: Vec<_> = self.outcome.unfinished.iter().take(RECOVER_MAX).map(|path| shell_word(path)).collect();
        if let Some(text) = help.take_if(|_| !recover.is_empty()) {
            let files = recover.join(" ");
            let more = if self.outcome.unfinished.len() > RECOVER_MAX { " ..." } else { "" };
            let recover = format!("`oaktap recover {files}{more}` saves their frames");
            help = Some(if text.is_empty() { recover } else { format!("{text}; then {recover}") }.into());
        }
        let mut texts: Vec<_> = counted.map(|(n, one, many, _)| count(*n, one, many)).collect();
        // That no detection matched the trigger is normal.
        if let Some(why) = self.outcome.problems.first().filter(|_| self.is_empty_handed()) {
            texts.push(format!("nothing was recorded: {why}"));
            help = help.or(Some(
                "give --trigger a label that the camera sends: `oaktap detections CAMERA` prints them".into(),
            ));
        }
        let camera = self.outcome.cameras.first().map(|camera| camera.name.clone());
        let text = || format!("{}: exit code 3: {}", self.names(), texts.join(", "));
        help.map(|help| ExitReason { text: text(), help, camera })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.outcome.cameras.iter().map(|camera| camera.name.as_str()).collect();
        names.join(", ")
    }

    /// Returns whether nothing was received, and nothing else is to be said.
    fn is_silent(&self) -> bool {
        let RecorderOutcome { files, unfinished, deleted, cameras, problems, .. } = &self.outcome;
        cameras.iter().all(sent_nothing)
            && files.is_empty()
            && unfinished.is_empty()
            && (*deleted, self.gone, problems.len()) == (0, 0, 1)
            && self.balances
    }

    /// Returns whether there were frames, but no detection matched the trigger.
    fn is_empty_handed(&self) -> bool {
        self.outcome.frames == 0 && self.outcome.cameras.iter().any(|camera| camera.passed > 0)
    }
}

/// The recording of one camera once its files are finished, for the last line of `--status`.
#[derive(Debug, Serialize)]
pub(crate) struct FinishedRecording<'a> {
    /// `finished`, or `failed` if no frame could be written or a file is not finished.
    state: &'static str,
    /// What went wrong, or why nothing was recorded.
    reason: Option<String>,
    frames_written: u64,
    frames_waiting: u64,
    bytes_waiting: u64,
    missing: u64,
    /// Paths of the finished files.
    #[serde(serialize_with = "serialize_paths")]
    files: Vec<&'a Path>,
}

/// Returns the finished recordings of a camera as one; `None` if none was started. `name`: its name for files.
pub(crate) fn finished<'a>(recordings: &'a [RecordingSummary], name: &str) -> Option<FinishedRecording<'a>> {
    let counts = |recorded: &'a RecordingSummary| recorded.outcome.cameras.iter().find(|camera| camera.name == name);
    let mine: Vec<_> = recordings.iter().filter_map(|recorded| Some((recorded, counts(recorded)?))).collect();
    if mine.is_empty() {
        return None;
    }
    let problem = mine.iter().flat_map(|(recorded, _)| &recorded.outcome.problems).next().cloned();
    let unfinished = mine.iter().flat_map(|(recorded, _)| &recorded.outcome.unfinished).next();
    let unfinished = unfinished.map(|path| format!("cannot finish {}", path.display()));
    let idle = mine.iter().all(|(_, counts)| counts.recorded == 0 && counts.passed > 0);
    let has_failed =
        unfinished.is_some() || mine.iter().any(|(_, counts)| counts.recorded == 0 && counts.missing() > 0);
    Some(FinishedRecording {
        state: if has_failed { "failed" } else { RecorderState::Finished.word() },
        reason: problem.or(unfinished).or_else(|| idle.then(|| "no detection matched the trigger".to_owned())),
        frames_written: mine.iter().map(|(_, counts)| counts.recorded).sum(),
        frames_waiting: 0,
        bytes_waiting: 0,
        missing: mine.iter().map(|(_, counts)| counts.in_no_file()).sum(),
        files: mine.iter().flat_map(|(recorded, _)| recorded.paths()).collect(),
    })
}

/// Returns the texts of all recordings, those of one start after the other: of each, one for all that recorded nothing,
/// because no detection matched the trigger, and if there are many, one for all that are complete.
pub(crate) fn texts(recordings: &[RecordingSummary]) -> Vec<String> {
    let groups: Vec<_> = recordings.chunk_by(|one, next| one.outcome.recording == next.outcome.recording).collect();
    let shares = recordings.len() > present::LISTED_CAMERAS_MAX;
    let number = |group: &[RecordingSummary]| group.first().map_or(0, |recorded| recorded.outcome.recording);
    let prefix = |group| if groups.len() > 1 { format!("recording {}: ", number(group)) } else { String::new() };
    groups.iter().flat_map(|group| texts_of_start(group, &prefix(group), shares)).collect()
}

/// Returns the texts of the recordings that were started together. `prefix`: their name, for lines about several cameras.
/// `shares`: complete ones share a line.
fn texts_of_start(recordings: &[RecordingSummary], prefix: &str, shares: bool) -> Vec<String> {
    let is_idle = |recorded: &&RecordingSummary| recorded.is_empty_handed() && recorded.outcome.problems.is_empty();
    let is_plain = |recorded: &&RecordingSummary| {
        let RecorderOutcome { deleted, problems, summed, .. } = &recorded.outcome;
        recorded.complete
            && recorded.balances
            && (*deleted, recorded.gone) == (0, 0)
            && problems.is_empty()
            && *summed <= 1
    };
    let (idle, rest): (Vec<_>, Vec<_>) = recordings.iter().partition(is_idle);
    let (silent, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|recorded| recorded.is_silent());
    let (plain, listed): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_plain);
    let (plain, listed) = if shares && plain.len() > 1 {
        (plain, listed)
    } else {
        let is_listed = |recorded: &&RecordingSummary| !is_idle(recorded) && !recorded.is_silent();
        (Vec::new(), recordings.iter().filter(is_listed).collect())
    };
    let mut texts: Vec<String> = listed.iter().map(|recorded| recorded.text()).collect();
    if !plain.is_empty() {
        let sum = |of: fn(&RecorderOutcome) -> u64| plain.iter().map(|recorded| of(&recorded.outcome)).sum::<u64>();
        let files = count(sum(|outcome| outcome.files.len() as u64), "file", "files");
        let frames = count(sum(|outcome| outcome.frames), "frame", "frames");
        let bytes = Bytes(sum(|outcome| outcome.bytes));
        let cameras = present::some_of(plain.len(), recordings.len());
        texts.push(format!("{prefix}{cameras} cameras: {frames} in {files}, {bytes}"));
    }
    if !silent.is_empty() {
        texts.push(format!("{prefix}nothing recorded: no frame of {} to record", names_of(&silent)));
    }
    if !idle.is_empty() {
        let prefix = if idle.len() > 1 { prefix } else { "" };
        let who = names_of(&idle);
        let passed = idle.iter().flat_map(|recorded| &recorded.outcome.cameras).map(|camera| camera.passed).sum();
        let frames = count(passed, "frame", "frames");
        texts.push(format!("{prefix}{who}: nothing recorded, because no detection in {frames} matched the trigger"));
    }
    texts
}

/// Names the cameras of recordings, or the first ones and the number of the others.
fn names_of(recordings: &[&RecordingSummary]) -> String {
    let shown = recordings.iter().take(present::LISTED_CAMERAS_MAX).map(|recorded| recorded.names());
    let names = shown.collect::<Vec<_>>().join(", ");
    match recordings.len().saturating_sub(present::LISTED_CAMERAS_MAX) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// Fails if no frame of some cameras could be written. A full disk explains more than the errors that follow from it.
pub(crate) fn check(recordings: &[RecordingSummary]) -> anyhow::Result<()> {
    let failed: Vec<_> = recordings.iter().filter(|recorded| recorded.has_failed()).collect();
    let problems = || failed.iter().flat_map(|recorded| &recorded.outcome.problems);
    let full = problems().find(|problem| problem.contains("the disk is full"));
    let why = full.or_else(|| problems().next()).map_or("the disk is too slow", |problem| problem);
    // A camera may have been recorded several times.
    let names: BTreeSet<_> = failed.iter().map(|recorded| recorded.names()).collect();
    match (names.first(), names.len()) {
        (None, _) => Ok(()),
        (Some(name), 1) => anyhow::bail!("{name}: no frame could be written: {why}"),
        (Some(_), several) => anyhow::bail!("no frame of {several} cameras could be written: {why}"),
    }
}

/// Converts the error of a recording that cannot start, with its help.
pub(crate) fn refused(error: RecordError) -> anyhow::Error {
    let help = error.help().map(|help| match &error {
        RecordError::Unfinished(path) => present::naming(help, path),
        _ => help.to_owned(),
    });
    let error = anyhow::Error::new(error).context("cannot start recording");
    present::with_help(error, help)
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
        let sum = RecorderOutcome { summed: 7, files: Vec::new(), ..outcome.clone() };
        assert_eq!(RecordingSummary::from(sum).text(), "a: 10 frames in 7 recordings, 5.0 MB");
        let torn = RecorderOutcome { dropped: 3, gaps: 1, unfinished: vec!["z.mcap.partial".into()], ..outcome };
        let torn = RecordingSummary::from(torn);
        assert!(!torn.complete);
        let text = torn.text();
        assert!(
            text.contains(
                "\n  3 frames not recorded because the disk was too slow or the memory too small\n  1 gap is"
            ),
            "{text}"
        );
        assert!(text.starts_with("a: at least 10 frames in 2 files"), "{text}");
        assert!(text.contains("cannot finish z.mcap.partial: `oaktap recover z.mcap.partial`"), "{text}");
        let outcome = RecorderOutcome { gaps: 0, unmarked: 3, ..torn.outcome };
        let unmarked = RecordingSummary::from(outcome).text();
        assert!(
            unmarked.contains("\n  3 missing frames are marked in no file") && !unmarked.contains("gap"),
            "{unmarked}"
        );
    }

    #[test]
    fn files_that_are_not_there_any_more_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = |name: &str| RecordedFile { path: folder.path().join(name), frames: 5, bytes: 2_500_000 };
        let counts = RecorderCounts { name: "a".to_owned(), offered: 10, recorded: 10, ..RecorderCounts::default() };
        let outcome = RecorderOutcome {
            files: vec![saved("x.mcap"), saved("y.mcap")],
            cameras: vec![counts],
            frames: 10,
            bytes: 5_000_000,
            ..RecorderOutcome::default()
        };
        std::fs::write(folder.path().join("y.mcap"), "").expect("a file");
        let summary = RecordingSummary::of(outcome.clone());
        let left = folder.path().join("y.mcap");
        let gone = "finished file is not there any more: deleted or moved by somebody else";
        let expected = format!("a: 10 frames recorded, 5 of them in {}, 2.5 MB\n  1 {gone}", left.display());
        assert_eq!(summary.text(), expected);
        assert_eq!(summary.paths().collect::<Vec<_>>(), [left.as_path()]);
        std::fs::remove_file(left).expect("remove");
        let text = RecordingSummary::of(outcome).text();
        assert!(text.starts_with("a: 10 frames recorded, no file is left\n  2 finished files are not"), "{text}");
    }

    #[test]
    fn the_advice_names_the_unfinished_files() {
        let advice = |lost, files: &[&str]| {
            let counts = RecorderCounts {
                name: "a".to_owned(),
                offered: 9,
                recorded: 9 - lost,
                lost,
                ..RecorderCounts::default()
            };
            let unfinished = files.iter().map(Into::into).collect();
            let outcome = RecorderOutcome { cameras: vec![counts], lost, unfinished, ..RecorderOutcome::default() };
            RecordingSummary::from(outcome).exit_reason().expect("a reason").help.into_owned()
        };
        assert_eq!(advice(0, &["z.mcap.partial"]), "`oaktap recover z.mcap.partial` saves their frames");
        let disk = "check the disk and the folder of -o: the lines above say what failed";
        assert_eq!(advice(2, &["a b"]), format!("{disk}; then `oaktap recover 'a b'` saves their frames"));
        assert_eq!(advice(2, &[]), disk);
        assert!(advice(0, &["1", "2", "3", "4"]).starts_with("`oaktap recover 1 2 3 ...` saves"));
    }

    #[test]
    fn a_trigger_that_never_matched_is_normal_unless_it_cannot_match() {
        let idle = |name: &str, problem: Option<&str>| {
            let counts = RecorderCounts { name: name.to_owned(), offered: 7, passed: 7, ..RecorderCounts::default() };
            let problems = problem.map(str::to_owned).into_iter().collect();
            RecordingSummary::from(RecorderOutcome { cameras: vec![counts], problems, ..RecorderOutcome::default() })
        };
        let fleet = [idle("a", None), idle("b", None)];
        assert!(fleet.iter().all(|recorded| recorded.exit_reason().is_none()) && check(&fleet).is_ok());
        let one_line = ["a, b: nothing recorded, because no detection in 14 frames matched the trigger"];
        assert_eq!(texts(&fleet), one_line);
        let many: Vec<_> = (1..=11).map(|number| idle(&format!("c{number}"), None)).collect();
        let one_line = "c1, c2, c3, c4, c5, c6, c7, c8 and 3 more: nothing recorded, because no detection in 77 frames matched \
                        the trigger";
        assert_eq!(texts(&many), [one_line]);
        let unknown = idle("c", Some("no label is named `piza`"));
        let reason = "c: exit code 3: nothing was recorded: no label is named `piza`";
        assert_eq!(unknown.exit_reason().map(|reason| reason.text).as_deref(), Some(reason));
    }

    #[test]
    fn cameras_that_sent_nothing_share_a_line() {
        let silent = |name: &str, problem: Option<&str>| {
            let counts = RecorderCounts { name: name.to_owned(), ..RecorderCounts::default() };
            let problems = problem.map(str::to_owned).into_iter().collect();
            RecordingSummary::from(RecorderOutcome { cameras: vec![counts], problems, ..RecorderOutcome::default() })
        };
        assert_eq!(texts(&[silent("a", None)]), ["nothing recorded: no frame of a to record"]);
        assert_eq!(
            texts(&[silent("a", None), saved(0, "b"), silent("c", None)]),
            ["b: 1 frame in b.mcap, 1.0 MB", "nothing recorded: no frame of a, c to record"]
        );
        let refused = "d: 0 frames recorded, no file finished\n  the folder was removed\n  no frame of d to record";
        assert_eq!(texts(&[silent("d", Some("the folder was removed"))]), [refused]);
    }

    #[test]
    fn a_recording_without_a_written_frame_or_with_an_unfinished_file_has_failed() {
        let state = |recorded: u64, lost: u64, unfinished: &[&str]| {
            let counts =
                RecorderCounts { name: "a".to_owned(), offered: 9, recorded, lost, ..RecorderCounts::default() };
            let unfinished = unfinished.iter().map(Into::into).collect();
            let outcome = RecorderOutcome { cameras: vec![counts], unfinished, ..RecorderOutcome::default() };
            finished(&[outcome.into()], "a").map(|recording| recording.state)
        };
        assert_eq!([state(9, 0, &[]), state(8, 1, &[])], [Some("finished"); 2]);
        assert_eq!([state(0, 9, &[]), state(9, 0, &["a.mcap.partial"])], [Some("failed"); 2]);
    }

    /// Returns a complete recording of a camera with one frame in one file of 1 MB.
    fn saved(recording: u64, name: &str) -> RecordingSummary {
        let path = format!("{name}.mcap").into();
        let counts = RecorderCounts { name: name.to_owned(), offered: 1, recorded: 1, ..RecorderCounts::default() };
        let files = vec![RecordedFile { path, frames: 1, bytes: 1_000_000 }];
        let (cameras, frames, bytes) = (vec![counts], 1, 1_000_000);
        RecordingSummary::from(RecorderOutcome { recording, files, cameras, frames, bytes, ..Default::default() })
    }

    #[test]
    fn complete_recordings_of_a_fleet_share_a_line() {
        let fleet: Vec<_> = (0..9).map(|number| saved(1, &number.to_string())).collect();
        assert_eq!(texts(&fleet), ["9 cameras: 9 frames in 9 files, 9.0 MB"]);
        assert_eq!(texts(&fleet[..2]), ["0: 1 frame in 0.mcap, 1.0 MB", "1: 1 frame in 1.mcap, 1.0 MB"]);
    }

    #[test]
    fn each_recording_of_a_run_counts_its_own_cameras_and_files() {
        let first = (0..10).map(|number| saved(1, &number.to_string()));
        let mut second: Vec<_> = (0..9).map(|number| saved(2, &number.to_string())).collect();
        second[4].outcome.gaps = 1;
        second[4].complete = false;
        let all: Vec<_> = first.chain(second).chain([saved(3, "7")]).collect();
        let expected = [
            "recording 1: 10 cameras: 10 frames in 10 files, 10.0 MB",
            "4: 1 frame in 4.mcap, 1.0 MB\n  1 gap is marked in the files",
            "recording 2: 8 of 9 cameras: 8 frames in 8 files, 8.0 MB",
            "7: 1 frame in 7.mcap, 1.0 MB",
        ];
        assert_eq!(texts(&all), expected);
        let twice = [saved(1, "a"), saved(2, "a")];
        assert_eq!(texts(&twice), ["a: 1 frame in a.mcap, 1.0 MB"; 2], "the names of the files tell them apart");
    }

    #[test]
    fn cameras_of_which_nothing_was_written_are_counted_with_the_cause() {
        let failed = |name: &str, problems: &[&str]| {
            let counts = RecorderCounts { name: name.to_owned(), offered: 4, lost: 4, ..RecorderCounts::default() };
            let problems = problems.iter().map(|text| (*text).to_owned()).collect();
            RecordingSummary::from(RecorderOutcome { cameras: vec![counts], lost: 4, problems, ..Default::default() })
        };
        let fleet = [failed("a", &["the file was removed"]), failed("b", &["x", "the disk is full"])];
        let error = |recordings: &[RecordingSummary]| check(recordings).expect_err("it failed").to_string();
        assert_eq!(error(&fleet), "no frame of 2 cameras could be written: the disk is full");
        assert_eq!(error(&fleet[..1]), "a: no frame could be written: the file was removed");
        let twice = [failed("a", &["x"]), failed("a", &["y"])];
        assert_eq!(error(&twice), "a: no frame could be written: x", "one camera in two recordings");
    }
}

//! Starting, finishing and abandoning files, and deleting old ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::{Entry, Item, KEY_FRAME_TIMEOUT, Worker};
use crate::error::with_causes;
use crate::frame::{Frame, Received};
use crate::recording::disk::DiskCondition;
use crate::recording::{ClockModel, Part};
use crate::sink::record::retention::DiskSpace;
use crate::sink::record::segment::{FinishedSegment, LostFrames, Segment};
use crate::sink::record::trigger::Firings;
use crate::sink::record::{KeepLimit, RecordError, RecordOptions, RecorderState, SplitLimit, target};
use crate::units::{Bytes, count};

/// Delay before another attempt to start a file.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a stopped recorder writes frames that still wait. Later frames count as lost.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Time after which a stopped recorder leaves a file that the disk does not take. The program ends within 2 s.
const FINISH_TIME: Duration = Duration::from_millis(1600);
/// Interval of free-space checks.
pub(super) const DISK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which old files are deleted. More often while the disk is full or beyond the limit.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(10);

/// Cameras in the name of a recording.
const RECORDING_NAMES_MAX: usize = 4;

/// The files that the recorder has written without a pause: `--split` begins a new file, a trigger a new recording.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// [`Part::recording`], once there is a file.
    recording: Option<String>,
    /// Number of files.
    number: u64,
    /// Name of the last one.
    previous: Option<String>,
    /// Frames in all of them, by camera of the files: each further stream of a connection is one.
    frames: BTreeMap<String, u64>,
}

impl Parts {
    /// Adds a file that stays, with its frames by camera.
    fn add(&mut self, path: &Path, frames: BTreeMap<String, u64>) {
        for (camera, frames) in frames {
            *self.frames.entry(camera).or_default() += frames;
        }
        self.number += 1;
        self.previous = path.file_name().map(|name| name.to_string_lossy().into_owned());
    }
}

impl Worker {
    /// Returns whether this frame starts the next file: the first key frame after the limit, or any frame after
    /// [`KEY_FRAME_TIMEOUT`].
    pub(super) fn is_split_before(&mut self, frame: &Frame) -> bool {
        let now = frame.received.mono_ns;
        let overdue = self.has_reached_limit(frame.received).then(|| self.overdue_mono_ns.unwrap_or(now));
        let split = overdue.is_some_and(|since| {
            // Video of the first stream begins with a key frame.
            (frame.is_key_frame() && frame.stream.is_none())
                || Duration::from_nanos(now.saturating_sub(since)) >= KEY_FRAME_TIMEOUT
        });
        self.overdue_mono_ns = overdue.filter(|_| !split);
        split
    }

    fn has_reached_limit(&self, received: Received) -> bool {
        self.segment.as_ref().is_some_and(|segment| match self.options.split {
            None => false,
            Some(SplitLimit::Bytes(bytes)) => segment.bytes() >= bytes,
            Some(SplitLimit::Time(time)) => segment.duration(received.mono_ns) >= time,
        })
    }

    /// Starts a file. Returns `false` after a failure, which it reports; then waits before the next attempt.
    pub(super) fn try_start(&mut self, received: Received) -> bool {
        if let Some(at) = self.next_try {
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.shared.pause(left.min(DISK_CHECK_INTERVAL));
                return false;
            }
        }
        self.start_timeline(received);
        match self.start_segment(received) {
            Ok(()) => {
                self.next_try = None;
                // `None` if the early incidents could not be written.
                self.segment.is_some()
            }
            Err(error) => {
                self.report_paused(&with_causes(&error));
                if self.stopped.is_some() {
                    self.lose_remaining_frames();
                } else {
                    self.next_try = Some(Instant::now() + RETRY_INTERVAL);
                }
                false
            }
        }
    }

    /// Starts the time of a file with the arrival of its first frame.
    pub(super) fn start_timeline(&mut self, first: Received) {
        self.has_timeline = true;
        if self.timeline.start_file(first) {
            // Their offsets are those of the clock before it was set.
            self.cameras.iter_mut().for_each(|camera| camera.clock = ClockModel::default());
        }
    }

    pub(super) fn start_segment(&mut self, received: Received) -> Result<(), RecordError> {
        let part = self.next_part(received.unix_ns);
        let RecordOptions { target, sync, compression, .. } = &self.options;
        let first = self.is_first_file;
        // Names stay in order when the clock is set back.
        let after = |last: Received| last.unix_ns.saturating_add(received.mono_ns.saturating_sub(last.mono_ns) as i64);
        let unix_ns = received.unix_ns.max(self.named.map_or(i64::MIN, after));
        let (names, disk) = target::create(target, &self.folder, first, unix_ns, *sync, &mut self.create_disk)?;
        let partial = names.partial.clone();
        tracing::info!("recording to {}", partial.display());
        let segment = Segment::new(names, disk, *compression, &self.infos, received.unix_ns, &part);
        let mut segment = segment.map_err(|error| RecordError::Io {
            path: partial.clone(),
            why: std::io::Error::other(with_causes(&error)),
        })?;
        self.is_first_file = false;
        self.named = Some(Received { unix_ns, ..received });
        for (number, camera) in self.cameras.iter_mut().enumerate() {
            camera.parameter_sets.begin_file();
            let records = camera.context.records();
            if !records.is_empty() {
                segment.context(number, &records);
            }
        }
        let mut progress = self.shared.progress();
        progress.state = RecorderState::Recording;
        progress.current = Some((partial, segment.monitor().clone()));
        drop(progress);
        self.segment = Some(segment);
        while let Some(incident) = self.early_incidents.pop_front() {
            if let Err(error) = self.write_to_segment(&incident) {
                self.abandon(&with_causes(&error));
            }
        }
        Ok(())
    }

    /// Returns the place of the next file in this recording. The first file begins the recording.
    fn next_part(&mut self, begun_unix_ns: i64) -> Part {
        let name = || {
            let names: Vec<_> = self.infos.iter().take(RECORDING_NAMES_MAX).map(|info| &*info.name).collect();
            format!("{begun_unix_ns} {}", names.join(" "))
        };
        let Parts { recording, number, previous, frames } = &mut self.parts;
        let recording = recording.get_or_insert_with(name).clone();
        Part { recording, number: *number, previous: previous.clone(), frames_before: frames.clone() }
    }

    /// Finishes the file, or gives up on it. `why`: the reason, for log lines.
    pub(super) fn finish_segment(&mut self, why: &str) {
        let Some(segment) = self.segment.take() else { return };
        let (path, monitor) = (segment.path().clone(), segment.monitor().clone());
        if !segment.has_content() {
            drop(segment);
            tracing::info!("removed {}, which has no frames: {why}", path.display());
            let removed = std::fs::remove_file(&path);
            let mut progress = self.shared.progress();
            (progress.current, progress.current_bytes) = (None, 0);
            if let Err(error) = removed {
                progress.add_problem(&format!("cannot remove {}, which has no frames: {error}", path.display()));
            }
            return;
        }
        let clocks: Vec<BTreeMap<String, String>> = self.cameras.iter().map(|camera| camera.clock.metadata()).collect();
        let finished = segment.finish(&clocks, || {
            self.note_stop();
            if monitor.condition() == DiskCondition::Full {
                self.make_room();
            }
            self.stopped.is_none_or(|since| since.elapsed() < FINISH_TIME)
        });
        match finished {
            Ok(FinishedSegment { file: saved, frames: contents }) => {
                let frames = count(saved.frames, "frame", "frames");
                tracing::info!("finished {} with {frames}, {}: {why}", saved.path.display(), Bytes(saved.bytes));
                if self.options.keep.is_some() {
                    self.retention.finished(&saved.path, Instant::now());
                }
                let mut progress = self.shared.progress();
                progress.current = None;
                progress.current_bytes = 0;
                self.parts.add(&saved.path, contents);
                progress.files.push(saved);
                drop(progress);
                self.delete_old_files();
            }
            Err((error, lost)) => self.give_up_on(&path, &error, &lost),
        }
    }

    /// Returns whether a clip takes this entry: the video of each camera begins at a key frame.
    pub(super) fn begins_or_continues(&mut self, entry: &Entry) -> bool {
        let Entry::Frame { camera, frame, .. } = entry else { return true };
        let known = &mut self.cameras[*camera];
        known.clip_begun = known.clip_begun || (frame.is_key_frame() && frame.stream.is_none());
        known.clip_begun
    }

    pub(super) fn end_clip(&mut self) {
        self.clip = None;
        self.cameras.iter_mut().for_each(|camera| camera.clip_begun = false);
        self.firings = Firings::default();
        self.finish_segment("no detection has matched the trigger since");
        self.parts = Parts::default();
        self.shared.progress().state = RecorderState::Waiting;
    }

    /// Notes the time at which the recorder was stopped.
    pub(super) fn note_stop(&mut self) {
        if self.stopped.is_none() && self.shared.is_stopped() {
            self.stopped = Some(Instant::now());
            self.next_try = None;
        }
    }

    /// Returns whether a stopped recorder has no time left for frames that still wait. They count as lost.
    pub(super) fn drain_timed_out(&mut self) -> bool {
        if self.stopped.is_none_or(|since| since.elapsed() < DRAIN_TIME) {
            return false;
        }
        if self.lose_remaining_frames() > 0 {
            let full = self.segment.as_ref().is_some_and(|open| open.monitor().condition() == DiskCondition::Full);
            let why = if full { "the disk is full" } else { "writing is too slow" };
            let text =
                format!("{why}: frames that were still waiting {} s after the end are lost", DRAIN_TIME.as_secs());
            self.shared.progress().add_problem(&text);
        }
        true
    }

    /// Leaves the file as it is after a write error. Frames that are not in it are lost.
    pub(super) fn abandon(&mut self, why: &str) {
        let Some(segment) = self.segment.take() else { return };
        let (path, lost) = (segment.path().clone(), segment.lost());
        drop(segment);
        self.give_up_on(&path, why, &lost);
        self.next_try = Some(Instant::now() + RETRY_INTERVAL).filter(|_| self.stopped.is_none());
    }

    pub(super) fn give_up_on(&mut self, path: &Path, why: &str, lost: &LostFrames) {
        let mut progress = self.shared.progress();
        progress.gaps -= lost.gap_markers;
        for (number, camera) in self.cameras.iter_mut().enumerate() {
            let taken = &mut progress.taken[number];
            taken.recorded -= lost.frames[number];
            taken.lost += lost.frames[number];
            // The next file marks these frames, and those of gap markers that were not written.
            camera.lost_unmarked.append(&lost.unmarked[number]);
        }
        progress.current = None;
        let bytes = std::mem::take(&mut progress.current_bytes);
        if !lost.in_file.is_empty() {
            progress.unfinished_bytes += bytes;
            progress.unfinished.push(path.to_owned());
            // Its name once it is finished or recovered.
            self.parts.add(&path.with_extension(""), lost.in_file.clone());
        } else {
            // Otherwise a disk that keeps failing would leave an empty file every second.
            let _ = std::fs::remove_file(path);
        }
        drop(progress);
        self.report_paused(&format!("{}: {why}", path.display()));
    }

    fn report_paused(&mut self, why: &str) {
        let mut progress = self.shared.progress();
        let state = RecorderState::Paused { why: why.to_owned() };
        if progress.state != state {
            tracing::warn!("recording is paused: {why}");
            progress.add_problem(why);
            progress.state = state;
        }
    }

    /// Counts all frames that still wait as lost, and returns their number. Called when the recorder is stopped.
    fn lose_remaining_frames(&mut self) -> u64 {
        self.clip = None;
        let mut rest: Vec<Entry> = self.ready.drain(..).collect();
        while let Some(item) = self.taker.try_take() {
            if let Item::Frame { camera, frame, dropped, bytes } = item {
                rest.push(Entry::Frame { camera, frame, dropped, bytes });
            }
        }
        let mut progress = self.shared.progress();
        let mut lost = 0;
        for entry in rest {
            if let Entry::Frame { camera, frame, .. } = entry {
                progress.taken[camera].lost += 1;
                self.cameras[camera].lost_unmarked.add(frame.stream.as_ref(), 1);
                lost += 1;
            }
        }
        lost
    }

    /// Updates the free space, and deletes old files if necessary. At most once per second.
    pub(super) fn check_disk(&mut self) {
        if self.disk_checked.is_some_and(|at| at.elapsed() < DISK_CHECK_INTERVAL) {
            return;
        }
        self.disk_checked = Some(Instant::now());
        let space = DiskSpace::of_folder(&self.folder);
        self.shared.progress().disk_left = space.map(|space| space.left);
        let tight = matches!((self.options.keep, space), (Some(KeepLimit::Free(share)), Some(space))
            if (space.left as f64) < share * space.all as f64);
        if tight || self.cleaned_up.is_none_or(|at| at.elapsed() >= CLEANUP_INTERVAL) {
            self.delete_old_files();
        }
    }

    /// Deletes old files because the disk is full. At most once per second.
    pub(super) fn make_room(&mut self) {
        if self.cleaned_up.is_none_or(|at| at.elapsed() >= DISK_CHECK_INTERVAL) {
            self.delete_old_files();
        }
    }

    /// Deletes the finished files that [`KeepLimit`] does not keep.
    pub(super) fn delete_old_files(&mut self) {
        let Some(keep) = self.options.keep else { return };
        self.cleaned_up = Some(Instant::now());
        let writing = self.segment.as_ref().map_or(0, Segment::bytes);
        let folder = &self.folder;
        let now = (SystemTime::now(), Instant::now());
        let space = || DiskSpace::of_folder(folder);
        if let Err(error) = self.retention.delete_old_files(keep, folder, writing, now, space) {
            let why = format!("cannot delete old recordings in {}: {error}", folder.display());
            tracing::warn!("{why}");
            self.shared.progress().add_problem(&why);
        }
    }
}

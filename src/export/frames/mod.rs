//! Reads the chosen frames of recordings, one file after the other.

mod ahead;
mod copies;
mod gaps;
mod labels;
mod names;
mod next_file;
mod numbers;
mod video_start;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::camera::{Camera, camera_index};
use super::choice::{Choice, ChosenDetection, chosen_detections};
use super::decoding::Decoding;
use super::report::ExportReport;
use super::{ExportError, ProgressFn, report_progress};
use crate::convert::DepthMap;
use crate::frame::{Frame, FrameNumbers, LabelMap, Pool};
use crate::overlay::Style;
use crate::recording::{
    MissingFiles, Part, Played, PlayedFrame, PlayedMeasurement, Player, RecordingError, missing_files, natural_order,
};
use ahead::{OpenFile, beside};
use copies::leave_out_copies;
use gaps::VideoGaps;
use labels::{is_label, refuse};
use next_file::read_depths_after;
use numbers::number;
use video_start::note_sets;

/// Time beyond the end of the time range at which reading stops, in nanoseconds. A file holds frames of several cameras
/// nearly, but not exactly, in the order of arrival.
const MAX_DISORDER_NS: i64 = 10_000_000_000;

/// Frames left out between two reports of the progress, which can stop the export.
const FRAMES_PER_REPORT: u64 = 256;

/// A frame to export.
#[derive(Debug)]
pub(super) struct ChosenFrame {
    /// Index in [`Frames::cameras`].
    pub(super) camera: usize,
    /// Number of the frame among those of its camera in all files.
    pub(super) number: u64,
    /// Capture time as estimated by the recorder, in nanoseconds since 1970, UTC.
    pub(super) taken_ns: i64,
    pub(super) frame: Arc<Frame>,
    /// The parameter sets of its video so far, in the form of Annex B, if this key frame has none.
    pub(super) parameter_sets: Option<Arc<[u8]>>,
    pub(super) detections: Vec<ChosenDetection>,
    /// A frame of video is missing between the last key frame and this one.
    pub(super) after_gap: bool,
    /// Share of the time range that has been read after this frame, 0..=1.
    pub(super) fraction: f64,
}

/// A frame or a number to export.
#[derive(Debug)]
pub(super) enum Chosen {
    Frame(ChosenFrame),
    Measurement {
        /// Index in [`Frames::cameras`].
        camera: usize,
        measurement: PlayedMeasurement,
    },
}

/// A recording to read.
#[derive(Debug)]
struct InputFile {
    path: PathBuf,
    /// Arrival of the first frame and of the last message, in nanoseconds since 1970, UTC.
    span: Option<(i64, i64)>,
    /// For each camera of the file, its index in [`Frames::cameras`] if it was chosen.
    cameras: Vec<Option<usize>>,
    /// For each camera of the file, the index in [`Frames::cameras`] of the chosen one whose boxes are measured in its depth: the
    /// camera of the same connection.
    beside: Vec<Option<usize>>,
    /// For each camera of the file, whether its clock cannot be fitted: its times are then those of the arrivals.
    without_clock: Vec<bool>,
    /// For each camera of the file, the numbers of its frames.
    numbers: Vec<FrameNumbers>,
    /// Place of the file in a recording of several files.
    part: Option<Part>,
    /// Set if depth pictures at its beginning were read for frames of the file before.
    open: Option<OpenFile>,
}

/// Reads the chosen frames.
#[derive(Debug)]
pub(super) struct Frames {
    cameras: Arc<[Camera]>,
    /// The last parameter sets of each camera's video, in the form of Annex B. Many encoders send them only once.
    parameter_sets: Vec<Option<Arc<[u8]>>>,
    /// Gaps in the frames of each camera.
    gaps: Vec<VideoGaps>,
    /// Number of frames in range so far, for each camera.
    in_range: Vec<u64>,
    remaining: VecDeque<InputFile>,
    current: Option<(InputFile, OpenFile)>,
    /// Chosen arrival times, in nanoseconds since 1970, UTC.
    range: std::ops::Range<i64>,
    /// The part of `range` that the recordings cover, for the progress.
    span: (i64, i64),
    /// Arrival of the first frame and of the last message of the recordings, if they have messages.
    whole_span: Option<(i64, i64)>,
    /// The recording that ends last.
    latest: Option<PathBuf>,
    every: u64,
    style: Style,
    /// The chosen labels that no table has had so far.
    unknown_labels: Vec<String>,
    /// The last table of a frame, whose names are known.
    table: Option<Arc<LabelMap>>,
    /// Frames that were chosen.
    chosen: u64,
    /// The user named the cameras.
    are_named: bool,
    /// Leave out frames without a chosen detection.
    need_detection: bool,
    pool: Pool<Frame>,
    /// Latest arrival time read so far.
    now_ns: i64,
    /// Set if frames of video are returned decoded.
    decoding: Option<Decoding>,
    /// Set if numbers are returned as well, and boxes are measured: the last depth pictures beside each camera.
    depths: Option<Vec<DepthMap>>,
    /// For a data set: a depth picture without a chosen detection is left out, unless the user named its camera.
    is_data_set: bool,
}

impl Frames {
    /// Opens every file to find its cameras and times. Does not read frames.
    pub(super) fn open(files: &[PathBuf], choice: &Choice, report: &mut ExportReport) -> Result<Self, ExportError> {
        let (mut cameras, mut files_to_read) = (Vec::<Camera>::new(), Vec::new());
        let (mut names, mut unopened, mut parts) = (Vec::new(), None, Vec::new());
        for path in files {
            let failed = |source| ExportError::Recording { path: path.clone(), source };
            let player = match Player::open(path, Pool::default()) {
                Ok(player) => player,
                // A wrong path is an error of the user, not of a recording.
                Err(error @ RecordingError::Open { .. }) => return Err(failed(error)),
                // The other recordings are exported.
                Err(error) if files.len() > 1 => {
                    report.unread(path, &error);
                    unopened.get_or_insert(failed(error));
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            let part = player.reader().part();
            let (mut indices, mut without_clock) = (Vec::new(), Vec::new());
            for info in player.cameras() {
                let misfit = player.reader().clock(&info.name).and_then(|clock| clock.misfit());
                without_clock.push(misfit.is_some());
                names.push(info.name.clone());
                let wanted = choice.cameras.is_empty() || choice.cameras.contains(&info.name);
                if let Some(misfit) = misfit.filter(|_| wanted) {
                    report.note(format!("the clock of {} {misfit}; `time_utc_ns` is its arrival", info.name));
                } else if wanted {
                    report.note_estimates(player.reader(), path);
                }
                indices.push(wanted.then(|| camera_index(&mut cameras, info)));
            }
            if let Some(damage) = player.reader().damage() {
                report.unread(path, &damage);
            }
            let firsts = player.reader().first_streams();
            let beside = (0..firsts.len()).map(|own| beside(own, &firsts).and_then(|other| indices[other])).collect();
            let (path, span) = (path.clone(), player.reader().span());
            let numbers = vec![FrameNumbers::default(); indices.len()];
            parts.extend(part.clone());
            let part = part.map(|file| file.part);
            files_to_read.push(InputFile {
                path,
                span,
                cameras: indices,
                beside,
                without_clock,
                numbers,
                part,
                open: None,
            });
        }
        if let Some(error) = unopened.filter(|_| files_to_read.is_empty()) {
            return Err(error);
        }
        cameras.iter_mut().for_each(|camera| camera.given.clone_from(&choice.names));
        names.sort_by(|a, b| natural_order(a, b));
        names.dedup();
        if let Some(wanted) = choice.cameras.iter().find(|wanted| !names.contains(wanted)) {
            return Err(ExportError::NoCamera { wanted: wanted.clone(), known: names.join(", ") });
        }
        files_to_read.sort_by_key(|file| file.span.map(|(start, _)| start));
        leave_out_copies(&mut files_to_read, &cameras, report)?;
        number(&mut files_to_read, &cameras);
        let spans = || files_to_read.iter().filter_map(|file| file.span);
        let start = spans().map(|(start, _)| start).min().unwrap_or(0);
        let end = spans().map(|(_, end)| end).max().unwrap_or(0);
        let whole_span = spans().next().map(|_| (start, end));
        let latest = files_to_read.iter().max_by_key(|file| file.span.map(|(_, end)| end));
        let latest = latest.map(|file| file.path.clone());
        let is_unknown = |wanted: &&String| !cameras.iter().any(|camera| is_label(wanted, camera.default_names()));
        let unknown_labels: Vec<String> = choice.labels.iter().filter(is_unknown).cloned().collect();
        if !cameras.is_empty() && cameras.iter().all(Camera::has_table) {
            refuse(&unknown_labels, &cameras, None)?;
        }
        let from = choice.from.map_or(i64::MIN, |time| time.unix_ns(start));
        let until = choice.until.map_or(i64::MAX, |time| time.unix_ns(start));
        if let (Some(first), Some(last)) = (choice.from, choice.until)
            && from >= until
        {
            return Err(ExportError::EmptyRange { from: first, until: last });
        }
        let span = |path: &PathBuf| files_to_read.iter().find(|file| file.path == *path).and_then(|file| file.span);
        let is_in_range = |missing: &MissingFiles| {
            span(&missing.after).is_none_or(|(_, end)| end < until)
                && span(&missing.before).is_none_or(|(start, _)| start > from)
        };
        report.missing_files = missing_files(parts, files).into_iter().filter(is_in_range).collect();
        for missing in &mut report.missing_files {
            missing.frames.retain(|camera, _| choice.cameras.is_empty() || choice.cameras.contains(camera));
        }
        Ok(Self {
            in_range: vec![0; cameras.len()],
            parameter_sets: vec![None; cameras.len()],
            gaps: cameras.iter().map(|_| VideoGaps::default()).collect(),
            cameras: cameras.into(),
            remaining: files_to_read.into(),
            current: None,
            range: from..until,
            span: (start.max(from), end.min(until)),
            whole_span,
            latest,
            unknown_labels,
            table: None,
            chosen: 0,
            are_named: !choice.cameras.is_empty(),
            every: choice.every.max(1),
            style: choice.style(),
            need_detection: !choice.labels.is_empty(),
            pool: Pool::default(),
            now_ns: start.max(from),
            decoding: None,
            depths: None,
            is_data_set: false,
        })
    }

    /// Returns numbers between the frames, which `--every`, `--only` and `--threshold` do not select, and measures the depths of
    /// boxes where depth was recorded beside their pictures.
    pub(super) fn for_table(mut self) -> Self {
        self.depths = Some(self.cameras.iter().map(|_| DepthMap::default()).collect());
        self
    }

    /// Leaves out depth pictures without a chosen detection. If the user named the cameras, notes that they have no boxes.
    pub(super) fn for_data_set(mut self) -> Self {
        self.is_data_set = true;
        self
    }

    /// Keeps frames without a chosen detection, for video.
    pub(super) fn without_label_filter(mut self) -> Self {
        self.need_detection = false;
        self
    }

    /// Returns frames of video decoded.
    pub(super) fn decoded(mut self) -> Self {
        self.decoding = Some(Decoding::new(self.cameras.len(), &self.pool));
        self
    }

    /// Returns the chosen cameras.
    pub(super) fn cameras(&self) -> Arc<[Camera]> {
        Arc::clone(&self.cameras)
    }

    /// Returns the share of the time range that has been read, 0..=1.
    pub(super) fn fraction(&self) -> f64 {
        let (start, end) = self.span;
        ((self.now_ns.saturating_sub(start)) as f64 / (end.saturating_sub(start)).max(1) as f64).clamp(0.0, 1.0)
    }

    /// Returns the next chosen frame; `None` after the last.
    ///
    /// # Errors
    /// As [`Self::next_chosen`].
    pub(super) fn next(
        &mut self,
        report: &mut ExportReport,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Option<ChosenFrame>, ExportError> {
        loop {
            match self.next_chosen(report, progress)? {
                Some(Chosen::Frame(frame)) => return Ok(Some(frame)),
                Some(Chosen::Measurement { .. }) => {}
                None => return Ok(None),
            }
        }
    }

    /// Returns the next chosen frame, or a number; `None` after the last. Counts those that it leaves out in `report`.
    ///
    /// # Errors
    /// A recording cannot be opened, `progress` returned `Break`, there are no frames, or the choice selects none.
    pub(super) fn next_chosen(
        &mut self,
        report: &mut ExportReport,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Option<Chosen>, ExportError> {
        loop {
            if report.left_out() % FRAMES_PER_REPORT == FRAMES_PER_REPORT - 1 {
                report_progress(progress, self.fraction(), report.written)?;
            }
            if let Some(ready) = self.decoding.as_mut().and_then(|decoding| decoding.ready.pop_front()) {
                return Ok(Some(Chosen::Frame(ready)));
            }
            let Some((file, open)) = &mut self.current else {
                let Some(file) = self.remaining.pop_front() else {
                    if let Some(decoding) = &mut self.decoding {
                        decoding.flush(&self.cameras, report);
                        if !decoding.ready.is_empty() {
                            continue;
                        }
                    }
                    self.check_choice(report)?;
                    return Ok(None);
                };
                self.current = self.open_at_range(file)?;
                continue;
            };
            let end_ns = self.range.end.saturating_add(MAX_DISORDER_NS);
            let (next, is_measured) = open.next();
            let mut played = match next {
                Ok(Some(Played::Frame(played))) if played.log_ns < end_ns => played,
                Ok(Some(Played::Measurement(measurement))) if measurement.log_ns < end_ns => {
                    let camera = file.cameras.get(measurement.camera).copied().flatten();
                    let Some(camera) = camera.filter(|_| self.range.contains(&measurement.log_ns)) else { continue };
                    self.now_ns = self.now_ns.max(measurement.log_ns);
                    if self.depths.is_some() {
                        return Ok(Some(Chosen::Measurement { camera, measurement }));
                    }
                    report.measurements_left_out += 1;
                    continue;
                }
                Ok(_) => {
                    self.end_file(report);
                    continue;
                }
                Err(RecordingError::Unsupported { camera, .. })
                    if file.cameras.get(camera).is_some_and(Option::is_none) =>
                {
                    continue;
                }
                Err(error) => {
                    let continues = error.is_damage();
                    report.unread(&file.path, &error);
                    if !continues {
                        self.end_file(report);
                    }
                    continue;
                }
            };
            if let Some(depths) = &mut self.depths {
                let own = file.beside.get(played.camera).copied().flatten().filter(|_| !is_measured);
                let mut read = own.map_or(Ok(()), |own| depths[own].read(&played.frame).map(drop));
                if let Some(camera) = file.cameras.get(played.camera).copied().flatten()
                    && !played.frame.is_depth()
                    && file.beside.contains(&Some(camera))
                {
                    let depths = &mut depths[camera];
                    read = read.and(open.read_depths(&file.beside, camera, &played.frame, depths));
                    let after = (&self.pool, &self.range);
                    read = read.and(read_depths_after(&mut self.remaining, after, camera, &played.frame, depths));
                }
                if let Err(error) = read {
                    report.note(format!("depths in {} cannot be read: {error}", file.path.display()));
                }
            }
            let Some(camera) = file.cameras.get(played.camera).copied().flatten() else { continue };
            if file.without_clock.get(played.camera) == Some(&true) {
                played.publish_ns = played.log_ns;
            }
            let number = file.numbers[played.camera].number(played.sequence.into());
            report.read += 1;
            let missing = open.player.not_recorded(played.camera) + open.player.reader().missing(played.camera);
            let after_gap = self.gaps[camera].is_after_gap(&played.frame, number, missing);
            note_sets(&mut self.parameter_sets[camera], &played.frame);
            let frame = Arc::clone(&played.frame);
            let chosen = self.choose(camera, number, played, report);
            let chosen = chosen.map(|chosen| ChosenFrame { after_gap, ..chosen });
            match &mut self.decoding {
                Some(decoding) if frame.kind.is_video() => {
                    decoding.waiting.extend(chosen);
                    decoding.decode(camera, &frame, &self.cameras, report);
                }
                _ if chosen.is_some() => return Ok(chosen.map(Chosen::Frame)),
                _ => {}
            }
        }
    }

    /// Returns a frame if it was chosen, or else counts it in `report`.
    fn choose(
        &mut self,
        camera: usize,
        number: u64,
        played: PlayedFrame,
        report: &mut ExportReport,
    ) -> Option<ChosenFrame> {
        if !self.range.contains(&played.log_ns) {
            report.out_of_range += 1;
            return None;
        }
        self.now_ns = self.now_ns.max(played.log_ns);
        self.in_range[camera] += 1;
        if !(self.in_range[camera] - 1).is_multiple_of(self.every) {
            report.between += 1;
            return None;
        }
        self.see_labels(&played.frame);
        let names = self.cameras[camera].names(&played.frame);
        let depths = self.depths.as_mut().map(|depths| &mut depths[camera]);
        let depths = depths.and_then(|depths| {
            let covers = depths.covers(&played.frame);
            depths.mismatch().inspect(|text| report.note(format!("{}: {text}", self.cameras[camera].name)));
            covers.then_some(depths)
        });
        let (detections, without_box) = chosen_detections(&self.style, names, &played.frame, depths);
        if self.need_detection && detections.is_empty() {
            report.without_label += 1;
            return None;
        }
        if self.is_data_set && detections.is_empty() && played.frame.is_depth() {
            let name = &self.cameras[camera].name;
            if !self.are_named {
                report.note(format!(
                    "the depth of {name} is not in the data set: `--camera {name}` exports it in false colors"
                ));
                report.depth += 1;
                return None;
            }
            report.note(format!(
                "the depth pictures of {name}, in false colors, have no boxes: a training takes them as pictures without objects"
            ));
        }
        report.without_box += without_box;
        let taken_ns = played.publish_ns;
        self.chosen += 1;
        let frame = played.frame;
        let needs_sets = frame.kind.is_video() && frame.is_key_frame() && !frame.parameter_sets().has_sequence;
        let parameter_sets = self.parameter_sets[camera].clone().filter(|_| needs_sets);
        let (fraction, after_gap) = (self.fraction(), false);
        Some(ChosenFrame { camera, number, taken_ns, frame, parameter_sets, detections, after_gap, fraction })
    }

    /// Ends the current file. Counts the frames that are missing in it.
    fn end_file(&mut self, report: &mut ExportReport) {
        let Some((file, OpenFile { player, .. })) = self.current.take() else { return };
        self.depths.iter_mut().flatten().for_each(DepthMap::wait_again);
        for (camera, chosen) in file.cameras.iter().enumerate().filter_map(|(at, chosen)| Some((at, (*chosen)?))) {
            let (missing, not_recorded) = (player.reader().missing(camera), player.not_recorded(camera));
            report.missing += missing;
            report.not_recorded += not_recorded;
            self.gaps[chosen].end_file(missing + not_recorded);
        }
    }

    /// Opens a file at the start of the time range; `None` if it has no frame of a chosen camera in range.
    fn open_at_range(&mut self, mut file: InputFile) -> Result<Option<(InputFile, OpenFile)>, ExportError> {
        if let Some(open) = file.open.take() {
            return Ok(Some((file, open)));
        }
        let Some((start, end)) = file.span else { return Ok(None) };
        if end < self.range.start || start >= self.range.end || file.cameras.iter().all(Option::is_none) {
            return Ok(None);
        }
        let failed = |source| ExportError::Recording { path: file.path.clone(), source };
        let mut player = Player::open(&file.path, self.pool.clone()).map_err(failed)?;
        player.count_within(self.range.clone());
        if start < self.range.start {
            self.read_sets(&file, &mut player);
            match self.decoding {
                Some(_) => self.seek_key_frames(&file, start, &mut player).map_err(failed)?,
                None => player.seek(self.range.start).map_err(failed)?,
            }
        }
        Ok(Some((file, player.into())))
    }
}

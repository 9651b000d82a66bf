//! Writes one MP4 file per camera.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::camera::Camera;
use super::frames::{ChosenFrame, Frames};
use super::group_encoder::GroupEncoder;
use super::place::{self, OwnFolder};
use super::report::{ExportReport, Skip};
use super::still::{StillEncoder, note_false_colors, note_mosaic};
use super::video_file::{Codec, Times, VideoFile};
use super::{ExportError, ExportOptions, ProgressFn, pipeline, report_progress};
use crate::access_unit::AccessUnit;
use crate::frame::{PayloadKind, Size};
use crate::units::count;

/// Key-frame interval, in pictures: 2 s at 30 frames per second. Players seek to key frames.
const GROUP_PICTURES: usize = 60;
/// Limit for the payloads of all groups that are collected, waiting or being encoded. With large pictures or many
/// threads, groups are shorter.
const HELD_BYTES_MAX: usize = 512 << 20;

/// Frame rate of a video with a single picture.
const DEFAULT_FPS: f32 = 25.0;

/// Destination of the videos.
enum Destination {
    /// For one camera.
    File(PathBuf),
    /// One file per camera.
    Folder { path: PathBuf, _own: OwnFolder },
}

impl Destination {
    /// Takes a path that ends in `.mp4` as a file, and any other path as a folder, which is created.
    fn new(options: &ExportOptions, cameras: &[Camera]) -> Result<Self, ExportError> {
        let path = options.output.clone();
        let is_file = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
        if !is_file {
            let own = place::empty_folder(&path)?;
            return Ok(Self::Folder { path, _own: own });
        }
        if cameras.len() > 1 {
            let names: Vec<_> = cameras.iter().map(|camera| camera.name.as_str()).collect();
            return Err(ExportError::OneVideo { path, cameras: names.join(", ") });
        }
        if path.symlink_metadata().is_ok() { Err(ExportError::Exists(path)) } else { Ok(Self::File(path)) }
    }

    fn file(&self, camera: &Camera) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder { path, .. } => path.join(format!("{}.mp4", camera.stem)),
        }
    }
}

/// Consecutive frames of one camera.
struct Group {
    camera: usize,
    frames: Vec<ChosenFrame>,
    /// Frame rate of the camera.
    fps: f32,
}

/// Returns the mean frame rate by the times of arrival, within what the encoder supports.
fn frame_rate(frames: &[ChosenFrame]) -> f32 {
    let arrival = |chosen: &ChosenFrame| chosen.frame.received.unix_ns;
    let Some((first, last)) = frames.first().zip(frames.last()) else { return DEFAULT_FPS };
    let seconds = arrival(last).saturating_sub(arrival(first)) as f64 / 1e9;
    let fps = (frames.len() - 1) as f64 / seconds;
    if fps.is_finite() && fps > 0.0 { fps.clamp(1.0, 60.0) as f32 } else { DEFAULT_FPS }
}

/// Collects frames into groups.
struct Grouper {
    frames: Frames,
    /// The incomplete group of each camera.
    open: Vec<Vec<ChosenFrame>>,
    /// Payload bytes in `open`, and their limit.
    bytes: usize,
    bytes_max: usize,
    /// The incomplete groups at the end of the recordings.
    rest: Option<VecDeque<Group>>,
    /// Frame rate of each camera, once known.
    fps: Vec<Option<f32>>,
}

impl Grouper {
    fn new(frames: Frames, bytes_max: usize) -> Self {
        let cameras = frames.cameras().len();
        let open = std::iter::repeat_with(Vec::new).take(cameras).collect();
        Self { frames, open, bytes: 0, bytes_max, rest: None, fps: vec![None; cameras] }
    }

    /// Returns the next group. `fraction`: the share that has been written, for the progress after each frame that is read,
    /// since large groups take seconds to read.
    fn next(
        &mut self,
        fraction: f64,
        report: &mut ExportReport,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Option<Group>, ExportError> {
        loop {
            if let Some(rest) = &mut self.rest {
                return Ok(rest.pop_front());
            }
            let Some(chosen) = self.frames.next(report, progress)? else {
                let open = mem::take(&mut self.open).into_iter().enumerate();
                let open: Vec<_> = open.filter(|(_, frames)| !frames.is_empty()).collect();
                self.rest = Some(open.into_iter().map(|(camera, frames)| self.group(camera, frames)).collect());
                continue;
            };
            report_progress(progress, fraction, report.written)?;
            let camera = chosen.camera;
            note_mosaic(report, &self.frames.cameras()[camera], &chosen.frame);
            note_false_colors(report, &self.frames.cameras()[camera], &chosen.frame);
            self.bytes += payload_bytes(&chosen);
            self.open[camera].push(chosen);
            if self.open[camera].len() >= GROUP_PICTURES {
                return Ok(Some(self.end_group(camera)));
            }
            if self.bytes > self.bytes_max {
                // Ends the largest group, so that the groups of other cameras can grow on.
                let largest = (0..self.open.len()).max_by_key(|camera| self.bytes_of(*camera)).unwrap_or(camera);
                return Ok(Some(self.end_group(largest)));
            }
        }
    }

    fn bytes_of(&self, camera: usize) -> usize {
        self.open[camera].iter().map(payload_bytes).sum()
    }

    fn end_group(&mut self, camera: usize) -> Group {
        self.bytes -= self.bytes_of(camera);
        let frames = mem::take(&mut self.open[camera]);
        self.group(camera, frames)
    }

    /// All groups of a camera have the frame rate of the first one, because all have the same parameter sets.
    fn group(&mut self, camera: usize, frames: Vec<ChosenFrame>) -> Group {
        let fps = *self.fps[camera].get_or_insert_with(|| frame_rate(&frames));
        Group { camera, frames, fps }
    }
}

fn payload_bytes(chosen: &ChosenFrame) -> usize {
    chosen.frame.payload().len()
}

/// A group with the access unit of each frame, or the reason for skipping it.
struct EncodedGroup {
    camera: usize,
    pictures: Vec<(Codec, Result<AccessUnit, Skip>)>,
    /// Times and number of detections of each frame, and whether it is after a gap.
    about: Vec<(Times, u64, bool)>,
    /// Original size of a cropped picture, if there was one.
    cropped: Option<Size>,
    fraction: f64,
}

pub(super) fn write_all(
    frames: Frames,
    options: &ExportOptions,
    report: &mut ExportReport,
    progress: &mut ProgressFn<'_>,
) -> Result<(), ExportError> {
    let cameras = frames.cameras();
    let destination = Destination::new(options, &cameras)?;
    let threads = options.threads.get();
    let window = threads + 1;
    // `window` groups in flight, and those that are collected.
    let mut grouper = Grouper::new(frames, HELD_BYTES_MAX / (window + 1));
    let mut videos: HashMap<usize, VideoFile> = HashMap::new();
    let style = options.boxes.then(|| options.choice.style());
    // `next` and `write` run on this thread, never at the same time.
    let shared = RefCell::new((report, progress));
    // Ends the encoding of the groups that are in work.
    let (stopped, fraction) = (AtomicBool::new(false), Cell::new(0.0));
    let stop = |_: &ExportError| stopped.store(true, Ordering::Relaxed);
    let new_worker = || {
        let stills = StillEncoder::new(style.as_ref(), options.quality);
        let quality = options.quality.unwrap_or(ExportOptions::DEFAULT_QUALITY);
        let mut encoder = GroupEncoder::new(stills, quality, &stopped);
        let cameras = &cameras;
        move |group: Group| encode_group(group, &mut encoder, cameras)
    };
    let next = || {
        let (report, progress) = &mut *shared.borrow_mut();
        grouper.next(fraction.get(), report, progress).inspect_err(stop)
    };
    let wait = || {
        let (report, progress) = &mut *shared.borrow_mut();
        report_progress(progress, fraction.get(), report.written).inspect_err(stop)
    };
    let write = |group: EncodedGroup| {
        let (report, progress) = &mut *shared.borrow_mut();
        let camera = &cameras[group.camera];
        if options.quality.is_some() && group.pictures.iter().any(|(codec, _)| *codec != Codec::Encoded) {
            let name = &camera.name;
            report.note(format!("the video of {name} is copied unchanged: --quality has no effect on it"));
        }
        for ((codec, picture), (times, detections, after_gap)) in group.pictures.into_iter().zip(group.about) {
            match picture.map(|unit| add(&mut videos, group.camera, || destination.file(camera), codec, unit, times)) {
                Ok(added) => match added.inspect_err(stop)? {
                    Ok(()) => {
                        report.written += 1;
                        report.after_gap += u64::from(after_gap && codec != Codec::Encoded);
                        report.detections += if options.boxes { detections } else { 0 };
                    }
                    Err(skip) => report.skip(&camera.name, skip),
                },
                Err(skip) => {
                    if codec != Codec::Encoded
                        && let Some(video) = videos.get_mut(&group.camera)
                    {
                        video.picture_missing();
                    }
                    report.skip(&camera.name, skip);
                }
            }
        }
        if let Some(size) = group.cropped {
            let name = &camera.name;
            report.note(format!(
                "the pictures of {name} have {size} pixels: cropped by one, because H.264 needs even sides"
            ));
        }
        fraction.set(group.fraction);
        report_progress(progress, group.fraction, report.written).inspect_err(stop)
    };
    pipeline::in_order(threads, window, next, new_worker, write, wait)?;
    let (report, _) = shared.into_inner();
    for (camera, video) in videos {
        let (added, jumps) = video.finish()?;
        report.add(added);
        if jumps > 0 {
            let name = &cameras[camera].name;
            report.note(format!(
                "the clock of {name} jumped {}: frames before a jump are shown as long as their predecessor",
                count(jumps, "time", "times")
            ));
        }
    }
    Ok(())
}

/// Adds a picture to the video of its camera. The first key frame creates the file.
fn add(
    videos: &mut HashMap<usize, VideoFile>,
    camera: usize,
    path: impl FnOnce() -> PathBuf,
    codec: Codec,
    unit: AccessUnit,
    times: Times,
) -> Result<Result<(), Skip>, ExportError> {
    let video = match videos.entry(camera) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => match VideoFile::create(path(), codec, &unit, times)? {
            Ok(video) => entry.insert(video),
            Err(skip) => return Ok(Err(skip)),
        },
    };
    video.add(codec, unit, times)
}

/// Encodes pictures, and copies video from the camera.
fn encode_group(group: Group, encoder: &mut GroupEncoder<'_>, cameras: &[Camera]) -> EncodedGroup {
    let Group { camera, frames, fps } = group;
    let about = |chosen: &ChosenFrame| (Times::of(chosen), chosen.detections.len() as u64, chosen.after_gap);
    let about = frames.iter().map(about).collect();
    let fraction = frames.last().map_or(0.0, |chosen| chosen.fraction);
    let mut pictures = Vec::with_capacity(frames.len());
    for run in frames.chunk_by(|a, b| codec(a) == codec(b)) {
        let codec = codec(&run[0]);
        if codec == Codec::Encoded {
            pictures.extend(encoder.encode(run, &cameras[camera], fps).into_iter().map(|unit| (codec, unit)));
        } else {
            pictures.extend(run.iter().map(|chosen| (codec, copy(codec, chosen))));
        }
    }
    EncodedGroup { camera, pictures, about, cropped: encoder.take_cropped(), fraction }
}

fn codec(chosen: &ChosenFrame) -> Codec {
    match chosen.frame.kind {
        PayloadKind::Raw | PayloadKind::Jpeg => Codec::Encoded,
        PayloadKind::H264 => Codec::H264,
        PayloadKind::H265 => Codec::H265,
    }
}

fn copy(codec: Codec, chosen: &ChosenFrame) -> Result<AccessUnit, Skip> {
    let mut unit = codec.parse(chosen.frame.payload())?;
    if let Some(sets) = &chosen.parameter_sets {
        unit.add_parameter_sets(codec.kind(), sets);
    }
    Ok(unit)
}

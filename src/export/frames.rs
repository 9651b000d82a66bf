//! Recordings -> the frames that were chosen, in the order of their files.

use std::path::PathBuf;
use std::sync::Arc;

use super::ExportError;
use super::choice::{Choice, wanted};
use super::place::file_name;
use super::report::{Report, Unread};
use crate::frame::{Detection, Frame, LabelMap, Pool};
use crate::overlay::Style;
use crate::recording::Player;

/// A frame can stand so much later in a file than one of another camera that arrived after it.
const DISORDER_NS: i64 = 10_000_000_000;

/// A camera of the recordings.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) name: String,
    /// Its name in names of files: no other camera has it.
    pub(super) stem: String,
    labels: Option<LabelMap>,
}

impl Camera {
    /// The names of the labels of a frame of it: those that the stream gave, else those that the recording has, else
    /// COCO's.
    pub(super) fn names<'a>(&'a self, frame: &'a Frame) -> &'a LabelMap {
        let given = frame.labels.as_deref().into_iter().chain(&self.labels).find(|names| !names.is_empty());
        given.unwrap_or_else(|| LabelMap::coco())
    }

    /// The names that hold when the stream gives none.
    pub(super) fn default_names(&self) -> &LabelMap {
        self.labels.as_ref().filter(|names| !names.is_empty()).unwrap_or_else(|| LabelMap::coco())
    }
}

/// A frame that is to be exported.
#[derive(Debug)]
pub(super) struct Shot {
    /// Which of [`Frames::cameras`].
    pub(super) camera: usize,
    /// Counts the frames of the camera in its file.
    pub(super) sequence: u32,
    /// When it was taken, as far as the recorder knew; nanoseconds since 1970, UTC.
    pub(super) taken_ns: i64,
    pub(super) frame: Arc<Frame>,
    /// The detections that are wanted, with boxes inside of the picture.
    pub(super) seen: Vec<Detection>,
    /// How much of the time in range has been read with it, 0..=1.
    pub(super) part: f64,
}

/// A file that is going to be read.
#[derive(Debug)]
struct Tape {
    path: PathBuf,
    span: Option<(i64, i64)>,
    /// For each of its cameras which of ours, if that was chosen.
    cameras: Vec<Option<usize>>,
}

/// Reads the frames that were chosen.
#[derive(Debug)]
pub(super) struct Frames {
    cameras: Arc<[Camera]>,
    /// Frames in range so far, for each camera.
    in_range: Vec<u64>,
    tapes: std::vec::IntoIter<Tape>,
    playing: Option<(Tape, Player)>,
    range: std::ops::Range<i64>,
    span: (i64, i64),
    every: u64,
    style: Style,
    /// Whether a frame without a wanted detection is none.
    only_seen: bool,
    pool: Pool<Frame>,
    now_ns: i64,
}

impl Frames {
    /// Looks into all files; reads none of their frames.
    pub(super) fn open(files: &[PathBuf], choice: &Choice, report: &mut Report) -> Result<Self, ExportError> {
        let (mut cameras, mut tapes) = (Vec::<Camera>::new(), Vec::new());
        let mut there = Vec::new();
        for path in files {
            let refused = |source| ExportError::Recording { path: path.clone(), source };
            let player = Player::open(path, Pool::default()).map_err(refused)?;
            let mut of = Vec::new();
            for info in player.cameras() {
                there.push(info.name.clone());
                let wanted = choice.cameras.is_empty() || choice.cameras.contains(&info.name);
                of.push(wanted.then(|| number(&mut cameras, info.name.clone(), info.labels.as_ref())));
            }
            if let Some(at) = player.reader().torn_at() {
                let why = format!("it ends in the middle, at byte {at}: what was recorded after that is not there");
                report.unread.push(Unread { path: path.clone(), why });
            }
            tapes.push(Tape { path: path.clone(), span: player.reader().span(), cameras: of });
        }
        there.sort();
        there.dedup();
        if let Some(wanted) = choice.cameras.iter().find(|wanted| !there.contains(wanted)) {
            return Err(ExportError::NoCamera { wanted: wanted.clone(), there: there.join(", ") });
        }
        tapes.sort_by_key(|tape| tape.span.map(|(start, _)| start));
        let spans = || tapes.iter().filter_map(|tape| tape.span);
        let start = spans().map(|(start, _)| start).min().unwrap_or(0);
        let end = spans().map(|(_, end)| end).max().unwrap_or(0);
        let from = choice.from.map_or(i64::MIN, |moment| moment.unix_ns(start));
        let until = choice.until.map_or(i64::MAX, |moment| moment.unix_ns(start));
        if from >= until {
            return Err(ExportError::EmptyRange { from, until });
        }
        Ok(Self {
            in_range: vec![0; cameras.len()],
            cameras: cameras.into(),
            tapes: tapes.into_iter(),
            playing: None,
            range: from..until,
            span: (start.max(from), end.min(until)),
            every: choice.every.max(1),
            style: choice.style(),
            only_seen: !choice.labels.is_empty(),
            pool: Pool::default(),
            now_ns: start.max(from),
        })
    }

    /// Video has every frame, whatever is to be seen in it.
    pub(super) fn with_unseen(mut self) -> Self {
        self.only_seen = false;
        self
    }

    /// The cameras that were chosen.
    pub(super) fn cameras(&self) -> Arc<[Camera]> {
        Arc::clone(&self.cameras)
    }

    /// How much of the time in range has been read, 0..=1.
    fn part(&self) -> f64 {
        let (start, end) = self.span;
        ((self.now_ns.saturating_sub(start)) as f64 / (end.saturating_sub(start)).max(1) as f64).clamp(0.0, 1.0)
    }

    /// The next frame that is wanted. What is read and not wanted is counted.
    pub(super) fn next(&mut self, report: &mut Report) -> Result<Option<Shot>, ExportError> {
        loop {
            let Some((tape, player)) = &mut self.playing else {
                let Some(tape) = self.tapes.next() else { return Ok(None) };
                self.playing = self.begin(tape)?;
                continue;
            };
            let played = match player.next_frame() {
                Ok(Some(played)) if played.log_ns < self.range.end.saturating_add(DISORDER_NS) => played,
                Ok(_) => {
                    self.playing = None;
                    continue;
                }
                Err(error) => {
                    report.unread.push(Unread { path: tape.path.clone(), why: error.to_string() });
                    self.playing = None;
                    continue;
                }
            };
            let Some(camera) = tape.cameras.get(played.camera).copied().flatten() else { continue };
            report.read += 1;
            if !self.range.contains(&played.log_ns) {
                report.out_of_range += 1;
                continue;
            }
            self.now_ns = self.now_ns.max(played.log_ns);
            self.in_range[camera] += 1;
            if !(self.in_range[camera] - 1).is_multiple_of(self.every) {
                report.between += 1;
                continue;
            }
            let (seen, without_box) =
                wanted(&self.style, self.cameras[camera].names(&played.frame), &played.frame.detections);
            if self.only_seen && seen.is_empty() {
                report.without_label += 1;
                continue;
            }
            report.without_box += without_box;
            let (sequence, taken_ns) = (played.sequence, played.publish_ns);
            return Ok(Some(Shot { camera, sequence, taken_ns, frame: played.frame, seen, part: self.part() }));
        }
    }

    /// Opens a file at the beginning of the range, if there can be anything of it inside.
    fn begin(&self, tape: Tape) -> Result<Option<(Tape, Player)>, ExportError> {
        let Some((start, end)) = tape.span else { return Ok(None) };
        if end < self.range.start || start >= self.range.end || tape.cameras.iter().all(Option::is_none) {
            return Ok(None);
        }
        let refused = |source| ExportError::Recording { path: tape.path.clone(), source };
        let mut player = Player::open(&tape.path, self.pool.clone()).map_err(refused)?;
        if start < self.range.start {
            player.seek(self.range.start).map_err(refused)?;
        }
        Ok(Some((tape, player)))
    }
}

/// Which camera this is; a new one when there was none of this name.
fn number(cameras: &mut Vec<Camera>, name: String, labels: Option<&LabelMap>) -> usize {
    if let Some(known) = cameras.iter().position(|camera| camera.name == name) {
        let known_labels = &mut cameras[known].labels;
        *known_labels = known_labels.take().or_else(|| labels.cloned());
        return known;
    }
    let plain = file_name(&name);
    let taken = |stem: &str| cameras.iter().any(|camera| camera.stem.eq_ignore_ascii_case(stem));
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    let stem = std::iter::once(plain.clone()).chain(numbered).find(|stem| !taken(stem)).unwrap_or(plain);
    cameras.push(Camera { name, stem, labels: labels.cloned() });
    cameras.len() - 1
}

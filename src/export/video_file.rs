//! Writes access units to one MP4 file. A picture is shown until the capture time of the next one.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample};

use super::ExportError;
use super::frames::ChosenFrame;
use super::place;
use super::report::{Added, BEFORE_KEY_FRAME, Skip};
use crate::access_unit::{AccessUnit, AccessUnitError};
use crate::file::NewFile;
use crate::frame::PayloadKind;

/// Time scale of the file. All players support this one of MPEG. A tick is 11 us, short compared with a frame interval.
const TICKS_PER_S: u32 = 90_000;
/// Duration of a single picture, in ticks: 1/25 s.
const DEFAULT_DURATION_TICKS: u32 = TICKS_PER_S / 25;

/// Source and codec of access units. A file contains one kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// H.264 encoded by [`GroupEncoder`](super::group_encoder::GroupEncoder).
    Encoded,
    /// H.264 from the camera.
    H264,
    /// H.265 from the camera.
    H265,
}

impl Codec {
    /// Parses one access unit in Annex B format.
    pub(super) fn parse(self, stream: &[u8]) -> Result<AccessUnit, Skip> {
        let invalid = |error: AccessUnitError| Skip { kind: "invalid video", why: error.to_string() };
        AccessUnit::parse(self.kind(), stream).map_err(invalid)
    }

    /// Returns the encoding of the access units.
    pub(super) const fn kind(self) -> PayloadKind {
        match self {
            Self::Encoded | Self::H264 => PayloadKind::H264,
            Self::H265 => PayloadKind::H265,
        }
    }
}

/// Times of a picture, in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) taken_ns: i64,
    pub(super) arrival_ns: i64,
}

impl Times {
    pub(super) fn of(chosen: &ChosenFrame) -> Self {
        Self { taken_ns: chosen.taken_ns, arrival_ns: chosen.frame.received.unix_ns }
    }
}

/// Longest time by which pictures with equal capture times may run ahead of the next capture time, in ticks: 1.1 s. Some
/// cameras count whole seconds.
const MAX_LEAD_TICKS: i64 = TICKS_PER_S as i64 * 11 / 10;

/// Converts capture times to durations in ticks.
#[derive(Debug)]
struct Clock {
    /// Capture time that is tick 0.
    origin_ns: i128,
    /// Times of the last picture.
    previous: Times,
    /// Start of the last picture, in ticks.
    last: i64,
    /// Duration of the last picture but one, used again when the camera's clock jumps and for the last picture.
    duration_ticks: u32,
    /// Number of times that the camera's clock jumped.
    jumps: u64,
}

/// Converts nanoseconds to ticks.
fn ticks(ns: i128) -> i128 {
    (ns * i128::from(TICKS_PER_S) + 500_000_000).div_euclid(1_000_000_000)
}

impl Clock {
    fn new(first: Times) -> Self {
        Self {
            origin_ns: i128::from(first.taken_ns),
            previous: first,
            last: 0,
            duration_ticks: DEFAULT_DURATION_TICKS,
            jumps: 0,
        }
    }

    /// Returns the duration of the last picture, in ticks. `next`: the times of the next one.
    fn step(&mut self, next: Times) -> u32 {
        let Times { taken_ns, arrival_ns } = std::mem::replace(&mut self.previous, next);
        // Relative to the first picture, not to the last one, so that rounding errors do not add up.
        let ahead = ticks(i128::from(next.taken_ns) - self.origin_ns) - i128::from(self.last);
        let step = if next.taken_ns == taken_ns {
            // Some cameras give several pictures the same time. They arrive one after the other.
            let arrived = ticks(i128::from(next.arrival_ns) - i128::from(arrival_ns));
            u32::try_from(arrived.max(1)).ok()
        } else if next.taken_ns > taken_ns && (-i128::from(MAX_LEAD_TICKS)..=0).contains(&ahead) {
            Some(1) // Those before ran ahead: the next ones catch up.
        } else {
            u32::try_from(ahead).ok().filter(|step| *step > 0)
        };
        if let Some(step) = step {
            self.last += i64::from(step);
            self.duration_ticks = step;
            return step;
        }
        // The clock went back, because the camera restarted, or the gap exceeds 2^32 ticks (13 hours).
        self.jumps += 1;
        self.last += i64::from(self.duration_ticks);
        let elapsed_ns = i128::from(self.last) * 1_000_000_000 / i128::from(TICKS_PER_S);
        self.origin_ns = i128::from(next.taken_ns) - elapsed_ns;
        self.duration_ticks
    }
}

/// An MP4 file that is being written.
pub(super) struct VideoFile {
    file: NewFile,
    muxer: Mp4FileMuxer,
    codec: Codec,
    size: (u16, u16),
    /// The current parameter sets.
    entry: SampleEntry,
    /// The last picture. Its duration is known only when the next one arrives.
    last: Option<Sample>,
    /// Offset of the next picture in the file, in bytes.
    position: u64,
    clock: Clock,
    /// Reason for skipping pictures until the next key frame, because a picture that they refer to is missing.
    skip_until_key: Option<Skip>,
}

impl VideoFile {
    /// Creates a file if a decoder can start with this picture, otherwise returns the reason for skipping the picture.
    pub(super) fn create(
        path: PathBuf,
        codec: Codec,
        first: &AccessUnit,
        times: Times,
    ) -> Result<Result<Self, Skip>, ExportError> {
        let Some((entry, size)) =
            first.entry.as_ref().filter(|_| first.key).and_then(|entry| Some((entry, size(entry)?)))
        else {
            let why = "a video has to start with a key frame".to_owned();
            return Ok(Err(Skip { kind: BEFORE_KEY_FRAME, why }));
        };
        let mut file = place::create(path)?;
        let path = file.path().to_owned();
        let creation_timestamp = Duration::from_nanos(u64::try_from(times.taken_ns).unwrap_or(0));
        let options = Mp4FileMuxerOptions { creation_timestamp, ..Mp4FileMuxerOptions::default() };
        let muxer = Mp4FileMuxer::with_options(options).map_err(ExportError::format(&path, "MP4"))?;
        file.write_all(muxer.initial_boxes_bytes()).map_err(ExportError::io(&path))?;
        let position = muxer.initial_boxes_bytes().len() as u64;
        let clock = Clock::new(times);
        Ok(Ok(Self {
            file,
            muxer,
            codec,
            size,
            entry: entry.clone(),
            last: None,
            position,
            clock,
            skip_until_key: None,
        }))
    }

    /// Adds a picture, or returns the reason for skipping it.
    pub(super) fn add(
        &mut self,
        codec: Codec,
        unit: AccessUnit,
        times: Times,
    ) -> Result<Result<(), Skip>, ExportError> {
        if codec != self.codec {
            let why = format!("found {codec:?} in a video that started with {:?}", self.codec);
            return Ok(Err(Skip { kind: "codec changed", why }));
        }
        if let Some(found) = unit.entry.as_ref().and_then(size).filter(|found| *found != self.size) {
            let ((width, height), (w, h)) = (found, self.size);
            let why = format!(
                "found {width}x{height} pixels in a video of {w}x{h}: export it to another file with --from and --until"
            );
            let skip = Skip { kind: "picture size changed", why };
            self.skip_until_key = Some(skip.clone());
            return Ok(Err(skip));
        }
        match self.skip_until_key.take() {
            Some(skip) if !unit.key => {
                self.skip_until_key = Some(skip.clone());
                return Ok(Err(skip));
            }
            _ => {}
        }
        let path = self.file.path().to_owned();
        if self.last.is_some() {
            let duration = self.clock.step(times);
            self.end_last(duration)?;
        }
        self.file.write_all(&unit.bytes).map_err(ExportError::io(&path))?;
        if let Some(entry) = unit.entry {
            self.entry = entry;
        }
        self.last = Some(Sample {
            track_kind: TrackKind::Video,
            sample_entry: Some(self.entry.clone()),
            keyframe: unit.key,
            timescale: NonZeroU32::MIN.saturating_add(TICKS_PER_S - 1),
            duration: 0,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: unit.bytes.len(),
        });
        self.position += unit.bytes.len() as u64;
        Ok(Ok(()))
    }

    /// Skips the following pictures up to the next key frame, because a picture between is missing.
    pub(super) fn picture_missing(&mut self) {
        let why = "an earlier frame that it refers to is missing".to_owned();
        self.skip_until_key = Some(Skip { kind: "reference frame missing", why });
    }

    fn end_last(&mut self, duration: u32) -> Result<(), ExportError> {
        let Some(last) = self.last.take() else { return Ok(()) };
        let added = self.muxer.append_sample(&Sample { duration, ..last });
        added.map_err(ExportError::format(self.file.path(), "MP4"))
    }

    /// Writes the index and renames the file to its final path. Also returns how often the camera's clock jumped.
    pub(super) fn finish(mut self) -> Result<(Added, u64), ExportError> {
        self.end_last(self.clock.duration_ticks)?;
        let path = self.file.path().to_owned();
        let boxes = self.muxer.finalize().map_err(ExportError::format(&path, "MP4"))?;
        for (offset, bytes) in boxes.offset_and_bytes_pairs() {
            let placed = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.write_all(bytes));
            placed.map_err(ExportError::io(&path))?;
        }
        Ok((Added { files: 1, bytes: place::finish(self.file)? }, self.clock.jumps))
    }
}

fn size(entry: &SampleEntry) -> Option<(u16, u16)> {
    let visual = match entry {
        SampleEntry::Avc1(entry) => &entry.visual,
        SampleEntry::Hvc1(entry) => &entry.visual,
        _ => return None,
    };
    Some((visual.width, visual.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(taken_ns: i64) -> Times {
        Times { taken_ns, arrival_ns: taken_ns }
    }

    #[test]
    fn durations_add_up_to_the_time_between_pictures() {
        let start = 1_790_000_000_000_000_000;
        let mut clock = Clock::new(at(start));
        let mut shown = 0;
        // 33.333333 ms is not a multiple of a tick of 1/90000 s, and every seventh picture is late.
        for n in 1..=10_000_i64 {
            let taken = n * 33_333_333 + if n % 7 == 0 { 4_000_000 } else { 0 };
            shown += i64::from(clock.step(at(start + taken)));
            let error = (shown as f64 / f64::from(TICKS_PER_S) - taken as f64 / 1e9).abs();
            assert!(error < 0.6 / f64::from(TICKS_PER_S), "{n}: {error}");
        }
        assert_eq!(clock.jumps, 0);
    }

    #[test]
    fn the_last_duration_is_used_when_the_clock_jumps() {
        let mut clock = Clock::new(at(0));
        assert_eq!(clock.step(at(100_000_000)), 9000);
        assert_eq!((clock.step(at(50_000_000)), clock.jumps), (9000, 1), "backwards");
        assert_eq!(clock.step(at(150_000_000)), 9000);
        assert_eq!((clock.step(at(i64::MAX)), clock.jumps), (9000, 2), "far ahead");
        assert_eq!((clock.step(at(i64::MIN)), clock.jumps), (9000, 3));
        assert_eq!(clock.step(at(i64::MIN + 40_000_000)), 3600);
    }

    /// Pictures with equal capture times, as of cameras that repeat them, stop them, or count whole seconds.
    #[test]
    fn equal_capture_times_do_not_lengthen_the_video() {
        const FRAME_NS: i64 = 50_000_000;
        let lists: [fn(i64) -> i64; 5] = [
            |n| n / 2 * 2 * FRAME_NS,
            |n| n / 20 * 20 * FRAME_NS,
            |_| 0,
            |n| n.min(50) * FRAME_NS,
            |n| (n - 50).max(0) * FRAME_NS,
        ];
        for (kind, taken) in lists.into_iter().enumerate() {
            for in_pairs in [false, true] {
                let arrival = |n: i64| if in_pairs { n / 2 * 2 * FRAME_NS } else { n * FRAME_NS + n % 3 * 4_000_000 };
                let times = |n| Times { taken_ns: taken(n), arrival_ns: arrival(n) };
                let mut clock = Clock::new(times(0));
                let ticks: i64 = (1..=100).map(|n| i64::from(clock.step(times(n)))).sum();
                let seconds = ticks as f64 / f64::from(TICKS_PER_S);
                assert!((seconds - 5.0).abs() < 0.1, "kind {kind}, {in_pairs}: {seconds} s");
                // The last one stands still for longer than any clock that counts.
                assert_eq!(clock.jumps, u64::from(kind == 4), "kind {kind}");
            }
        }
    }
}

//! Writes access units to one MP4 file. A picture is shown until the capture time of the next one.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample};

use super::ExportError;
use super::access_unit::{AccessUnit, Codec};
use super::place::NewFile;
use super::report::{Added, Skip};

/// Time scale of the file. All players support this one of MPEG. A tick is 11 us, short compared with a frame interval.
const TICKS_PER_S: u32 = 90_000;
/// Duration of a single picture, in ticks: 1/25 s.
const DEFAULT_DURATION_TICKS: u32 = TICKS_PER_S / 25;

/// Converts capture times to durations in ticks.
#[derive(Debug)]
struct Clock {
    /// Capture time that is tick 0.
    origin_ns: i128,
    /// Start of the last picture, in ticks.
    last: i64,
    /// Duration of the last picture but one, used again when the camera's clock jumps and for the last picture.
    duration_ticks: u32,
    /// Number of times that the camera's clock jumped.
    jumps: u64,
}

impl Clock {
    fn new(first_ns: i64) -> Self {
        Self { origin_ns: i128::from(first_ns), last: 0, duration_ticks: DEFAULT_DURATION_TICKS, jumps: 0 }
    }

    /// Returns the duration of the last picture, in ticks. The next one was taken at `taken_ns`.
    fn step(&mut self, taken_ns: i64) -> u32 {
        let ticks = i128::from(taken_ns) - self.origin_ns;
        // Relative to the first picture, not to the last one, so that rounding errors do not add up.
        let at = (ticks * i128::from(TICKS_PER_S) + 500_000_000).div_euclid(1_000_000_000);
        match u32::try_from(at - i128::from(self.last)) {
            Ok(step) if step > 0 => {
                self.last += i64::from(step);
                self.duration_ticks = step;
            }
            _ => {
                // The clock went back, because the camera restarted, or the gap exceeds 2^32 ticks (13 hours).
                self.jumps += 1;
                self.last += i64::from(self.duration_ticks);
                let elapsed_ns = i128::from(self.last) * 1_000_000_000 / i128::from(TICKS_PER_S);
                self.origin_ns = i128::from(taken_ns) - elapsed_ns;
            }
        }
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
        taken_ns: i64,
    ) -> Result<Result<Self, Skip>, ExportError> {
        let Some((entry, size)) =
            first.entry.as_ref().filter(|_| first.key).and_then(|entry| Some((entry, size(entry)?)))
        else {
            let why = "a video has to start with a key frame".to_owned();
            return Ok(Err(Skip { kind: "before the first key frame", why }));
        };
        let mut file = NewFile::create(path)?;
        let path = file.path().to_owned();
        let creation_timestamp = Duration::from_nanos(u64::try_from(taken_ns).unwrap_or(0));
        let options = Mp4FileMuxerOptions { creation_timestamp, ..Mp4FileMuxerOptions::default() };
        let muxer = Mp4FileMuxer::with_options(options).map_err(ExportError::format(&path, "MP4"))?;
        file.write_all(muxer.initial_boxes_bytes()).map_err(ExportError::io(&path))?;
        let position = muxer.initial_boxes_bytes().len() as u64;
        let clock = Clock::new(taken_ns);
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
        taken_ns: i64,
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
            let duration = self.clock.step(taken_ns);
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
        Ok((Added { files: 1, bytes: self.file.finish()? }, self.clock.jumps))
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

    #[test]
    fn durations_add_up_to_the_time_between_pictures() {
        let start = 1_790_000_000_000_000_000;
        let mut clock = Clock::new(start);
        let mut shown = 0;
        // 33.333333 ms is not a multiple of a tick of 1/90000 s, and every seventh picture is late.
        for n in 1..=10_000_i64 {
            let taken = n * 33_333_333 + if n % 7 == 0 { 4_000_000 } else { 0 };
            shown += i64::from(clock.step(start + taken));
            let error = (shown as f64 / f64::from(TICKS_PER_S) - taken as f64 / 1e9).abs();
            assert!(error < 0.6 / f64::from(TICKS_PER_S), "{n}: {error}");
        }
        assert_eq!(clock.jumps, 0);
    }

    #[test]
    fn the_last_duration_is_used_when_the_clock_jumps() {
        let mut clock = Clock::new(0);
        assert_eq!(clock.step(100_000_000), 9000);
        assert_eq!((clock.step(50_000_000), clock.jumps), (9000, 1), "backwards");
        assert_eq!(clock.step(150_000_000), 9000);
        assert_eq!((clock.step(150_000_000), clock.jumps), (9000, 2), "stopped");
        assert_eq!((clock.step(i64::MAX), clock.jumps), (9000, 3), "far ahead");
        assert_eq!((clock.step(i64::MIN), clock.jumps), (9000, 4));
        assert_eq!(clock.step(i64::MIN + 40_000_000), 3600);
    }
}

//! Coded pictures -> one MP4 file, each shown as long as it was until the next one was taken.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample};

use super::ExportError;
use super::dataset::Added;
use super::place::NewFile;
use super::report::Skip;
use super::units::{Codec, Unit};

/// Ticks in a second: what players know best, and 11 us are less than cameras tell apart.
const TICKS: u32 = 90_000;
/// How long a picture is shown of which nothing tells it: a 25th of a second.
const USUAL: u32 = TICKS / 25;

/// Times on the camera's clock -> durations.
#[derive(Debug)]
struct Clock {
    /// When tick 0 is.
    origin_ns: i128,
    last: i64,
    /// Of the last picture but one.
    usual: u32,
    jumps: u64,
}

impl Clock {
    fn new(first_ns: i64) -> Self {
        Self { origin_ns: i128::from(first_ns), last: 0, usual: USUAL, jumps: 0 }
    }

    /// How long the last picture was shown when the next one was taken then.
    fn step(&mut self, taken_ns: i64) -> u32 {
        let ticks = i128::from(taken_ns) - self.origin_ns;
        // From the beginning and not from the last one, so that what is rounded does not add up.
        let at = (ticks * i128::from(TICKS) + 500_000_000).div_euclid(1_000_000_000);
        match u32::try_from(at - i128::from(self.last)) {
            Ok(step) if step > 0 => {
                self.last += i64::from(step);
                self.usual = step;
            }
            _ => {
                // The camera was restarted, or half a day is missing.
                self.jumps += 1;
                self.last += i64::from(self.usual);
                let so_far = i128::from(self.last) * 1_000_000_000 / i128::from(TICKS);
                self.origin_ns = i128::from(taken_ns) - so_far;
            }
        }
        self.usual
    }
}

/// A video that is written.
pub(super) struct Film {
    file: NewFile,
    muxer: Mp4FileMuxer,
    codec: Codec,
    size: (u16, u16),
    /// The parameter sets that hold.
    entry: SampleEntry,
    /// The last picture, of which nobody knows yet how long it is shown.
    last: Option<Sample>,
    /// Where the next picture goes.
    position: u64,
    clock: Clock,
    /// Why a picture that builds on others cannot be decoded, until one comes that does not.
    broken: Option<Skip>,
}

impl Film {
    /// Begins with this picture, if a decoder can begin with it; else says why not.
    pub(super) fn begin(
        path: PathBuf,
        codec: Codec,
        first: &Unit,
        taken_ns: i64,
    ) -> Result<Result<Self, Skip>, ExportError> {
        let Some((entry, size)) =
            first.entry.as_ref().filter(|_| first.key).and_then(|entry| Some((entry, size(entry)?)))
        else {
            let why = "a video begins with a picture that needs no other one before it".to_owned();
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
        Ok(Ok(Self { file, muxer, codec, size, entry: entry.clone(), last: None, position, clock, broken: None }))
    }

    /// Adds a picture, or says why it cannot be one of this video.
    pub(super) fn add(&mut self, codec: Codec, unit: Unit, taken_ns: i64) -> Result<Result<(), Skip>, ExportError> {
        if codec != self.codec {
            let why = format!("{codec:?} in a video that began with {:?}", self.codec);
            return Ok(Err(Skip { kind: "video of another kind", why }));
        }
        if let Some(found) = unit.entry.as_ref().and_then(size).filter(|found| *found != self.size) {
            let ((width, height), (w, h)) = (found, self.size);
            let why = format!("{width}x{height} pixels in a video of {w}x{h}: choose other times for another file");
            let skip = Skip { kind: "picture of another size", why };
            self.broken = Some(skip.clone());
            return Ok(Err(skip));
        }
        match self.broken.take() {
            Some(skip) if !unit.key => {
                self.broken = Some(skip.clone());
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
            timescale: NonZeroU32::MIN.saturating_add(TICKS - 1),
            duration: 0,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: unit.bytes.len(),
        });
        self.position += unit.bytes.len() as u64;
        Ok(Ok(()))
    }

    /// A picture that should have come next is not there.
    pub(super) fn lose(&mut self) {
        let why = "a frame that it builds on is not there".to_owned();
        self.broken = Some(Skip { kind: "picture that builds on another", why });
    }

    fn end_last(&mut self, duration: u32) -> Result<(), ExportError> {
        let Some(last) = self.last.take() else { return Ok(()) };
        let added = self.muxer.append_sample(&Sample { duration, ..last });
        added.map_err(ExportError::format(self.file.path(), "MP4"))
    }

    /// Writes the index and gives the file its name. How often the camera's clock jumped comes second.
    pub(super) fn finish(mut self) -> Result<(Added, u64), ExportError> {
        self.end_last(self.clock.usual)?;
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
        // 33 ms and a third do not fit into ticks of 1/90000 s, and pictures come late.
        for n in 1..=10_000_i64 {
            let taken = n * 33_333_333 + if n % 7 == 0 { 4_000_000 } else { 0 };
            shown += i64::from(clock.step(start + taken));
            let error = (shown as f64 / f64::from(TICKS) - taken as f64 / 1e9).abs();
            assert!(error < 0.6 / f64::from(TICKS), "{n}: {error}");
        }
        assert_eq!(clock.jumps, 0);
    }

    #[test]
    fn a_clock_that_jumps_shows_a_picture_as_long_as_the_one_before() {
        let mut clock = Clock::new(0);
        assert_eq!(clock.step(100_000_000), 9000);
        assert_eq!((clock.step(50_000_000), clock.jumps), (9000, 1), "backwards");
        assert_eq!(clock.step(150_000_000), 9000);
        assert_eq!((clock.step(150_000_000), clock.jumps), (9000, 2), "not at all");
        assert_eq!((clock.step(i64::MAX), clock.jumps), (9000, 3), "for ever");
        assert_eq!((clock.step(i64::MIN), clock.jumps), (9000, 4));
        assert_eq!(clock.step(i64::MIN + 40_000_000), 3600);
    }
}

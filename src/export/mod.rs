//! Converts recordings to formats of other programs: pictures, video, tables of detections, training data.
//!
//! ```text
//! Player -> Frames (the chosen ones) -+-> DetectionFile, MeasurementFile: JSON lines, CSV, Parquet
//!                                     +-> threads: convert > overlay > encode -+-> picture files (+ boxes)
//!                                                                              +-> VideoFile: one MP4 per camera
//! ```
//!
//! A plain loop without a hub: the reader waits for the writers, so no frame is dropped. Memory does not depend on the
//! length of a recording: a few frames per thread, or 512 MiB of frames for video.

mod camera;
mod choice;
mod dataset;
mod decoding;
mod detection_file;
mod error;
mod frames;
mod group_encoder;
mod measurement_file;
mod parquet_file;
mod pipeline;
mod place;
mod report;
mod still;
mod stills;
mod table;
mod video;
mod video_file;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::str::FromStr;

pub use choice::{Choice, TimeSpec, TimeSpecError};
pub use error::ExportError;
pub use report::{ExportReport, SkippedFrames, UnreadRecording};

use crate::file::NewFolders;
use dataset::{BoxWriter, Classes, Coco, Yolo};
use detection_file::DetectionFile;
use frames::{Chosen, Frames};
use measurement_file::MeasurementFile;
use report::Added;
use still::Coding;
use stills::Stills;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    /// A folder of PNG files.
    Png,
    /// A folder of JPEG files. JPEG from the camera is copied unchanged, unless a quality is given.
    Jpeg,
    /// H.264 in MP4: a file, or a folder with one file per camera. H.264 and H.265 from the camera are copied
    /// unchanged.
    Mp4,
    /// One line of JSON per frame.
    Jsonl,
    /// One line of CSV per detection.
    Csv,
    /// One row of Parquet per detection.
    Parquet,
    /// A folder in the layout of Ultralytics YOLO: `images/train`, `labels/train`, `data.yaml`.
    Yolo,
    /// A folder with `images` and `instances.json` of COCO.
    Coco,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [Self; 8] =
        [Self::Png, Self::Jpeg, Self::Mp4, Self::Jsonl, Self::Csv, Self::Parquet, Self::Yolo, Self::Coco];

    /// Returns the name that [`FromStr`] parses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Mp4 => "mp4",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Yolo => "yolo",
            Self::Coco => "coco",
        }
    }

    /// Returns whether this is a file of detections.
    #[must_use]
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Jsonl | Self::Csv | Self::Parquet)
    }

    /// Returns whether pictures or video are encoded in a chosen quality.
    #[must_use]
    pub const fn has_quality(self) -> bool {
        match self {
            Self::Jpeg | Self::Mp4 => true,
            Self::Png | Self::Jsonl | Self::Csv | Self::Parquet | Self::Yolo | Self::Coco => false,
        }
    }

    /// Returns whether boxes can be drawn. Not into training data: a network would learn the drawn boxes.
    #[must_use]
    pub const fn can_have_boxes(self) -> bool {
        match self {
            Self::Png | Self::Jpeg | Self::Mp4 => true,
            Self::Jsonl | Self::Csv | Self::Parquet | Self::Yolo | Self::Coco => false,
        }
    }
}

/// The name of no [`ExportFormat`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{0}`: expected one of png, jpeg, mp4, jsonl, csv, parquet, yolo, coco")]
pub struct UnknownFormat(String);

impl FromStr for ExportFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let format = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name));
        format.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// Format, destination and selection of an export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Format to write.
    pub format: ExportFormat,
    /// File or folder to write. It must not exist, except as an empty folder.
    pub output: PathBuf,
    /// Cameras, times, frames and detections to export.
    pub choice: Choice,
    /// Draw the boxes of the chosen detections, in formats with [`ExportFormat::can_have_boxes`].
    pub boxes: bool,
    /// Write depth as false colors in [`ExportFormat::Png`], instead of 16-bit samples. The other formats do so always.
    pub colormap: bool,
    /// Quality of encoded video and JPEG, 1..=100. 10 more double the bit rate of a video. `None`:
    /// [`Self::DEFAULT_QUALITY`], and JPEG from the camera is copied to JPEG files instead of being encoded again.
    pub quality: Option<u8>,
    /// Number of threads that convert and encode.
    pub threads: NonZeroUsize,
}

impl ExportOptions {
    /// 2 Mbit/s for video of 640x352 at 25 frames per second. Artifacts are hard to see, and a JPEG has a tenth of the
    /// size of its pixels.
    pub const DEFAULT_QUALITY: u8 = 90;
}

/// Progress of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportProgress {
    /// Share of the chosen time range that has been read, 0..=1.
    pub fraction: f64,
    /// Frames written.
    pub written: u64,
}

/// Receives the progress of an export, and stops it by returning `Break`.
pub type ProgressFn<'a> = dyn FnMut(ExportProgress) -> ControlFlow<()> + 'a;

fn report_progress(progress: &mut ProgressFn<'_>, fraction: f64, written: u64) -> Result<(), ExportError> {
    match progress(ExportProgress { fraction, written }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ExportError::Stopped { written, kept: 0 }),
    }
}

/// Exports recordings in the order of their first frames, and accounts for each frame in the returned report.
///
/// Calls `progress` after each picture, each frame of a table, and each group of pictures of a video.
///
/// # Errors
/// A recording cannot be opened, the choice contradicts the recordings, a file cannot be written, or `progress`
/// returned `Break`. Incomplete files are then removed; complete pictures are kept, in data sets those
/// with their boxes.
pub fn export(
    files: &[PathBuf],
    options: &ExportOptions,
    progress: &mut ProgressFn<'_>,
) -> Result<ExportReport, ExportError> {
    let mut report = ExportReport::default();
    // A path that ends with a separator names a folder, whether it exists or not.
    if options.format.is_table()
        && (options.output.is_dir() || options.output.as_os_str().to_string_lossy().ends_with(['/', MAIN_SEPARATOR]))
    {
        return Err(ExportError::TableToFolder { path: options.output.clone(), format: options.format.name() });
    }
    let frames = Frames::open(files, &options.choice, &mut report)?;
    let is_new = options.output.symlink_metadata().is_err();
    let mut new_folders = NewFolders::default();
    new_folders.add(&options.output);
    match write(frames, options, &mut report, progress) {
        Ok(()) => {
            // Pictures without boxes do not leave out any.
            if options.format.can_have_boxes() && !options.boxes {
                report.without_box = 0;
            }
            report.note_measurements();
            if report.is_empty() {
                // A folder that existed was empty.
                place::remove_empty_folders_below(&options.output);
                if is_new {
                    place::remove_empty_folders(&options.output);
                }
            }
            Ok(report)
        }
        // The folders are those of the other process.
        Err(error @ ExportError::Busy(_)) => Err(error),
        Err(error) => {
            if is_new {
                place::remove_empty_folders(&options.output);
            }
            let ends_writing = matches!(error, ExportError::Io { .. } | ExportError::Format { .. });
            Err(if ends_writing && report.written > 0 { error.after(0, None) } else { error })
        }
    }
}

/// Writes the chosen frames in the format of the options.
fn write(
    frames: Frames,
    options: &ExportOptions,
    report: &mut ExportReport,
    progress: &mut ProgressFn<'_>,
) -> Result<(), ExportError> {
    let output = &options.output;
    let needs_names = options.boxes || !options.format.can_have_boxes() || !options.choice.labels.is_empty();
    let frames = if needs_names { frames.with_names_of_frames() } else { frames };
    match options.format {
        ExportFormat::Jsonl => write_table(frames, DetectionFile::jsonl(output)?, output, report, progress)?,
        ExportFormat::Csv => write_table(frames, DetectionFile::csv(output)?, output, report, progress)?,
        ExportFormat::Parquet => write_table(frames, DetectionFile::parquet(output)?, output, report, progress)?,
        ExportFormat::Png => {
            Stills::plain(options, if options.colormap { Coding::ColorPng } else { Coding::Png })?
                .write_all(frames, options, report, progress)?;
        }
        ExportFormat::Jpeg => {
            Stills::plain(options, Coding::Jpeg)?.write_all(frames, options, report, progress)?;
        }
        ExportFormat::Mp4 => {
            let frames = frames.without_label_filter();
            // Video is copied, unless its pictures change or some of them are left out: the others may refer to those.
            let is_copy = !options.boxes && options.choice.every <= 1;
            video::write_all(if is_copy { frames } else { frames.decoded() }, options, report, progress)?;
        }
        ExportFormat::Yolo => {
            let frames = frames.for_data_set();
            let boxes = |root: &Path, classes| Ok(Box::new(Yolo::new(root, classes)?) as Box<dyn BoxWriter>);
            let stills = Stills::with_boxes(options, Yolo::IMAGES, Classes::new(&frames.cameras()), boxes)?;
            stills.write_all(frames, options, report, progress)?;
        }
        ExportFormat::Coco => {
            let frames = frames.for_data_set();
            let boxes = |root: &Path, classes| Ok(Box::new(Coco::new(root, classes)?) as Box<dyn BoxWriter>);
            let stills = Stills::with_boxes(options, Coco::IMAGES, Classes::new(&frames.cameras()), boxes)?;
            stills.write_all(frames, options, report, progress)?;
        }
    }
    Ok(())
}

/// Writes the table `output` of detections, and one of numbers beside it if there are numbers. On this thread: reading takes
/// most of the time, so more threads would not help.
fn write_table(
    frames: Frames,
    mut file: DetectionFile,
    output: &Path,
    report: &mut ExportReport,
    progress: &mut ProgressFn<'_>,
) -> Result<(), ExportError> {
    let mut frames = frames.for_table();
    let (cameras, mut measurements) = (frames.cameras(), MeasurementFile::beside(output));
    let mut is_empty = !matches!(file, DetectionFile::Jsonl(_));
    while let Some(chosen) = frames.next_chosen(report, progress)? {
        match chosen {
            Chosen::Frame(chosen) => {
                is_empty &= file.write(&chosen, &cameras[chosen.camera])? == 0;
                report.written += 1;
                report.detections += chosen.detections.len() as u64;
                report_progress(progress, chosen.fraction, report.written)?;
            }
            Chosen::Measurement { camera, measurement } => {
                measurements.write(&measurement, &cameras[camera].name, &file)?;
                report.measurements += 1;
                report_progress(progress, frames.fraction(), report.written)?;
            }
        }
    }
    report.add(Added { files: 1, bytes: file.finish()? });
    if is_empty {
        report.note("0 detections: the table has only its header".to_owned());
    }
    if let Some((path, bytes)) = measurements.finish()? {
        report.add(Added { files: 1, bytes });
        report.measurements_in = Some(path);
    }
    Ok(())
}

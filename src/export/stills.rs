//! Writes a folder of pictures, one file per frame, with or without the boxes of a data set.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::dataset::{BoxWriter, Classes, write_file};
use super::frames::{ChosenFrame, Frames};
use super::place::{self, OwnFolder};
use super::report::{Added, ExportReport, Skip};
use super::still::{Coding, Still, StillEncoder, note_false_colors, note_mosaic, stem};
use super::{ExportError, ExportOptions, ProgressFn, pipeline, report_progress};
use crate::sync::locked;

/// Frames in flight per thread: one in work, one waiting, and one that was finished out of order.
const FRAMES_PER_THREAD: usize = 3;

/// A folder of pictures.
pub(super) struct Stills {
    folder: PathBuf,
    coding: Coding,
    boxes: Option<Box<dyn BoxWriter>>,
    _own: OwnFolder,
}

/// A picture that has been written to a file of this name.
struct SavedStill {
    chosen: ChosenFrame,
    file: String,
    still: Still,
    added: Added,
}

/// A frame that was encoded, or not.
enum Encoded {
    Saved(SavedStill),
    Skipped(ChosenFrame, Skip),
}

impl Stills {
    /// Creates a folder of pictures only.
    pub(super) fn plain(options: &ExportOptions, coding: Coding) -> Result<Self, ExportError> {
        let own = place::empty_folder(&options.output)?;
        Ok(Self { folder: options.output.clone(), coding, boxes: None, _own: own })
    }

    /// Creates a data set: pictures in its subfolder `images`, and boxes that the writer made by `boxes` stores.
    pub(super) fn with_boxes(
        options: &ExportOptions,
        images: &str,
        classes: Classes,
        boxes: impl FnOnce(&Path, Classes) -> Result<Box<dyn BoxWriter>, ExportError>,
    ) -> Result<Self, ExportError> {
        let own = place::empty_folder(&options.output)?;
        let folder = options.output.join(images);
        std::fs::create_dir_all(&folder).map_err(ExportError::io(&folder))?;
        Ok(Self { folder, coding: Coding::Lossless, boxes: Some(boxes(&options.output, classes)?), _own: own })
    }

    pub(super) fn write_all(
        mut self,
        frames: Frames,
        options: &ExportOptions,
        report: &mut ExportReport,
        progress: &mut ProgressFn<'_>,
    ) -> Result<(), ExportError> {
        let mut frames = frames.decoded();
        let cameras = frames.cameras();
        let style = options.boxes.then(|| options.choice.style());
        let threads = options.threads.get();
        let (folder, coding) = (&self.folder, self.coding);
        // Pictures are saved before their turn in `write`, and a stopped export keeps them.
        let saved = AtomicU64::new(0);
        // Saved pictures of a data set whose boxes are not written.
        let without_boxes = self.boxes.is_some().then(Mutex::<BTreeSet<String>>::default);
        // `next` and `write` run on this thread, never at the same time.
        let shared = RefCell::new((report, progress));
        let new_worker = || {
            let (cameras, saved, without_boxes) = (&cameras, &saved, &without_boxes);
            let mut encoder = StillEncoder::new(style.as_ref(), options.quality);
            move |chosen: ChosenFrame| {
                let camera = &cameras[chosen.camera];
                match encoder.encode(&chosen, camera, coding) {
                    Ok(still) => save(folder, &stem(&chosen, camera), still)
                        .inspect(|(file, ..)| {
                            saved.fetch_add(1, Ordering::Relaxed);
                            if let Some(without_boxes) = without_boxes {
                                locked(without_boxes).insert(file.clone());
                            }
                        })
                        .map(|(file, still, added)| Encoded::Saved(SavedStill { chosen, file, still, added })),
                    Err(skip) => Ok(Encoded::Skipped(chosen, skip)),
                }
            }
        };
        let next = || {
            let (report, progress) = &mut *shared.borrow_mut();
            let chosen = frames.next(report, progress)?;
            if let Some(chosen) = &chosen {
                let camera = &cameras[chosen.camera];
                note_mosaic(report, camera, &chosen.frame);
                // `ColorPng` is the user's choice.
                if options.boxes || !matches!(coding, Coding::Png | Coding::ColorPng) {
                    note_false_colors(report, camera, &chosen.frame);
                }
            }
            Ok(chosen)
        };
        let write = |encoded: Result<Encoded, ExportError>| {
            let (report, progress) = &mut *shared.borrow_mut();
            let fraction = match encoded? {
                Encoded::Saved(SavedStill { chosen, file, still, added }) => {
                    report.add(added);
                    if let Some(boxes) = &mut self.boxes {
                        report.add(boxes.add(&chosen, &cameras[chosen.camera], &file, &still)?);
                    }
                    if let Some(without_boxes) = &without_boxes {
                        locked(without_boxes).remove(&file);
                    }
                    report.written += 1;
                    if options.boxes || self.boxes.is_some() {
                        report.detections += chosen.detections.len() as u64;
                    }
                    chosen.fraction
                }
                Encoded::Skipped(chosen, skip) => {
                    report.skip(&cameras[chosen.camera].name, skip);
                    chosen.fraction
                }
            };
            report_progress(progress, fraction, report.written)
        };
        let ended = pipeline::in_order(threads, FRAMES_PER_THREAD * threads, next, new_worker, write, || Ok(()));
        // The workers have ended.
        let mut kept = saved.load(Ordering::Relaxed);
        if ended.is_err() {
            // Training would take a picture without boxes for one that shows no object.
            for file in without_boxes.iter().flat_map(|files| std::mem::take(&mut *locked(files))) {
                let path = folder.join(file);
                fs::remove_file(&path).map_err(ExportError::io(&path))?;
                kept -= 1;
            }
        }
        if let Err(error) = ended {
            let list = self.boxes.as_ref().map(|boxes| boxes.list_name());
            let listed = self.boxes.take().filter(|_| kept > 0).map(BoxWriter::finish).transpose();
            return Err(match (error, listed) {
                (ExportError::Stopped { .. }, Ok(_)) => ExportError::Stopped { written: kept, kept },
                (ExportError::Stopped { .. }, Err(error)) => error.after(kept, list),
                (error, listed) => error.after(kept, list.filter(|_| listed.is_err())),
            });
        }
        let (report, _) = shared.into_inner();
        // A list of classes without pictures is not a data set.
        if let Some(boxes) = self.boxes.take().filter(|_| report.written > 0) {
            report.add(boxes.finish()?);
        }
        Ok(())
    }
}

/// Writes a picture to a file of this name, with `-2`, `-3` and so on appended if another frame has it. Returns the
/// name of the file.
fn save(folder: &Path, stem: &str, mut still: Still) -> Result<(String, Still, Added), ExportError> {
    // The bytes are dropped after writing, so that they do not wait for the results of other threads.
    let bytes = std::mem::take(&mut still.bytes);
    for attempt in 1_u32.. {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let file = format!("{stem}{suffix}.{}", still.extension);
        match write_file(folder.join(&file), &bytes) {
            Ok(added) => return Ok((file, still, added)),
            Err(ExportError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ExportError::io(folder)(ErrorKind::AlreadyExists.into()))
}

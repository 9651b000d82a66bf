//! A folder of pictures, one file a frame, with the boxes of a data set or without.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::dataset::{Added, Boxes, Classes, write_file};
use super::frames::{Frames, Shot};
use super::report::{Report, Skip};
use super::still::{Coding, Darkroom, Still, stem};
use super::{ExportError, Options, Tell, pipeline, place, tell};

/// Frames on the way for each thread: one is worked on, one waits, one is done early.
const WINDOW: usize = 3;

/// A folder that pictures are written to.
pub(super) struct Album {
    folder: PathBuf,
    coding: Coding,
    boxes: Option<Box<dyn Boxes>>,
}

/// A picture in its file.
struct Printed {
    shot: Shot,
    file: String,
    still: Still,
    added: Added,
}

impl Album {
    /// Pictures and nothing else.
    pub(super) fn plain(options: &Options, coding: Coding) -> Result<Self, ExportError> {
        place::empty_folder(&options.output)?;
        Ok(Self { folder: options.output.clone(), coding, boxes: None })
    }

    /// A data set: pictures in a folder of it, boxes as `boxes` has them.
    pub(super) fn with_boxes(
        options: &Options,
        images: &str,
        classes: Classes,
        boxes: impl FnOnce(&Path, Classes) -> Result<Box<dyn Boxes>, ExportError>,
    ) -> Result<Self, ExportError> {
        place::empty_folder(&options.output)?;
        let folder = options.output.join(images);
        std::fs::create_dir_all(&folder).map_err(ExportError::io(&folder))?;
        Ok(Self { folder, coding: Coding::Lossless, boxes: Some(boxes(&options.output, classes)?) })
    }

    /// Writes all frames.
    pub(super) fn fill(
        mut self,
        mut frames: Frames,
        options: &Options,
        report: &mut Report,
        progress: &mut Tell<'_>,
    ) -> Result<(), ExportError> {
        let cameras = frames.cameras();
        let style = options.boxes.then(|| options.choice.style());
        let threads = options.threads.get();
        let (folder, coding) = (&self.folder, self.coding);
        let books = RefCell::new(report);
        let hire = || {
            let (cameras, mut darkroom) = (&cameras, Darkroom::new(style.as_ref()));
            move |shot: Shot| {
                let camera = &cameras[shot.camera];
                match darkroom.print(&shot, camera, coding) {
                    Ok(still) => save(folder, &stem(&shot, camera), still)
                        .map(|(file, still, added)| Ok(Printed { shot, file, still, added })),
                    Err(skip) => Ok(Err((shot, skip))),
                }
            }
        };
        let next = || frames.next(&mut books.borrow_mut());
        let write = |printed: Result<Result<Printed, (Shot, Skip)>, ExportError>| {
            let report = &mut *books.borrow_mut();
            let part = match printed? {
                Ok(Printed { shot, file, still, added }) => {
                    report.add(added);
                    if let Some(boxes) = &mut self.boxes {
                        report.add(boxes.add(&shot, &cameras[shot.camera], &file, &still)?);
                    }
                    report.written += 1;
                    report.detections += shot.seen.len() as u64;
                    shot.part
                }
                Err((shot, skip)) => {
                    report.skip(&cameras[shot.camera].name, skip);
                    shot.part
                }
            };
            tell(progress, part, report.written)
        };
        pipeline::in_order(threads, WINDOW * threads, next, hire, write)?;
        let report = books.into_inner();
        if let Some(boxes) = self.boxes.take() {
            report.add(boxes.finish()?);
        }
        Ok(())
    }
}

/// Writes a picture to a file of this name, or with a number added where another frame has that.
fn save(folder: &Path, stem: &str, mut still: Still) -> Result<(String, Still, Added), ExportError> {
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

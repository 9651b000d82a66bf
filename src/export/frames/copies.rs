//! Leaves out recordings whose frames another one has, such as a copy in another folder.

use std::path::Path;

use super::InputFile;
use crate::export::camera::Camera;
use crate::export::{ExportError, ExportReport};
use crate::recording::{Reader, RecordedFrame, RecordingEntry};

/// Leaves out files whose frames another one has. `files` are in the order of their first arrivals.
///
/// # Errors
/// Two files have frames of one camera in common, but each has others, too.
pub(super) fn leave_out_copies(
    files: &mut Vec<InputFile>,
    cameras: &[Camera],
    report: &mut ExportReport,
) -> Result<(), ExportError> {
    let mut kept: Vec<InputFile> = Vec::new();
    for file in files.drain(..) {
        let common = kept.iter().enumerate().find_map(|(number, earlier)| {
            let common = common_cameras(earlier, &file, cameras);
            (!common.is_empty()).then_some((number, common))
        });
        let Some((number, common)) = common else {
            kept.push(file);
            continue;
        };
        let earlier = &mut kept[number];
        let (earlier_span, span) = (earlier.span.unwrap_or_default(), file.span.unwrap_or_default());
        let has_others = |file: &InputFile| file.cameras.iter().flatten().any(|camera| !common.contains(camera));
        if span.1 <= earlier_span.1 && !has_others(&file) {
            note(&file, earlier, report);
        } else if span.0 == earlier_span.0 && earlier_span.1 <= span.1 && !has_others(earlier) {
            note(earlier, &file, report);
            *earlier = file;
        } else {
            return Err(ExportError::SameFrames {
                path: earlier.path.clone(),
                other: file.path,
                camera: cameras[common[0]].name.clone(),
            });
        }
    }
    *files = kept;
    Ok(())
}

fn note(left_out: &InputFile, other: &InputFile, report: &mut ExportReport) {
    report.note(format!("{} left out: {} has the same frames", left_out.path.display(), other.path.display()));
}

/// Returns the chosen cameras of which both files have the same frames: the earlier one has the first frame of the later one.
fn common_cameras(earlier: &InputFile, later: &InputFile, cameras: &[Camera]) -> Vec<usize> {
    let (Some(earlier_span), Some(later_span)) = (earlier.span, later.span) else { return Vec::new() };
    if later_span.0 > earlier_span.1 {
        return Vec::new();
    }
    let shared = later.cameras.iter().flatten().filter(|camera| earlier.cameras.contains(&Some(**camera)));
    let has_first = |camera: &&usize| {
        let name = &cameras[**camera].name;
        find_frame(&later.path, name, None, |_| Some(true)).is_some_and(|first| {
            find_frame(&earlier.path, name, Some(first.log_ns), |frame| is_same(frame, &first)).is_some()
        })
    };
    shared.filter(has_first).copied().collect()
}

/// Returns whether a frame is this one. `None` if it arrived later.
fn is_same(frame: &RecordedFrame, wanted: &RecordedFrame) -> Option<bool> {
    let is_later = frame.log_ns > wanted.log_ns;
    let is_same = frame.log_ns == wanted.log_ns
        && frame.wire.device_time_us == wanted.wire.device_time_us
        && frame.payload == wanted.payload;
    (!is_later).then_some(is_same)
}

/// Returns the first frame of a camera for which `is_it` returns `true`, from this arrival on (nanoseconds since 1970, UTC) or
/// from the start. `None` in `is_it` ends the search. Damage is skipped: reading reports it.
fn find_frame(
    path: &Path,
    camera: &str,
    from_ns: Option<i64>,
    is_it: impl Fn(&RecordedFrame) -> Option<bool>,
) -> Option<RecordedFrame> {
    let mut reader = Reader::open(path).ok()?;
    let number = reader.cameras().position(|info| info.name == camera)?;
    if let Some(from_ns) = from_ns {
        reader.seek(from_ns).ok()?;
    }
    loop {
        match reader.next_entry() {
            Ok(Some(RecordingEntry::Frame(frame))) if frame.camera == number => {
                if is_it(&frame)? {
                    return Some(frame);
                }
            }
            Ok(Some(_)) => {}
            Err(error) if error.is_damage() => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

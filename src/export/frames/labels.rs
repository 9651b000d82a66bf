//! Checks what the user chose.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::Frames;
use crate::export::camera::Camera;
use crate::export::choice::nearest;
use crate::export::{ExportError, ExportReport};
use crate::frame::{Frame, LabelMap};
use crate::recording::Reader;
use crate::units::count;

impl Frames {
    /// Fails if a chosen label is unknown, if the recordings have no frames, or if the choice selects none of them.
    pub(super) fn check_choice(&self, report: &ExportReport) -> Result<(), ExportError> {
        if report.read == 0
            && let Some(unread) = report.unread.first()
            && report.unread.iter().all(|unread| unread.is_unsupported)
        {
            return Err(ExportError::Unsupported { path: unread.path.clone(), why: unread.why.clone() });
        }
        let Some((from, until)) = self.whole_span else {
            return if report.unread.is_empty() { Err(ExportError::NoFrames) } else { Ok(()) };
        };
        if report.unread.is_empty() {
            refuse(&self.unknown_labels, &self.cameras, self.table.as_deref())?;
        }
        if self.chosen > 0 || report.measurements > 0 || !report.unread.is_empty() {
            return Ok(());
        }
        if report.read == 0 && report.measurements_left_out > 0 {
            return Err(ExportError::OnlyMeasurements(report.measurements_left_out));
        }
        let time = |ns| DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true);
        let why = match (report.without_label, report.depth) {
            (0, 1..) => {
                let depth = count(report.depth, "frame is depth", "frames are depth");
                format!("{depth} without detections, which data sets have only of cameras that --camera names")
            }
            (0, 0) => "none is between --from and --until".to_owned(),
            (frames, _) => {
                count(frames, "frame has", "frames have") + " no detection selected by --only and --threshold"
            }
        };
        // A recording goes on after its last frame, until the camera is disconnected.
        let last = self.latest.as_ref().and_then(|path| Reader::open(path).ok()?.last_frame_ns());
        Err(ExportError::NothingSelected { why, from: time(from), until: time(last.unwrap_or(until)) })
    }

    /// Notes which of the chosen labels the names of a frame have.
    pub(super) fn see_labels(&mut self, frame: &Frame) {
        let Some(table) = &frame.labels else { return };
        if !self.unknown_labels.is_empty() && self.table.as_ref().is_none_or(|known| !Arc::ptr_eq(known, table)) {
            self.unknown_labels.retain(|wanted| !is_label(wanted, table));
            self.table = Some(Arc::clone(table));
        }
    }
}

/// Returns whether a chosen label is a number, or a name in the table.
pub(super) fn is_label(wanted: &str, table: &LabelMap) -> bool {
    let number = wanted.trim().trim_start_matches('#');
    number.parse::<u32>().is_ok() || table.iter().any(|(label, _)| table.matches(label, wanted))
}

/// Fails with the first of the unknown labels.
pub(super) fn refuse(unknown: &[String], cameras: &[Camera], table: Option<&LabelMap>) -> Result<(), ExportError> {
    let Some(wanted) = unknown.first() else { return Ok(()) };
    let tables = cameras.iter().map(Camera::default_names).chain(table);
    let nearest = nearest(wanted, tables.flat_map(LabelMap::iter).map(|(_, name)| name)).map(str::to_owned);
    Err(ExportError::UnknownLabel { wanted: wanted.clone(), nearest })
}

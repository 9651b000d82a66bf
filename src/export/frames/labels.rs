//! Checks the labels that the user chose.

use std::sync::Arc;

use super::Frames;
use crate::export::ExportError;
use crate::export::camera::Camera;
use crate::export::choice::nearest;
use crate::frame::{Frame, LabelMap};

impl Frames {
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

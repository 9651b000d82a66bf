//! Checks that the label of a trigger can match.

use std::sync::Arc;

use crate::frame::{Frame, LabelMap};
use crate::recording::CameraInfo;

/// Number of label tables of a camera that are searched: a camera may change its names with each frame.
const TABLES_MAX: u32 = 100;

/// The label tables of one camera that were searched.
#[derive(Debug, Default)]
pub(super) struct LabelCheck {
    last: Option<Option<Arc<LabelMap>>>,
    count: u32,
}

impl LabelCheck {
    /// Searches the names of this frame if they are others than those of the last one. Returns whether they have this label,
    /// or else a description; `None` without a search.
    pub(super) fn search(&mut self, label: &str, frame: &Frame, info: &CameraInfo) -> Option<Result<(), String>> {
        let is_same = |old: &Option<Arc<LabelMap>>| match (old, &frame.labels) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if self.count == TABLES_MAX || self.last.as_ref().is_some_and(is_same) {
            return None;
        }
        self.count += 1;
        self.last = Some(frame.labels.clone());
        let names = LabelMap::first_known([frame.labels.as_deref(), info.labels.as_ref()]);
        if names.knows(label) {
            return Some(Ok(()));
        }
        let nearest = names.nearest(label).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Some(Err(format!("no label is named `{label}`, so the trigger cannot match{nearest}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_tables_is_searched() {
        let mut check = LabelCheck::default();
        let info = CameraInfo { name: "front".to_owned(), ..CameraInfo::default() };
        let mut reports = 0;
        for n in 0..1000 {
            let mut frame = Frame::default();
            frame.labels = Some(Arc::new([format!("name {n}").as_str()].into_iter().collect()));
            reports += u32::from(check.search("piza", &frame, &info).is_some_and(|found| found.is_err()));
            assert_eq!(check.search("piza", &frame, &info), None, "the same table");
        }
        assert_eq!(reports, TABLES_MAX);
    }
}

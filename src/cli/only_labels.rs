//! The labels of `--only` that no stream can have.

use std::sync::Mutex;

use oaktap::frame::LabelMap;
use oaktap::overlay::Style;
use oaktap::stats::Stats;
use oaktap::sync::locked;

use super::present::{self, ExitReason};

/// The labels of `--only`, and where their names come from.
#[derive(Debug)]
pub(super) struct Only {
    labels: Vec<String>,
    style: Style,
    /// Cameras for which the problem has been printed.
    warned: Mutex<Vec<String>>,
}

impl Only {
    pub(super) fn new(labels: Vec<String>, style: Style) -> Self {
        Self { labels, style, warned: Mutex::default() }
    }

    /// Returns what is wrong with the labels for a stream with these names: detections with them cannot exist.
    fn unknown(&self, stream_names: Option<&LabelMap>) -> Vec<String> {
        let names = self.style.names(stream_names);
        let unknown = self.labels.iter().filter(|label| !names.knows(label));
        let text = |label: &String| {
            let nearest = names.nearest(label).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            format!("no label is named `{label}`, so `--only {label}` selects nothing{nearest}")
        };
        unknown.map(text).collect()
    }

    /// Prints what is wrong with the labels while the stream runs.
    pub(super) fn warn(&self, camera: &str, stats: &Stats) {
        for problem in self.unknown(stats.labels.as_deref()) {
            present::log(&format!("{camera}: {problem}"));
            locked(&self.warned).push(camera.to_owned());
        }
    }

    /// Returns the reason for exit code 3 at the end, if a label is wrong.
    pub(super) fn exit_reason(&self, camera: &str, stats: &Stats) -> Option<ExitReason> {
        let problems = self.unknown(stats.labels.as_deref());
        let text = match locked(&self.warned).iter().any(|warned| warned == camera) {
            true => "a label of `--only` does not exist".to_owned(),
            false => problems.join(", "),
        };
        let help = "`oaktap detections CAMERA -n 1` prints a frame with the names that the camera sends";
        let text = format!("{camera}: exit code 3: {text}");
        (!problems.is_empty()).then(|| ExitReason { text, help: help.into(), camera: Some(camera.to_owned()) })
    }
}

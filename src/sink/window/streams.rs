//! Adds a tile for each further stream of a camera, such as depth, when its first frame has arrived.

use std::sync::Arc;

use super::camera::CameraInput;
use super::screen::Screen;
use super::tile::Tile;
use crate::live::{self, Sink as _};
use crate::view::ViewControls;

/// Time from the first frame of a camera until a stream that the user has named is reported as missing: 5 s.
const MISSING_STREAM_NS: u64 = 5_000_000_000;

/// The further streams for which tiles are added.
#[derive(Debug, Default)]
pub(super) struct FurtherStreams {
    /// The cameras, which come before all streams.
    cameras: Vec<live::Camera>,
    /// Names of the streams that are shown; all if empty.
    only: Vec<String>,
    /// When the first frame was seen.
    begun_ns: Option<u64>,
    /// The missing streams were reported.
    reported: bool,
}

impl Screen {
    /// Adds a tile for each further stream of these cameras, which are those of the screen, when its first frame has arrived: for
    /// all streams, or for those with these names.
    #[must_use]
    pub fn with_streams(mut self, cameras: Vec<live::Camera>, only: Vec<String>) -> Self {
        self.streams = FurtherStreams { cameras, only, ..FurtherStreams::default() };
        self
    }

    /// Number of cameras. The tiles of their further streams follow theirs.
    pub(super) fn camera_count(&self) -> usize {
        self.cameras.iter().filter(|camera| camera.stream_of.is_none()).count()
    }

    /// Returns the camera that sends the pictures of a tile.
    pub(super) fn camera_of(&self, tile: usize) -> usize {
        self.cameras[tile].stream_of.unwrap_or(tile)
    }

    /// Adds the tiles of streams that have begun.
    pub(super) fn add_streams(&mut self) {
        for at in 0..self.streams.cameras.len() {
            if self.cameras[at].playback.is_some() {
                // In a recording each stream is a camera.
                continue;
            }
            for stream in self.cameras[at].ledger.update(|stats| stats.further_streams()) {
                let only = &self.streams.only;
                let is_wanted = only.is_empty() || only.iter().any(|name| **name == *stream);
                if is_wanted && !self.has_stream(at, &stream) {
                    self.add_stream(at, &stream);
                }
            }
        }
        self.report_missing_streams();
    }

    fn has_stream(&self, camera: usize, stream: &str) -> bool {
        let is = |input: &CameraInput| input.stream_of == Some(camera) && input.stream.as_deref() == Some(stream);
        self.cameras.iter().any(is)
    }

    fn add_stream(&mut self, camera: usize, stream: &Arc<str>) {
        let of_stream = self.streams.cameras[camera].of_stream(stream);
        if let Err(error) = self.views.connect(&of_stream) {
            // The next frame tries again.
            let note = format!("cannot show {}: {error}", of_stream.name);
            return self.show_note(note);
        }
        let (first, view) = (&self.views.views()[camera], &self.views.views()[self.cameras.len()]);
        let of_first = first.controls();
        view.control(|controls| {
            let ViewControls { steps, snapshots, .. } = *controls;
            *controls = ViewControls { steps, snapshots, showing: None, ..of_first };
        });
        let input = self.cameras[camera].of_stream(camera, &of_stream, view);
        self.tiles.push(Tile::of(&input, view));
        self.cameras.push(input);
        self.apply();
        self.stale = true;
    }

    /// Returns the names given by the user that no stream has, once frames have arrived.
    fn missing_streams(&self) -> Vec<&str> {
        let has_first = |camera: &CameraInput, name: &str| {
            camera.ledger.update(|stats| stats.introduction.stream.as_deref() == Some(name))
        };
        let is_first = |name: &str| self.cameras[..self.camera_count()].iter().any(|camera| has_first(camera, name));
        let is_shown = |name: &str| self.cameras.iter().any(|camera| camera.stream.as_deref() == Some(name));
        let names = self.streams.only.iter().map(String::as_str);
        names.filter(|name| !is_shown(name) && !is_first(name)).collect()
    }

    /// Returns a line about the names given by the user that no stream has, unless there was one already. `None` as long as no
    /// frame has arrived.
    pub fn missing_streams_note(&mut self) -> Option<String> {
        if self.streams.reported || self.streams.only.is_empty() {
            return None;
        }
        let cameras = &self.cameras[..self.camera_count()];
        let mut names: Vec<String> = Vec::new();
        let mut frames = 0;
        for camera in cameras {
            camera.ledger.update(|stats| {
                frames += stats.frames.received;
                names.extend(stats.introduction.stream.iter().map(ToString::to_string));
                names.extend(stats.further_streams().iter().map(ToString::to_string));
            });
        }
        let missing = self.missing_streams();
        if frames == 0 || missing.is_empty() {
            return None;
        }
        let missing = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        names.sort();
        names.dedup();
        let found = match &*names {
            [] => "the pictures have no stream names".to_owned(),
            names => format!("found {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        self.streams.reported = true;
        Some(format!("no camera sends a stream {missing} (--stream): {found}"))
    }

    fn report_missing_streams(&mut self) {
        if self.streams.only.is_empty() || self.streams.reported {
            return;
        }
        let has_frames = |camera: &CameraInput| camera.ledger.update(|stats| stats.frames.received > 0);
        if self.streams.begun_ns.is_none() && self.cameras.iter().any(has_frames) {
            self.streams.begun_ns = Some(self.now_ns);
        }
        if self.streams.begun_ns.is_some_and(|begun_ns| self.now_ns.saturating_sub(begun_ns) >= MISSING_STREAM_NS)
            && let Some(note) = self.missing_streams_note()
        {
            (self.print)(&note);
            self.show_note(note);
        }
    }
}

//! What is at a point of the window, and what a pointer does there.

use super::grid::centered;
use super::hover::PixelAt;
use super::position::is_on;
use super::screen::Screen;
use crate::frame::Part;
use crate::overlay::Rect;
use crate::view::Zoom;

/// Largest enlargement.
const TIMES_MAX: f64 = 64.0;

fn is_in(rect: Rect, (x, y): (i32, i32)) -> bool {
    (rect.x..rect.right()).contains(&x) && (rect.y..rect.bottom()).contains(&y)
}

impl Screen {
    /// Moves the pointer, or removes it from the window.
    pub fn hover(&mut self, at: Option<(i32, i32)>) {
        if self.hover.at != at {
            self.hover.at = at;
            self.stale = true;
        }
    }

    /// Returns the camera whose tile is at a point.
    #[must_use]
    pub fn tile_at(&self, at: (i32, i32)) -> Option<usize> {
        self.tiles.iter().position(|tile| is_in(tile.at, at))
    }

    /// Returns the camera, the pixel of its frame and the value at a point.
    pub fn pixel_at(&mut self, at: (i32, i32)) -> Option<PixelAt> {
        let camera = self.tile_at(at)?;
        let tile = &self.tiles[camera];
        let placement = tile.placement()?;
        let covered = centered(placement.size, tile.at);
        if !is_in(covered, at) {
            return None;
        }
        let Part { of, x, y, width, height } = placement.part;
        let pixel = |from: f64, len: f64, at: i32, size: usize, of: usize| {
            ((from + (f64::from(at) + 0.5) * len / size.max(1) as f64) as usize).min(of.saturating_sub(1))
        };
        let across = pixel(x, width, at.0 - covered.x, placement.size.0, of.0);
        let down = pixel(y, height, at.1 - covered.y, placement.size.1, of.1);
        let found = PixelAt { camera, pixel: (across, down), value: None };
        let frame = self.frame(camera);
        Some(frame.map_or(found, |frame| self.hover.value(&frame, found, self.now_ns)))
    }

    /// Enlarges the picture at a point by a factor, or reduces it; the point stays where it is.
    pub fn zoom_at(&mut self, at: (i32, i32), factor: f64) {
        let Some(camera) = self.tile_at(at) else { return };
        let tile = &mut self.tiles[camera];
        let Some(placement) = tile.placement() else { return };
        let Part { of, x, y, width, height } = placement.part;
        let covered = centered(placement.size, tile.at);
        let before = placement.size.0 as f64 / width.max(1e-9);
        let fit = f64::min(f64::from(tile.at.width) / of.0 as f64, f64::from(tile.at.height) / of.1 as f64);
        let times = (before * factor).min(TIMES_MAX.max(fit));
        self.stale = true;
        if !times.is_finite() || times <= fit * 1.001 {
            tile.zoom = Zoom::Fit;
            return;
        }
        let center = |from: f64, len: f64, size: usize, covered: i32, middle: f64, at: i32, of: usize| {
            let point = from + f64::from(at - covered) * len / size.max(1) as f64;
            (point + (middle - f64::from(at)) / times) / of.max(1) as f64
        };
        let middle = (
            f64::from(tile.at.x) + f64::from(tile.at.width) / 2.0,
            f64::from(tile.at.y) + f64::from(tile.at.height) / 2.0,
        );
        let center = (
            center(x, width, placement.size.0, covered.x, middle.0, at.0, of.0),
            center(y, height, placement.size.1, covered.y, middle.1, at.1, of.1),
        );
        tile.zoom = Zoom::Times { times, center };
    }

    /// Moves the enlarged picture at a point by a number of pixels.
    pub fn pan(&mut self, at: (i32, i32), (right, down): (i32, i32)) {
        let Some(camera) = self.tile_at(at) else { return };
        let tile = &mut self.tiles[camera];
        let (Some(placement), Zoom::Times { times, .. }) = (tile.placement(), tile.zoom) else { return };
        // From where the picture is, and not from a center beyond its edge.
        let Part { of, x, y, width, height } = placement.part;
        let moved = |from: f64, len: f64, by: i32, of: usize| {
            let half = len / 2.0;
            (from + half - f64::from(by) / times).clamp(half, (of as f64 - half).max(half)) / of.max(1) as f64
        };
        tile.zoom = Zoom::Times { times, center: (moved(x, width, right, of.0), moved(y, height, down, of.1)) };
        self.stale = true;
    }

    /// Returns the time of the recording at a point of the timeline, in nanoseconds since 1970, UTC. `None` beside the
    /// timeline.
    #[must_use]
    pub fn timeline_at(&self, at: (i32, i32)) -> Option<i64> {
        let (bar, strip) = self.timeline.as_ref().filter(|(bar, strip)| is_on(bar, *strip, at))?;
        debug_assert!(strip.width >= bar.rect.width);
        Some(bar.time_at(at.0))
    }

    /// Returns the time of the recording at a column of the window, clamped to the recording: for dragging that began on
    /// the timeline.
    #[must_use]
    pub fn timeline_time(&self, x: i32) -> Option<i64> {
        Some(self.timeline.as_ref()?.0.time_at(x))
    }

    /// Opens or closes the side panel. The only class that is drawn stays the same.
    pub fn toggle_panel(&mut self) {
        self.panel.is_open = !self.panel.is_open;
        self.counted_ns = None;
        self.stale = true;
    }

    /// Handles a click if it is on the side panel: draws only the class at it, or all again. Returns whether it is.
    pub fn click_panel(&mut self, at: (i32, i32)) -> bool {
        let Some(class) = self.panel.at(at) else { return false };
        let cameras = &self.cameras;
        self.controls.click(at, |camera| cameras[camera].spec.clone());
        if let Some(class) = class {
            self.filter_class(Some(class));
        }
        true
    }

    /// Draws only this class; all if it is the only one already, or with `None`.
    pub fn filter_class(&mut self, class: Option<u32>) {
        match class {
            Some(class) => self.panel.toggle_class(class),
            None => self.panel.class = None,
        }
        let class = self.panel.class;
        self.views.views().iter().for_each(|view| view.control(|controls| controls.class = class));
        self.counted_ns = None;
        self.stale = true;
    }
}

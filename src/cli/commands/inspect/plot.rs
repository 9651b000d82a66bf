//! Plots frames per second, gaps and detections over time, in one strip per camera and file.

use oaktap::recording::inspect::{CameraReport, RecordingReport, Timeline};
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::style::text_anchor::HPos;
use plotters::style::{BLACK, RGBColor, WHITE};
use plotters_backend::DrawingBackend;

use crate::cli::plot_file::{Drawing, FONT_PX, GRAY, fill, line, write_text};

const WIDTH: i32 = 1060;
/// Start and length of the time axis, in pixels.
const LEFT: i32 = 130;
const AXIS: i32 = 900;
/// Heights in pixels: a strip, its title, its frames, the space below them, its boxes.
const STRIP: i32 = 226;
const TITLE: i32 = 30;
const FRAMES: i32 = 80;
const BETWEEN: i32 = 18;
const BOXES: i32 = 40;
/// Length of the marks on the axes, in pixels.
const MARK: i32 = 5;
/// Most marks on the time axis.
const TIME_MARKS: f64 = 8.0;

const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const RED: RGBColor = RGBColor(213, 0, 50);

pub(super) struct Timelines<'a>(pub(super) &'a [RecordingReport]);

impl Timelines<'_> {
    fn strips(&self) -> impl Iterator<Item = (&RecordingReport, &CameraReport)> {
        self.0.iter().flat_map(|report| report.cameras.iter().map(move |camera| (report, camera)))
    }
}

impl Drawing for Timelines<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH as u32, (STRIP * self.strips().count().max(1) as i32) as u32 + FONT_PX)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        for (number, (report, camera)) in self.strips().enumerate() {
            let name = report.path.file_name().unwrap_or(report.path.as_os_str()).to_string_lossy();
            strip(area, STRIP * number as i32 + 8, &name, camera)?;
        }
        area.present()?;
        Ok(())
    }
}

fn strip<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    y: i32,
    file: &str,
    camera: &CameraReport,
) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    let write = |text: String, x: i32, y: i32, color: RGBColor, side: HPos| {
        write_text(area, text, (x, y), (FONT_PX, color), side)
    };
    write(format!("{}  {file}", camera.name), LEFT, y, BLACK, HPos::Left)?;
    let missing = format!("{} frames, {} missing, {} boxes", camera.frames, camera.missing, camera.detections);
    write(missing, LEFT + AXIS, y, GRAY, HPos::Right)?;
    if camera.timeline.steps.iter().any(|step| step.missing > 0) {
        write("red: frames missing".to_owned(), LEFT + AXIS / 2, y, RED, HPos::Center)?;
    }

    // At least four frames per step: fewer would alternate between 0 and 1.
    let frames = usize::try_from(camera.frames / 4).unwrap_or(usize::MAX).clamp(1, AXIS as usize / 2);
    let whole = &camera.timeline;
    let Timeline { step_ns, steps, .. } = whole.at_most(frames);
    let total = (whole.step_ns as f64 / 1e9 * whole.steps.len() as f64).max(1e-9);
    let start = |step: usize| (step as f64 * step_ns as f64 / 1e9).min(total);
    // The last step is shorter than the others.
    let rate = |step: usize, n: u64| n as f64 / (start(step + 1) - start(step)).max(1e-9);
    let most = |rates: &mut dyn Iterator<Item = f64>| top_of_scale(rates.fold(0.0, f64::max));
    let frames_top = most(&mut steps.iter().enumerate().map(|(n, step)| rate(n, step.frames)));
    let boxes_top = most(&mut steps.iter().enumerate().map(|(n, step)| rate(n, step.detections)));
    let floor = y + TITLE + FRAMES;
    let ground = floor + BETWEEN + BOXES;
    for (bottom, height, top, unit, color) in
        [(floor, FRAMES, frames_top, "frames/s", BLUE), (ground, BOXES, boxes_top, "boxes/s", ORANGE)]
    {
        for (at, text) in [(bottom - height, format!("{top} {unit}")), (bottom, "0".to_owned())] {
            line(area, (LEFT - MARK, at), (LEFT, at))?;
            write(text, LEFT - MARK - 3, at - FONT_PX as i32 / 2, color, HPos::Right)?;
        }
        line(area, (LEFT, bottom - height), (LEFT, bottom))?;
    }

    let x = |seconds: f64| LEFT + (seconds / total * f64::from(AXIS)) as i32;
    let high = |rate: f64, top: f64, height: i32| (rate / top * f64::from(height)).round() as i32;
    for (number, step) in steps.iter().enumerate() {
        let (left, right) = (x(start(number)), x(start(number + 1)).max(x(start(number)) + 1));
        if step.missing > 0 {
            fill(area, (left, y + TITLE), (right.max(left + 2).min(LEFT + AXIS), floor), RED)?;
        }
        fill(area, (left, floor - high(rate(number, step.frames), frames_top, FRAMES)), (right, floor), BLUE)?;
        fill(area, (left, ground - high(rate(number, step.detections), boxes_top, BOXES)), (right, ground), ORANGE)?;
    }
    for axis in [floor, ground] {
        line(area, (LEFT, axis), (LEFT + AXIS, axis))?;
    }
    let between = top_of_scale(total / TIME_MARKS);
    for at in (0..).map(|n| f64::from(n) * between).take_while(|at| *at <= total) {
        line(area, (x(at), ground), (x(at), ground + MARK))?;
        write(format!("{} s", (at * 1000.0).round() / 1000.0), x(at), ground + MARK + 3, GRAY, HPos::Center)?;
    }
    let from = camera.from_utc.clone().unwrap_or_default();
    write(format!("time after {from}"), LEFT + AXIS / 2, ground + MARK + 4 + FONT_PX as i32, GRAY, HPos::Center)?;
    Ok(())
}

/// Returns the next of 1, 2, 5, 10, 20, 50 and so on, also below 1: the top of a scale that shows all values.
fn top_of_scale(most: f64) -> f64 {
    let power = 10f64.powf(most.max(1e-3).log10().floor());
    // A little less, because 10^-1 is not exact.
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let top = steps.into_iter().find(|step| *step >= most * 0.999_999).unwrap_or(10.0 * power);
    (top * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers_above_all_values() {
        for (most, top) in
            [(0.0, 0.001), (0.1, 0.1), (0.3, 0.5), (1.0, 1.0), (39.9, 50.0), (50.1, 100.0), (7000.0, 10_000.0)]
        {
            assert_eq!(top_of_scale(most), top, "{most}");
        }
    }
}

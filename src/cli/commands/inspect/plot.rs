//! Plots frames per second, gaps and detections over time, in one strip per camera and file.

use oaktap::recording::inspect::{CameraReport, RecordingReport, Timeline};
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{PathElement, Rectangle, Text as Label};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color as _, IntoFont as _, RGBColor, ShapeStyle, WHITE};
use plotters_backend::DrawingBackend;

use crate::cli::plot_file::{Drawing, FONT_PX, GRAY};

const WIDTH: i32 = 1060;
/// Start and length of the time axis, in pixels.
const LEFT: i32 = 90;
const AXIS: i32 = 940;
/// Heights in pixels: a strip, its title, its frames, the space below them, its detections.
const STRIP: i32 = 190;
const TITLE: i32 = 26;
const FRAMES: i32 = 80;
const BETWEEN: i32 = 8;
const BOXES: i32 = 40;

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
        let style = ("monospace", FONT_PX).into_font().color(&color).pos(Pos::new(side, VPos::Top));
        area.draw(&Label::new(text, (x, y), style))
    };
    let bar = |from: (i32, i32), to: (i32, i32), color: RGBColor| {
        area.draw(&Rectangle::new([from, to], ShapeStyle { color: color.to_rgba(), filled: true, stroke_width: 0 }))
    };
    write(format!("{}  {file}", camera.name), LEFT, y, BLACK, HPos::Left)?;
    let missing = format!("{} frames, {} missing, {} boxes", camera.frames, camera.missing, camera.detections);
    write(missing, LEFT + AXIS, y, GRAY, HPos::Right)?;

    // At least four frames per step: fewer would alternate between 0 and 1.
    let frames = usize::try_from(camera.frames / 4).unwrap_or(usize::MAX).clamp(1, AXIS as usize / 2);
    let Timeline { step_ns, steps, .. } = camera.timeline.at_most(frames);
    let seconds = step_ns as f64 / 1e9;
    let floor = y + TITLE + FRAMES;
    let ground = floor + BETWEEN + BOXES;
    let most = steps.iter().map(|step| step.frames).max().unwrap_or(0);
    let boxes = steps.iter().map(|step| step.detections).max().unwrap_or(0);
    write(format!("{:.0}/s", most as f64 / seconds.max(1e-9)), LEFT - 8, y + TITLE, BLUE, HPos::Right)?;
    write(format!("{:.0}/s", boxes as f64 / seconds.max(1e-9)), LEFT - 8, floor + BETWEEN, ORANGE, HPos::Right)?;
    let x = |step: usize| LEFT + (step as f64 / steps.len() as f64 * f64::from(AXIS)) as i32;
    let high = |n: u64, most: u64, height: i32| (n as f64 / most.max(1) as f64 * f64::from(height)).round() as i32;
    for (number, step) in steps.iter().enumerate() {
        let (left, right) = (x(number), x(number + 1));
        if step.missing > 0 {
            bar((left, y + TITLE), (right.max(left + 2), floor), RED)?;
        }
        bar((left, floor - high(step.frames, most, FRAMES)), (right, floor), BLUE)?;
        bar((left, ground - high(step.detections, boxes, BOXES)), (right, ground), ORANGE)?;
    }
    for axis in [floor, ground] {
        area.draw(&PathElement::new(vec![(LEFT, axis), (LEFT + AXIS, axis)], GRAY))?;
    }
    write(camera.from_utc.clone().unwrap_or_default(), LEFT, ground + 4, GRAY, HPos::Left)?;
    write(format!("+{:.1} s", seconds * steps.len() as f64), LEFT + AXIS, ground + 4, GRAY, HPos::Right)?;
    Ok(())
}

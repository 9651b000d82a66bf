//! Plots how close each stage comes to the speed of a copy of the same bytes.

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::style::text_anchor::HPos;
use plotters::style::{BLACK, RGBColor, WHITE};
use plotters_backend::DrawingBackend;

use super::report::{BenchReport, Row};
use crate::cli::plot_file::{Drawing, FONT_PX, GRAY, fill, line, write_text};

const WIDTH: u32 = 1060;
const LINE: u32 = 24;
const TOP: u32 = 64;
/// Start of the bars, and the longest of them, in pixels.
const BARS: i32 = 330;
const LENGTH: f64 = 480.0;
/// The scale ends here, or at the longest bar.
const SHARE_MAX: f64 = 1.2;

fn size(row: &Row) -> (u32, u32) {
    (row.width, row.height)
}

fn groups(rows: &[Row]) -> usize {
    rows.chunk_by(|a, b| size(a) == size(b)).count()
}

fn stage_color(stage: &str) -> RGBColor {
    match stage {
        "parse" => RGBColor(86, 180, 233),
        "convert" => RGBColor(0, 114, 178),
        "overlay" => RGBColor(0, 158, 115),
        "receive" => RGBColor(230, 159, 0),
        _ => RGBColor(213, 94, 0),
    }
}

impl Drawing for BenchReport {
    fn size(&self) -> (u32, u32) {
        (WIDTH, TOP + LINE * (self.rows.len() as u32 + groups(&self.rows) as u32 + 3))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        draw(area, self)
    }
}

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, report: &BenchReport) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    let write = |text: String, x: i32, y: i32, size: u32, color: RGBColor, side: HPos| {
        write_text(area, text, (x, y), (size, color), side)
    };
    let right = WIDTH as i32 - 16;
    area.fill(&WHITE)?;
    write(
        "How fast each stage works, compared with a copy of as many bytes".to_owned(),
        16,
        12,
        18,
        BLACK,
        HPos::Left,
    )?;
    write(report.machine(), 16, 36, FONT_PX, GRAY, HPos::Left)?;
    let mut y = TOP as i32;
    let step = LINE as i32;
    let bottom = y + step * (report.rows.len() + groups(&report.rows)) as i32;
    let longest = report.rows.iter().map(|row| row.memcpy_share).fold(SHARE_MAX, f64::max);
    let x = |share: f64| BARS + (share.max(0.0) / longest * LENGTH) as i32;
    for (share, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1 (copy)")] {
        line(area, (x(share), y), (x(share), bottom + 4))?;
        write(text.to_owned(), x(share), bottom + 8, FONT_PX, GRAY, HPos::Center)?;
    }
    let axis = "bars: speed compared with a copy of as many bytes; 1 is as fast as the copy".to_owned();
    write(axis, BARS, bottom + 8 + step, FONT_PX, GRAY, HPos::Left)?;
    write("stage, format".to_owned(), 32, bottom + 8, FONT_PX, GRAY, HPos::Left)?;
    write("frames/s of one thread".to_owned(), right, bottom + 8, FONT_PX, GRAY, HPos::Right)?;
    for rows in report.rows.chunk_by(|a, b| size(a) == size(b)) {
        let (width, height) = size(&rows[0]);
        write(format!("{width}x{height}"), 16, y + 6, FONT_PX, BLACK, HPos::Left)?;
        y += step;
        for row in rows {
            let end = x(row.memcpy_share);
            fill(area, (BARS, y + 3), (end.max(BARS + 1), y + step - 3), stage_color(row.stage))?;
            write(format!("{:<8} {}", row.stage, row.what), 32, y + 5, FONT_PX, BLACK, HPos::Left)?;
            write(format!("{:.2}", row.memcpy_share), end + 6, y + 5, FONT_PX, BLACK, HPos::Left)?;
            let lost = if row.frames_lost > 0 { format!(", {} lost", row.frames_lost) } else { String::new() };
            write(format!("{:.0} frames/s{lost}", row.frames_per_s), right, y + 5, FONT_PX, GRAY, HPos::Right)?;
            y += step;
        }
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plot_file::PlotFile;

    fn report() -> BenchReport {
        let row = |stage, share, height| {
            let mut row = Row { stage, what: "BGR888p".to_owned(), height, memcpy_share: share, ..Row::default() };
            row.set_times(1e-4, None);
            row
        };
        BenchReport::new(
            "bench",
            vec![row("convert", 4.0, 352), row("convert", 1.0, 352), row("convert", 0.5, 720)],
            Vec::new(),
        )
    }

    #[test]
    fn bars_are_as_long_as_their_shares_and_none_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = PlotFile::new(folder.path().join("plot.png").into()).unwrap();
        file.write(&report()).unwrap();
        let image = image::open(file.path()).unwrap().to_rgb8();
        let RGBColor(r, g, b) = stage_color("convert");
        let mut lengths: Vec<_> =
            image.rows().map(|row| row.filter(|pixel| pixel.0 == [r, g, b]).count()).filter(|n| *n > 0).collect();
        lengths.dedup();
        assert_eq!(lengths, [LENGTH as usize, LENGTH as usize / 4, LENGTH as usize / 8]);
    }

    #[test]
    fn an_svg_names_stages_formats_and_speeds() {
        let folder = tempfile::tempdir().unwrap();
        let file = PlotFile::new(folder.path().join("plot.SVG").into()).unwrap();
        file.write(&report()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with("<svg") && text.contains("10000 frames/s") && text.contains("BGR888p"));
        assert!(PlotFile::new("plot.pdf".into()).unwrap_err().contains(".svg or .png"));
    }
}

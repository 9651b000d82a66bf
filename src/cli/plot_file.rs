//! The FILE argument of `--plot`: drawings as SVG, or as PNG with our own pictures and glyphs.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use oaktap::convert::encode_png;
use oaktap::file;
use oaktap::frame::Picture;
use oaktap::overlay::{Canvas, Rect, Text};
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{PathElement, Rectangle, Text as Label};
use plotters::prelude::{IntoDrawingArea as _, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _, RGBColor, ShapeStyle};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use super::new_files;

/// Height in pixels of text other than titles.
pub(crate) const FONT_PX: u32 = 14;
pub(crate) const GRAY: RGBColor = RGBColor(110, 110, 110);

/// A drawing that can be written as SVG or PNG.
pub(crate) trait Drawing {
    /// Returns width and height in pixels.
    fn size(&self) -> (u32, u32);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> anyhow::Result<()>
    where
        B::ErrorType: 'static;
}

/// Writes a text, whose `side` is at x and whose upper edge is at y.
pub(crate) fn write_text<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    text: String,
    at: (i32, i32),
    (height, color): (u32, RGBColor),
    side: HPos,
) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    let style = ("monospace", height).into_font().color(&color).pos(Pos::new(side, VPos::Top));
    Ok(area.draw(&Label::new(text, at, style))?)
}

/// Fills a rectangle.
pub(crate) fn fill<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    let style = ShapeStyle { color: color.to_rgba(), filled: true, stroke_width: 0 };
    Ok(area.draw(&Rectangle::new([from, to], style))?)
}

/// Draws a line of an axis or a scale.
pub(crate) fn line<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    from: (i32, i32),
    to: (i32, i32),
) -> anyhow::Result<()>
where
    B::ErrorType: 'static,
{
    Ok(area.draw(&PathElement::new(vec![from, to], GRAY))?)
}

/// A plot file. Its extension selects the format. Without a name, [`PlotFile::named`] chooses one.
#[derive(Clone, Debug)]
pub(crate) enum PlotFile {
    Svg(PathBuf),
    Png(PathBuf),
}

impl PlotFile {
    /// Returns the file of this path, which may be empty.
    pub(crate) fn new(path: OsString) -> Result<Self, String> {
        let path = PathBuf::from(path);
        if path.as_os_str().is_empty() {
            return Ok(Self::Svg(path));
        }
        match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg(path)),
            Some("png") => Ok(Self::Png(path)),
            _ => Err("expected a name that ends in .svg or .png; without a name, put --plot after the other arguments"
                .to_owned()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        let (Self::Svg(path) | Self::Png(path)) = self;
        path
    }

    /// Returns a file with a name: if the user gave none, `STEM.svg`, or with a number if that exists.
    pub(crate) fn named(&self, stem: &str) -> Self {
        if !self.path().as_os_str().is_empty() {
            return self.clone();
        }
        let name = |number: u32| match number {
            0 => PathBuf::from(format!("{stem}.svg")),
            _ => PathBuf::from(format!("{stem}-{number}.svg")),
        };
        let free = (0..u32::MAX).map(name).find(|path| path.symlink_metadata().is_err());
        Self::Svg(free.unwrap_or_else(|| name(0)))
    }

    /// Checks that the file can be written, before the work whose result it shows.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        new_files::check_file(self.path())
    }

    /// Draws and writes the file.
    pub(crate) fn write(&self, drawing: &impl Drawing) -> anyhow::Result<()> {
        let (width, height) = drawing.size();
        match self {
            Self::Svg(path) => {
                let mut text = String::new();
                drawing.draw(&SVGBackend::with_string(&mut text, (width, height)).into_drawing_area())?;
                file::write_new(path, text.as_bytes()).map_err(|error| new_files::not_written(path, error))
            }
            Self::Png(path) => {
                let mut picture = Picture::default();
                picture.resize(width as usize, height as usize);
                drawing.draw(&PictureBackend { picture: &mut picture, text: Text::new() }.into_drawing_area())?;
                let png = encode_png(&picture.rgb().collect::<Vec<u8>>(), picture.size())
                    .context("cannot encode the plot as PNG")?;
                file::write_new(path, &png).map_err(|error| new_files::not_written(path, error))
            }
        }
    }
}

/// A backend of `plotters` that draws on our pictures with our glyphs: its bitmap backends need system libraries or
/// unmaintained crates.
struct PictureBackend<'a> {
    picture: &'a mut Picture,
    text: Text,
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

fn word(color: BackendColor) -> u32 {
    let (r, g, b) = color.rgb;
    u32::from_be_bytes([0, r, g, b])
}

impl DrawingBackend for PictureBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.picture.width as u32, self.picture.height as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        Canvas::of(self.picture).fill(Rect::new(x, y, 1, 1), word(color));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Drawn {
        let rect = Rect::new(from.0, from.1, to.0 - from.0, to.1 - from.1);
        let mut canvas = Canvas::of(self.picture);
        if fill {
            canvas.fill(rect, word(style.color()));
        } else {
            canvas.outline(rect, 1, word(style.color()));
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let height = style.size().round() as u32;
        let width = self.text.width(height, text);
        let x = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        self.text.write(&mut Canvas::of(self.picture), x, y, height, word(style.color()), text);
        Ok(())
    }
}

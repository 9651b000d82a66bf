//! Forms in which viewers get the pictures of a camera, and the queries of addresses that select them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::source::unescape;
use crate::view::fitted;

/// Heights that `h` accepts, in pixels.
const HEIGHTS: RangeInclusive<u32> = 16..=8192;

/// Size of a picture; frames are never enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShotSize {
    Small,
    Medium,
    Large,
    /// The size of the frame.
    Full,
    /// At most this number of rows.
    Height(u32),
}

impl ShotSize {
    /// The sizes of the page.
    pub(super) const STEPS: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Full];

    /// Returns the longest width and height in pixels.
    const fn bounds(self) -> (usize, usize) {
        match self {
            Self::Small => (480, 480),
            Self::Medium => (960, 960),
            Self::Large => (1920, 1920),
            Self::Full => (usize::MAX, usize::MAX),
            Self::Height(rows) => (usize::MAX, rows as usize),
        }
    }

    /// Returns the smallest size of the page that fills this many pixels.
    pub(super) fn for_width(pixels: u32) -> Self {
        let fills = |size: &Self| size.bounds().0 >= pixels as usize;
        Self::STEPS.into_iter().find(fills).unwrap_or(Self::Full)
    }

    /// Returns the size of a picture of this many pixels.
    pub(super) fn of(self, whole: (usize, usize)) -> (usize, usize) {
        let bounds = self.bounds();
        if whole.0 <= bounds.0 && whole.1 <= bounds.1 {
            return whole;
        }
        // A frame is never enlarged, so that its own width bounds the result, too.
        fitted(whole, (bounds.0.min(whole.0), bounds.1.min(whole.1)))
    }
}

/// Format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Jpeg,
    Png,
}

impl FileKind {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// Addresses with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queried {
    Snapshot(FileKind),
    Stream,
}

impl Queried {
    /// Returns the queries, as errors list them.
    const fn expected(self) -> &'static str {
        match self {
            Self::Snapshot(_) => "boxes=1, h=PIXELS or crop=CLASS",
            Self::Stream => "boxes=1 or h=PIXELS",
        }
    }
}

/// Form of a picture. Viewers of one form share its encoded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) size: ShotSize,
    /// Draws the detections.
    pub(super) boxes: bool,
    /// Shows only the surroundings of the most confident detection of this class. Frames without one are left out.
    pub(super) crop: Option<Arc<str>>,
    pub(super) file: FileKind,
}

impl Form {
    /// Returns the form of whole pictures without boxes.
    pub(super) const fn plain(size: ShotSize) -> Self {
        Self { size, boxes: false, crop: None, file: FileKind::Jpeg }
    }

    /// Returns whether the page watches this form.
    pub(super) fn is_of_page(&self) -> bool {
        ShotSize::STEPS.into_iter().any(|size| *self == Self::plain(size))
    }

    /// Parses the query of an address. The error names what was found and what is expected.
    pub(super) fn parse(address: Queried, query: Option<&str>) -> Result<Self, String> {
        let mut form = Self::plain(ShotSize::Full);
        if let Queried::Snapshot(file) = address {
            form.file = file;
        }
        let mut given = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if given.contains(&name) {
                return Err(format!("`{}` is given twice", text(name).escape_default()));
            }
            given.push(name);
            let value = text(value);
            let wrong = |expected: &str| Err(format!("{name}={}: expected {expected}", value.escape_default()));
            match name {
                "boxes" => match &*value {
                    "0" | "1" => form.boxes = value == "1",
                    _ => return wrong("0 or 1"),
                },
                "h" => match value.parse() {
                    Ok(rows) if HEIGHTS.contains(&rows) => form.size = ShotSize::Height(rows),
                    _ => return wrong(&format!("a height of {} to {} pixels", HEIGHTS.start(), HEIGHTS.end())),
                },
                "crop" if matches!(address, Queried::Snapshot(_)) => match value.trim() {
                    "" => return wrong("the name or number of a class, such as person"),
                    class => form.crop = Some(class.to_lowercase().into()),
                },
                // Signed addresses have them; the guard has checked them.
                "expires" | "signature" => {}
                _ => {
                    let name = text(name);
                    return Err(format!("unknown query `{}`; expected {}", name.escape_default(), address.expected()));
                }
            }
        }
        Ok(form)
    }
}

/// Decodes a name or a value of a query.
fn text(part: &str) -> String {
    String::from_utf8_lossy(&unescape(&part.replace('+', " "))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: Queried = Queried::Snapshot(FileKind::Png);

    #[test]
    fn a_width_selects_the_smallest_size_that_fills_it() {
        for (pixels, size) in [(0, ShotSize::Small), (480, ShotSize::Small), (481, ShotSize::Medium)] {
            assert_eq!(ShotSize::for_width(pixels), size);
        }
        assert_eq!(ShotSize::for_width(u32::MAX), ShotSize::Full);
        for (size, whole, expected) in [
            (ShotSize::Small, (1920, 1080), (480, 270)),
            (ShotSize::Small, (1080, 1920), (270, 480)),
            (ShotSize::Large, (640, 352), (640, 352)),
            (ShotSize::Height(480), (1920, 1080), (853, 480)),
            (ShotSize::Height(480), (1080, 1920), (270, 480)),
            (ShotSize::Height(480), (10_000, 481), (9979, 480)),
            (ShotSize::Height(480), (640, 352), (640, 352)),
            (ShotSize::Height(16), (1, 4000), (1, 16)),
            (ShotSize::Full, (9000, 9000), (9000, 9000)),
        ] {
            assert_eq!(size.of(whole), expected, "{size:?} of {whole:?}");
        }
    }

    #[test]
    fn a_query_selects_the_form() {
        let plain = Form { file: FileKind::Png, ..Form::plain(ShotSize::Full) };
        for (query, expected) in [
            (None, plain.clone()),
            (Some(""), plain.clone()),
            (Some("boxes=0"), plain.clone()),
            (Some("boxes=1&h=480"), Form { boxes: true, size: ShotSize::Height(480), ..plain.clone() }),
            (Some("crop=Traffic+light&"), Form { crop: Some("traffic light".into()), ..plain.clone() }),
            (Some("h=480&expires=1&signature=a"), Form { size: ShotSize::Height(480), ..plain.clone() }),
            (Some("crop=%23%35"), Form { crop: Some("#5".into()), ..plain.clone() }),
        ] {
            assert_eq!(Form::parse(SNAPSHOT, query), Ok(expected), "{query:?}");
        }
        assert_eq!(Form::parse(Queried::Stream, Some("h=16")), Ok(Form::plain(ShotSize::Height(16))));
    }

    #[test]
    fn wrong_queries_are_refused_with_what_is_expected() {
        for (address, query, expected) in [
            (SNAPSHOT, "box=1", "unknown query `box`; expected boxes=1, h=PIXELS or crop=CLASS"),
            (Queried::Stream, "crop=dog", "unknown query `crop`; expected boxes=1 or h=PIXELS"),
            (SNAPSHOT, "boxes", "boxes=: expected 0 or 1"),
            (SNAPSHOT, "boxes=yes", "boxes=yes: expected 0 or 1"),
            (SNAPSHOT, "h=15", "h=15: expected a height of 16 to 8192 pixels"),
            (SNAPSHOT, "h=99999999999", "h=99999999999: expected a height of 16 to 8192 pixels"),
            (SNAPSHOT, "h=-1", "h=-1: expected a height of 16 to 8192 pixels"),
            (SNAPSHOT, "crop=+", "crop= : expected the name or number of a class, such as person"),
            (SNAPSHOT, "h=480&h=480", "`h` is given twice"),
            (SNAPSHOT, "%0a=1", "unknown query `\\n`; expected boxes=1, h=PIXELS or crop=CLASS"),
        ] {
            assert_eq!(Form::parse(address, Some(query)), Err(expected.to_owned()), "{query}");
        }
    }
}

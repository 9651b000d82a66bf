//! Drawing over a steady stream does not allocate.

use oaktap::frame::{BBox, Detection, Picture};
use oaktap::overlay::{Canvas, Overlay, Rect, Style, Text};

use crate::allocated;

fn allocations(work: impl FnOnce()) -> u32 {
    let before = allocated().0;
    work();
    allocated().0 - before
}

#[test]
fn drawing_does_not_allocate_after_the_first_frame() {
    let detections: Vec<_> = (0..20)
        .map(|label| {
            let at = label as f32 / 25.0;
            let bbox = BBox { xmin: at, ymin: at, xmax: at + 0.2, ymax: at + 0.2 };
            Detection { label: label * 5, confidence: at, bbox, ..Detection::default() }
        })
        .collect();
    let only = vec!["Person".to_owned(), "5".to_owned(), "10".to_owned(), "truck".to_owned(), "95".to_owned()];
    let mut picture = Picture::default();
    picture.resize(640, 352);
    for style in [Style::default(), Style { only, threshold: 0.1, ..Style::default() }] {
        let mut overlay = Overlay::new(style);
        let mut text = Text::new();
        let mut frame = || {
            overlay.draw(&mut picture, &detections, None);
            let mut canvas = Canvas::of(&mut picture);
            text.write(&mut canvas, 4, 4, 16, 0xFF_FFFF, "40.0 fps  216 Mbit/s");
            canvas.sparkline(Rect::new(4, 60, 200, 30), &[25.0, 26.0, 24.0, 60.0, 25.0], 0x00_FF00);
            canvas.gray_out();
        };
        assert!(allocations(&mut frame) > 0, "the first one rasterises");
        assert_eq!(allocations(&mut frame), 0);
    }
}

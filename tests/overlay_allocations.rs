//! Drawing over a steady stream allocates nothing.

#![allow(unsafe_code)] // An allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use oaktap::frame::{BBox, Detection, Picture};
use oaktap::overlay::{Canvas, Overlay, Rect, Style, Text};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<u32> = const { Cell::new(0) };
}

// SAFETY: everything is done by the system's allocator; counting touches a `Cell` of this thread, without allocating.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u32 {
    let before = ALLOCATED.get();
    work();
    ALLOCATED.get() - before
}

#[test]
fn a_steady_stream_allocates_nothing() {
    let detections: Vec<_> = (0..20)
        .map(|label| {
            let at = label as f32 / 25.0;
            let bbox = BBox { xmin: at, ymin: at, xmax: at + 0.2, ymax: at + 0.2 };
            Detection { label: label * 5, confidence: at, bbox }
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
            text.panel(&mut canvas, 4, 4, 16, 0xFF_FFFF, &["40.0 fps", "216 Mbit/s"]);
            canvas.sparkline(Rect::new(4, 60, 200, 30), &[25.0, 26.0, 24.0, 60.0, 25.0], 0x00_FF00);
            canvas.gray_out();
        };
        assert!(allocations(&mut frame) > 0, "the first one rasterises");
        assert_eq!(allocations(&mut frame), 0);
    }
}

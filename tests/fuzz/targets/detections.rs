//! Detection texts: valid ones are parsed exactly, others give an error at a valid position.
#![no_main]

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::frame::{Detection, LabelMap};
use oaktap::wire::detections::{DetectionError, parse, parse_json};
use oaktap_fuzz::{memory, stream};

const LIMIT: usize = 500;

fn within(text: &[u8], found: &[Detection], result: Result<(), DetectionError>) {
    assert!(found.len() <= LIMIT && found.len() <= text.len());
    match result {
        Ok(()) => {}
        Err(DetectionError::Malformed { at, found, .. } | DetectionError::Separator { at, found, .. }) => assert!(text[at..].starts_with(found.bytes()), "byte {at}"),
        Err(DetectionError::TooMany { limit }) => assert_eq!(limit, LIMIT),
        Err(_) => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let ((), held) = memory::peak(|| {
        let mut found = Vec::new();
        let result = parse(input, LIMIT, &mut found);
        within(input, &found, result);
        let (mut found, mut names) = (Vec::new(), Arc::<LabelMap>::default());
        let result = parse_json(input, LIMIT, &mut found, &mut names);
        within(input, &found, result);
        assert!(names.len() <= LIMIT);
    });
    assert!(held <= 64 * input.len() + (64 << 10), "{held} bytes were held for a text of {}", input.len());

    let Ok(boxes) = Vec::<stream::Box>::arbitrary(&mut Unstructured::new(input)) else { return };
    let mut found = Vec::new();
    let result = parse(&stream::list(&boxes), LIMIT, &mut found);
    assert_eq!(result.is_ok(), boxes.len() <= LIMIT, "{result:?}");
    for (read, sent) in found.iter().zip(&boxes) {
        assert_eq!(read.label, u32::from(sent.label));
        assert_eq!(read.confidence, (f64::from(sent.tenths) / 1000.0) as f32);
        let edges = [read.bbox.xmin, read.bbox.ymin, read.bbox.xmax, read.bbox.ymax];
        assert_eq!(edges, sent.edges.map(|edge| (f64::from(edge) / 10_000.0) as f32));
    }
});

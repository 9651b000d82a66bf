//! `IMG` headers of 33 to 43 bytes: the decoder finds every frame, whatever its payload begins with.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oaktap_fuzz::{run, stream};

#[derive(Arbitrary, Debug)]
struct Overflowing {
    frames: Vec<Message>,
    pieces: Vec<u16>,
}

#[derive(Arbitrary, Debug)]
struct Message {
    micros: i64,
    boxes: Vec<stream::Box>,
    payload: [u8; 8],
    len: u16,
}

fuzz_target!(|input: Overflowing| {
    let (mut bytes, mut sent) = (Vec::new(), Vec::new());
    for message in input.frames.iter().take(8) {
        // Microseconds since 1970 have 16 digits; a camera counts from its boot.
        let micros = (message.micros % 10_000_000_000_000_000).abs();
        let detections = stream::list(&message.boxes);
        let len = usize::from(message.len % 1500).max(1);
        let payload: Vec<u8> = message.payload.iter().copied().cycle().take(len).collect();
        let header = format!("IMG {} {len} {}", stream::python_seconds(micros), detections.len());
        bytes.extend(format!("{header:<32}").bytes());
        bytes.extend(&detections);
        bytes.extend(&payload);
        sent.push((micros, detections, payload));
    }
    let told = run::run(&bytes, &input.pieces, None, false);
    told.covers(&bytes);
    let told: Vec<_> =
        told.frames.iter().map(|f| (f.device_time.0, f.detection_text.clone(), f.payload().to_vec())).collect();
    assert_eq!(told, sent);
});

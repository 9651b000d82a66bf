//! Arbitrary bytes as a recording, and truncated or changed recordings: readers do not panic, their memory is bounded by the
//! input, and recovered files are valid.
#![no_main]

use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use oaktap::frame::{DeviceTime, Frame, Geometry, PixelFormat, Received};
use oaktap::recording::inspect::inspect;
use oaktap::recording::recover::recover;
use oaktap::recording::verify::verify;
use oaktap::recording::{CameraInfo, Compression, Reader, SegmentWriter};
use oaktap::wire::encode;
use oaktap_fuzz::memory;

const START_NS: i64 = 1_790_000_000_000_000_000;
/// Fixed memory of the three readers: blocks, histograms, decompressor windows.
const OWN: usize = 256 << 20;
/// Maximum expansion by zstd: 4 bytes can expand to a block of 128 KiB.
const RATIO: usize = 1 << 15;

#[derive(Arbitrary, Debug)]
struct Damage {
    compression: u8,
    changes: Vec<(u16, u8)>,
    cut: Option<u16>,
    behind: Vec<u8>,
}

/// A small recording.
fn recording(compression: Compression) -> Vec<u8> {
    let camera = CameraInfo { name: "a".to_owned(), ..CameraInfo::default() };
    let mut writer = SegmentWriter::new(Cursor::new(Vec::new()), compression, &[camera], START_NS).expect("memory");
    for number in 0..4_i64 {
        let mut frame = Frame::with_payload(vec![number as u8; 3 * 8 * 4]);
        frame.device_time = DeviceTime(25_000 * number);
        frame.header = encode::img(frame.device_time, frame.payload().len(), 0);
        frame.received = Received { mono_ns: 1, unix_ns: START_NS + 25_000_000 * number };
        frame.geometry = Geometry::tight(PixelFormat::Bgr888p, 8, 4).ok();
        writer.frame(0, &frame, frame.received.unix_ns).expect("memory");
        if number % 2 == 1 {
            writer.flush().expect("memory");
        }
    }
    writer.finish(&[]).expect("memory").into_inner()
}

/// Inputs that begin with the magic bytes of MCAP are files; all others describe damage to a valid one.
fn read(input: &[u8]) -> arbitrary::Result<Vec<u8>> {
    static WHOLE: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    if input.starts_with(b"\x89MCAP") {
        return Ok(input.to_vec());
    }
    let damage = Damage::arbitrary_take_rest(Unstructured::new(input))?;
    let whole = WHOLE.get_or_init(|| [Compression::None, Compression::Lz4, Compression::Zstd].map(recording));
    let mut bytes = whole[usize::from(damage.compression) % whole.len()].clone();
    for (at, change) in damage.changes {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= change;
    }
    bytes.truncate(damage.cut.map_or(usize::MAX, usize::from));
    bytes.extend(damage.behind);
    Ok(bytes)
}

fn all(path: &Path, out: &Path) {
    if let Ok(mut reader) = Reader::open(path) {
        while let Ok(Some(_)) = reader.next_entry() {}
    }
    let _ = inspect(path);
    let verified = verify(path);
    if let Ok(saved) = recover(path, out) {
        let again = verify(out).expect("it was just written");
        assert!(again.is_good(), "{:?}", again.findings);
        assert_eq!(again.frames, saved.frames);
        std::fs::remove_file(out).expect("our own package");
        if verified.is_ok_and(|verified| verified.is_good()) {
            assert!(saved.is_all(), "{saved:?}");
        }
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(bytes) = read(input) else { return Corpus::Reject };
    let folder = std::env::temp_dir();
    let [path, out] = ["in", "out"].map(|name| folder.join(format!("fuzz-{}-{name}.mcap", std::process::id())));
    std::fs::write(&path, &bytes).expect("room for a small file");
    let ((), held) = memory::peak(|| all(&path, &out));
    assert!(held <= OWN + RATIO * bytes.len(), "{held} bytes were held for a file of {}", bytes.len());
    std::fs::remove_file(&path).expect("our own package");
    Corpus::Keep
});

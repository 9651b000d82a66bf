//! The work of the decoder has a bound for each byte received, whatever the bytes are.

use oaktap::frame::{Interpreter, Pool, Received};
use oaktap::wire::{Decoder, Limits};

/// Bytes examined or copied for each byte received. An undamaged stream has 2: one is received, and a part is copied.
const MAX_WORK_PER_BYTE: u64 = 24;

/// Work that a connection may cause beyond that: 16 MiB may be read again, which are searched and copied too.
const FREE_WORK: u64 = 64 << 20;

const LINE: usize = 32;

fn line(text: &str) -> Vec<u8> {
    format!("{text:LINE$}").into_bytes()
}

/// Good frames of one byte, so that the frames after them are not counted as damaged in a row.
fn good_frames(count: usize) -> Vec<u8> {
    [line("IMG 1.5 1 0"), b"x".to_vec()].concat().repeat(count)
}

/// Feeds `piece` for `len` bytes, `read` bytes at a time.
fn work(first: &[u8], piece: impl Fn(usize) -> Vec<u8>, len: usize, read: usize, idle: bool) -> (u64, u64) {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut bytes = first.to_vec();
    for n in 0.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend(piece(n));
    }
    for read in bytes.chunks(read) {
        decoder.feed(read, Received::default());
        while decoder.poll().is_some() {}
        if idle {
            decoder.idle();
            while decoder.poll().is_some() {}
        }
    }
    decoder.finish();
    while decoder.poll().is_some() {}
    assert!(decoder.byte_counts().balance());
    (decoder.work(), bytes.len() as u64)
}

/// Name, bytes at the beginning, and the bytes that are repeated.
type Kind = (&'static str, Vec<u8>, fn(usize) -> Vec<u8>);

fn kinds() -> Vec<Kind> {
    let lists: fn(usize) -> Vec<u8> = |_| {
        let list = "0;50.0;0.1000;0.2000;0.3000;0.4000|".repeat(2_900);
        format!("IMG 1.234567890123456 1000 99999{list}").into_bytes()
    };
    vec![
        ("good frames", vec![], |_| [line("IMG 1.5 3000 0"), vec![b'x'; 3000]].concat()),
        ("one-byte frames", vec![], |_| good_frames(1)),
        ("noise", vec![], |n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().to_vec()),
        ("first letters", vec![], |_| b"@ABCDE @IMG FRAME DETECT@".to_vec()),
        ("headers inside headers", vec![], |n| line(&format!("IMG {n}.5 250000 0"))),
        ("headers inside headers after good frames", vec![], |_| [good_frames(12), line("IMG 1.5 250000 0")].concat()),
        ("short promises after good frames", vec![], |_| [good_frames(12), line("IMG 1.5 60000 0")].concat()),
        ("video inside video", vec![], |_| [good_frames(12), line("ABCDE 1.5               250000")].concat()),
        ("detections inside detections", vec![], |_| [good_frames(12), line("IMG 1.5 1 999999")].concat()),
        ("JSON inside JSON", vec![], |_| [good_frames(12), line("DETECT1.5               999999")].concat()),
        ("endless tracks", line("ABCDE 1.5               1"), |n| if n == 0 { b"[".to_vec() } else { b"1, ".to_vec() }),
        ("many endless tracks", vec![], |_| [line("ABCDE 1.5               999"), vec![b'['; 9000]].concat()),
        ("overflowing lists", vec![], lists),
        ("lines before damaged frames", line("@X 1").repeat(9000), |_| {
            [line("IMG 1.5 64 0"), b"junk".to_vec()].concat()
        }),
        ("lines before too long frames", line("@X 1").repeat(9000), |_| line("IMG 1.5 999999999 0")),
        ("checksums", vec![], |_| [line("IMG 1.5 3000 0"), vec![b'x'; 3000], line("@E 0 00000000")].concat()),
        ("unfinished", [line("IMG 1.5 900000 0"), vec![b'x'; 800_000]].concat(), |_| vec![b'@']),
    ]
}

#[test]
fn work_per_byte_is_bounded_whatever_the_bytes_are() {
    for (name, first, piece) in kinds() {
        for read in [1400, 1 << 20] {
            let (work, bytes) = work(&first, piece, 1 << 20, read, false);
            let factor = work as f64 / bytes as f64;
            println!("{name}, {read} bytes a read: {factor:.1}");
            assert!(work <= FREE_WORK + MAX_WORK_PER_BYTE * bytes, "{name}: {factor:.1} bytes of work a byte");
        }
    }
}

#[test]
fn work_per_byte_is_bounded_if_every_byte_comes_alone() {
    for (name, first, piece) in kinds() {
        let (work, bytes) = work(&first, piece, 150 << 10, 1, false);
        let factor = work as f64 / bytes as f64;
        println!("{name}: {factor:.1}");
        // A byte alone is searched together with the 31 before it.
        assert!(work <= FREE_WORK + 4 * MAX_WORK_PER_BYTE * bytes, "{name}: {factor:.1} bytes of work a byte");
    }
}

#[test]
fn pauses_do_not_search_a_large_frame_again() {
    let frame = [line("IMG 1.5 250000 0"), vec![b'x'; 250_000]].concat();
    let (work, bytes) = work(&frame, |_| b"j".to_vec(), 260_000, 1, true);
    assert!(work <= 4 * MAX_WORK_PER_BYTE * bytes, "{work} bytes of work for {bytes}");
}

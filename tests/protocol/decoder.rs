//! The decoder on streams with splits, damage and junk, one fault at a time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::wire::{ByteCounts, Damage, Decoder, Event, Limits, Record, SkipReason, Skipped};

/// The decoder's results for one stream.
#[derive(Default)]
struct Decoded {
    confirmed: Vec<Arc<Frame>>,
    withdrawn: Vec<Damage>,
    lost: Vec<Damage>,
    skipped: Vec<Skipped>,
    records: Vec<Record>,
    bad_detections: usize,
    books: ByteCounts,
}

impl Decoded {
    /// Lengths and hashes, so that a failed assertion prints short lines.
    fn payloads(&self) -> Vec<(usize, u64)> {
        self.confirmed.iter().map(|frame| print(frame.payload())).collect()
    }
}

struct Reader {
    decoder: Decoder,
    provisional: Option<Arc<Frame>>,
    decoded: Decoded,
}

impl Reader {
    fn new(limits: Limits) -> Self {
        Self::with_memory(&Pool::default(), limits)
    }

    fn with_memory(pool: &Pool<Frame>, limits: Limits) -> Self {
        let decoder = Decoder::new(pool.clone(), Interpreter::default(), limits);
        Self { decoder, provisional: None, decoded: Decoded::default() }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, Received::default());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.decoder.poll() {
            match event {
                Event::Frame(frame) => {
                    assert!(self.provisional.is_none(), "a frame before the verdict on the last one");
                    self.provisional = Some(frame);
                }
                Event::Confirmed(id) => {
                    let frame = self.provisional.take().expect("a frame to confirm");
                    assert_eq!(frame.id, id);
                    self.decoded.confirmed.push(frame);
                }
                Event::Withdrawn(id, damage) => {
                    assert_eq!(self.provisional.take().expect("a frame to withdraw").id, id);
                    self.decoded.withdrawn.push(damage);
                }
                Event::Lost(damage) => self.decoded.lost.push(damage),
                Event::Skipped(skipped) => self.decoded.skipped.push(skipped),
                Event::Record(record) => self.decoded.records.push(record),
                Event::BadDetections(_) => self.decoded.bad_detections += 1,
                Event::Aged(_) => {}
            }
        }
        let books = self.decoder.byte_counts();
        assert!(books.balance(), "{books:?}");
        assert_eq!(self.decoder.is_provisional(), self.provisional.is_some());
    }

    fn finish(mut self) -> Decoded {
        self.decoder.finish();
        self.drain();
        let books = self.decoder.byte_counts();
        assert_eq!(books.pending, 0, "{books:?}");
        assert!(self.provisional.is_none(), "a frame without a verdict");
        let skipped: u64 = self.decoded.skipped.iter().map(|skipped| skipped.len).sum();
        assert_eq!(skipped, books.skipped, "every skipped byte is reported");
        self.decoded.books = books;
        self.decoded
    }
}

fn decode_in(pieces: &[&[u8]]) -> Decoded {
    let mut reader = Reader::new(Limits::default());
    for piece in pieces {
        reader.feed(piece);
    }
    reader.finish()
}

fn decode(stream: &[u8]) -> Decoded {
    decode_in(&[stream])
}

const BOX: &str = "12;93.1;0.5577;0.0410;0.6305;0.3167";

/// Pixels that depend on `seed` and do not look like a header anywhere.
fn pixels(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) | 0x80).collect()
}

fn img(seconds: &str, boxes: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!("{:32}", format!("IMG {seconds} {} {}", payload.len(), boxes.len()));
    [header.as_bytes(), boxes.as_bytes(), payload].concat()
}

/// `n` frames of `len` bytes, with zero, one and two boxes in turn.
fn stream(n: usize, len: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let boxes = [String::new(), BOX.to_owned(), format!("{BOX}|{BOX}")];
    (0..n)
        .map(|k| {
            let payload = pixels(len, k as u8);
            (img(&format!("{}.025", 12 + k), &boxes[k % 3], &payload), payload)
        })
        .unzip()
}

fn print(payload: &[u8]) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    (payload.len(), hasher.finish())
}

fn prints(payloads: &[Vec<u8>]) -> Vec<(usize, u64)> {
    payloads.iter().map(|payload| print(payload)).collect()
}

#[test]
fn splits_in_two_and_three_at_any_byte_give_the_same_frames() {
    let (messages, payloads) = stream(3, 97);
    let bytes = messages.concat();
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        let decoded = decode_in(&[a, b]);
        assert_eq!(decoded.payloads(), prints(&payloads), "split {split}");
        assert_eq!(decoded.books.skipped, 0);
        let (b, c) = b.split_at(b.len() / 2);
        assert_eq!(decode_in(&[a, b, c]).payloads(), prints(&payloads), "split {split} and half of the rest");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode_in(&single).payloads(), prints(&payloads));
}

#[test]
fn a_frame_is_returned_at_its_last_byte_and_confirmed_by_the_next_header() {
    let (messages, _) = stream(2, 50);
    let mut reader = Reader::new(Limits::default());
    reader.feed(&messages[0][..messages[0].len() - 1]);
    assert!(reader.provisional.is_none());
    reader.feed(&messages[0][messages[0].len() - 1..]);
    assert!(reader.provisional.is_some());
    reader.feed(&messages[1][..31]);
    assert!(reader.provisional.is_some(), "31 bytes are no header");
    reader.feed(&messages[1][31..32]);
    assert!(reader.provisional.is_none());
    assert_eq!(reader.decoded.confirmed.len(), 1);
}

#[test]
fn a_pause_confirms_the_last_frame() {
    let (messages, _) = stream(2, 50);
    let mut reader = Reader::new(Limits::default());
    reader.feed(&messages[0]);
    reader.decoder.idle();
    reader.drain();
    assert_eq!(reader.decoded.confirmed.len(), 1);
    // In the middle of the next frame a pause has no effect.
    reader.feed(&messages[1][..60]);
    reader.decoder.idle();
    reader.drain();
    assert_eq!(reader.decoded.confirmed.len(), 1);
}

#[test]
fn the_last_frame_is_kept_if_complete_and_dropped_if_truncated() {
    let (messages, payloads) = stream(3, 90);
    let bytes = messages.concat();
    let two = messages[0].len() + messages[1].len();
    for end in two..bytes.len() {
        let decoded = decode(&bytes[..end]);
        assert_eq!(decoded.payloads(), prints(&payloads[..2]), "ended at {end}");
        assert_eq!(decoded.books.skipped as usize, end - two);
    }
}

#[test]
fn a_frame_with_missing_bytes_is_withdrawn_and_the_next_is_intact() {
    let (messages, payloads) = stream(5, 300);
    for missing in 1..messages[2].len() - 32 {
        for position in [0, 40, 150] {
            let mut short = messages[2].clone();
            let from = (32 + position).min(short.len() - missing);
            short.drain(from..from + missing);
            let bytes = [&messages[..2].concat(), &short, &messages[3..].concat()[..]].concat();
            let decoded = decode(&bytes);
            let expected = [&payloads[..2], &payloads[3..]].concat();
            assert_eq!(decoded.payloads(), prints(&expected), "{missing} bytes missing at {from}");
            assert_eq!(decoded.withdrawn.len() + decoded.lost.len(), 1, "{missing} bytes missing at {from}");
        }
    }
}

#[test]
fn junk_between_frames_loses_no_frame() {
    let (messages, payloads) = stream(6, 300);
    for len in (1..200).chain([5000, 70_000]) {
        let junk: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
        let bytes = messages.join(&junk[..]);
        let decoded = decode(&bytes);
        assert_eq!(decoded.payloads(), prints(&payloads), "{len} bytes of junk");
        assert_eq!(decoded.books.skipped as usize, 5 * len);
        assert!(decoded.skipped.iter().all(|skipped| skipped.reason == SkipReason::NotAHeader));
        assert_eq!(decoded.skipped.len(), 5);
    }
}

#[test]
fn the_verdict_on_a_first_frame_before_junk_does_not_depend_on_splits() {
    let payload = pixels(300, 1);
    let tracks = format!("{:16}{:208}", "[0, 0, 0, 0]", "[['ID 0', 30, 105]]");
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(295, 3), &[0xff, 0xd9]].concat();
    let next = [format!("ABCDE {:18}{:8}", "12.5", jpeg.len()).as_bytes(), tracks.as_bytes(), &jpeg].concat();
    let stream = [&img("12.4", "", &payload)[..], &[0xab; 45], &next].concat();
    for piece in [1, 7, 33, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(piece).collect();
        assert_eq!(decode_in(&pieces).payloads(), [print(&payload), print(&jpeg)], "pieces of {piece}");
    }
}

#[test]
fn a_truncated_header_loses_only_its_own_frame() {
    let (messages, payloads) = stream(5, 300);
    for kept in 0..32 {
        let short = [&messages[2][..kept], &messages[2][32..]].concat();
        let bytes = [&messages[..2].concat(), &short, &messages[3..].concat()[..]].concat();
        let decoded = decode(&bytes);
        let expected = [&payloads[..2], &payloads[3..]].concat();
        assert_eq!(decoded.payloads(), prints(&expected), "{kept} bytes of the header were sent");
    }
}

#[test]
fn a_header_with_a_wrong_length_is_rejected() {
    let (messages, payloads) = stream(6, 300);
    for lie in [1, 10, 100, 200, 299, 301, 310, 400, 631, 632, 700, 900, 1000, 5000, 900_000, 60_000_000] {
        let mut liar = img("14.025", "", &payloads[2]);
        liar[..32].copy_from_slice(format!("{:32}", format!("IMG 14.025 {lie} 0")).as_bytes());
        let bytes = [&messages[..2].concat(), &liar, &messages[3..].concat()[..]].concat();
        let decoded = decode(&bytes);
        let expected = [&payloads[..2], &payloads[3..]].concat();
        assert_eq!(decoded.payloads(), prints(&expected), "300 bytes that claim to be {lie}");
    }
}

#[test]
fn a_length_that_is_too_large_does_not_delay_the_following_frames() {
    let (messages, payloads) = stream(4, 300);
    let mut liar = img("14.025", "", &payloads[2]);
    liar[..32].copy_from_slice(format!("{:32}", "IMG 14.025 60000000 0").as_bytes());
    let mut reader = Reader::new(Limits::default());
    reader.feed(&messages[..2].concat());
    reader.feed(&liar);
    reader.feed(&messages[3]);
    assert_eq!(reader.provisional.as_ref().map(|frame| frame.payload()), Some(&payloads[3][..]));
}

#[test]
fn unknown_records_are_reported_and_lose_no_frame() {
    let (messages, payloads) = stream(3, 300);
    let lines = format!("{:32}{:32}", "HELLO 1 2", "WORLD 3");
    let decoded = decode(&[&messages[0][..], lines.as_bytes(), &messages[1], lines.as_bytes(), &messages[2]].concat());
    assert_eq!(decoded.payloads(), prints(&payloads));
    assert_eq!(decoded.records[0], Record::Foreign("HELLO 1 2".into()));
    assert_eq!(decoded.records.len(), 4);
    assert!(decoded.skipped.iter().all(|skipped| skipped.reason == SkipReason::ForeignRecord && skipped.len == 64));
    assert!(decoded.withdrawn.is_empty());
}

#[test]
fn pixels_that_look_like_a_text_record_do_not_truncate_a_frame() {
    // A row of half floats between 50 and 114, as the simulator paints them: printable, and `@S` by chance.
    let mut payload = pixels(9216, 1);
    payload[4000..4032].copy_from_slice(b"@S W W W W W W W W W W W W W W W");
    let mut bytes = img("1.5", "", &payload);
    bytes.extend_from_slice(format!("{:32}", "IMU 5.29 -2.14 5.17 9.57").as_bytes());
    bytes.extend(img("2.5", "", &payload));
    let decoded = decode(&bytes);
    assert!(decoded.confirmed.iter().all(|frame| frame.payload() == payload));
    assert_eq!((decoded.confirmed.len(), decoded.withdrawn.len(), decoded.books.skipped), (2, 0, 32));
}

#[test]
fn extension_records_apply_to_the_next_frame() {
    let payload = pixels(300, 1);
    let lines = format!("{:32}{:32}{:32}", "@V 1 demo", "@L 12 wing nut", "@F 77 14025000");
    let decoded = decode(&[lines.as_bytes(), &img("14.025", BOX, &payload), &img("14.050", "", &payload)].concat());
    assert_eq!(decoded.confirmed[0].camera_seq, Some(77));
    assert_eq!(decoded.confirmed[1].camera_seq, None);
    assert_eq!(decoded.confirmed[0].labels.as_ref().and_then(|names| names.name(12)), Some("wing nut"));
    assert_eq!((decoded.records.len(), decoded.books.skipped), (3, 0));
    assert_eq!(decoded.books.headers, 5 * 32);
}

#[test]
fn records_between_junk_and_a_header_are_parsed_at_any_split() {
    let lines = format!("junk{:32}{:32}", "@F 77 14025000", "@Q drop=3");
    let stream = [lines.as_bytes(), &img("14.025", BOX, &pixels(300, 1))].concat();
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    for decoded in [decode(&stream), decode_in(&pieces)] {
        assert_eq!((decoded.records.len(), decoded.books.skipped), (2, 4));
        assert_eq!(decoded.confirmed[0].camera_seq, Some(77));
    }
}

#[test]
fn the_verdict_on_a_slightly_short_frame_does_not_depend_on_splits() {
    // After this many damaged frames the decoder scans a whole message before it accepts the header.
    let (messages, payloads) = stream(8, 300);
    let short = |n: usize, by: usize| messages[n][..messages[n].len() - by].to_vec();
    let stream =
        [short(0, 100), short(1, 100), short(2, 100), short(3, 100), short(4, 5), messages[5..].concat()].concat();
    for size in [1, 97, 330, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let decoded = decode_in(&pieces);
        assert_eq!(decoded.payloads(), prints(&payloads[5..]), "pieces of {size}");
        assert_eq!((decoded.withdrawn.len(), decoded.lost.len()), (4, 1), "pieces of {size}");
    }
}

#[test]
fn a_last_frame_whose_payload_contains_its_checksum_record_is_rejected() {
    let checked = |seq: u32, missing: usize| {
        let payload = pixels(300, seq as u8);
        let mut bytes = format!("{:32}", format!("@F {seq} {seq}0000")).into_bytes();
        bytes.extend(&img(&format!("12.{seq}"), "", &payload)[..32 + 300 - missing]);
        bytes.extend(format!("{:32}", format!("@E {seq} {:08x}", crc32fast::hash(&payload))).into_bytes());
        bytes
    };
    for (missing, whole) in [(0, 2), (32, 1)] {
        let stream = [checked(1, 0), checked(2, missing)].concat();
        assert_eq!(decode(&stream).confirmed.len(), whole, "{missing} bytes missing");
        let mut paused = Reader::new(Limits::default());
        paused.feed(&stream);
        paused.decoder.idle();
        paused.drain();
        assert_eq!(paused.decoded.confirmed.len(), whole, "{missing} bytes missing before a pause");
        paused.feed(&checked(3, 0));
        assert_eq!(paused.finish().confirmed.len(), whole + 1, "{missing} bytes missing before a pause");
    }
}

#[test]
fn boxes_of_encoded_frames_are_read_from_records() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let line = format!("{:32}{:32}", "@F 1 12500000", "@B 57 893 0123 0456 0789 0999");
    let header = format!("ABCDE {:18}{:8}", "12.5", jpeg.len());
    let decoded = decode(&[line.as_bytes(), header.as_bytes(), &jpeg, header.as_bytes(), &jpeg].concat());
    assert_eq!(decoded.confirmed.len(), 2);
    assert_eq!(decoded.confirmed[0].detections[0].label, 57);
    assert!(decoded.confirmed[1].detections.is_empty());
}

#[test]
fn records_of_a_lost_frame_do_not_apply_to_the_next() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let line = |seq| format!("{:32}{:32}", format!("@F {seq} 12500000"), "@B 57 893 0123 0456 0789 0999");
    let header = format!("ABCDE {:18}{:8}", "12.5", jpeg.len());
    let torn = [line(1).as_bytes(), &header.as_bytes()[..20], &jpeg].concat();
    let bare = [header.as_bytes(), &jpeg].concat();
    let decoded = decode(&[&torn[..], &bare, line(2).as_bytes(), &bare].concat());
    let of = |at: usize| (decoded.confirmed[at].camera_seq, decoded.confirmed[at].detections.len());
    assert_eq!((of(0), of(1)), ((None, 0), (Some(2), 1)));
}

#[test]
fn detect_and_frame_messages_form_one_frame() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let json = r#"[{"label": "bolt", "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}]"#;
    let detect = format!("DETECT{:^18}{:^8}{json}", "12.4", json.len());
    let frame = format!("FRAME {:^18}{:^8}", "12.5", jpeg.len());
    let bytes = [detect.as_bytes(), frame.as_bytes(), &jpeg, frame.as_bytes(), &jpeg].concat();
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        let decoded = decode_in(&[a, b]);
        let [first, second] = &decoded.confirmed[..] else { panic!("two frames at split {split}") };
        assert_eq!((first.dialect, first.header.len(), first.device_time.0), ("FRAME", 64, 12_500_000));
        assert_eq!(first.labels.as_ref().and_then(|names| names.name(first.detections[0].label)), Some("bolt"));
        assert!(second.detections.is_empty());
        assert_eq!(decoded.books.detections as usize, json.len());
    }
    // A `DETECT` message that no frame follows belongs to no frame.
    let decoded = decode(&[detect.as_bytes(), detect.as_bytes(), frame.as_bytes(), &jpeg].concat());
    assert_eq!((decoded.confirmed.len(), decoded.books.skipped as usize), (1, detect.len()));
}

#[test]
fn an_overflowing_header_is_parsed() {
    let payload = pixels(9216, 5);
    for (ts, boxes) in [("1234567890.123456", 40), ("1234567890.123456", 3000), ("12345678.123456", 300)] {
        let list = vec![BOX; boxes].join("|");
        let one = img(ts, &list, &payload);
        let decoded = decode(&[&one[..], &one, &one].concat());
        assert_eq!(decoded.payloads(), [print(&payload); 3], "{boxes} boxes");
        assert_eq!(decoded.confirmed[0].detections.len(), boxes);
        assert_eq!(decoded.books.skipped, 0);
    }
}

#[test]
fn header_text_inside_a_payload_is_harmless_between_intact_frames() {
    let (messages, mut payloads) = stream(3, 300);
    payloads[1][100..132].copy_from_slice(b"IMG 12.345678 300 0             ");
    let bytes = [&messages[0][..], &img("13.025", BOX, &payloads[1]), &messages[2]].concat();
    let decoded = decode(&bytes);
    assert_eq!(decoded.payloads(), prints(&payloads));
}

#[test]
fn invalid_boxes_do_not_lose_the_picture() {
    let payload = pixels(300, 1);
    let decoded = decode(&[img("1.5", "person;1;2", &payload), img("1.6", "", &payload)].concat());
    assert_eq!((decoded.confirmed.len(), decoded.bad_detections), (2, 1));
    assert_eq!(decoded.confirmed[0].detection_text, b"person;1;2");
}

#[test]
fn a_length_over_the_limit_allocates_nothing_and_loses_only_its_frame() {
    let (messages, payloads) = stream(3, 300);
    let claim = format!("{:32}", "IMG 12.5 999999999 0");
    let decoded = decode(&[&messages[0][..], claim.as_bytes(), &messages[1], &messages[2]].concat());
    assert_eq!(decoded.payloads(), prints(&payloads));
    assert_eq!(decoded.skipped[0].reason, SkipReason::TooLarge { claimed: 999_999_999 });
}

#[test]
fn memory_for_a_payload_grows_with_the_received_bytes() {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let claim = format!("{:32}", "IMG 12.5 64000000 0");
    decoder.space()[..32].copy_from_slice(claim.as_bytes());
    decoder.commit(32, Received::default());
    let mut received = 0;
    for _ in 0..10 {
        let n = decoder.space().len();
        assert!(n <= received.max(4 << 20), "{n} bytes lent after {received}");
        let n = n.min(1 << 20);
        decoder.commit(n, Received::default());
        received += n;
    }
}

#[test]
fn frames_without_memory_are_dropped_and_counted_and_the_stream_stays_in_sync() {
    let pool = Pool::bounded(20_000);
    let frame = |len: usize, k: u8| img(&format!("{k}.5"), BOX, &pixels(len, k));
    // The third is too large for the bound; the others fit, because their memory is used again.
    let lens = [6000, 8000, 30_000, 4000, 9000];
    let messages: Vec<_> = lens.iter().zip(0..).map(|(len, k)| frame(*len, k)).collect();
    for split in [1, 7, 5000] {
        let mut reader = Reader::with_memory(&pool, Limits::default());
        let mut kept: Vec<usize> = Vec::new();
        for piece in messages.concat().chunks(split) {
            reader.feed(piece);
            // The readers are done with the frames.
            kept.extend(reader.decoded.confirmed.drain(..).map(|frame| frame.payload().len()));
            assert!(pool.used() <= 20_000, "{}", pool.used());
        }
        let read = reader.finish();
        kept.extend(read.confirmed.iter().map(|frame| frame.payload().len()));
        assert_eq!(kept, [6000, 8000, 4000, 9000], "pieces of {split}");
        assert_eq!(read.lost, [Damage::NoMemory { expected: 30_000 }]);
        assert!(read.skipped.iter().all(|skipped| skipped.reason == SkipReason::NoMemory), "{:?}", read.skipped);
        assert_eq!(read.books.skipped, messages[2].len() as u64);
    }
}

#[test]
fn frames_that_readers_hold_count_in_the_memory() {
    let pool = Pool::bounded(20_000);
    let mut reader = Reader::with_memory(&pool, Limits::default());
    let (messages, _) = stream(8, 5000);
    messages.iter().for_each(|message| reader.feed(message));
    assert_eq!((reader.decoded.confirmed.len(), reader.decoded.lost.len()), (4, 4));
    reader.decoded.confirmed.clear();
    messages.iter().take(2).for_each(|message| reader.feed(message));
    assert_eq!(reader.decoded.lost.len(), 4, "their memory is used again");
    let read = reader.finish();
    assert_eq!(read.confirmed.len(), 2);
    drop(read);
    let _ = pool.lease(1).seal();
    assert!(pool.used() <= 20_000, "{}", pool.used());
}

#[test]
fn thousands_of_false_headers_do_not_cause_thousands_of_copies() {
    // Each header claims 4 MB, so a copy for each would move hundreds of gigabytes. The test passes if it finishes.
    let good = pixels(4_000_000, 1);
    let line = format!("{:32}", "IMG 12.5 4000000 0");
    let poison = line.repeat(100_000);
    let bytes =
        [&img("1.5", "", &good)[..], &img("1.6", "", &good), poison.as_bytes(), &img("1.7", "", &good)].concat();
    let decoded = decode(&bytes);
    assert_eq!(decoded.payloads(), [print(&good); 3]);
}

#[test]
fn intact_frames_are_found_after_many_damaged_ones() {
    let (messages, payloads) = stream(12, 300);
    let mut bytes = messages[..2].concat();
    for message in &messages[2..8] {
        bytes.extend_from_slice(&message[..message.len() - 40]);
    }
    for message in &messages[8..] {
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(&[0xab; 45]);
    }
    let decoded = decode(&bytes);
    assert_eq!(decoded.payloads(), prints(&[&payloads[..2], &payloads[8..]].concat()));
}

#[test]
fn endless_junk_is_not_buffered() {
    let (messages, _) = stream(2, 300);
    let mut reader = Reader::new(Limits::default());
    reader.feed(&messages.concat());
    let junk = pixels(1 << 20, 9);
    for _ in 0..5 {
        reader.feed(&junk);
        assert!(reader.decoder.byte_counts().pending < 2000, "{:?}", reader.decoder.byte_counts());
    }
    assert_eq!(reader.decoder.skipping().map(|skipped| skipped.reason), Some(SkipReason::NotAHeader));
}

/// Also in headers that overflow.
#[cfg(feature = "net")]
#[test]
fn the_tracks_of_a_simulated_camera_arrive_as_they_were_sent() {
    use oaktap::sim::Stream;

    let config =
        "dialect=abcde-256&format=jpeg&size=64x48&boxes=5&fault=overflow:0.3".parse().expect("a configuration");
    let mut camera = Stream::new(&config).expect("a camera");
    let mut reader = Reader::new(Limits::default());
    let sent: Vec<_> = (0..40).map(|_| camera.turn()).collect();
    sent.iter().for_each(|turn| reader.feed(&turn.bytes()));
    let read = reader.finish();
    assert_eq!((read.confirmed.len(), read.bad_detections), (40, 0));
    for (frame, turn) in read.confirmed.iter().zip(&sent) {
        assert_eq!(frame.tracks, turn.truth.tracks);
        assert_eq!(frame.counters, turn.truth.counters);
        assert!(matches!(frame.tracks.len(), 5 | 14), "{}", frame.tracks.len());
    }
}

/// Headers that are not lists of numbers are reported, and their frames kept.
#[test]
fn tracks_in_headers_are_read_and_never_evaluated() {
    let mut reader = Reader::new(Limits::default());
    let jpeg = [&[0xff, 0xd8, 0xff][..], &[7; 500], &[0xff, 0xd9]].concat();
    for list in ["[['ID 1', 30, 105]]", "[__import__('os').abort()]", "[['ID 2', 30, 1e9]]"] {
        let head = format!("ABCDE {:18}{:<8}{:16}{list:208}", "12.5", jpeg.len(), "[0, 0, 0, 0]");
        reader.feed(&[head.as_bytes(), &jpeg].concat());
    }
    let read = reader.finish();
    let tracks: Vec<_> = read.confirmed.iter().map(|frame| frame.tracks.len()).collect();
    assert_eq!((tracks, read.bad_detections), (vec![1, 0, 0], 2));
}

//! The decoder against streams that are cut, damaged and stuffed in every way that one fault can.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::wire::{ByteCounts, Damage, Decoder, Event, Limits, Record, SkipReason, Skipped};

/// What a stream came to.
#[derive(Default)]
struct Told {
    confirmed: Vec<Arc<Frame>>,
    withdrawn: Vec<Damage>,
    lost: Vec<Damage>,
    skipped: Vec<Skipped>,
    records: Vec<Record>,
    bad_detections: usize,
    books: ByteCounts,
}

impl Told {
    /// Lengths and hashes: a difference prints in a line.
    fn payloads(&self) -> Vec<(usize, u64)> {
        self.confirmed.iter().map(|frame| print(frame.payload())).collect()
    }
}

struct Reader {
    decoder: Decoder,
    provisional: Option<Arc<Frame>>,
    told: Told,
}

impl Reader {
    fn new(limits: Limits) -> Self {
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), limits);
        Self { decoder, provisional: None, told: Told::default() }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.decoder.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.decoder.commit(n, Received::default());
            bytes = &bytes[n..];
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.decoder.poll() {
            match event {
                Event::Frame(frame) => {
                    assert!(self.provisional.is_none(), "a frame before the fate of the one before");
                    self.provisional = Some(frame);
                }
                Event::Confirmed(id) => {
                    let frame = self.provisional.take().expect("a frame to confirm");
                    assert_eq!(frame.id, id);
                    self.told.confirmed.push(frame);
                }
                Event::Withdrawn(id, damage) => {
                    assert_eq!(self.provisional.take().expect("a frame to withdraw").id, id);
                    self.told.withdrawn.push(damage);
                }
                Event::Lost(damage) => self.told.lost.push(damage),
                Event::Skipped(skipped) => self.told.skipped.push(skipped),
                Event::Record(record) => self.told.records.push(record),
                Event::BadDetections(_) => self.told.bad_detections += 1,
            }
        }
        let books = self.decoder.byte_counts();
        assert!(books.balance(), "{books:?}");
        assert_eq!(self.decoder.is_provisional(), self.provisional.is_some());
    }

    fn finish(mut self) -> Told {
        self.decoder.finish();
        self.drain();
        let books = self.decoder.byte_counts();
        assert_eq!(books.pending, 0, "{books:?}");
        assert!(self.provisional.is_none(), "a frame without a fate");
        let told: u64 = self.told.skipped.iter().map(|skipped| skipped.len).sum();
        assert_eq!(told, books.skipped, "every skipped byte is told");
        self.told.books = books;
        self.told
    }
}

fn decode_in(pieces: &[&[u8]]) -> Told {
    let mut reader = Reader::new(Limits::default());
    for piece in pieces {
        reader.feed(piece);
    }
    reader.finish()
}

fn decode(stream: &[u8]) -> Told {
    decode_in(&[stream])
}

const BOX: &str = "12;93.1;0.5577;0.0410;0.6305;0.3167";

/// A payload that looks like no header anywhere: pixels that depend on `seed`.
fn pixels(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) | 0x80).collect()
}

fn img(seconds: &str, boxes: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!("{:32}", format!("IMG {seconds} {} {}", payload.len(), boxes.len()));
    [header.as_bytes(), boxes.as_bytes(), payload].concat()
}

/// `n` frames of `len` bytes, with none, one and two boxes in turn.
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
fn cut_in_two_and_three_anywhere() {
    let (messages, payloads) = stream(3, 97);
    let bytes = messages.concat();
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        let told = decode_in(&[a, b]);
        assert_eq!(told.payloads(), prints(&payloads), "split {split}");
        assert_eq!(told.books.skipped, 0);
        let (b, c) = b.split_at(b.len() / 2);
        assert_eq!(decode_in(&[a, b, c]).payloads(), prints(&payloads), "split {split} and half of the rest");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode_in(&single).payloads(), prints(&payloads));
}

#[test]
fn a_frame_is_seen_when_its_last_byte_is_there_and_confirmed_by_the_next_header() {
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
    assert_eq!(reader.told.confirmed.len(), 1);
}

#[test]
fn a_pause_confirms_a_frame_with_nothing_behind_it() {
    let (messages, _) = stream(2, 50);
    let mut reader = Reader::new(Limits::default());
    reader.feed(&messages[0]);
    reader.decoder.idle();
    reader.drain();
    assert_eq!(reader.told.confirmed.len(), 1);
    // In the middle of the next one a pause says nothing.
    reader.feed(&messages[1][..60]);
    reader.decoder.idle();
    reader.drain();
    assert_eq!(reader.told.confirmed.len(), 1);
}

#[test]
fn the_frame_before_the_end_of_the_stream_stands_and_a_torn_one_does_not() {
    let (messages, payloads) = stream(3, 90);
    let bytes = messages.concat();
    let two = messages[0].len() + messages[1].len();
    for end in two..bytes.len() {
        let told = decode(&bytes[..end]);
        assert_eq!(told.payloads(), prints(&payloads[..2]), "ended at {end}");
        assert_eq!(told.books.skipped as usize, end - two);
    }
}

#[test]
fn a_frame_that_lost_bytes_is_withdrawn_and_the_next_one_is_whole() {
    let (messages, payloads) = stream(5, 300);
    for missing in 1..messages[2].len() - 32 {
        for position in [0, 40, 150] {
            let mut short = messages[2].clone();
            let from = (32 + position).min(short.len() - missing);
            short.drain(from..from + missing);
            let bytes = [&messages[..2].concat(), &short, &messages[3..].concat()[..]].concat();
            let told = decode(&bytes);
            let expected = [&payloads[..2], &payloads[3..]].concat();
            assert_eq!(told.payloads(), prints(&expected), "{missing} bytes missing at {from}");
            assert_eq!(told.withdrawn.len() + told.lost.len(), 1, "{missing} bytes missing at {from}");
        }
    }
}

#[test]
fn junk_between_frames_costs_no_frame() {
    let (messages, payloads) = stream(6, 300);
    for len in (1..200).chain([5000, 70_000]) {
        let junk: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
        let bytes = messages.join(&junk[..]);
        let told = decode(&bytes);
        assert_eq!(told.payloads(), prints(&payloads), "{len} bytes of junk");
        assert_eq!(told.books.skipped as usize, 5 * len);
        assert!(told.skipped.iter().all(|skipped| skipped.reason == SkipReason::NotAHeader));
        assert_eq!(told.skipped.len(), 5);
    }
}

#[test]
fn the_first_frame_before_junk_is_judged_alike_in_whatever_pieces_the_next_header_comes() {
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
fn a_torn_header_costs_its_own_frame_only() {
    let (messages, payloads) = stream(5, 300);
    for kept in 0..32 {
        let short = [&messages[2][..kept], &messages[2][32..]].concat();
        let bytes = [&messages[..2].concat(), &short, &messages[3..].concat()[..]].concat();
        let told = decode(&bytes);
        let expected = [&payloads[..2], &payloads[3..]].concat();
        assert_eq!(told.payloads(), prints(&expected), "{kept} bytes of the header were sent");
    }
}

#[test]
fn a_header_that_lies_about_its_length_is_not_believed() {
    let (messages, payloads) = stream(6, 300);
    for lie in [1, 10, 100, 200, 299, 301, 310, 400, 631, 632, 700, 900, 1000, 5000, 900_000, 60_000_000] {
        let mut liar = img("14.025", "", &payloads[2]);
        liar[..32].copy_from_slice(format!("{:32}", format!("IMG 14.025 {lie} 0")).as_bytes());
        let bytes = [&messages[..2].concat(), &liar, &messages[3..].concat()[..]].concat();
        let told = decode(&bytes);
        let expected = [&payloads[..2], &payloads[3..]].concat();
        assert_eq!(told.payloads(), prints(&expected), "300 bytes that claim to be {lie}");
    }
}

#[test]
fn an_exaggerated_length_does_not_hold_up_the_frames_behind_it() {
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
fn foreign_records_are_told_and_cost_nothing() {
    let (messages, payloads) = stream(3, 300);
    let lines = format!("{:32}{:32}", "HELLO 1 2", "WORLD 3");
    let told = decode(&[&messages[0][..], lines.as_bytes(), &messages[1], lines.as_bytes(), &messages[2]].concat());
    assert_eq!(told.payloads(), prints(&payloads));
    assert_eq!(told.records[0], Record::Foreign("HELLO 1 2".into()));
    assert_eq!(told.records.len(), 4);
    assert!(told.skipped.iter().all(|skipped| skipped.reason == SkipReason::ForeignRecord && skipped.len == 64));
    assert!(told.withdrawn.is_empty());
}

#[test]
fn pixels_that_read_like_a_record_of_words_do_not_make_a_frame_torn() {
    // A row of half floats between 50 and 114, as the simulator paints them: printable, and `@S` by chance.
    let mut payload = pixels(9216, 1);
    payload[4000..4032].copy_from_slice(b"@S W W W W W W W W W W W W W W W");
    let mut bytes = img("1.5", "", &payload);
    bytes.extend_from_slice(format!("{:32}", "IMU 5.29 -2.14 5.17 9.57").as_bytes());
    bytes.extend(img("2.5", "", &payload));
    let told = decode(&bytes);
    assert!(told.confirmed.iter().all(|frame| frame.payload() == payload));
    assert_eq!((told.confirmed.len(), told.withdrawn.len(), told.books.skipped), (2, 0, 32));
}

#[test]
fn extension_records_speak_for_the_frame_that_follows() {
    let payload = pixels(300, 1);
    let lines = format!("{:32}{:32}{:32}", "@V 1 demo", "@L 12 wing nut", "@F 77 14025000");
    let told = decode(&[lines.as_bytes(), &img("14.025", BOX, &payload), &img("14.050", "", &payload)].concat());
    assert_eq!(told.confirmed[0].camera_seq, Some(77));
    assert_eq!(told.confirmed[1].camera_seq, None);
    assert_eq!(told.confirmed[0].labels.as_ref().and_then(|names| names.name(12)), Some("wing nut"));
    assert_eq!((told.records.len(), told.books.skipped), (3, 0));
    assert_eq!(told.books.headers, 5 * 32);
}

#[test]
fn records_between_junk_and_a_header_are_read_in_whatever_pieces_they_come() {
    let lines = format!("junk{:32}{:32}", "@F 77 14025000", "@Q drop=3");
    let stream = [lines.as_bytes(), &img("14.025", BOX, &pixels(300, 1))].concat();
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    for told in [decode(&stream), decode_in(&pieces)] {
        assert_eq!((told.records.len(), told.books.skipped), (2, 4));
        assert_eq!(told.confirmed[0].camera_seq, Some(77));
    }
}

#[test]
fn a_frame_short_by_less_than_a_header_is_judged_alike_in_whatever_pieces_it_comes() {
    // After so many damaged frames the decoder looks at a whole message before it believes the header.
    let (messages, payloads) = stream(8, 300);
    let short = |n: usize, by: usize| messages[n][..messages[n].len() - by].to_vec();
    let stream =
        [short(0, 100), short(1, 100), short(2, 100), short(3, 100), short(4, 5), messages[5..].concat()].concat();
    for size in [1, 97, 330, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let told = decode_in(&pieces);
        assert_eq!(told.payloads(), prints(&payloads[5..]), "pieces of {size}");
        assert_eq!((told.withdrawn.len(), told.lost.len()), (4, 1), "pieces of {size}");
    }
}

#[test]
fn a_frame_that_swallowed_its_own_checksum_is_not_believed_when_nothing_follows() {
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
        assert_eq!(paused.told.confirmed.len(), whole, "{missing} bytes missing before a pause");
        paused.feed(&checked(3, 0));
        assert_eq!(paused.finish().confirmed.len(), whole + 1, "{missing} bytes missing before a pause");
    }
}

#[test]
fn boxes_of_encoded_frames_come_as_records() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let line = format!("{:32}{:32}", "@F 1 12500000", "@B 57 893 0123 0456 0789 0999");
    let header = format!("ABCDE {:18}{:8}", "12.5", jpeg.len());
    let told = decode(&[line.as_bytes(), header.as_bytes(), &jpeg, header.as_bytes(), &jpeg].concat());
    assert_eq!(told.confirmed.len(), 2);
    assert_eq!(told.confirmed[0].detections[0].label, 57);
    assert!(told.confirmed[1].detections.is_empty());
}

#[test]
fn what_was_said_of_a_frame_that_was_lost_is_not_said_of_the_next() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let line = |seq| format!("{:32}{:32}", format!("@F {seq} 12500000"), "@B 57 893 0123 0456 0789 0999");
    let header = format!("ABCDE {:18}{:8}", "12.5", jpeg.len());
    let torn = [line(1).as_bytes(), &header.as_bytes()[..20], &jpeg].concat();
    let bare = [header.as_bytes(), &jpeg].concat();
    let told = decode(&[&torn[..], &bare, line(2).as_bytes(), &bare].concat());
    let of = |at: usize| (told.confirmed[at].camera_seq, told.confirmed[at].detections.len());
    assert_eq!((of(0), of(1)), ((None, 0), (Some(2), 1)));
}

#[test]
fn the_third_partys_two_messages_make_one_frame() {
    let jpeg = [&[0xff, 0xd8, 0xff][..], &pixels(100, 3), &[0xff, 0xd9]].concat();
    let json = r#"[{"label": "bolt", "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}]"#;
    let detect = format!("DETECT{:^18}{:^8}{json}", "12.4", json.len());
    let frame = format!("FRAME {:^18}{:^8}", "12.5", jpeg.len());
    let bytes = [detect.as_bytes(), frame.as_bytes(), &jpeg, frame.as_bytes(), &jpeg].concat();
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        let told = decode_in(&[a, b]);
        let [first, second] = &told.confirmed[..] else { panic!("two frames at split {split}") };
        assert_eq!((first.dialect, first.header.len(), first.device_time.0), ("FRAME", 64, 12_500_000));
        assert_eq!(first.labels.as_ref().and_then(|names| names.name(first.detections[0].label)), Some("bolt"));
        assert!(second.detections.is_empty());
        assert_eq!(told.books.detections as usize, json.len());
    }
    // A message of boxes that no frame follows is no part of any.
    let told = decode(&[detect.as_bytes(), detect.as_bytes(), frame.as_bytes(), &jpeg].concat());
    assert_eq!((told.confirmed.len(), told.books.skipped as usize), (1, detect.len()));
}

#[test]
fn an_overflowing_header_reads_like_any_other() {
    let payload = pixels(9216, 5);
    for (ts, boxes) in [("1234567890.123456", 40), ("1234567890.123456", 3000), ("12345678.123456", 300)] {
        let list = vec![BOX; boxes].join("|");
        let one = img(ts, &list, &payload);
        let told = decode(&[&one[..], &one, &one].concat());
        assert_eq!(told.payloads(), [print(&payload); 3], "{boxes} boxes");
        assert_eq!(told.confirmed[0].detections.len(), boxes);
        assert_eq!(told.books.skipped, 0);
    }
}

#[test]
fn text_of_a_header_inside_a_payload_harms_nothing_while_frames_follow_each_other() {
    let (messages, mut payloads) = stream(3, 300);
    payloads[1][100..132].copy_from_slice(b"IMG 12.345678 300 0             ");
    let bytes = [&messages[0][..], &img("13.025", BOX, &payloads[1]), &messages[2]].concat();
    let told = decode(&bytes);
    assert_eq!(told.payloads(), prints(&payloads));
}

#[test]
fn boxes_that_cannot_be_read_do_not_cost_the_picture() {
    let payload = pixels(300, 1);
    let told = decode(&[img("1.5", "person;1;2", &payload), img("1.6", "", &payload)].concat());
    assert_eq!((told.confirmed.len(), told.bad_detections), (2, 1));
    assert_eq!(told.confirmed[0].detection_text, b"person;1;2");
}

#[test]
fn a_claim_beyond_the_limits_gets_no_memory_and_costs_its_own_frame_only() {
    let (messages, payloads) = stream(3, 300);
    let claim = format!("{:32}", "IMG 12.5 999999999 0");
    let told = decode(&[&messages[0][..], claim.as_bytes(), &messages[1], &messages[2]].concat());
    assert_eq!(told.payloads(), prints(&payloads));
    assert_eq!(told.skipped[0].reason, SkipReason::TooLarge { claimed: 999_999_999 });
}

#[test]
fn a_claim_within_the_limits_gets_memory_as_it_is_filled() {
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
fn thousands_of_false_headers_do_not_cost_thousands_of_copies() {
    // Each asks for 4 MB, so believing each would move hundreds of gigabytes. This test is about finishing at all.
    let good = pixels(4_000_000, 1);
    let line = format!("{:32}", "IMG 12.5 4000000 0");
    let poison = line.repeat(100_000);
    let bytes =
        [&img("1.5", "", &good)[..], &img("1.6", "", &good), poison.as_bytes(), &img("1.7", "", &good)].concat();
    let told = decode(&bytes);
    assert_eq!(told.payloads(), [print(&good); 3]);
}

#[test]
fn many_damaged_frames_in_a_row_and_then_good_ones_between_junk() {
    let (messages, payloads) = stream(12, 300);
    let mut bytes = messages[..2].concat();
    for message in &messages[2..8] {
        bytes.extend_from_slice(&message[..message.len() - 40]);
    }
    for message in &messages[8..] {
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(&[0xab; 45]);
    }
    let told = decode(&bytes);
    assert_eq!(told.payloads(), prints(&[&payloads[..2], &payloads[8..]].concat()));
}

#[test]
fn junk_without_end_is_not_kept() {
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

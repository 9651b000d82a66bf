//! JPEG as RTP payload (RFC 2435). The payload has no headers of JPEG: receivers make them again from its size, subsampling and
//! quantization tables, so only some files can be sent.

use super::packet::{MAX_PAYLOAD, Packets};

/// Largest width and height: the header counts blocks of 8 pixels in one byte.
const SIDE_MAX: u16 = 2040;

/// CRC-32 of the Huffman tables of ITU-T T.81 (K.3 to K.6), by class and number. Receivers assume these.
const HUFFMAN: [(u8, u32); 4] = [(0x00, 0x9898_900e), (0x10, 0x06f8_f02e), (0x01, 0x57a4_06eb), (0x11, 0xa141_5f28)];

/// The quantization tables are in the first packet of each picture.
const TABLES_IN_BAND: u8 = 255;

/// A picture without the headers of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan<'a> {
    /// 0: 4:2:2, 1: 4:2:0.
    subsampling: u8,
    width: u16,
    height: u16,
    restart_interval: u16,
    /// Of luma and chroma, in zigzag order.
    tables: [&'a [u8; 64]; 2],
    data: &'a [u8],
}

/// Reason for not sending a JPEG as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCarried {
    #[error("JPEG of {0}x{1} pixels")]
    Size(u16, u16),
    #[error("JPEG with {0}")]
    Coding(&'static str),
    #[error("damaged JPEG")]
    Damaged,
}

/// Finds the parts of a file that are sent.
pub(super) fn scan(file: &[u8]) -> Result<Scan<'_>, NotCarried> {
    let damaged = NotCarried::Damaged;
    let mut rest = file.strip_prefix(&[0xff, 0xd8]).ok_or(damaged)?;
    let mut tables: [Option<&[u8; 64]>; 4] = [None; 4];
    let (mut frame, mut restart_interval, mut huffman) = (None, 0, 0);
    loop {
        let (&[0xff, marker], after) = rest.split_first_chunk().ok_or(damaged)? else { return Err(damaged) };
        if marker == 0xff {
            // Fill bytes may precede a marker.
            rest = &rest[1..];
            continue;
        }
        let (&len, _) = after.split_first_chunk().ok_or(damaged)?;
        let len = usize::from(u16::from_be_bytes(len));
        let mut body = after.get(2..len).ok_or(damaged)?;
        rest = &after[len..];
        match marker {
            0xdb => {
                while let Some((&id, values)) = body.split_first() {
                    let (table, others) = values.split_first_chunk().ok_or(damaged)?;
                    match id {
                        0..=3 => tables[usize::from(id)] = Some(table),
                        _ => return Err(NotCarried::Coding("quantization tables of 16 bits")),
                    }
                    body = others;
                }
            }
            0xc4 => {
                while !body.is_empty() {
                    let counts = body.get(1..17).ok_or(damaged)?;
                    let len = 17 + counts.iter().map(|count| usize::from(*count)).sum::<usize>();
                    let table = body.get(1..len).ok_or(damaged)?;
                    if !HUFFMAN.contains(&(body[0], crc32fast::hash(table))) {
                        return Err(NotCarried::Coding("Huffman tables of its own"));
                    }
                    huffman += 1;
                    body = &body[len..];
                }
            }
            0xdd => {
                let (interval, _) = body.split_first_chunk().ok_or(damaged)?;
                restart_interval = u16::from_be_bytes(*interval);
            }
            0xc0 => frame = Some(body),
            0xc1..=0xcf => return Err(NotCarried::Coding("a coding other than baseline")),
            0xda => break,
            _ => {}
        }
    }
    let Some(&[8, h1, h0, w1, w0, 3, _, y, y_table, _, 0x11, u_table, _, 0x11, v_table]) = frame else {
        return Err(NotCarried::Coding("another subsampling than 4:2:0 or 4:2:2"));
    };
    let subsampling = match y {
        0x21 => 0,
        0x22 => 1,
        _ => return Err(NotCarried::Coding("another subsampling than 4:2:0 or 4:2:2")),
    };
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    let fits = |side: u16| (8..=SIDE_MAX).contains(&side) && side.is_multiple_of(8);
    if !fits(width) || !fits(height) {
        return Err(NotCarried::Size(width, height));
    }
    let table = |id: u8| tables.get(usize::from(id)).copied().flatten().ok_or(damaged);
    let tables = [table(y_table)?, table(u_table)?];
    if tables[1] != table(v_table)? {
        return Err(NotCarried::Coding("three quantization tables"));
    }
    if huffman != HUFFMAN.len() {
        return Err(NotCarried::Coding("other Huffman tables"));
    }
    let end = memchr::memmem::rfind(rest, &[0xff, 0xd9]).ok_or(damaged)?;
    if end >= 1 << 24 {
        return Err(NotCarried::Coding("16 MiB or more"));
    }
    Ok(Scan { subsampling, width, height, restart_interval, tables, data: &rest[..end] })
}

/// Appends the packets of a picture.
pub(super) fn packetize(scan: &Scan<'_>, packets: &mut Packets<'_>) {
    let mut at = 0;
    while at < scan.data.len() {
        let [_, o2, o1, o0] = (at as u32).to_be_bytes();
        let has_restarts = scan.restart_interval > 0;
        let kind = scan.subsampling | u8::from(has_restarts) << 6;
        let mut head = vec![0, o2, o1, o0, kind, TABLES_IN_BAND, (scan.width / 8) as u8, (scan.height / 8) as u8];
        if has_restarts {
            head.extend(scan.restart_interval.to_be_bytes());
            // The packets do not begin at restart intervals.
            head.extend([0xff, 0xff]);
        }
        if at == 0 {
            head.extend([0, 0, 0, 128]);
            scan.tables.iter().for_each(|table| head.extend(*table));
        }
        let len = (MAX_PAYLOAD - head.len()).min(scan.data.len() - at);
        packets.push(&head, &scan.data[at..at + len], at + len == scan.data.len());
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::super::packet::{Rtp, tests::split};
    use super::*;

    fn file(width: u16, height: u16, change: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 90);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        change(&mut encoder);
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * 3).map(|at| (at * at / 7) as u8).collect();
        encoder.encode(&pixels, width, height, ColorType::Rgb).expect("a file");
        file
    }

    #[test]
    fn packets_have_the_scan_the_tables_and_the_size() {
        for (sampling, interval, kind) in
            [(SamplingFactor::F_2_2, 0, 1), (SamplingFactor::F_2_1, 0, 0), (SamplingFactor::F_2_2, 5, 65)]
        {
            let file = file(64, 48, |encoder| {
                encoder.set_sampling_factor(sampling);
                if interval > 0 {
                    encoder.set_restart_interval(interval);
                }
            });
            let scan = scan(&file).expect("can be sent");
            let mut bytes = Vec::new();
            packetize(&scan, &mut Rtp::new(26).packets(&mut bytes, 0, 0));
            let packets = split(&bytes);
            let (mut joined, head) = (Vec::new(), 8 + if interval > 0 { 4 } else { 0 });
            for (number, packet) in packets.iter().enumerate() {
                let payload = &packet[12..];
                assert_eq!(u32::from_be_bytes([0, payload[1], payload[2], payload[3]]) as usize, joined.len());
                assert_eq!(payload[4..8], [kind, 255, 8, 6]);
                let tables = if number == 0 { 132 } else { 0 };
                joined.extend_from_slice(&payload[head + tables..]);
                assert_eq!(packet[1], u8::from(number + 1 == packets.len()) << 7 | 26);
            }
            assert!(packets.len() > 1 && packets.iter().all(|packet| packet.len() <= 12 + MAX_PAYLOAD));
            assert!(file.ends_with(&[&joined[..], &[0xff, 0xd9]].concat()), "the scan as it is");
            assert_eq!(packets[0][12 + head..][..4], [0, 0, 0, 128]);
        }
    }

    #[test]
    fn other_files_are_not_sent() {
        let coding = |text| Err(NotCarried::Coding(text));
        let none = |_: &mut Encoder<&mut Vec<u8>>| {};
        for (file, expected) in [
            (file(2048, 8, none), Err(NotCarried::Size(2048, 8))),
            (file(60, 48, none), Err(NotCarried::Size(60, 48))),
            (
                file(64, 48, |encoder| encoder.set_sampling_factor(SamplingFactor::F_1_1)),
                coding("another subsampling than 4:2:0 or 4:2:2"),
            ),
            (file(64, 48, |encoder| encoder.set_progressive(true)), coding("a coding other than baseline")),
            (file(64, 48, |encoder| encoder.set_optimized_huffman_tables(true)), coding("Huffman tables of its own")),
        ] {
            assert_eq!(scan(&file).map(|_| ()), expected);
        }
        let whole = file(64, 48, none);
        for cut in 0..whole.len() - 1 {
            assert_eq!(scan(&whole[..cut]), Err(NotCarried::Damaged), "{cut}");
        }
    }
}

//! The contents of a compressed chunk, as far as they can be had.

use std::io::{self, Read};

/// Unpacks until `size` bytes are there, the end, or the first damage. Memory grows with what comes out, not with what is
/// claimed.
///
/// Returns what came out, and what is wrong if that is not all of it.
pub(super) fn unpack(compression: &str, packed: impl Read, size: u64) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    let result = match compression {
        "zstd" => zstd::stream::read::Decoder::new(packed).and_then(|from| take(from, size, &mut out)),
        "lz4" => lz4::Decoder::new(packed).and_then(|from| take(from, size, &mut out)),
        _ => Err(io::Error::other(format!("compression {compression:?} is none of lz4, zstd"))),
    };
    let why = match result {
        Err(error) => Some(format!("it cannot be unpacked: {error}")),
        Ok(n) if n != size => Some(format!("it holds {n} bytes of {size}")),
        Ok(_) => None,
    };
    (out, why)
}

fn take(from: impl Read, size: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    from.take(size).read_to_end(out)?;
    Ok(out.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(compression: &str, data: &[u8]) -> Vec<u8> {
        if compression == "zstd" {
            return zstd::encode_all(data, 1).unwrap();
        }
        let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
        encoder.write_all(data).unwrap();
        let (packed, result) = encoder.finish();
        result.unwrap();
        packed
    }

    #[test]
    fn what_stands_before_the_damage_comes_out() {
        // Not to be packed well, in blocks smaller than all of it.
        let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for compression in ["lz4", "zstd"] {
            let whole = packed(compression, &data);
            assert_eq!(unpack(compression, &whole[..], data.len() as u64), (data.clone(), None), "{compression}");
            let (torn, why) = unpack(compression, &whole[..whole.len() * 3 / 4], data.len() as u64);
            assert!(why.is_some() && torn.len() > data.len() / 10 && data.starts_with(&torn), "{compression}");
            let (_, why) = unpack(compression, &b"nothing of the kind"[..], 10);
            assert!(why.is_some_and(|why| why.contains("cannot be unpacked") || why.contains("bytes of")));
        }
        assert!(unpack("rar", &[][..], 0).1.is_some_and(|why| why.contains("rar")));
    }

    #[test]
    fn no_more_is_unpacked_than_was_promised() {
        let bomb = packed("zstd", &vec![0; 50 << 20]);
        assert!(bomb.len() < 10_000);
        let (out, why) = unpack("zstd", &bomb[..], 1000);
        assert_eq!((out.len(), why), (1000, None));
    }
}

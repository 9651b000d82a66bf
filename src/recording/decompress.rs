//! Decompresses chunks, up to the first damage.

use std::io::{self, Read};

/// Decompresses until `size` bytes are out, the input ends, or the first damage.
///
/// Returns the bytes, and the reason if there are fewer than `size`. Memory for `size` bytes is reserved, but pages that the
/// output does not reach are never touched.
pub(super) fn decompress(compression: &str, packed: impl Read, size: u64) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let result = match compression {
        "zstd" => zstd::stream::read::Decoder::new(packed).and_then(|from| take(from, size, &mut out)),
        "lz4" => lz4::Decoder::new(packed).and_then(|from| take(from, size, &mut out)),
        _ => Err(io::Error::other(format!("unknown compression {compression:?}; expected lz4 or zstd"))),
    };
    let why = match result {
        Err(error) => Some(format!("cannot decompress it: {error}")),
        Ok(n) if n != size => Some(format!("it decompresses to {n} bytes; expected {size}")),
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
    fn bytes_before_the_damage_are_returned() {
        // Data that hardly compresses and fills several blocks.
        let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for compression in ["lz4", "zstd"] {
            let whole = packed(compression, &data);
            assert_eq!(decompress(compression, &whole[..], data.len() as u64), (data.clone(), None), "{compression}");
            let (torn, why) = decompress(compression, &whole[..whole.len() * 3 / 4], data.len() as u64);
            assert!(why.is_some() && torn.len() > data.len() / 10 && data.starts_with(&torn), "{compression}");
            let (_, why) = decompress(compression, &b"not compressed"[..], 10);
            assert!(why.is_some_and(|why| why.contains("cannot decompress") || why.contains("expected")));
        }
        assert!(decompress("rar", &[][..], 0).1.is_some_and(|why| why.contains("rar")));
    }

    #[test]
    fn output_is_limited_to_the_claimed_size() {
        let bomb = packed("zstd", &vec![0; 50 << 20]);
        assert!(bomb.len() < 10_000);
        let (out, why) = decompress("zstd", &bomb[..], 1000);
        assert_eq!((out.len(), why), (1000, None));
    }
}

//! The checksum of packages.

/// Returns the djb2 hash of `bytes`: starts at 5381, modulo 2^32 (bootloader.md 5).
///
/// It is the checksum of sections, user bootloaders and the board description.
#[must_use]
pub fn djb2(bytes: &[u8]) -> u32 {
    // 33^7 to 33^0. Eight bytes per step shorten the chain of dependent multiplications to one per step.
    const POWERS: [u32; 8] = [3_963_737_313, 1_291_467_969, 39_135_393, 1_185_921, 35_937, 1089, 33, 1];
    let eights = bytes.chunks_exact(8);
    let rest = eights.remainder();
    let hash = eights.fold(5381, |hash: u32, eight| {
        let terms = eight.iter().zip(POWERS).map(|(&byte, power)| u32::from(byte).wrapping_mul(power));
        terms.fold(hash.wrapping_mul(POWERS[0].wrapping_mul(33)), u32::wrapping_add)
    });
    rest.iter().fold(hash, |hash, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_per_step_give_the_same_hash() {
        assert_eq!(djb2(b""), 5381);
        assert_eq!(djb2(b"a"), 5381 * 33 + 97);
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n * n % 253) as u8).collect();
        for len in [7, 8, 9, 64, 1000] {
            let plain =
                bytes[..len].iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
            assert_eq!(djb2(&bytes[..len]), plain, "{len} bytes");
        }
        // Value of an independent implementation.
        assert_eq!(djb2(b"c7127782f2da45aac89d5b5b816d04cc45ae40be"), 0xeb03_0c0f);
    }
}

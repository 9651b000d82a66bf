//! Values as people write them -> numbers: times, picture sizes, amounts of memory.

use std::time::Duration;

/// `10s`, `1.5s`, `500ms`, `2min`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a number and ms, s, min or h, such as 10s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number; expected a time such as 10s"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a time that is longer than nothing and shorter than for ever, such as 10s".to_owned()),
    }
}

/// `640x352`: width and height in pixels.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side: &u32| (1..=65_535).contains(side));
    text.split_once(['x', 'X', '\u{d7}'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| "expected WIDTHxHEIGHT in pixels, such as 640x352".to_owned())
}

/// `64MiB`, `100MB`, or plain bytes.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = number_and_unit(text);
    let unit: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err("expected bytes, or a number and KiB, MiB, GiB, KB, MB or GB, such as 128MiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| format!("`{number}` is not a whole number; such as 128MiB"))?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(|| "expected an amount such as 128MiB".to_owned())
}

/// A share: 0 to 1, or in per cent.
pub(crate) fn share(text: &str) -> Result<f32, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.parse::<f32>().ok().map(|number| number / scale).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected 0 to 1, or per cent, such as 0.5 or 50%".to_owned())
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in
            [("10s", 10_000), ("1.5s", 1500), ("500ms", 500), ("2min", 120_000), ("2 m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "10", "s", "-1s", "0s", "1e9h", "1.2.3s", "10 days", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("640x352"), Ok((640, 352)));
        assert_eq!(size("1X1"), Ok((1, 1)));
        for wrong in ["", "640", "640x", "0x1", "640x-1", "640x352x3", "65536x1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts() {
        assert_eq!([bytes("7"), bytes("128MiB"), bytes("1 KB")], [Ok(7), Ok(128 << 20), Ok(1000)]);
        for wrong in ["", "MiB", "0", "1.5MiB", "1TiB", "99999999999999999999", "18446744073709551615KB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!([share("0.5"), share("50%"), share("0"), share("1")], [Ok(0.5), Ok(0.5), Ok(0.0), Ok(1.0)]);
        for wrong in ["", "%", "50", "-0.1", "nan", "101%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}

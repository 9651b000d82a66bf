//! Parsers for the values of options.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use oaktap::units::{Bytes, parse_duration};

/// Parses a value with a function, and offers its names to help and completions.
pub(crate) fn one_of<T, E: ToString>(
    names: impl IntoIterator<Item = &'static str>,
    parse: impl Fn(&str) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> OneOf<T> {
    let parse = move |text: &str| parse(text).map_err(|error| error.to_string());
    OneOf { names: names.into_iter().collect(), parse: Arc::new(parse) }
}

type ParseFn<T> = dyn Fn(&str) -> Result<T, String> + Send + Sync;

/// Returned by [`one_of`].
#[derive(Clone)]
pub(crate) struct OneOf<T> {
    names: Arc<[&'static str]>,
    parse: Arc<ParseFn<T>>,
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for OneOf<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let parse = Arc::clone(&self.parse);
        let parse = move |text: &str| parse(text);
        parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().map(PossibleValue::new)))
    }
}

/// Parses a time longer than 0, such as `10s`, `1.5s`, `500ms`, `2min` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let positive = || "expected a time longer than 0, such as 10s".to_owned();
    if text.starts_with('-') {
        return Err(positive());
    }
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err(positive()) } else { Ok(duration) }
}

/// Parses a whole number.
pub(crate) fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number from 0".to_owned())
}

/// Parses a whole number from 1.
pub(crate) fn positive(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// Parses width and height in pixels, such as `640x352`.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (width, height) = text
        .split_once(['x', 'X', '\u{d7}'])
        .filter(|(width, height)| is_number(width) && is_number(height))
        .ok_or("expected WIDTHxHEIGHT in pixels, such as 640x352")?;
    let side = |name, text: &str| {
        let side = text.parse().ok().filter(|side| (1..=65_535).contains(side));
        side.ok_or_else(|| format!("the {name} is {text} pixels: expected 1 to 65535"))
    };
    Ok((side("width", width)?, side("height", height)?))
}

/// Parses an amount of memory from 1 byte, such as `64MiB` or `100MB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let Bytes(bytes) = text.parse::<Bytes>().map_err(|error| error.to_string())?;
    match usize::try_from(bytes) {
        Ok(0) => Err("expected more than 0 bytes, such as 128MiB".to_owned()),
        Ok(bytes) if bytes < usize::MAX => Ok(bytes),
        _ => Err("expected fewer bytes, such as 128MiB".to_owned()),
    }
}

/// Parses an address and a port, such as `127.0.0.1:5000`, or resolves the name of a host. IPv4 comes first, which programs that
/// wait for clients listen on.
pub(crate) fn host_and_port(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if !text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_port(port)) {
        return Err("expected an address or name and a port, such as 127.0.0.1:5000".to_owned());
    }
    let found = text.to_socket_addrs().map_err(|error| format!("cannot resolve the name: {error}"))?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| "the name has no address".to_owned())
}

/// Parses a fraction from 0 to 1, or a percentage such as `50%`.
pub(crate) fn fraction(text: &str) -> Result<f32, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let fraction = number.parse::<f32>().ok().map(|number| number / scale).filter(|share| (0.0..=1.0).contains(share));
    fraction.ok_or_else(|| "expected a number from 0 to 1, or a percentage, such as 0.5 or 50%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_longer_than_zero() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "10", "0s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("640x352"), Ok((640, 352)));
        assert_eq!(size("65535x1"), Ok((65_535, 1)));
        assert_eq!(size("99999x99999").unwrap_err(), "the width is 99999 pixels: expected 1 to 65535");
        assert_eq!(size("640x0").unwrap_err(), "the height is 0 pixels: expected 1 to 65535");
        assert!(size("1x99999999999999999999").unwrap_err().ends_with("expected 1 to 65535"));
        assert!(size("640").unwrap_err().contains("WIDTHxHEIGHT"));
        assert_eq!(size("1X1"), Ok((1, 1)));
        for wrong in ["", "640", "640x", "0x1", "640x-1", "640x352x3", "65536x1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_of_memory_that_fit_into_an_address_space() {
        assert_eq!([bytes("7"), bytes("128MiB"), bytes("1 KB")], [Ok(7), Ok(128 << 20), Ok(1000)]);
        for wrong in ["", "MiB", "0", "99999999999999999999", "18446744073709551615KB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_have_an_address_or_a_name_and_a_port() {
        let at = |text: &str| host_and_port(text).map(|address| address.to_string());
        assert_eq!(at("127.0.0.1:0").as_deref(), Ok("127.0.0.1:0"));
        assert_eq!(at("[::1]:5000").as_deref(), Ok("[::1]:5000"));
        assert_eq!(at("localhost:5000").as_deref(), Ok("127.0.0.1:5000"));
        for wrong in ["localhost", ":5000", "localhost:", "localhost:65536", ""] {
            assert!(at(wrong).unwrap_err().starts_with("expected an address or name"), "{wrong}");
        }
    }

    #[test]
    fn fractions_and_percentages() {
        assert_eq!(
            [fraction("0.5"), fraction("50%"), fraction("0"), fraction("1")],
            [Ok(0.5), Ok(0.5), Ok(0.0), Ok(1.0)]
        );
        for wrong in ["", "%", "50", "-0.1", "nan", "101%"] {
            assert!(fraction(wrong).is_err(), "{wrong}");
        }
    }
}

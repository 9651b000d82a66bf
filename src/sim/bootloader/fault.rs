//! Faults of a simulated bootloader and of discovery. Text form: `drop-progress:0.5*1`.

use std::fmt;
use std::str::FromStr;

/// A fault of a simulated bootloader or of discovery.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CameraFault {
    /// Refuses a write immediately. Discards its data, which hosts send regardless.
    Refuse,
    /// Refuses a write at this progress, 0 to 1.
    RefuseLate(f32),
    /// Resets the connection after this many bytes from the host.
    Drop(u64),
    /// Resets the connection at this progress of a write, 0 to 1.
    DropProgress(f32),
    /// Resets the connection after this many bytes to the host.
    DropOutput(u64),
    /// Stops a write and its reports at this progress, 0 to 1, but keeps the link alive.
    Stall(f32),
    /// Stops reading and sending after this many bytes from the host, but keeps the connection open.
    Freeze(u64),
    /// Answers a request of this name (default: any write) with a response to another request.
    BadResponse(Option<String>),
    /// Answers a request of this name (default: any write) with the first half of the response.
    ShortResponse(Option<String>),
    /// Never releases received packets.
    NoCredit,
    /// Reports a write as successful without writing.
    NotWritten,
    /// Reports a write as successful with one wrong bit in the byte at this offset of the data.
    Corrupt(u64),
    /// Refuses a configuration.
    ConfigRefused,
    /// Reports a configuration as written, but keeps the old one.
    ConfigNotWritten,
    /// Does not boot the application after a restart.
    NoBoot,
    /// Boots an application that sends nothing.
    Silent,
    /// Is in use by another host after a restart.
    Taken,
    /// Leaves the network after a restart.
    Vanish,
    /// Ignores UDP requests to reboot.
    Deaf,
    /// Does not answer discovery.
    Mute,
}

/// The names of all faults with their values.
pub(super) const NAMES: &[&str] = &[
    "refuse",
    "refuse-late:PROGRESS",
    "drop:BYTE",
    "drop-progress:PROGRESS",
    "drop-output:BYTE",
    "stall-progress:PROGRESS",
    "freeze:BYTE",
    "bad-response[:REQUEST]",
    "short-response[:REQUEST]",
    "no-credit",
    "not-written",
    "corrupt:BYTE",
    "config-refused",
    "config-not-written",
    "no-boot",
    "silent",
    "taken",
    "vanish",
    "deaf",
    "mute",
];

impl CameraFault {
    /// Returns `true` for the name of a fault, with or without its value.
    pub(super) fn is_name(text: &str) -> bool {
        fn name(text: &str) -> Option<&str> {
            text.split([':', '*', '[']).next()
        }
        NAMES.iter().any(|known| name(known) == name(text))
    }
}

impl FromStr for CameraFault {
    /// Description of the valid values.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let progress = || {
            let share = value.and_then(|value| value.parse::<f32>().ok()).filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| format!("`{name}:PROGRESS` with a progress of 0 to 1"))
        };
        let byte = || {
            let byte = value.and_then(|value| value.parse().ok());
            byte.ok_or_else(|| format!("`{name}:BYTE` with a number of bytes"))
        };
        let request = || value.map(str::to_owned);
        let fault = match name {
            "refuse-late" => Self::RefuseLate(progress()?),
            "drop" => Self::Drop(byte()?),
            "drop-progress" => Self::DropProgress(progress()?),
            "drop-output" => Self::DropOutput(byte()?),
            "stall-progress" => Self::Stall(progress()?),
            "freeze" => Self::Freeze(byte()?),
            "bad-response" => Self::BadResponse(request()),
            "short-response" => Self::ShortResponse(request()),
            "corrupt" => Self::Corrupt(byte()?),
            _ if value.is_some() => return Err(format!("one of {}", NAMES.join(", "))),
            "refuse" => Self::Refuse,
            "no-credit" => Self::NoCredit,
            "not-written" => Self::NotWritten,
            "config-refused" => Self::ConfigRefused,
            "config-not-written" => Self::ConfigNotWritten,
            "no-boot" => Self::NoBoot,
            "silent" => Self::Silent,
            "taken" => Self::Taken,
            "vanish" => Self::Vanish,
            "deaf" => Self::Deaf,
            "mute" => Self::Mute,
            _ => return Err(format!("one of {}", NAMES.join(", "))),
        };
        Ok(fault)
    }
}

impl fmt::Display for CameraFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, name: &str, request: &Option<String>| match request {
            Some(request) => write!(f, "{name}:{request}"),
            None => f.write_str(name),
        };
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::RefuseLate(progress) => write!(f, "refuse-late:{progress}"),
            Self::Drop(byte) => write!(f, "drop:{byte}"),
            Self::DropProgress(progress) => write!(f, "drop-progress:{progress}"),
            Self::DropOutput(byte) => write!(f, "drop-output:{byte}"),
            Self::Stall(progress) => write!(f, "stall-progress:{progress}"),
            Self::Freeze(byte) => write!(f, "freeze:{byte}"),
            Self::BadResponse(request) => named(f, "bad-response", request),
            Self::ShortResponse(request) => named(f, "short-response", request),
            Self::NoCredit => f.write_str("no-credit"),
            Self::NotWritten => f.write_str("not-written"),
            Self::Corrupt(byte) => write!(f, "corrupt:{byte}"),
            Self::ConfigRefused => f.write_str("config-refused"),
            Self::ConfigNotWritten => f.write_str("config-not-written"),
            Self::NoBoot => f.write_str("no-boot"),
            Self::Silent => f.write_str("silent"),
            Self::Taken => f.write_str("taken"),
            Self::Vanish => f.write_str("vanish"),
            Self::Deaf => f.write_str("deaf"),
            Self::Mute => f.write_str("mute"),
        }
    }
}

/// Faults and the number of times that each occurs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraFaults(Vec<(CameraFault, Option<u32>)>);

impl CameraFaults {
    /// Adds a fault that occurs at most `times`; `None`: always.
    pub fn add(&mut self, fault: CameraFault, times: Option<u32>) {
        self.0.push((fault, times));
    }

    /// Returns the value of `chosen` for the first remaining fault that has one, and counts the occurrence.
    pub(super) fn trigger<T>(&mut self, chosen: impl Fn(&CameraFault) -> Option<T>) -> Option<T> {
        let (value, left, at) = self.0.iter_mut().enumerate().find_map(|(at, (fault, left))| {
            let value = chosen(fault).filter(|_| *left != Some(0))?;
            Some((value, left, at))
        })?;
        if let Some(left) = left {
            *left -= 1;
            tracing::debug!("fault {at} occurs, {left} times left");
        }
        Some(value)
    }

    /// Returns the number of bytes to the host after which the connection is reset.
    pub(super) fn next_drop_of_output(&self) -> Option<u64> {
        let alive = self.0.iter().filter(|(_, left)| *left != Some(0));
        alive
            .filter_map(
                |(fault, _)| if let CameraFault::DropOutput(byte) = fault { Some((*byte).max(1)) } else { None },
            )
            .min()
    }

    /// Returns `true` if this fault occurs now, and counts the occurrence.
    pub(super) fn occurs(&mut self, fault: &CameraFault) -> bool {
        self.trigger(|known| (known == fault).then_some(())).is_some()
    }
}

impl FromStr for CameraFaults {
    /// Description of the valid values.
    type Err = String;

    /// Parses comma-separated `FAULT[*TIMES]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',') {
            let (fault, times) = part.split_once('*').map_or((part, None), |(fault, times)| (fault, Some(times)));
            let times = times.map(str::parse).transpose();
            faults.add(fault.parse()?, times.map_err(|_| "`*TIMES` with a whole number".to_owned())?);
        }
        Ok(faults)
    }
}

impl fmt::Display for CameraFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (fault, times)) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "," })?;
            if let Some(times) = times {
                write!(f, "*{times}")?;
            }
        }
        Ok(())
    }
}

impl Extend<(CameraFault, Option<u32>)> for CameraFaults {
    fn extend<I: IntoIterator<Item = (CameraFault, Option<u32>)>>(&mut self, faults: I) {
        self.0.extend(faults);
    }
}

impl IntoIterator for CameraFaults {
    type Item = (CameraFault, Option<u32>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_parses_and_displays_the_same() {
        for name in NAMES {
            let text = match name.split_once(['[', ':']) {
                Some((_, "PROGRESS")) => name.replace("PROGRESS", "0.25"),
                Some((_, "BYTE")) => name.replace("BYTE", "1000"),
                Some((plain, _)) => format!("{plain},{plain}:READ_FLASH*2"),
                None => format!("{name}*3"),
            };
            let faults: CameraFaults = text.parse().expect(&text);
            assert_eq!(faults.to_string(), text);
            assert!(text.split(',').all(CameraFault::is_name), "{text}");
        }
    }

    #[test]
    fn errors_name_the_valid_faults() {
        let error = |text: &str| text.parse::<CameraFaults>().expect_err(text);
        assert!(error("refused").starts_with("one of refuse, refuse-late:PROGRESS, "));
        assert!(error("refuse:1").starts_with("one of refuse"));
        assert_eq!(error("refuse-late"), "`refuse-late:PROGRESS` with a progress of 0 to 1");
        assert_eq!(error("drop-progress:2"), "`drop-progress:PROGRESS` with a progress of 0 to 1");
        assert_eq!(error("drop:x"), "`drop:BYTE` with a number of bytes");
        assert_eq!(error("drop:1*x"), "`*TIMES` with a whole number");
        assert!(
            !CameraFault::is_name("short:0.1") && !CameraFault::is_name("stall:1"),
            "these are faults of the stream"
        );
    }

    #[test]
    fn fault_occurs_the_given_number_of_times() {
        let mut faults: CameraFaults = "refuse*2,mute,drop:7*1".parse().expect("faults");
        assert_eq!([(); 4].map(|()| faults.occurs(&CameraFault::Refuse)), [true, true, false, false]);
        assert_eq!([(); 3].map(|()| faults.occurs(&CameraFault::Mute)), [true; 3]);
        let mut byte = || faults.trigger(|fault| if let CameraFault::Drop(byte) = fault { Some(*byte) } else { None });
        assert_eq!([byte(), byte()], [Some(7), None]);
    }
}

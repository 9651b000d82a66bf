//! What can go wrong with a camera that is asked and flashed. Text form: `drop-progress:0.5*1`.

use std::fmt;
use std::str::FromStr;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Refuses a write as soon as it is asked for; the data is taken and thrown away, as hosts send it all the same.
    Refuse,
    /// Refuses a write once so much of it is done, 0 to 1.
    RefuseLate(f32),
    /// The connection is lost after so many bytes from the host.
    Drop(u64),
    /// The connection is lost once so much of a write is done, 0 to 1.
    DropProgress(f32),
    /// The connection is lost after so many bytes to the host.
    DropOutput(u64),
    /// Nothing more is said of a write once so much of it is done, but the link goes on.
    Stall(f32),
    /// Nothing is read or said any more after so many bytes from the host, but the connection stays.
    Freeze(u64),
    /// A request with this name (any write, when none is given) is answered with an answer to something else.
    BadResponse(Option<String>),
    /// A request with this name (any write, when none is given) is answered with half of the answer.
    ShortResponse(Option<String>),
    /// Packets are never released.
    NoCredit,
    /// A write is said to have succeeded, and nothing was written.
    NotWritten,
    /// A write is said to have succeeded, but a bit of the byte at this place of what was sent is wrong.
    Corrupt(u64),
    /// The configuration is not taken.
    ConfigRefused,
    /// The configuration is said to have been taken, and the old one stays.
    ConfigNotWritten,
    /// After a restart the bootloader never boots the application.
    NoBoot,
    /// The application is booted, and its stream says nothing.
    Silent,
    /// After a restart somebody else has the camera.
    Taken,
    /// After a restart it is not there any more.
    Vanish,
    /// Requests to reboot by UDP are not heard.
    Deaf,
    /// Discovery is not answered.
    Mute,
}

/// The names of all, with what they take.
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

impl Fault {
    /// Whether this is the name of a fault, with or without what it takes.
    pub(super) fn is_name(text: &str) -> bool {
        let name = |text: &str| text.split([':', '*', '[']).next().map(str::to_owned);
        NAMES.iter().any(|known| name(known) == name(text))
    }
}

impl FromStr for Fault {
    /// What was expected instead.
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

impl fmt::Display for Fault {
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

/// Faults, and how often each strikes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraFaults(Vec<(Fault, Option<u32>)>);

impl CameraFaults {
    /// Adds a fault that strikes so often; `None` is always.
    pub fn add(&mut self, fault: Fault, times: Option<u32>) {
        self.0.push((fault, times));
    }

    /// The first fault that `chosen` wants, which strikes now.
    pub(super) fn strike<T>(&mut self, chosen: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let (strikes, left, at) = self.0.iter_mut().enumerate().find_map(|(at, (fault, left))| {
            let strikes = chosen(fault).filter(|_| *left != Some(0))?;
            Some((strikes, left, at))
        })?;
        if let Some(left) = left {
            *left -= 1;
            tracing::debug!("fault {at} strikes, {left} times more");
        }
        Some(strikes)
    }

    /// After which byte to the host the connection is lost.
    pub(super) fn next_drop_of_output(&self) -> Option<u64> {
        let alive = self.0.iter().filter(|(_, left)| *left != Some(0));
        alive
            .filter_map(|(fault, _)| if let Fault::DropOutput(byte) = fault { Some((*byte).max(1)) } else { None })
            .min()
    }

    /// Whether this fault strikes now.
    pub(super) fn strikes(&mut self, fault: &Fault) -> bool {
        self.strike(|known| (known == fault).then_some(())).is_some()
    }
}

impl FromStr for CameraFaults {
    /// What was expected instead.
    type Err = String;

    /// `FAULT[*TIMES]`, with commas between them.
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

impl Extend<(Fault, Option<u32>)> for CameraFaults {
    fn extend<I: IntoIterator<Item = (Fault, Option<u32>)>>(&mut self, faults: I) {
        self.0.extend(faults);
    }
}

impl IntoIterator for CameraFaults {
    type Item = (Fault, Option<u32>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for name in NAMES {
            let text = match name.split_once(['[', ':']) {
                Some((_, "PROGRESS")) => name.replace("PROGRESS", "0.25"),
                Some((_, "BYTE")) => name.replace("BYTE", "1000"),
                Some((plain, _)) => format!("{plain},{plain}:READ_FLASH*2"),
                None => format!("{name}*3"),
            };
            let faults: CameraFaults = text.parse().expect(&text);
            assert_eq!(faults.to_string(), text);
            assert!(text.split(',').all(Fault::is_name), "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_says_what_would_be() {
        let said = |text: &str| text.parse::<CameraFaults>().expect_err(text);
        assert!(said("refused").starts_with("one of refuse, refuse-late:PROGRESS, "));
        assert!(said("refuse:1").starts_with("one of refuse"));
        assert_eq!(said("refuse-late"), "`refuse-late:PROGRESS` with a progress of 0 to 1");
        assert_eq!(said("drop-progress:2"), "`drop-progress:PROGRESS` with a progress of 0 to 1");
        assert_eq!(said("drop:x"), "`drop:BYTE` with a number of bytes");
        assert_eq!(said("drop:1*x"), "`*TIMES` with a whole number");
        assert!(!Fault::is_name("short:0.1") && !Fault::is_name("stall:1"), "those are the stream's");
    }

    #[test]
    fn a_fault_strikes_as_often_as_is_said() {
        let mut faults: CameraFaults = "refuse*2,mute,drop:7*1".parse().expect("faults");
        assert_eq!([(); 4].map(|()| faults.strikes(&Fault::Refuse)), [true, true, false, false]);
        assert_eq!([(); 3].map(|()| faults.strikes(&Fault::Mute)), [true; 3]);
        let mut byte = || faults.strike(|fault| if let Fault::Drop(byte) = fault { Some(*byte) } else { None });
        assert_eq!([byte(), byte()], [Some(7), None]);
    }
}

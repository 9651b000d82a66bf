//! Which camera is simulated, and its text form: `bootloader=0.0.28&nor=32MiB&fault=drop-progress:0.5*1`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::fault::{CameraFaults, Fault};
use super::memory::MemorySpec;
use super::shape::Shape;
use crate::bootloader::{BootloaderType, Version};
use crate::sim::{SimConfig, SimError};

/// When the camera opens its direction of the streams. Hosts have to cope with each (bootloader.md 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// As soon as there is a link, before the host has opened anything.
    First,
    /// When the host has opened it.
    After,
    /// Never: it writes to it all the same.
    Never,
}

/// What the camera is doing when it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Its bootloader waits for a host.
    Bootloader,
    /// The application runs.
    Application,
    /// A host has it: it can be found, and nothing else.
    InUse,
}

/// How discovery is answered (bootloader.md 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// With 40 bytes.
    Simple,
    /// With 52 bytes.
    Extended,
    /// With both.
    Both,
}

/// A camera that does not exist, with its bootloader. [`Default`] is one with bootloader 0.0.28 and 128 MiB of flash that
/// nobody has written to.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraConfig {
    /// Its id ("MXID").
    pub id: String,
    /// The bootloader that is in it.
    pub bootloader: Version,
    /// What the bootloader says that it is, if that is a lie.
    pub claims: Option<Version>,
    /// What every bootloader is that is written to it or booted from memory.
    pub image: Version,
    /// From which commit the bootloader was built.
    pub commit: String,
    /// Type of its bootloader: `Usb` or `Network`.
    pub kind: BootloaderType,
    /// Its NOR flash. 128 MiB are usual (bootloader.md 3.4).
    pub nor: MemorySpec,
    /// Its eMMC, if it has one. 16 GiB are usual.
    pub emmc: Option<MemorySpec>,
    /// A package that is in it from the start.
    pub application: Option<PathBuf>,
    /// What it is doing when it is met.
    pub start: Start,
    /// How long the bootloader waits for a host before it boots the application, unless `network.timeoutMs` of the
    /// configuration says something else. 30 s are usual.
    pub wait: Duration,
    /// As `wait`, but after a session. A real camera knows no difference; nobody wants to wait for a simulated one.
    pub wait_again: Duration,
    /// How long it is away when it restarts.
    pub restart: Duration,
    /// When it opens its direction of the streams.
    pub opening: Opening,
    /// Whether old names and sizes are left standing in its responses (bootloader.md 2.1).
    pub stale: bool,
    /// The longest packet of what is read from it.
    pub packet: u32,
    /// Bytes a second that its memories take; `None` is without a limit.
    pub write_rate: Option<u64>,
    /// It restarts when the host's watchdog was not heard for so long. The real time is unknown (bootloader.md 2.4).
    pub watchdog: Duration,
    /// How discovery is answered.
    pub answering: Answering,
    /// Whether it hears what is sent to all of loopback (Linux). Otherwise it is found at its address alone.
    pub broadcast: bool,
    /// Speed of its end of the cable in Mbit/s, and whether that is full duplex; `None` does not answer to such a question.
    pub ethernet: Option<(u32, bool)>,
    /// The line between it and the host.
    pub line: Shape,
    /// What goes wrong.
    pub faults: CameraFaults,
    /// What its application sends, or what it sees.
    pub stream: SimConfig,
    /// Whether it runs every Script that is flashed, and not only that of this oaktap. Whoever reaches the camera can
    /// then run programs on this computer.
    pub any_script: bool,
}

impl Default for CameraConfig {
    fn default() -> Self {
        Self {
            id: "14442C10D13EABCE00".to_owned(),
            bootloader: Version::RECOMMENDED,
            claims: None,
            image: Version::RECOMMENDED,
            commit: "0000000000000000000000000000000000000000".to_owned(),
            kind: BootloaderType::Network,
            nor: MemorySpec::default(),
            emmc: None,
            application: None,
            start: Start::Bootloader,
            wait: Duration::from_secs(30),
            wait_again: Duration::from_millis(300),
            restart: Duration::from_millis(50),
            opening: Opening::After,
            stale: false,
            packet: 5 << 20,
            write_rate: None,
            watchdog: Duration::from_secs(30),
            answering: Answering::Simple,
            broadcast: false,
            ethernet: Some((1000, true)),
            line: Shape::default(),
            faults: CameraFaults::default(),
            stream: SimConfig::default(),
            any_script: false,
        }
    }
}

/// The names of the text form, beside those of [`SimConfig`].
const KEYS: &str = "id, bootloader, claims, image, commit, type, nor, nor-file, emmc, emmc-file, app, state, wait, \
                    wait-again, restart, open, stale, packet, write-rate, watchdog, answer, broadcast, ethernet, bandwidth, \
                    delay, scripts, fault";

impl FromStr for CameraConfig {
    type Err = SimError;

    /// `key=value` pairs with `&` between them. What the camera does not know is its application's, see [`SimConfig`].
    fn from_str(text: &str) -> Result<Self, SimError> {
        let mut config = Self::default();
        let mut of_the_stream = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match config.set(key, value) {
                Ok(true) => {}
                Ok(false) => of_the_stream.push(pair),
                Err(expected) => {
                    let (key, value) = (key.to_owned(), value.to_owned());
                    return Err(SimError::BadValue { key, value, expected });
                }
            }
        }
        config.stream = of_the_stream.join("&").parse().map_err(|error| match error {
            SimError::UnknownKey(key) => SimError::UnknownCameraKey { key, known: KEYS },
            other => other,
        })?;
        config.check()?;
        Ok(config)
    }
}

impl CameraConfig {
    /// `false` is a key that belongs to somebody else; an error is what was expected.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let version = || value.parse::<Version>().map_err(|_| "a version such as 0.0.28".to_owned());
        match key {
            "id" if (1..=32).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                value.clone_into(&mut self.id);
            }
            "id" => return Err("1 to 32 letters and digits".to_owned()),
            "bootloader" => self.bootloader = version()?,
            "claims" => self.claims = Some(version()?),
            "image" => self.image = version()?,
            "commit" => value.clone_into(&mut self.commit),
            "type" => {
                self.kind = match value {
                    "network" => BootloaderType::Network,
                    "usb" => BootloaderType::Usb,
                    _ => return Err("network or usb".to_owned()),
                }
            }
            "nor" => self.nor.size = Some(bytes(value)?),
            "nor-file" => self.nor.file = Some(value.into()),
            "emmc" if value == "none" => self.emmc = None,
            "emmc" => self.emmc.get_or_insert_default().size = Some(bytes(value)?),
            "emmc-file" => self.emmc.get_or_insert_default().file = Some(value.into()),
            "app" => self.application = Some(value.into()),
            "state" => {
                self.start = match value {
                    "bootloader" => Start::Bootloader,
                    "application" => Start::Application,
                    "in-use" => Start::InUse,
                    _ => return Err("bootloader, application or in-use".to_owned()),
                }
            }
            "wait" => self.wait = time(value)?,
            "wait-again" => self.wait_again = time(value)?,
            "restart" => self.restart = time(value)?,
            "open" => {
                self.opening = match value {
                    "first" => Opening::First,
                    "after" => Opening::After,
                    "never" => Opening::Never,
                    _ => return Err("first, after or never".to_owned()),
                }
            }
            "stale" => self.stale = switch(value)?,
            "broadcast" => self.broadcast = switch(value)?,
            "packet" => {
                let packet = bytes(value)?;
                // More than the budget of the stream never goes out (bootloader.md 2.3).
                let fits = u32::try_from(packet).ok().filter(|packet| (1..=5 << 20).contains(packet));
                self.packet = fits.ok_or("1 to 5 MiB")?;
            }
            "write-rate" => self.write_rate = Some(bytes(value)?.max(1)),
            "watchdog" => self.watchdog = time(value)?,
            "answer" => {
                self.answering = match value {
                    "simple" => Answering::Simple,
                    "extended" => Answering::Extended,
                    "both" => Answering::Both,
                    _ => return Err("simple, extended or both".to_owned()),
                }
            }
            "ethernet" => self.ethernet = ethernet(value)?,
            "bandwidth" => {
                let megabits: Option<f64> = value.strip_suffix("Mbit").and_then(|number| number.parse().ok());
                let rate = megabits.filter(|rate| *rate > 0.0 && *rate < 1e6).ok_or("such as 10Mbit")?;
                self.line.bits_per_second = Some(((rate * 1e6) as u64).max(1));
            }
            "scripts" => {
                self.any_script = match value {
                    "own" => false,
                    "any" => true,
                    _ => return Err("own or any".to_owned()),
                }
            }
            "delay" => self.line.delay = time(value)?,
            "fault" if value.split(',').all(Fault::is_name) => {
                self.faults.extend(value.parse::<CameraFaults>()?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether there can be such a camera.
    fn check(&self) -> Result<(), SimError> {
        let smallest = super::map::of(self.kind).application + 512;
        match self.nor.size {
            Some(size) if size < smallest => Err(SimError::Contradiction(format!(
                "a flash of {size} bytes: its bootloader, configuration and an application's table need {smallest}"
            ))),
            _ => Ok(()),
        }
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

/// `1000`, `100half`, `none`.
fn ethernet(text: &str) -> Result<Option<(u32, bool)>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (speed, full) = text.strip_suffix("half").map_or((text, true), |speed| (speed, false));
    let speed = speed.parse().map_err(|_| "Mbit/s such as 1000 or 100half, or none")?;
    Ok(Some((speed, full)))
}

/// `32MiB`, `512KiB`, `16GiB`, or bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (number, shift) =
        units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).unwrap_or((text, 0));
    // No memory of a camera has a TiB, and every sum of two stays far from the end of the numbers.
    let most = (1u64 << 40) >> shift;
    let number = number.parse::<u64>().ok().filter(|number| *number <= most);
    number.map(|number| number << shift).ok_or_else(|| "bytes, or a number and KiB, MiB or GiB".to_owned())
}

/// `300ms`, `30s`, up to a day.
fn time(text: &str) -> Result<Duration, String> {
    let parse = |number: &str| number.parse::<u64>().ok();
    let ms = match text.strip_suffix("ms") {
        Some(number) => parse(number),
        None => text.strip_suffix('s').and_then(parse).and_then(|seconds| seconds.checked_mul(1000)),
    };
    let ms = ms.filter(|ms| *ms <= 86_400_000);
    ms.map(Duration::from_millis).ok_or_else(|| "a time such as 300ms or 30s, up to a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> CameraConfig {
        text.parse().expect(text)
    }

    #[test]
    fn everything_can_be_said() {
        let all = config(
            "id=ABC&bootloader=0.0.14&claims=0.0.28&image=0.0.29&commit=c1&type=network&nor=32MiB&nor-file=/tmp/n\
             &emmc=4GiB&emmc-file=/tmp/e&app=/tmp/a.dap&state=application&wait=2s&wait-again=1ms&restart=0ms&open=first\
             &stale=on&packet=1MiB&write-rate=2MiB&watchdog=6s&answer=both&broadcast=on&ethernet=100half&bandwidth=10Mbit&delay=100ms\
             &scripts=any&fault=refuse*1,mute&size=64x48&fault=junk:0.5",
        );
        assert_eq!((all.id.as_str(), all.commit.as_str()), ("ABC", "c1"));
        let version = |patch| Version::new(0, 0, patch);
        assert_eq!((all.bootloader, all.claims, all.image), (version(14), Some(version(28)), version(29)));
        let file = |path: &str, size| MemorySpec { size: Some(size), file: Some(path.into()) };
        assert_eq!((all.nor, all.emmc), (file("/tmp/n", 32 << 20), Some(file("/tmp/e", 4 << 30))));
        assert_eq!((all.kind, all.application), (BootloaderType::Network, Some("/tmp/a.dap".into())));
        assert_eq!((all.start, all.opening, all.answering), (Start::Application, Opening::First, Answering::Both));
        let ms = Duration::from_millis;
        assert_eq!([all.wait, all.wait_again, all.restart, all.watchdog], [ms(2000), ms(1), ms(0), ms(6000)]);
        assert_eq!((all.stale, all.broadcast, all.packet, all.write_rate), (true, true, 1 << 20, Some(2 << 20)));
        assert_eq!(all.ethernet, Some((100, false)));
        assert_eq!(all.line, Shape { bits_per_second: Some(10_000_000), delay: ms(100) });
        assert!(all.any_script && !config("scripts=any&scripts=own").any_script);
        assert_eq!(all.faults.to_string(), "refuse*1,mute");
        assert_eq!(all.stream, "size=64x48&fault=junk:0.5".parse().expect("a stream"));
        assert_eq!(config(""), CameraConfig::default());
        assert_eq!(config("emmc=1GiB&emmc=none&ethernet=none").emmc, None);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let error = |text: &str| text.parse::<CameraConfig>().expect_err(text).to_string();
        assert!(error("nand=1").contains("`nand` is nothing that can be simulated; known: size, fps, "));
        assert!(error("nand=1").contains(", bandwidth, "), "{}", error("nand=1"));
        assert_eq!(error("bootloader=28"), "`bootloader=28`: expected a version such as 0.0.28");
        assert_eq!(
            error("nor=1"),
            "a flash of 1 bytes: its bootloader, configuration and an application's table need 8389120"
        );
        for wrong in [
            "id=",
            "id=a b",
            "type=auto",
            "nor=1TiB",
            "nor=x",
            "nor=99999999999GiB",
            "state=off",
            "wait=1",
            "wait=999999s",
            "open=x",
            "stale=x",
            "packet=0",
            "packet=6MiB",
            "answer=x",
            "broadcast=x",
            "ethernet=fast",
            "bandwidth=10",
            "bandwidth=0Mbit",
            "delay=x",
            "scripts=x",
            "fault=drop:x",
            "fault=nothing",
            "size=x",
        ] {
            let (key, _) = wrong.split_once('=').expect("a pair");
            assert!(error(wrong).starts_with(&format!("`{key}=")), "{}", error(wrong));
        }
    }
}

//! The cameras of a command: named on the command line, in oaktap.toml, or found in the network.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use oaktap::discovery::{CameraState, DiscoveredCamera};
use oaktap::frame::LabelMap;
use oaktap::net::discovery::{Targets, find};
use oaktap::recording::RecordingError;
use oaktap::source::{
    FileSpec, NamedSource, SourceSpec, SourceSpecError, check_name, source_text, split_name, without_password,
};

use super::application::{CONFIG_FILE, ConfigFile};
use super::camera_arg::{CameraArg, SearchArgs, runtime};
use super::commands::replay::cameras_below;
use super::configured_cameras::{ConfiguredCamera, same_name};
use super::present::{self, Usage, advised, printable};
use super::recording_files;
use super::same_camera::{Given, refuse_same_camera};

/// The cameras that a command receives from.
#[derive(Args, Clone, Debug)]
pub(crate) struct FleetArgs {
    /// Cameras: addresses (192.168.1.50, tcp://HOST:PORT), ids, http://HOST/PATH, mqtt://BROKER/TOPIC, listen://:PORT or http-post://:PORT/PATH for a camera that connects to this host, udp://:PORT for one that sends datagrams, zenoh://ROUTER/HOST/CAMERA for one that another oaktap publishes ('*' in quotes for all), sim:
    /// for a simulated camera (its options: `oaktap help simulate`), or FILE.mcap for a recording, or a folder of them (with options:
    /// file:PATH?speed=2). NAME=URI names a camera, with 1 to 64 letters, digits, -, _ or .; with --config, a name of the file selects that camera
    #[arg(value_name = "URI", value_parser = OsStringValueParser::new().map(|word| source_text(&word)))]
    uris: Vec<String>,

    /// Use the cameras of this file, with their names
    #[arg(long, value_name = "oaktap.toml")]
    config: Option<PathBuf>,

    /// Use all cameras that `oaktap list` finds and that run an application, at port 5000; not with URI or --config
    #[arg(long, conflicts_with_all = ["uris", "config"])]
    all: bool,

    #[command(flatten)]
    search: SearchArgs,
}

impl FleetArgs {
    /// Returns arguments for these addresses, and names of cameras in this file.
    pub(crate) fn of(uris: Vec<String>, config: Option<PathBuf>) -> Self {
        Self { uris, config, all: false, search: SearchArgs::default() }
    }

    /// Returns whether the user gave cameras.
    pub(crate) fn is_given(&self) -> bool {
        self.all || self.config.is_some() || !self.uris.is_empty()
    }

    /// Returns the sources. Searches for cameras that are given by id, and with `--all`. Refuses two names of one camera.
    pub(crate) fn sources(&self) -> anyhow::Result<Vec<NamedSource>> {
        let given = self.given()?;
        refuse_same_camera(&given)?;
        Ok(given.into_iter().map(|given| given.source).collect())
    }

    /// Like [`Self::sources`], for a command that connects to one camera after the other: one may have two names.
    pub(crate) fn sources_in_turn(&self) -> anyhow::Result<Vec<NamedSource>> {
        Ok(self.given()?.into_iter().map(|given| given.source).collect())
    }

    fn given(&self) -> anyhow::Result<Vec<Given>> {
        let given = if self.all { self.found()? } else { self.named()? };
        #[cfg(feature = "zenoh")]
        let given = super::bus_cameras::with_bus_cameras(given)?;
        let sources = given.iter().map(|given| &given.source);
        refuse_duplicates(sources.filter_map(|source| Some((source.name.as_deref()?, source))))?;
        given.iter().try_for_each(|given| check_files(&given.source))?;
        Ok(given)
    }

    /// Returns the recordings, if nothing else is given and one of them is a folder.
    pub(crate) fn folders(&self) -> Option<Vec<PathBuf>> {
        let paths: Vec<_> = self.uris.iter().map(PathBuf::from).collect();
        let is_only = self.config.is_none() && paths.iter().all(|path| path.exists());
        (is_only && paths.iter().any(|path| path.is_dir())).then_some(paths)
    }

    fn named(&self) -> anyhow::Result<Vec<Given>> {
        let configured = configured_in(self.config.as_deref())?;
        if self.uris.is_empty() && configured.is_empty() {
            let error = Usage("no camera given".to_owned());
            let help = "give the address of a camera, --config oaktap.toml, --all for each camera that `oaktap list` finds, or \
                        sim: for a simulated one";
            return Err(advised(error.into(), help));
        }
        if self.uris.is_empty() {
            let given: Vec<_> =
                configured.iter().map(|camera| self.configured(camera)).collect::<anyhow::Result<_>>()?;
            return with_recordings(given);
        }
        let source = |uri: &String| {
            if let Some(camera) = configured.iter().find(|camera| camera.is_named(uri)) {
                return self.configured(camera);
            }
            if let Some(folder) = folder(uri) {
                return Ok(folder);
            }
            let (name, camera) = split_name(uri).map_err(|error| invalid(&error))?;
            recording_files::refuse_misspelled(camera)?;
            let is_word = !is_id(camera) && camera.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
            if is_word && !configured.is_empty() {
                return Err(unknown_name(camera, &configured));
            }
            self.source(name, camera, uri)
        };
        with_recordings(self.uris.iter().map(source).collect::<anyhow::Result<_>>()?)
    }

    fn configured(&self, camera: &ConfiguredCamera) -> anyhow::Result<Given> {
        self.source(camera.name.as_deref(), &camera.camera, camera.name.as_ref().unwrap_or(&camera.camera))
    }

    fn source(&self, name: Option<&str>, camera: &str, word: &str) -> anyhow::Result<Given> {
        let (name, word) = (name.map(str::to_owned), word.to_owned());
        if !is_id(camera) {
            let source = NamedSource { name, spec: camera.parse().map_err(|error| invalid(&error))? };
            return Ok(Given { word, source, addresses: Vec::new() });
        }
        let id: CameraArg = camera.parse().map_err(Usage)?;
        let located = runtime()?.block_on(id.locate(&self.search))?;
        let addresses = located.camera.as_ref().map(DiscoveredCamera::ips).unwrap_or_default();
        let found = located.camera.map(|camera| camera.id).filter(|id| check_name(id).is_ok());
        let source = NamedSource { name: name.or(found), spec: SourceSpec::camera(located.ip) };
        Ok(Given { word, source, addresses })
    }

    /// Searches for the cameras of this host's networks.
    fn found(&self) -> anyhow::Result<Vec<Given>> {
        let SearchArgs { subnet, wait, udp_port } = self.search.clone();
        let targets = Targets { subnets: subnet, port: udp_port, ..Targets::default() };
        let survey = runtime()?.block_on(find(&targets, wait, |_| false))?;
        let mut sources = Vec::new();
        for camera in survey.cameras {
            let Some(ip) = camera.ip() else { continue };
            if camera.state == CameraState::FlashBooted {
                let (word, spec) = (camera.id.clone(), SourceSpec::camera(ip));
                if let Some(other) = sources.iter().find(|known: &&Given| known.source.spec == spec) {
                    let text = format!("{word} at {ip} replies from the address of {}, so it is left out", other.word);
                    present::say(&printable(&text));
                    continue;
                }
                let name = Some(camera.id).filter(|id| check_name(id).is_ok());
                sources.push(Given { word, source: NamedSource { name, spec }, addresses: Vec::new() });
            } else {
                let text =
                    format!("{} at {ip} runs no application (state: {}), so it is left out", camera.id, camera.state);
                present::say(&printable(&text));
            }
        }
        if sources.is_empty() {
            let error = anyhow::anyhow!("--all found no camera that runs an application");
            return Err(advised(
                error,
                "`oaktap list` shows what replies, and `oaktap doctor` finds out why a camera does not",
            ));
        }
        Ok(sources)
    }
}

/// Returns the source of a word that is a folder of recordings: `DIR` or `NAME=DIR`.
fn folder(word: &str) -> Option<Given> {
    let (name, path) = match Path::new(word).is_dir() {
        true => (None, word),
        false => split_name(word).ok().filter(|(_, path)| Path::new(path).is_dir())?,
    };
    let source = NamedSource { name: name.map(str::to_owned), spec: SourceSpec::File(FileSpec::new(path)) };
    Some(Given { word: word.to_owned(), source, addresses: Vec::new() })
}

/// Replaces folders by the cameras of the recordings in them.
fn with_recordings(given: Vec<Given>) -> anyhow::Result<Vec<Given>> {
    let mut all = Vec::new();
    for given in given {
        match &given.source {
            NamedSource { name, spec: SourceSpec::File(file) } if file.path.is_dir() => {
                let cameras = cameras_below(name.as_deref(), file)?;
                let word = &given.word;
                let camera = |source| Given { word: word.clone(), source, addresses: Vec::new() };
                all.extend(cameras.into_iter().map(camera));
            }
            _ => all.push(given),
        }
    }
    Ok(all)
}

/// Checks that the files of a recording can be opened, before a camera is connected or a window opens.
fn check_files(source: &NamedSource) -> anyhow::Result<()> {
    let SourceSpec::File(file) = &source.spec else { return Ok(()) };
    for path in std::iter::once(&file.path).chain(&file.later) {
        std::fs::File::open(path).map_err(|source| {
            let nearest = recording_files::nearest_recording(path).filter(|_| source.kind() == ErrorKind::NotFound);
            let help = nearest.map(|nearest| format!("did you mean `{}`?", nearest.display()));
            present::with_help(RecordingError::Open { path: path.clone(), source }.into(), help)
        })?;
    }
    Ok(())
}

/// A name that a configuration file does not list is not looked up as a host: the command would run without that camera.
fn unknown_name(name: &str, configured: &[ConfiguredCamera]) -> anyhow::Error {
    let error = Usage(no_such_name(name, configured));
    advised(error.into(), format!("{}; if it is the name of a host: tcp://{name}", all_names(configured)))
}

fn no_such_name(name: &str, configured: &[ConfiguredCamera]) -> String {
    let names: LabelMap = configured.iter().filter_map(|camera| camera.name.as_deref()).collect();
    let nearest = names.nearest(name).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    let file = configured.first().map_or(Path::new(CONFIG_FILE), |camera| &camera.file).display();
    format!("{file} names no camera `{name}`{nearest}")
}

/// Lists the names in a configuration file.
fn all_names(configured: &[ConfiguredCamera]) -> String {
    let names: Vec<_> = configured.iter().filter_map(|camera| camera.name.as_deref()).collect();
    let file = configured.first().map_or(Path::new(CONFIG_FILE), |camera| &camera.file).display();
    if names.is_empty() {
        format!("{file} gives no camera a name")
    } else {
        format!("{file} names {}", present::listed(&names))
    }
}

/// Returns whether the text is the id of a camera or the start of one: hexadecimal, and not an address.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() >= 4 && text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Adds the kinds of sources as help.
fn invalid(error: &SourceSpecError) -> anyhow::Error {
    let usage = Usage(error.to_string()).into();
    present::with_help(usage, error.help())
}

/// Refuses two cameras of one name. Upper and lower case are the same, because folders are named after cameras.
pub(crate) fn refuse_duplicates<'a, T: fmt::Display + 'a>(
    cameras: impl Iterator<Item = (&'a str, &'a T)>,
) -> anyhow::Result<()> {
    let mut seen: Vec<(&str, &T)> = Vec::new();
    for (name, camera) in cameras {
        let key = name.to_lowercase();
        if let Some((known, first)) = seen.iter().find(|(known, _)| known.to_lowercase() == key) {
            return Err(Usage(format!("{}: {first} and {camera}", same_name(known, name))).into());
        }
        seen.push((name, camera));
    }
    Ok(())
}

/// Reads the cameras of a configuration file, which must list some. Without a file there are none.
pub(crate) fn configured_in(path: Option<&Path>) -> anyhow::Result<Vec<ConfiguredCamera>> {
    match (path, cameras_in(path)?) {
        (Some(path), cameras) if cameras.is_empty() => {
            let error = Usage(format!("{} lists no cameras", path.display()));
            Err(advised(error.into(), "add a table such as: [cameras] front = \"192.168.1.50\""))
        }
        (_, cameras) => Ok(cameras),
    }
}

/// Reads the cameras of a configuration file that need not list any.
pub(crate) fn cameras_in(path: Option<&Path>) -> anyhow::Result<Vec<ConfiguredCamera>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    Ok(ConfigFile::read(path)?.cameras)
}

/// A camera that a command queries or whose bootloader it enters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedCamera {
    /// The name that the user gave it.
    pub(crate) name: Option<String>,
    pub(crate) camera: CameraArg,
    /// The word of a command line that selects it.
    pub(crate) word: String,
    /// Says that the port of its entry in the configuration file was not used.
    pub(crate) port_help: Option<String>,
}

impl NamedCamera {
    /// Returns the word of a command line that selects it at the default port.
    pub(crate) fn word_without_port(&self) -> String {
        let camera = self.camera.clone().without_port();
        match (self.camera.port(), self.word.split_once('=')) {
            (None, _) => self.word.clone(),
            (Some(_), Some((name, _))) => format!("{name}={camera}"),
            (Some(_), None) => camera.to_string(),
        }
    }
}

impl fmt::Display for NamedCamera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({name})", self.camera),
            None => self.camera.fmt(f),
        }
    }
}

/// The port of a camera in a configuration file, which is the port of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilePort {
    Keep,
    /// For a command that connects to the bootloader.
    Drop,
}

/// Returns the cameras of the words of a command line: each is `CAMERA`, `NAME=CAMERA` or the name of a camera in the
/// configuration file. Without words, returns the cameras of the file.
pub(crate) fn named_cameras(
    words: &[String],
    configured: &[ConfiguredCamera],
    port: FilePort,
) -> anyhow::Result<Vec<NamedCamera>> {
    let of_file = |camera: &ConfiguredCamera| {
        let (word, port_help) = (camera.word().to_owned(), camera.port_help().filter(|_| port == FilePort::Drop));
        Ok(NamedCamera { name: camera.name.clone(), camera: camera.arg(port)?, word, port_help })
    };
    if words.is_empty() {
        let skipped = |camera: &&ConfiguredCamera| port == FilePort::Drop && camera.has_no_bootloader();
        let (skipped, cameras): (Vec<_>, Vec<_>) = configured.iter().partition(skipped);
        if !skipped.is_empty() {
            let words: Vec<_> = skipped.iter().map(|camera| without_password(camera.word())).collect();
            let text = "their addresses are not those of a camera's bootloader";
            present::say(&printable(&format!("skipped {}: {text}", present::listed(&words))));
        }
        return cameras.into_iter().map(of_file).collect();
    }
    let of_word = |word: &String| {
        if let Some(known) = configured.iter().find(|known| known.is_named(word)) {
            return of_file(known);
        }
        let (name, camera) = split_name(word).map_err(|error| invalid(&error))?;
        let parsed = camera.parse().map_err(|error| unknown(error, configured))?;
        // Where a file names cameras, a host has a dot or a port, and the start of an id four digits: the command would run
        // without the camera that was meant.
        let is_name = match &parsed {
            CameraArg::Host { host, port: None } => !host.contains('.'),
            CameraArg::Id(id) => !is_id(id),
            _ => false,
        };
        if is_name && !configured.is_empty() {
            return Err(unknown_camera(camera, configured));
        }
        let camera = parsed;
        Ok(NamedCamera { name: name.map(str::to_owned), camera, word: word.clone(), port_help: None })
    };
    let cameras = words.iter().map(of_word).collect::<anyhow::Result<Vec<NamedCamera>>>()?;
    refuse_duplicates(cameras.iter().filter_map(|camera| Some((camera.name.as_deref()?, camera))))?;
    Ok(cameras)
}

/// Returns the cameras of these words, and the streams that are named by a URL or simulated by the file. Without words, those
/// of the configuration file.
pub(crate) fn cameras_and_streams(
    words: &[String],
    configured: &[ConfiguredCamera],
) -> anyhow::Result<(Vec<NamedCamera>, Vec<NamedSource>)> {
    let is_url = |text: &str| text.contains("://") && !text.starts_with("tcp://");
    let stream = |name: Option<&str>, url: &str| {
        let spec: SourceSpec = url.parse().map_err(|error| invalid(&error))?;
        anyhow::Ok(NamedSource { name: name.map(str::to_owned), spec })
    };
    let (mut streams, mut others) = (Vec::new(), Vec::new());
    // Commands that receive take it as a stream, without a bootloader.
    let is_stream = |known: &ConfiguredCamera| is_url(&known.camera) || known.is_simulated_stream();
    if words.is_empty() {
        let (urls, cameras): (Vec<_>, Vec<_>) = configured.iter().cloned().partition(is_stream);
        for known in urls {
            streams.push(stream(known.name.as_deref(), &known.camera)?);
        }
        return Ok((named_cameras(&[], &cameras, FilePort::Keep)?, streams));
    }
    for word in words {
        let known = configured.iter().find(|known| known.is_named(word));
        let (name, camera) = match known {
            Some(known) => (known.name.as_deref(), known.camera.as_str()),
            None => split_name(word).map_err(|error| invalid(&error))?,
        };
        if is_url(camera) || known.is_some_and(is_stream) {
            streams.push(stream(name, camera)?);
        } else {
            others.push(word.replacen("tcp://", "", 1));
        }
    }
    let cameras = if others.is_empty() { Vec::new() } else { named_cameras(&others, configured, FilePort::Keep)? };
    Ok((cameras, streams))
}

/// Adds the names that would have been accepted.
fn unknown(error: String, configured: &[ConfiguredCamera]) -> anyhow::Error {
    let error = Usage(error).into();
    if configured.is_empty() { error } else { advised(error, all_names(configured)) }
}

/// The error of a name that a configuration file does not list, for a command that takes addresses and ids.
pub(crate) fn unknown_camera(name: &str, configured: &[ConfiguredCamera]) -> anyhow::Error {
    unknown(no_such_name(name, configured), configured)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        fleet: FleetArgs,
    }

    fn sources(words: &[&str]) -> anyhow::Result<Vec<String>> {
        let fleet = Words::try_parse_from(["oaktap"].iter().chain(words)).expect("known options").fleet;
        Ok(fleet.sources()?.iter().map(ToString::to_string).collect())
    }

    fn config(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("oaktap.toml");
        std::fs::write(&path, text).expect("writable folder");
        let path = path.to_str().expect("UTF-8").to_owned();
        (folder, path)
    }

    #[test]
    fn cameras_of_a_file_keep_their_names_and_their_order() {
        for text in [
            "[cameras]\nyard = \"192.168.1.51:9876\"\nfront = \"192.168.1.50\"\ndoor = \"sim:\"\n",
            "cameras = [\"yard=192.168.1.51:9876\", \"front=192.168.1.50\", \"door=sim:\"]\n",
        ] {
            let (_folder, path) = config(text);
            let all = sources(&["--config", &path]).expect("valid file");
            assert_eq!(all, ["yard=tcp://192.168.1.51:9876", "front=tcp://192.168.1.50:5000", "door=sim:"]);
            let some = sources(&["front", "back=10.0.0.9", "--config", &path]).expect("valid file");
            assert_eq!(some, ["front=tcp://192.168.1.50:5000", "back=tcp://10.0.0.9:5000"]);
            let upper = sources(&["FRONT", "Yard", "--config", &path]).expect("upper and lower case are the same");
            assert_eq!(upper, ["front=tcp://192.168.1.50:5000", "yard=tcp://192.168.1.51:9876"]);
            let error = format!("{:?}", sources(&["fornt", "--config", &path]).expect_err("an unknown name"));
            assert!(
                error.contains(&format!("{path} names no camera `fornt`")) && error.contains("did you mean `front`?"),
                "{error}"
            );
            assert_eq!(sources(&["tcp://fornt", "--config", &path]).expect("a host"), ["tcp://fornt:5000"]);
        }
        let (_folder, path) = config("cameras = [\"192.168.1.50\"]\n");
        assert_eq!(sources(&["--config", &path]).expect("valid file"), ["tcp://192.168.1.50:5000"]);
    }

    #[test]
    fn names_select_cameras_in_upper_and_lower_case() {
        let (_folder, path) = config("[cameras]\nLine-40 = \"192.168.1.50\"\nurl = \"http://192.168.1.51/\"\n");
        let configured = configured_in(Some(Path::new(&path))).expect("valid file");
        let words = ["LINE-40", "URL"].map(str::to_owned);
        let (cameras, streams) = cameras_and_streams(&words, &configured).expect("names of the file");
        assert_eq!((cameras[0].word.as_str(), cameras[0].name.as_deref()), ("Line-40", Some("Line-40")));
        assert_eq!(streams[0].name.as_deref(), Some("url"));
        let cameras = named_cameras(&words[..1], &configured, FilePort::Drop).expect("a name of the file");
        assert_eq!(cameras[0].name.as_deref(), Some("Line-40"));
    }

    #[test]
    fn what_is_wrong_with_the_cameras_is_named() {
        let error = |words: &[&str]| format!("{:#}", sources(words).expect_err("invalid cameras"));
        assert_eq!(
            error(&["a=10.0.0.5", "A=10.0.0.6"]),
            "two cameras have the name `A` (upper and lower case are the same, because folders are named after cameras): \
             a=tcp://10.0.0.5:5000 and A=tcp://10.0.0.6:5000"
        );
        assert!(error(&["../a=sim:"]).starts_with("invalid source `../a=sim:`: invalid name `../a`"));
        assert!(error(&["a=rtsp://b"]).starts_with("invalid source `rtsp://b`: `rtsp://` is not supported"));
        for (text, expected) in [
            ("", "lists no cameras"),
            ("cameras = []", "lists no cameras"),
            ("cameras = 3", "line 1, column 11: `cameras` is of type integer; expected a table such as [cameras]"),
            ("[cameras]\nfront = 3", "line 2, column 9: expected a string"),
            (
                "[cameras]\nfront.left = \"10.0.0.5\"",
                "a name with a dot needs quotes: \"front.left\" = \"192.168.1.50\"",
            ),
            (
                "[cameras]\nfront = { address = \"10.0.0.5\" }",
                "a camera has only an address: write front = \"10.0.0.5\"",
            ),
            ("[cameras]\nfront = { port = 5000 }", "a camera has an address: write front = \"192.168.1.50\""),
            ("[cameras]\nfront = \"simm:\"", "expected `tcp://`"),
            ("[cameras]\nfront = \"simm:\"", "; did you mean `sim:`?"),
            ("[cameras]\n\"a/b\" = \"10.0.0.5\"", "line 2, column 1: invalid name `a/b`"),
            (
                "cameras = [\"a=10.0.0.5\", \"a=10.0.0.6\"]",
                "line 1, column 26: two cameras have the name `a`: 10.0.0.5 and 10.0.0.6",
            ),
            (
                "[cameras]\nfront = \"10.0.0.5\"\n\nyard = \"tcp://10.0.0.5:5000\"\n",
                "line 4, column 8: `front` and `yard` are the same camera, tcp://10.0.0.5:5000",
            ),
            (
                "cameras = [\"14442C1077\", \"14442c1077\"]",
                "column 26: `14442C1077` and `14442c1077` are the same camera",
            ),
            ("[cameras]\nfront = \"10.0.0.5\"\nfront = \"10.0.0.6\"\n", "line 3, column 1: duplicate key"),
        ] {
            let (_folder, path) = config(text);
            let found = error(&["--config", &path]);
            assert!(found.contains(expected), "{text}: {found}");
        }
        assert!(error(&["--config", "nowhere.toml"]).starts_with("cannot read nowhere.toml"));
    }

    #[test]
    fn an_address_without_quotes_is_one_fault() {
        let error = |text: &str| {
            let (_folder, path) = config(text);
            format!("{:#}", sources(&["--config", &path]).expect_err("a fault")).replacen(&path, "FILE", 1)
        };
        for (text, expected) in [
            (
                "[cameras]\nfront = 192.168.1.50 # door\n\n[application]\nname = \"x\"\n",
                "line 2, column 9: write the address in quotes: front = \"192.168.1.50\"",
            ),
            (
                "[cameras] # all\nfront = oak1.local",
                "line 2, column 9: write the address in quotes: front = \"oak1.local\"",
            ),
            ("[cameras]\nfront=14442C10D1", "line 2, column 7: write the address in quotes: front = \"14442C10D1\""),
            ("[cameras]\nfront = 10.0.0.5:9876", "2, column 9: write the address in quotes: front = \"10.0.0.5:9876\""),
            ("[cameras]\nfront = sim:?fps=5", "2, column 9: write the address in quotes: front = \"sim:?fps=5\""),
            (
                "cameras = [10.0.0.5, oak1]",
                "line 1, column 11: write each address in quotes: cameras = [\"10.0.0.5\", \"oak1\"]",
            ),
        ] {
            let found = error(text);
            assert_eq!(found.lines().count(), 1, "{text}: {found}");
            assert!(found.starts_with("cannot parse FILE: line ") && found.ends_with(expected), "{text}: {found}");
        }
        let two = error("[cameras]\nfront = 10.0.0.5\nyard = 10.0.0.6\n");
        assert!(two.starts_with("cannot parse FILE: 2 faults\n"), "{two}");
        let other = error("[cameras]\nfront = \"10.0.0.5\"\n[application]\nfps = 1.2.3\n");
        assert!(other.contains("line 4, column ") && !other.contains("quotes"), "{other}");
    }

    #[test]
    fn every_fault_of_a_file_is_reported_at_its_place() {
        let text = "firmwere = \"x\"\n[cameras]\nfront = \"10.0.0.256\"\nFRONT = \"10.0.0.5\"\nyard = 5\n  gate = \"10.0.0.5\"\n\
                    [application]\nfps = \"many\"\nsise = \"1x1\"\nname = \"door\"\n";
        let (_folder, path) = config(text);
        let found = format!("{:#}", sources(&["--config", &path]).expect_err("faults"));
        let lines: Vec<_> = found.lines().collect();
        assert_eq!(lines[0], format!("cannot parse {path}: 7 faults"));
        let starts = [
            "  line 1, column 1: unknown setting `firmwere`; did you mean `firmware`?",
            "  line 3, column 9: invalid source `10.0.0.256`",
            "  line 4, column 1: two cameras have the name `FRONT`",
            "  line 5, column 8: expected a string",
            "  line 6, column 10: `FRONT` and `gate` are the same camera, 10.0.0.5",
            "  line 8, column 7: expected a number, found \"many\"",
            "  line 9, column 1: unknown setting `sise`; did you mean `size`?",
        ];
        assert_eq!(lines.len(), starts.len() + 1, "{found}");
        for (line, start) in lines[1..].iter().zip(starts) {
            assert!(line.starts_with(start), "{start}: {found}");
        }
        // A setting with a fault is not missing, too.
        let (_folder, path) = config("[application]\npayload = { coding = \"h266\" }\n[application.model]\nblob = 3\n");
        let found = format!("{:#}", sources(&["--config", &path]).expect_err("faults"));
        let expected = "2 faults\n  line 2, column 22: unknown value `h266`; did you mean `h264`? (expected one of `raw`, \
                        `jpeg`, `h264`, `h265`)\n  line 4, column 8: expected a text in quotes, found `3`";
        assert!(found.contains(expected), "{found}");
        // Letters of several bytes are one column each.
        let (_folder, path) = config("# \u{fc}\ncameras = [\"\u{fc}\u{fc}=10.0.0.5\", 3, \"b=10.0.0.6\n");
        let found = format!("{:#}", sources(&["--config", &path]).expect_err("faults"));
        assert!(found.contains("line 2, column 27: "), "{found}");
    }

    #[test]
    fn ids_are_told_from_addresses_and_names_of_hosts() {
        for (text, id) in [("14442C10D13EABCE00", true), ("14442c", true), ("192.168.1.50", false), ("cafe", false)] {
            assert_eq!(is_id(text), id, "{text}");
        }
        assert!(["oak1", "144", "1::2", "14442C:5000"].iter().all(|text| !is_id(text)));
    }
}

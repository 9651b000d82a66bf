//! The key `cameras` of oaktap.toml: a table from names to cameras, or a list of cameras.

use std::path::PathBuf;

use oaktap::source::{SourceSpec, check_name, split_name, without_password};
use oaktap::wire;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::camera_arg::CameraArg;
use super::fleet::{FilePort, is_id};
use super::present::{Usage, advised};

/// A camera in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfiguredCamera {
    pub(crate) name: Option<String>,
    /// Its address, id or source.
    pub(crate) camera: String,
    /// The path of the file, for errors.
    pub(crate) file: PathBuf,
}

impl ConfiguredCamera {
    /// Returns the camera as an address or id.
    ///
    /// # Errors
    /// It is another kind of source.
    pub(crate) fn arg(&self, port: FilePort) -> anyhow::Result<CameraArg> {
        match self.parsed() {
            Ok(camera) if port == FilePort::Drop => Ok(camera.without_port()),
            Ok(camera) => Ok(camera),
            Err(_) if port == FilePort::Drop && self.has_no_bootloader() => {
                let error = Usage(format!(
                    "{}, cameras: {} is not the address of a camera's bootloader",
                    self.file.display(),
                    without_password(&self.camera)
                ));
                let help =
                    format!("give the address or the id of the camera instead of {}", without_password(self.word()));
                Err(advised(error.into(), help))
            }
            Err(error) => Err(Usage(format!("{}, cameras: {error}", self.file.display())).into()),
        }
    }

    fn parsed(&self) -> Result<CameraArg, String> {
        #[cfg(feature = "http")]
        if let Ok(SourceSpec::Http(spec)) = self.camera.parse()
            && let Ok(ip) = spec.host.parse()
        {
            return Ok(CameraArg::Address { ip, port: None });
        }
        self.camera.strip_prefix("tcp://").unwrap_or(&self.camera).parse()
    }

    /// Returns whether it is a valid source at which no bootloader can be reached, such as a broker.
    pub(crate) fn has_no_bootloader(&self) -> bool {
        self.parsed().is_err() && self.camera.parse::<SourceSpec>().is_ok()
    }

    /// Returns whether it is the simulated stream of a camera.
    pub(crate) fn is_simulated_stream(&self) -> bool {
        matches!(self.camera.parse(), Ok(SourceSpec::Sim(_)))
    }

    /// Returns whether a word of a command line is its name. Upper and lower case are the same, as in [`same_name`].
    pub(crate) fn is_named(&self, word: &str) -> bool {
        self.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(word))
    }

    /// Returns the word of a command line that selects it.
    pub(crate) fn word(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.camera)
    }

    /// Returns help for a camera whose bootloader was not reached, if its entry has a port: that is the port of its stream.
    pub(crate) fn port_help(&self) -> Option<String> {
        let camera = self.parsed().ok()?;
        let port = camera.port().filter(|port| *port != wire::PORT)?;
        let (word, file) = (self.word(), self.file.display());
        Some(format!(
            "the port {port} of {word} in {file} is that of its stream; give `{camera}` on the command line to reach its \
             bootloader there"
        ))
    }

    /// Returns what two cameras cannot share: an address with its port, or an id. `None`: they can.
    fn key(&self) -> Option<String> {
        if is_id(&self.camera) {
            return Some(self.camera.to_lowercase());
        }
        match self.camera.parse().ok()? {
            SourceSpec::Tcp { host, port } => Some(format!("{}:{port}", host.to_lowercase())),
            SourceSpec::Listen { port, .. } => Some(format!("listen:{port}")),
            SourceSpec::Sim(_) | SourceSpec::File(_) => None,
            spec => Some(spec.to_string()),
        }
    }
}

/// A fault in the text of a configuration file, at this byte.
pub(crate) type Fault = (usize, String);

/// Says how to write a camera that is a table, which is either a name with a dot without quotes or a list of settings.
fn not_a_camera(name: &str, table: &DeTable<'_>) -> String {
    let setting = table.iter().find_map(|(key, value)| {
        let is_address = ["address", "host", "ip", "source", "uri", "url"].contains(&&**key.get_ref());
        value.get_ref().as_str().filter(|_| is_address || table.len() > 1)
    });
    match (setting, table.iter().next()) {
        (Some(address), _) => format!("a camera has only an address: write {name} = \"{}\"", without_password(address)),
        (None, Some((inner, value))) if value.get_ref().as_str().is_some() => {
            format!("a name with a dot needs quotes: \"{name}.{}\" = \"192.168.1.50\"", inner.get_ref())
        }
        (None, _) => format!("a camera has an address: write {name} = \"192.168.1.50\""),
    }
}

/// Returns the cameras of a configuration file, and every fault of them.
pub(crate) fn cameras(file: &DeTable<'_>) -> (Vec<ConfiguredCamera>, Vec<Fault>) {
    let Some((_, value)) = file.iter().find(|(key, _)| key.get_ref() == "cameras") else { return Default::default() };
    let (mut known, mut faults) = (Vec::new(), Vec::new());
    match value.get_ref() {
        DeValue::Table(table) => {
            for (name, camera) in table {
                let at = name.span().start;
                faults.extend(check_name(name.get_ref()).err().map(|error| (at, error)));
                let camera_at = camera.span().start;
                if let DeValue::Table(inner) = camera.get_ref() {
                    faults.push((camera_at, not_a_camera(name.get_ref(), inner)));
                    continue;
                }
                add(at, Some(name.get_ref().to_string()), text(camera), camera_at, &mut known, &mut faults);
            }
        }
        DeValue::Array(list) => {
            for camera in list {
                let at = camera.span().start;
                match text(camera).map(|text| split_name(text).map(|(name, camera)| (name.map(str::to_owned), camera)))
                {
                    Some(Ok((name, camera))) => add(at, name, Some(camera), at, &mut known, &mut faults),
                    Some(Err(error)) => faults.push((at, first_line(&error))),
                    None => add(at, None, None, at, &mut known, &mut faults),
                }
            }
        }
        other => {
            let expected =
                "a table such as [cameras] front = \"192.168.1.50\", or a list such as [\"192.168.1.50\", \"14442C\"]";
            faults
                .push((value.span().start, format!("`cameras` is of type {}; expected {expected}", other.type_str())));
        }
    }
    (known, faults)
}

fn text<'a>(value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
    value.get_ref().as_str()
}

/// Returns the beginning of the error of two cameras with one name.
pub(super) fn same_name(first: &str, second: &str) -> String {
    let case = if first == second {
        ""
    } else {
        " (upper and lower case are the same, because folders are named after cameras)"
    };
    format!("two cameras have the name `{second}`{case}")
}

/// The help of an error stands below all faults.
fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Adds the camera whose name is at byte `name_at` and whose address is at `camera_at`, or its faults.
fn add(
    name_at: usize,
    name: Option<String>,
    camera: Option<&str>,
    camera_at: usize,
    known: &mut Vec<ConfiguredCamera>,
    faults: &mut Vec<Fault>,
) {
    let Some(camera) = camera else {
        faults.push((camera_at, "expected a string such as \"192.168.1.50\"".to_owned()));
        return;
    };
    let is_valid = camera.parse::<CameraArg>().is_ok();
    if let Err(error) = camera.parse::<SourceSpec>()
        && !is_valid
    {
        // The help of all faults stands below them, but this one says what was meant.
        faults.push((camera_at, error.to_string().replace("\nhelp: ", "; ")));
    }
    let new = ConfiguredCamera { name, camera: camera.to_owned(), file: PathBuf::new() };
    let lower = |camera: &ConfiguredCamera| camera.name.as_ref().map(|name| name.to_lowercase());
    if let Some(name) = &new.name
        && let Some(other) = known.iter().find(|other| lower(other) == lower(&new))
    {
        let known = other.name.as_deref().unwrap_or_default();
        faults.push((
            name_at,
            format!("{}: {} and {}", same_name(known, name), without_password(&other.camera), without_password(camera)),
        ));
    }
    if let Some(key) = new.key()
        && let Some(other) = known.iter().find(|other| other.key().as_ref() == Some(&key))
    {
        let names = [other, &new].map(|camera| without_password(camera.word()));
        let camera = without_password(camera);
        faults.push((camera_at, format!("`{}` and `{}` are the same camera, {camera}", names[0], names[1])));
    }
    known.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_shows_a_password() {
        for text in [
            "[cameras]\na = \"http://admin:s3cret@10.0.0.5/x\"\nb = \"http://admin:s3cret@10.0.0.5/x\"",
            "[cameras]\na = \"http://admin:s3cret@10.0.0.5/x\"\nA = \"http://admin:s3cret@10.0.0.6/x\"",
            "[cameras]\na = \"http:/admin:s3cret@10.0.0.5/x\"",
            "[cameras]\na = \"htp://admin:s3cret@10.0.0.5/x\"",
            "[cameras]\na = { url = \"http://admin:s3cret@10.0.0.5/x\" }",
            "cameras = [\"http://admin:s3cret@10.0.0.5/x\", \"http://admin:s3cret@10.0.0.5/x\"]",
        ] {
            let table = DeTable::parse(text).expect("TOML");
            let (_, faults) = cameras(table.get_ref());
            assert!(!faults.is_empty(), "{text}");
            assert!(faults.iter().all(|(_, fault)| !fault.contains("s3cret")), "{faults:?}");
        }
    }
}

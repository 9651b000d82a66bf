//! The Script of a package, run on this computer: what a simulated camera sends when it boots that package.
//!
//! ```text
//! package --> Program: text, queues, what comes out of which node --start--> Running
//! Reel --pictures and boxes--> thread --pipe--> python3: nodes.py and the Script --TCP--> receivers
//! ```

mod running;

use std::collections::BTreeMap;
use std::io;

pub use running::Running;

use super::config::{Coding, SimConfig, SimError};
use crate::device::app::FPS_MAX;
use crate::device::contract::Contract;
use crate::device::nodes::Processor;
use crate::device::schema::{self, Direction, Pipeline, SchemaError};
use crate::device::script::ScriptParameters;
use crate::package::{ASSET_STORAGE, ASSETS, PIPELINE, Package, PackageError};

/// What a node sends to the Script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Picture,
    Boxes,
    System,
}

/// An input of the Script, and where its messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Input {
    name: String,
    blocking: bool,
    size: i64,
    /// Node and kind; `None` if nothing is linked to it that is known here.
    from: Option<(i64, Kind)>,
}

/// A Script and what is around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    text: String,
    /// In front of our own program.
    parameters: Option<ScriptParameters>,
    inputs: Vec<Input>,
    outputs: Vec<String>,
    contract: Option<Contract>,
    /// Pictures come out of an encoder.
    encoded: bool,
}

/// Why a Script does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum ProgramError {
    /// The package is damaged.
    #[error("the package cannot be run")]
    Package(#[from] PackageError),
    /// Its description is not understood.
    #[error("what the package consists of is not known here")]
    Schema(#[from] SchemaError),
    /// No node of it runs a program, or not where the network is.
    #[error("the package has no Script for LEON_CSS, so nothing in it sends a stream: found {found}")]
    NoScript { found: String },
    /// The text of the Script.
    #[error("the text of Script {node} is not in the package")]
    NoText { node: i64 },
    /// It cannot be shown what the application asks for.
    #[error("its pictures cannot be simulated")]
    Pictures(#[from] SimError),
    /// No Python.
    #[error("there is no `python3` here, which runs the program of a simulated camera: install Python 3.9 or later")]
    NoPython,
    /// The system refuses a process or a thread.
    #[error("the program cannot be started: {0}")]
    Start(#[source] io::Error),
}

impl Program {
    /// The Script of a package.
    ///
    /// # Errors
    /// It is damaged, or has none.
    pub fn of(package: &Package) -> Result<Self, ProgramError> {
        let section = |name| package.section(name).map(|section| package.section_bytes(section)).unwrap_or_default();
        let none = |found: &str| ProgramError::NoScript { found: found.to_owned() };
        if section(PIPELINE).is_empty() {
            return Err(none("a package without nodes"));
        }
        let pipeline = Pipeline::parse(section(PIPELINE))?;
        let scripts = pipeline.scripts()?;
        let script = scripts.iter().find(|script| script.processor == Processor::LeonCss as i64).ok_or_else(|| {
            let names: Vec<_> = pipeline.names().into_values().collect();
            none(&names.join(", "))
        })?;
        let no_text = ProgramError::NoText { node: script.node };
        let assets = schema::assets(section(ASSETS))?;
        let asset = assets.iter().find(|asset| Some(&asset.key) == script.asset.as_ref());
        let text = asset.and_then(|asset| asset.stored_in(section(ASSET_STORAGE))).ok_or(no_text)?;
        let text = String::from_utf8_lossy(text).into_owned();

        let names = pipeline.names();
        let (mut inputs, mut outputs, mut encoded) = (Vec::new(), Vec::new(), false);
        let ports = pipeline.nodes.iter().find(|node| node.id == script.node).map_or(&[][..], |node| &node.ports);
        for port in ports.iter().filter(|port| port.group == "io") {
            if port.direction == Direction::Out {
                outputs.push(port.name.clone());
                continue;
            }
            let link = pipeline.links.iter().find(|link| link.to.node == script.node && link.to.port == port.name);
            let from = link.and_then(|link| {
                let node = names.get(&link.from.node)?;
                encoded |= *node == "VideoEncoder";
                Some((link.from.node, kind(node, &link.from.port)?))
            });
            inputs.push(Input { name: port.name.clone(), blocking: port.blocking, size: port.queue_size, from });
        }
        let parameters = ScriptParameters::read(&text);
        let contract = package.app_name().and_then(|name| name.parse().ok());
        Ok(Self { text, parameters, inputs, outputs, contract, encoded })
    }

    /// Whether it is the program of this version of oaktap, with parameters that are values and nothing else: what a
    /// stranger may have sent can be run then.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.parameters.is_some()
    }

    /// Whether it says itself which pictures it sends, and how many a second.
    #[must_use]
    pub const fn tells_pictures(&self) -> bool {
        self.parameters.is_some() || self.contract.is_some()
    }

    /// What it shows: what the application says, and of the rest what `config` does.
    fn scene(&self, config: &SimConfig) -> SimConfig {
        let mut scene = config.clone();
        let told = self.parameters.as_ref().map(|own| (own.size, own.r#type.as_str(), own.fps));
        let contract = || self.contract.as_ref().map(|c| ((c.width, c.height), c.format.as_str(), c.fps));
        if let Some((size, format, fps)) = told.or_else(contract) {
            (scene.size, scene.fps) = (size, f64::from(fps));
            scene.format = format.parse().unwrap_or(scene.format);
        } else if self.encoded && !scene.format.is_encoded() {
            scene.format = Coding::JPEG;
        }
        if !(scene.fps > 0.0 && scene.fps <= f64::from(FPS_MAX)) {
            scene.fps = SimConfig::default().fps;
        }
        scene
    }

    /// The inputs by the node that fills them: what one node sends at a time gets there together or not at all.
    fn producers(&self) -> BTreeMap<i64, Vec<(&str, Kind)>> {
        let mut producers = BTreeMap::<_, Vec<_>>::new();
        for input in &self.inputs {
            if let Some((node, kind)) = input.from {
                producers.entry(node).or_default().push((input.name.as_str(), kind));
            }
        }
        producers
    }
}

/// What comes out of an output.
fn kind(node: &str, output: &str) -> Option<Kind> {
    match (node, output) {
        ("DetectionNetwork", "out") => Some(Kind::Boxes),
        ("SystemLogger", _) => Some(Kind::System),
        ("ColorCamera", "preview" | "video" | "isp")
        | ("ImageManip", "out")
        | ("VideoEncoder", "bitstream" | "out")
        | ("DetectionNetwork" | "NeuralNetwork", "passthrough") => Some(Kind::Picture),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::app::{App, Model, PayloadCoding, Size};
    use crate::device::{pipeline, script};

    fn package(app: &App, text: Option<&str>) -> Package {
        let checked = app.check(Some(app.size)).expect("it can be built");
        let ours = script::text(&checked);
        let blob = app.model.as_ref().map(|_| &b"no network"[..]);
        let firmware = pipeline::Firmware { image: b"MA2x".to_vec(), commit: "simulated".to_owned() };
        let bytes = pipeline::package(&checked, blob, text.unwrap_or(&ours), firmware, false).expect("a package");
        Package::parse(bytes).expect("it is whole")
    }

    #[test]
    fn a_package_tells_what_its_script_is_fed_with() {
        let app = App { model: Some(Model::new("m.blob")), size: Size::new(64, 48), fps: 12.0, ..App::default() };
        let program = Program::of(&package(&app, None)).expect("it has a Script");
        assert!(program.is_ours());
        let own = script::inputs(&app);
        let found = |name: &str| program.inputs.iter().find(|input| input.name == name).expect(name).clone();
        for input in own {
            let found = found(input.name);
            assert_eq!((found.blocking, found.size), (input.blocking, i64::from(input.queue_size)), "{}", input.name);
        }
        let (frame, boxes) = (found("frame").from.expect("linked"), found("detections").from.expect("linked"));
        assert_eq!((frame.1, boxes.1, frame.0 == boxes.0), (Kind::Picture, Kind::Boxes, true), "both of the network");
        assert_eq!(program.outputs, [script::OUTPUT]);
        let scene = program.scene(&"size=8x8&fps=0&boxes=7".parse().expect("a configuration"));
        assert_eq!((scene.size, scene.fps, scene.boxes), ((64, 48), 12.0, 7));
        let jpeg = App { payload: PayloadCoding::Jpeg { quality: 95 }, model: None, size: Size::new(64, 48), ..app };
        let program = Program::of(&package(&jpeg, None)).expect("it has a Script");
        assert_eq!(program.scene(&SimConfig::default()).format, Coding::JPEG);
    }

    #[test]
    fn other_scripts_are_told_apart() {
        let app = App { model: None, ..App::default() };
        let program = Program::of(&package(&app, Some("import os\nos.system('ls')"))).expect("it has a Script");
        assert!(!program.is_ours());
        let empty = crate::package::PackageBuilder::new(b"MA2x".to_vec()).build().expect("a package");
        let error = Program::of(&Package::parse(empty).expect("it is whole")).expect_err("no nodes").to_string();
        assert!(error.ends_with("found a package without nodes"), "{error}");
    }
}

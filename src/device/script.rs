//! The text that is flashed for the Script node: the parameters of an application as one line, and `script.py`.

use super::app::{App, Checked, Payload};

/// What runs on the camera, as it stands in `script.py`.
pub const PROGRAM: &str = include_str!("script.py");
/// What the line of parameters begins with.
const PARAMETERS: &str = "APP = ";

/// An input of the Script node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// What it is called.
    pub name: &'static str,
    /// Whether the sender waits when the queue is full; otherwise the oldest message goes.
    pub blocking: bool,
    /// Messages that may wait.
    pub queue_size: u32,
}

/// Where the program sends what the sensor is to do.
pub const OUTPUT: &str = "control";

/// The inputs that the program has in this application.
#[must_use]
pub fn inputs(app: &App) -> Vec<Input> {
    // The program takes a frame as soon as it has let the one before go, which waits for its boxes: four frames are what
    // a network is late by, and all the buffers that a camera has by default. Of a video no frame may be lost.
    let video = matches!(app.payload, Payload::H264(_) | Payload::H265(_));
    let mut inputs = vec![Input { name: "frame", blocking: video, queue_size: 4 }];
    if app.model.is_some() {
        inputs.push(Input { name: "detections", blocking: false, queue_size: 8 });
    }
    inputs.push(Input { name: "system", blocking: false, queue_size: 1 });
    inputs
}

/// The text for this application.
#[must_use]
pub fn text(checked: &Checked<'_>) -> String {
    let app = checked.app;
    let size = checked.sent();
    let mapping = checked.mapping();
    // 0: every picture stands alone.
    let keys = match app.payload {
        Payload::Raw | Payload::Jpeg { .. } => 0,
        Payload::H264(video) | Payload::H265(video) => video.keyframe_interval,
    };
    let labels: Vec<_> = checked.labels().iter().map(|label| quoted(label)).collect();
    format!(
        "{PARAMETERS}{{\"name\": {}, \"size\": ({}, {}), \"type\": {}, \"fps\": {:?}, \"labels\": [{}], \"model\": {}, \
         \"map\": ({:?}, {:?}, {:?}, {:?}), \"keys\": {keys}, \"port\": {}, \"host\": {}}}\n{PROGRAM}",
        quoted(&app.name),
        size.width,
        size.height,
        quoted(checked.format()),
        app.fps,
        labels.join(", "),
        if app.model.is_some() { "True" } else { "False" },
        mapping.x_scale,
        mapping.x_offset,
        mapping.y_scale,
        mapping.y_offset,
        app.port,
        app.host.map_or_else(|| "None".to_owned(), |host| quoted(&host.to_string())),
    )
}

/// The parameters, if this is the text of an application of ours and nothing else: a value that Python is to read, and
/// not to run.
#[must_use]
pub fn parameters(text: &str) -> Option<&str> {
    let (parameters, program) = text.strip_prefix(PARAMETERS)?.split_once('\n')?;
    (program == PROGRAM).then_some(parameters)
}

/// A Python string. All that gets here is printable ASCII: [`App::check`](super::app::App::check) has seen to it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::app::{App, Fit, Model, Picture, Resolution, Size, Video};
    use super::*;

    fn line(app: &App, input: Option<Size>) -> String {
        let text = text(&app.check(input).expect("it can be built"));
        assert!(text.is_ascii() && text.ends_with(PROGRAM));
        parameters(&text).expect("it is ours").to_owned()
    }

    #[test]
    fn an_application_is_one_line_of_python() {
        assert_eq!(
            line(&App::default(), None),
            "{\"name\": \"oaktap\", \"size\": (640, 352), \"type\": \"BGR888p\", \"fps\": 30.0, \"labels\": [], \
             \"model\": False, \"map\": (1.0, 0.0, 1.0, 0.0), \"keys\": 0, \"port\": 5000, \"host\": None}"
        );
        let mut model = Model::new("m.blob");
        (model.fit, model.labels) = (Fit::Letterbox, vec!["a \"b\\".to_owned(), "c".to_owned()]);
        let app = App {
            name: "door".to_owned(),
            fps: 29.97,
            size: Size::new(640, 320),
            resolution: Resolution::K4,
            payload: Payload::H265(Video { keyframe_interval: 60, ..Video::default() }),
            picture: Picture::Video,
            host: Some("10.0.0.7".parse().expect("an address")),
            model: Some(model),
            ..App::default()
        };
        let line = line(&app, Some(Size::new(320, 320)));
        assert!(line.contains("\"labels\": [\"a \\\"b\\\\\", \"c\"], \"model\": True"), "{line}");
        assert!(line.contains("\"size\": (3840, 2160), \"type\": \"H265\", \"fps\": 29.97"), "{line}");
        assert!(line.ends_with("\"keys\": 60, \"port\": 5000, \"host\": \"10.0.0.7\"}"), "{line}");
    }

    #[test]
    fn other_scripts_are_not_ours() {
        let ours = text(&App::default().check(None).expect("it can be built"));
        for text in ["print(1)", "APP = {}", &ours.replace("APP = ", "APP="), &format!("{ours}print(1)\n")] {
            assert_eq!(parameters(text), None, "{text}");
        }
    }
}

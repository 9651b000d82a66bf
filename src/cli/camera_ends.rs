//! The results of a command for several cameras: reported as they come, and listed at the end.

use std::sync::Mutex;

use oaktap::sync::locked;
use serde::Serialize;

use super::Ctx;
use super::present::{self, Refused, printable, with_help};

/// The success of a command for one of several cameras.
pub(crate) trait CameraResult {
    /// Returns the kind of success: a cell of the table, and a place in the total.
    fn success(&self) -> Success {
        Success::Done
    }
}

/// Kind of success of a command for a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    Done,
    /// The camera had nothing to save.
    NothingToSave,
    /// The camera had the package already, and was left alone.
    HasItAlready,
    /// The camera would be changed without `--dry-run`.
    Planned,
}

impl Success {
    /// Returns the cell of the table.
    const fn cell(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToSave => "nothing to save",
            Self::HasItAlready => "has it already",
            Self::Planned => "planned",
        }
    }
}

impl CameraResult for () {}

/// The failures that were printed, with the first camera of each: forty cameras can fail for one reason.
static REPORTED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
/// The result of one camera.
#[derive(Debug)]
pub(crate) enum End<T> {
    Done(T),
    Failed(anyhow::Error),
    /// The command stopped before its turn.
    NotTried,
    /// It is the same camera as this one.
    Same(String),
}

impl<T> From<anyhow::Result<T>> for End<T> {
    fn from(result: anyhow::Result<T>) -> Self {
        result.map_or_else(Self::Failed, Self::Done)
    }
}

/// One of several cameras, and its result.
#[derive(Debug)]
pub(crate) struct CameraEnd<T> {
    /// Its name, or the address or id that the user gave.
    pub(crate) camera: String,
    /// `None` if it was not found.
    pub(crate) id: Option<String>,
    /// `None` if it was not found.
    pub(crate) address: Option<String>,
    /// The word of a command line that selects it.
    pub(crate) word: String,
    /// The word that selects it when the command is repeated.
    pub(crate) retry: String,
    pub(crate) end: End<T>,
}

/// Prints the failure of one of several cameras, and with `--json` a line for it too.
pub(crate) fn report_failure(ctx: &Ctx, camera: &str, name: Option<&str>, error: &anyhow::Error) -> anyhow::Result<()> {
    let label = name.map_or_else(|| camera.to_owned(), |name| format!("{camera} ({name})"));
    let text = printable(&format!("{error:#}"));
    let known = {
        let mut reported = locked(&REPORTED);
        let known = reported.iter().find(|(known, _)| *known == text).map(|(_, first)| first.clone());
        if known.is_none() {
            reported.push((text, label.clone()));
        }
        known
    };
    if let Some(first) = known {
        present::always_say(&format!("error: {label}: {} failed for the same reason as {first}", ctx.command));
        return document_failure(ctx, camera, name, error);
    }
    present::failure_of(&format!("{label}: {} failed", ctx.command), error, ctx.command, Some(name.unwrap_or(camera)));
    document_failure(ctx, camera, name, error)
}

/// With `--json`, prints a line for the failure of a camera.
pub(crate) fn document_failure(
    ctx: &Ctx,
    camera: &str,
    name: Option<&str>,
    error: &anyhow::Error,
) -> anyhow::Result<()> {
    if !ctx.json {
        return Ok(());
    }
    let mut fields = present::details(error).cloned().unwrap_or_default();
    fields.insert("command".to_owned(), ctx.command.into());
    let id = fields.entry("id").or_insert_with(|| serde_json::Value::Null).as_str().map(str::to_owned);
    fields.insert("camera".to_owned(), name.map(str::to_owned).or(id).unwrap_or_else(|| camera.to_owned()).into());
    fields.insert("error".to_owned(), printable(&format!("{error:#}")).into());
    present::document(&fields)
}

/// The line of `--json` after those of several cameras. Each camera is in one of its lists, or counted in `done`.
#[derive(Serialize)]
struct Total<'a> {
    command: &'static str,
    /// Number of cameras.
    cameras: usize,
    done: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nothing_to_save: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_it_already: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    planned: Vec<&'a str>,
    failed: Vec<&'a str>,
    not_tried: Vec<&'a str>,
    /// Given twice: by its address and its id, for example.
    same: Vec<&'a str>,
}

#[derive(Serialize)]
struct TotalLine<'a> {
    total: Total<'a>,
}

impl<'a> TotalLine<'a> {
    fn new<T: CameraResult>(ctx: &Ctx, cameras: &'a [CameraEnd<T>]) -> Self {
        let with = |success| those(cameras, |end| matches!(end, End::Done(result) if result.success() == success));
        let total = Total {
            command: ctx.command,
            cameras: cameras.len(),
            done: with(Success::Done).len(),
            nothing_to_save: with(Success::NothingToSave),
            has_it_already: with(Success::HasItAlready),
            planned: with(Success::Planned),
            failed: those(cameras, |end| matches!(end, End::Failed(_))),
            not_tried: those(cameras, |end| matches!(end, End::NotTried)),
            same: those(cameras, |end| matches!(end, End::Same(_))),
        };
        Self { total }
    }
}

/// Returns the names of the cameras with such an end.
fn those<T>(cameras: &[CameraEnd<T>], wanted: impl Fn(&End<T>) -> bool) -> Vec<&str> {
    cameras.iter().filter(|camera| wanted(&camera.end)).map(|camera| camera.camera.as_str()).collect()
}

/// Prints a table of the results, and returns them in the order of the cameras.
///
/// # Errors
/// One of them is not a success. The error is a refusal if every failure is one.
pub(crate) fn finish<T: CameraResult>(ctx: &Ctx, cameras: Vec<CameraEnd<T>>) -> anyhow::Result<Vec<T>> {
    present::say(&table(&cameras));
    if ctx.json {
        present::result(present::json(&TotalLine::new(ctx, &cameras))?.as_bytes())?;
    }
    let text = problems(&cameras);
    if text.is_empty() {
        let done = |camera: CameraEnd<T>| if let End::Done(result) = camera.end { Some(result) } else { None };
        return Ok(cameras.into_iter().filter_map(done).collect());
    }
    if ctx.stop.asked() {
        return Err(present::stopped(format!("stopped; {text}")));
    }
    let refused = |camera: &CameraEnd<T>| match &camera.end {
        End::Failed(error) => present::is_refusal(error),
        _ => true,
    };
    let error = if cameras.iter().all(refused) { Refused(text).into() } else { anyhow::Error::msg(text) };
    Err(with_help(error, again(ctx.command, &cameras)))
}

/// Returns the help that selects the cameras to try again. `None`: they are all cameras. The others would be reset for
/// nothing.
fn again<T>(command: &str, cameras: &[CameraEnd<T>]) -> Option<String> {
    let is_open = |camera: &&CameraEnd<T>| matches!(camera.end, End::Failed(_) | End::NotTried);
    let open: Vec<_> = cameras.iter().filter(is_open).map(|camera| camera.retry.clone()).collect();
    let all: Vec<_> = cameras.iter().map(|camera| camera.word.as_str()).collect();
    let different = cameras.iter().filter(|camera| !matches!(camera.end, End::Same(_))).count();
    (open.len() < different)
        .then(|| format!("for the cameras that are not done: {}", printable(&present::again_for(command, &all, &open))))
}

/// Returns a row for each camera, and below them the causes of the failures: a cell is too narrow for them.
fn table<T: CameraResult>(cameras: &[CameraEnd<T>]) -> String {
    let mut rows = vec![["camera", "id", "address", "result"].map(str::to_owned)];
    for CameraEnd { camera, id, address, end, .. } in cameras {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let result = match end {
            End::Done(result) => result.success().cell().to_owned(),
            End::Failed(_) => "failed".to_owned(),
            End::NotTried => "not tried".to_owned(),
            End::Same(other) => format!("the same camera as {other}"),
        };
        rows.push([camera.clone(), or_none(id), or_none(address), result]);
    }
    let mut text = present::aligned(&rows, 4).trim_end().to_owned();
    for (cause, names) in causes(cameras) {
        text.push_str(&format!("\nfailed: {}: {cause}", present::listed(&names).trim_start()));
    }
    text
}

/// Returns each cause of a failure in one line, with the names of its cameras.
fn causes<T>(cameras: &[CameraEnd<T>]) -> Vec<(String, Vec<&str>)> {
    let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
    for CameraEnd { camera, end, .. } in cameras {
        let End::Failed(error) = end else { continue };
        let cause = printable(&format!("{error:#}")).replace('\n', " ");
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, names)) => names.push(camera),
            None => causes.push((cause, vec![camera])),
        }
    }
    causes
}

/// Names the cameras that failed or were not tried. Empty if there are none.
fn problems<T>(cameras: &[CameraEnd<T>]) -> String {
    let failed = those(cameras, |end| matches!(end, End::Failed(_)));
    let not_tried = those(cameras, |end| matches!(end, End::NotTried));
    let mut parts = Vec::new();
    if !failed.is_empty() {
        parts.push(format!("{} of {} cameras failed: {}", failed.len(), cameras.len(), present::listed(&failed)));
    }
    if !not_tried.is_empty() {
        parts.push(format!("not tried: {}", present::listed(&not_tried)));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::signals::Stop;

    impl CameraResult for u8 {
        fn success(&self) -> Success {
            match self {
                7 => Success::HasItAlready,
                8 => Success::Planned,
                _ => Success::Done,
            }
        }
    }

    fn ends(ends: Vec<End<u8>>) -> Vec<CameraEnd<u8>> {
        let camera = |(at, end)| {
            let camera = format!("c{at}");
            CameraEnd { word: camera.clone(), retry: camera.clone(), camera, id: None, address: None, end }
        };
        ends.into_iter().enumerate().map(camera).collect()
    }

    #[test]
    fn failures_and_cameras_that_were_not_tried_are_named() {
        let ctx = Ctx { command: "erase", json: false, stop: Stop::default() };
        let failed = || End::Failed(anyhow::anyhow!("no reply"));
        let refused = || End::Failed(Refused("in use".to_owned()).into());
        let done = finish(&ctx, ends(vec![End::Done(1), End::Same("c0".to_owned()), End::Done(3)]));
        assert_eq!(done.expect("no failure"), [1, 3]);
        for (results, text, is_refusal) in [
            (vec![End::Done(1), failed()], "1 of 2 cameras failed: c1", false),
            (vec![refused(), failed(), End::Done(1)], "2 of 3 cameras failed: c0, c1", false),
            (vec![refused(), End::NotTried], "1 of 2 cameras failed: c0; not tried: c1", true),
        ] {
            let error = finish(&ctx, ends(results)).expect_err("a failure");
            assert_eq!((error.to_string().as_str(), present::is_refusal(&error)), (text, is_refusal));
        }
    }

    #[test]
    fn the_help_selects_the_cameras_that_are_not_done() {
        let failed = || End::Failed(anyhow::anyhow!("no reply"));
        let mut cameras = ends(vec![End::Done(1), failed(), End::Same("c0".to_owned()), End::NotTried, failed()]);
        cameras[4].retry = "door=sim:?a=1&b='".to_owned();
        let help = again("flash", &cameras).expect("one is done");
        let start = r"for the cameras that are not done: oaktap c1 c3 'door=sim:?a=1&b='\'''";
        assert!(help.starts_with(start), "{help}");
        assert_eq!(again("flash", &ends(vec![failed(), End::NotTried])), None);
    }

    #[test]
    fn the_total_counts_every_camera_once() {
        let ctx = Ctx { command: "flash", json: true, stop: Stop::default() };
        let failed = End::Failed(anyhow::anyhow!("no reply"));
        let ends = ends(vec![End::Done(1), failed, End::Same("c0".to_owned()), End::NotTried]);
        let line = present::json(&TotalLine::new(&ctx, &ends)).expect("JSON");
        let expected =
            r#"{"total":{"command":"flash","cameras":4,"done":1,"failed":["c1"],"not_tried":["c3"],"same":["c2"]}}"#;
        assert_eq!(line.trim_end(), expected);
        let ends = self::ends(vec![End::Done(7), End::Done(8), End::Done(1), End::Done(7)]);
        let line = present::json(&TotalLine::new(&ctx, &ends)).expect("JSON");
        let expected = r#""done":1,"has_it_already":["c0","c3"],"planned":["c1"],"failed":[]"#;
        assert!(line.contains(expected), "{line}");
    }

    #[test]
    fn every_camera_has_a_row() {
        const LONG: &str = "no reply from a camera at 192.168.1.51, UDP port 11491, within 2 s\nand a second line";
        let failed = || End::Failed(anyhow::anyhow!(LONG).context("cannot enter its bootloader"));
        let mut ends = ends(vec![End::Done(1), failed(), End::NotTried, failed()]);
        ends[0].id = Some("14442C".to_owned());
        ends[0].address = Some("192.168.1.50".to_owned());
        assert_eq!(
            table(&ends),
            "camera  id      address       result\n\
             c0      14442C  192.168.1.50  done\n\
             c1      -       -             failed\n\
             c2      -       -             not tried\n\
             c3      -       -             failed\n\
             failed: c1, c3: cannot enter its bootloader: no reply from a camera at 192.168.1.51, UDP port 11491, within \
             2 s and a second line"
        );
    }
}

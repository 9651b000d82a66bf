//! The results of a command for several cameras: reported as they come, and listed at the end.

use serde::Serialize;

use super::Ctx;
use super::present::{self, Refused, printable};

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
    pub(crate) end: End<T>,
}

/// Prints the failure of one of several cameras, and with `--json` a line for it too.
pub(crate) fn report_failure(
    ctx: &Ctx,
    camera: String,
    name: Option<&str>,
    error: &anyhow::Error,
) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct FailureReport<'a> {
        command: &'static str,
        camera: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        error: String,
    }
    let label = name.map_or_else(|| camera.clone(), |name| format!("{camera} ({name})"));
    present::failure_of(&format!("{label}: {} failed", ctx.command), error, ctx.command);
    if !ctx.json {
        return Ok(());
    }
    let (command, error) = (ctx.command, printable(&format!("{error:#}")));
    present::document(&FailureReport { command, camera, name, error })
}

/// Prints a table of the results, and returns them in the order of the cameras.
///
/// # Errors
/// One of them is not a success. The error is a refusal if every failure is one.
pub(crate) fn finish<T>(ctx: &Ctx, cameras: Vec<CameraEnd<T>>) -> anyhow::Result<Vec<T>> {
    present::say(&table(&cameras));
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
    Err(if cameras.iter().all(refused) { Refused(text).into() } else { anyhow::Error::msg(text) })
}

fn table<T>(cameras: &[CameraEnd<T>]) -> String {
    let mut rows = vec![["camera", "id", "address", "result"].map(str::to_owned)];
    for CameraEnd { camera, id, address, end } in cameras {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let result = match end {
            End::Done(_) => "done".to_owned(),
            End::Failed(error) => format!("failed: {error}"),
            End::NotTried => "not tried".to_owned(),
            End::Same(other) => format!("the same camera as {other}"),
        };
        rows.push([camera.clone(), or_none(id), or_none(address), result]);
    }
    present::aligned(&rows, 4).trim_end().to_owned()
}

/// Names the cameras that failed or were not tried. Empty if there are none.
fn problems<T>(cameras: &[CameraEnd<T>]) -> String {
    let those = |wanted: fn(&End<T>) -> bool| {
        cameras.iter().filter(|camera| wanted(&camera.end)).map(|camera| camera.camera.as_str()).collect::<Vec<_>>()
    };
    let (failed, not_tried) = (those(|end| matches!(end, End::Failed(_))), those(|end| matches!(end, End::NotTried)));
    let mut parts = Vec::new();
    if !failed.is_empty() {
        parts.push(format!("{} of {} cameras failed: {}", failed.len(), cameras.len(), failed.join(", ")));
    }
    if !not_tried.is_empty() {
        parts.push(format!("not tried: {}", not_tried.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::signals::Stop;

    fn ends(ends: Vec<End<u8>>) -> Vec<CameraEnd<u8>> {
        let camera = |(at, end)| CameraEnd { camera: format!("c{at}"), id: None, address: None, end };
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
    fn every_camera_has_a_row() {
        let mut ends = ends(vec![End::Done(1), End::Failed(anyhow::anyhow!("no reply")), End::NotTried]);
        ends[0].id = Some("14442C".to_owned());
        ends[0].address = Some("192.168.1.50".to_owned());
        assert_eq!(
            table(&ends),
            "camera  id      address       result\n\
             c0      14442C  192.168.1.50  done\n\
             c1      -       -             failed: no reply\n\
             c2      -       -             not tried"
        );
    }
}

//! Cameras whose video cannot be decoded.

use serde_json::Value;

use crate::program::run;

/// Valid parameter sets before slices of noise.
const NOISE: &str = "noise=sim:?format=H265&size=64x48&fps=60";
const GOOD: &str = "good=sim:?size=64x48&fps=60";

/// Returns the counts of a camera at the end.
fn camera<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let cameras = summary["summary"]["cameras"].as_array().expect("cameras");
    cameras.iter().find(|camera| camera["camera"] == name).expect(name)
}

#[test]
fn a_camera_without_a_picture_fails_alone_and_beside_one_that_works() {
    for (sources, expected) in [(&[NOISE][..], 1), (&[NOISE, GOOD], 3)] {
        let (code, out, said) = run(&[&["view", "--no-window", "--json", "-n", "30"], sources].concat());
        assert_eq!(code, expected, "{said}");
        let summary: Value = serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
        let noise = camera(&summary, "noise");
        let reason =
            format!("none of {} frames could be shown: cannot decode this H.265 frame", noise["frames"]["received"]);
        assert!(noise["error"].as_str().expect("an error").starts_with(&reason), "{noise}");
        assert!(said.contains("cannot show the stream of noise (sim:?") && said.contains(&reason), "{said}");
        assert!(said.contains("help: `oaktap record` keeps the video as it is"), "{said}");
        if let [_, _] = sources {
            assert!(said.contains("noise: exit code 3: cannot show the stream of noise"), "{said}");
            assert_eq!(camera(&summary, "good")["error"], Value::Null);
        }
    }
}

#[test]
fn a_snapshot_of_video_that_cannot_be_decoded_names_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a name");
    for (sources, expected, files) in [(&[NOISE][..], 1, 0), (&[NOISE, GOOD], 3, 1)] {
        let (code, out, said) = run(&[&["snapshot", "-d", "3s", "-o", folder], sources].concat());
        assert_eq!((code, out.lines().count()), (expected, files), "{said}");
        assert!(said.contains("cannot show the stream of noise"), "{said}");
        assert!(said.contains("could be shown: cannot decode this H.265 frame"), "{said}");
        assert!(!said.contains("pictures were written before"), "the reason is enough: {said}");
    }
}

/// Frames that only take boxes from the stream need no decoder.
#[test]
fn the_size_of_video_is_known_without_decoding_it() {
    let (code, out, said) = run(&["detections", "-n", "3", "sim:?format=H265&size=98x66&fps=60"]);
    assert_eq!(code, 0, "{said}");
    for line in out.lines() {
        let frame: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&frame["width"], &frame["height"], &frame["format"]), (&98.into(), &66.into(), &"H265".into()));
    }
}

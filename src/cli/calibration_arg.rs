//! The argument of `--camera-info`.

use std::path::Path;

use oaktap::sink::publish::Calibration;

use super::text_file::read_text;

/// The calibration of a camera.
#[derive(Clone, Debug)]
pub(crate) struct CalibrationArg {
    /// Name of the camera; `None` for the only one.
    pub(crate) camera: Option<String>,
    pub(crate) calibration: Calibration,
}

/// Parses `[NAME=]FILE`, and reads the file, which is YAML as camera_calibration of ROS writes it.
pub(crate) fn calibration(word: &str) -> Result<CalibrationArg, String> {
    // A file may have `=` in its name.
    let (camera, file) = match word.split_once('=') {
        Some((name, file)) if !name.contains('/') && !Path::new(word).exists() => (Some(name.to_owned()), file),
        _ => (None, word),
    };
    let text = read_text(Path::new(file)).map_err(|error| format!("{error:#}"))?;
    Ok(CalibrationArg { camera, calibration: parse(&text)? })
}

fn parse(text: &str) -> Result<Calibration, String> {
    serde_saphyr::from_str(text).map_err(|error| {
        // The first line of the error; the others quote the file.
        let why = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("expected the YAML file that camera_calibration of ROS writes: {why}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `cameracalibrator` writes it.
    const FILE: &str = "\
image_width: 640
image_height: 400
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [ 500.5,   0. , 320. ,
            0. , 501.25, 200. ,
            0. ,   0. ,   1. ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 1e-3, -2.5e-05, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [ 510. ,   0. , 321. , 0., 0., 511., 201., 0., 0., 0., 1., 0. ]
";

    #[test]
    fn a_file_of_camera_calibration_is_read() {
        let Calibration { size, distortion_model, distortion, camera, projection, .. } = parse(FILE).expect("valid");
        assert_eq!((size.width, size.height, &*distortion_model), (640, 400, "plumb_bob"));
        assert_eq!(distortion, [0.1, -0.2, 1e-3, -2.5e-5, 0.0]);
        assert_eq!((camera[0], camera[4], camera[8]), (500.5, 501.25, 1.0));
        assert_eq!((projection[0], projection[2], projection[10]), (510.0, 321.0, 1.0));
    }

    #[test]
    fn names_and_files_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a=b.yaml");
        std::fs::write(&file, FILE).expect("a file");
        let file = file.to_str().expect("UTF-8");
        assert_eq!(calibration(file).expect("valid").camera, None);
        assert_eq!(calibration(&format!("front={file}")).expect("valid").camera.as_deref(), Some("front"));
        assert!(calibration("front=nowhere.yaml").unwrap_err().contains("cannot read nowhere.yaml"));
    }

    #[test]
    fn other_files_are_explained() {
        for (text, why) in [
            ("image_width: 640\nimage_height: 400\n", "camera_matrix"),
            ("{", "expected the YAML file"),
            (
                &FILE.replace("rows: 3\n  cols: 4", "rows: 3\n  cols: 3"),
                "`projection_matrix` has 12 numbers; expected 3 rows of 3",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("expected the YAML file that camera_calibration of ROS writes: "), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }
}

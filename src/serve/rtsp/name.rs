//! Names of cameras in URLs.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::source::unescape;

/// The only track of a camera.
pub(super) const TRACK: &str = "trackID=0";

/// Returns the URL of a camera on a server.
#[must_use]
pub fn url(server: SocketAddr, camera: &str) -> String {
    let mut url = format!("rtsp://{server}/");
    for byte in camera.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Returns the name of the camera in the path of a URL, or `None` if the path is not valid UTF-8.
pub(super) fn camera_in(path: &str) -> Option<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix(TRACK).unwrap_or(path);
    String::from_utf8(unescape(path.strip_suffix('/').unwrap_or(path))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_camera_leads_back_to_its_name() {
        let server = "[::1]:8554".parse().expect("an address");
        for name in ["front", "192.168.1.50:5001", "a b/ü%41?#", "100%", "%", ""] {
            let url = url(server, name);
            let path = url.strip_prefix("rtsp://[::1]:8554").expect("the address first");
            for path in [path.to_owned(), format!("{path}/"), format!("{path}/{TRACK}")] {
                assert_eq!(camera_in(&path).as_deref(), Some(name), "{path}");
            }
            assert!(url.is_ascii() && !url.contains([' ', '?', '#']), "{url}");
        }
        assert_eq!(camera_in("/%ff"), None);
        assert_eq!(camera_in("/../front").as_deref(), Some("../front"), "the name of no camera");
    }
}

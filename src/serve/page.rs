//! The files of the page. They are part of the program.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::guard::refuse;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

const INDEX: &str = include_str!("page/index.html");

/// Name, type and text of each file.
const FILES: [(&str, &str, &str); 18] = [
    ("boxes.js", SCRIPT, include_str!("page/boxes.js")),
    ("controls.js", SCRIPT, include_str!("page/controls.js")),
    ("curve.js", SCRIPT, include_str!("page/curve.js")),
    ("files.js", SCRIPT, include_str!("page/files.js")),
    ("filter.js", SCRIPT, include_str!("page/filter.js")),
    ("icon.svg", ICON, include_str!("page/icon.svg")),
    ("keys.js", SCRIPT, include_str!("page/keys.js")),
    ("layout.js", SCRIPT, include_str!("page/layout.js")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("picture.js", SCRIPT, include_str!("page/picture.js")),
    ("recordings.js", SCRIPT, include_str!("page/recordings.js")),
    ("replay.js", SCRIPT, include_str!("page/replay.js")),
    ("session.js", SCRIPT, include_str!("page/session.js")),
    ("socket.js", SCRIPT, include_str!("page/socket.js")),
    ("style.css", CSS, include_str!("page/style.css")),
    ("tile.js", SCRIPT, include_str!("page/tile.js")),
    ("timeline.js", SCRIPT, include_str!("page/timeline.js")),
    ("video.js", SCRIPT, include_str!("page/video.js")),
];

/// `/`
pub(super) async fn index() -> Response {
    ([(header::CONTENT_TYPE, HTML)], INDEX).into_response()
}

/// `/page/NAME`
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::class_color;

    #[test]
    fn classes_have_the_colors_of_the_window() {
        let (.., script) = FILES.iter().find(|(name, ..)| *name == "boxes.js").expect("the script");
        let (_, list) = script.split_once("const COLORS = [").expect("the colors");
        let (list, _) = list.split_once("];").expect("their end");
        let found: Vec<String> = list.split('"').filter(|part| part.starts_with('#')).map(str::to_owned).collect();
        let expected: Vec<String> = (0..80).map(|label| format!("#{:06x}", class_color(label))).collect();
        assert_eq!(found, expected);
        assert_eq!(class_color(80), class_color(0), "the palette has no more colors");
    }

    #[test]
    fn every_file_that_the_page_names_is_served_and_no_other_server_is_named() {
        let mut named = 0;
        for (name, _, text) in FILES.iter().copied().chain([("", HTML, INDEX)]) {
            for part in text.split(['"', '\'', '`']).filter(|part| part.starts_with("/page/") || part.starts_with("./"))
            {
                let file = part.trim_start_matches("/page/").trim_start_matches("./");
                assert!(FILES.iter().any(|(known, ..)| *known == file), "{name} names {part}");
                named += 1;
            }
            let foreign =
                text.match_indices("://").filter(|(at, _)| !text[..*at].ends_with("http") || name != "icon.svg");
            assert_eq!(foreign.count(), 0, "{name}");
        }
        assert!(named >= FILES.len(), "{named}");
    }
}

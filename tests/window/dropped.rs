//! Files dropped on the window, by a client that speaks XDND as a file manager does.

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, SELECTION_NOTIFY_EVENT,
    SelectionNotifyEvent, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::*;

/// A file manager from which something is dragged.
struct FileManager {
    connection: RustConnection,
    window: u32,
    target: u32,
}

impl FileManager {
    fn on(bench: &Bench) -> Self {
        let (connection, screen) = x11rb::connect(Some(&bench.display)).expect("the X server");
        let root = connection.setup().roots[screen].root;
        let window = connection.generate_id().expect("a number");
        let (kind, none) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        connection.create_window(0, window, root, 0, 0, 1, 1, 0, kind, 0, &none).expect("a window");
        Self { connection, window, target: bench.window.parse().expect("a number") }
    }

    fn atom(&self, name: &str) -> u32 {
        self.connection.intern_atom(false, name.as_bytes()).expect("sent").reply().expect("an atom").atom
    }

    fn send(&self, kind: &str, [one, two, three, four]: [u32; 4]) {
        let message = ClientMessageEvent::new(32, self.target, self.atom(kind), [self.window, one, two, three, four]);
        self.connection.send_event(false, self.target, EventMask::NO_EVENT, message).expect("sent");
        self.connection.flush().expect("sent");
    }

    /// Returns the next message of this kind to the file manager, and sends what is dragged when the window asks for it.
    fn answer(&self, kind: &str, list: &str) -> [u32; 5] {
        let kind = self.atom(kind);
        wait_for("an answer of the window", || match self.connection.poll_for_event().expect("a connection")? {
            Event::ClientMessage(message) if message.type_ == kind => Some(message.data.as_data32()),
            Event::SelectionRequest(asked) => {
                let (property, target) = (asked.property, asked.target);
                assert_eq!(target, self.atom("text/uri-list"));
                let mode = PropMode::REPLACE;
                self.connection
                    .change_property8(mode, asked.requestor, property, target, list.as_bytes())
                    .expect("sent");
                let notify = SelectionNotifyEvent {
                    response_type: SELECTION_NOTIFY_EVENT,
                    sequence: 0,
                    time: asked.time,
                    requestor: asked.requestor,
                    selection: asked.selection,
                    target,
                    property,
                };
                self.connection.send_event(false, asked.requestor, EventMask::NO_EVENT, notify).expect("sent");
                self.connection.flush().expect("sent");
                None
            }
            _ => None,
        })
    }

    /// Drags data of these types over the window and drops it, if the window accepts it. Returns whether it did.
    fn drop(&self, types: &[&str], list: &str) -> bool {
        let types: Vec<u32> = types.iter().map(|name| self.atom(name)).collect();
        let property = self.atom("XdndAware");
        let aware = self.connection.get_property(false, self.target, property, AtomEnum::ANY, 0, 1).expect("sent");
        let version = aware.reply().expect("a reply").value32().and_then(|mut words| words.next()).expect("XdndAware");
        assert_eq!(version, 5);
        let selection = self.atom("XdndSelection");
        self.connection.set_selection_owner(self.window, selection, 0_u32).expect("sent");
        let (more, first) = if types.len() > 3 {
            let property = self.atom("XdndTypeList");
            self.connection
                .change_property32(PropMode::REPLACE, self.window, property, AtomEnum::ATOM, &types)
                .expect("sent");
            (1, [0; 3])
        } else {
            (0, [0, 1, 2].map(|at| types.get(at).copied().unwrap_or(0)))
        };
        self.send("XdndEnter", [version << 24 | more, first[0], first[1], first[2]]);
        self.send("XdndPosition", [0, 300 << 16 | 200, 0, self.atom("XdndActionCopy")]);
        let [window, flags, ..] = self.answer("XdndStatus", list);
        assert_eq!(window, self.target);
        if flags & 1 == 0 {
            self.send("XdndLeave", [0; 4]);
            return false;
        }
        self.send("XdndDrop", [0; 4]);
        self.answer("XdndFinished", list)[1] & 1 == 1
    }
}

/// A recording that is dropped on the window of a live camera plays there; one that cannot be played leaves the camera, with
/// the reason.
#[test]
fn a_file_that_is_dropped_on_the_window_is_played() {
    let recording = Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], 60);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("an evening.mcap");
    std::fs::copy(recording.path(), &path).expect("a copy");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no recording").expect("a file");
    let Some(bench) = Bench::managed("1400x900", "view", &["sim:?fps=10".to_owned()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    let title = || bench.xdotool(&["getwindowname", &bench.window]).expect("a name").trim().to_owned();
    let manager = FileManager::on(&bench);
    let uri = |path: &Path| format!("file://{}\r\n", path.to_str().expect("a name").replace(' ', "%20"));

    assert!(!manager.drop(&["text/plain", "UTF8_STRING"], ""), "text is not accepted");
    // The note about it is written over the picture, in a panel in the middle.
    bench.hide_hud();
    let is_dark = |seen: &RgbImage, rows: std::ops::Range<u32>| {
        (200..440).any(|x| rows.clone().all(|y| seen.get_pixel(x, y).0.iter().all(|it| *it < 90)))
    };
    let is_noted = |seen: &RgbImage| is_dark(seen, 318..345);
    bench.until("no note", |seen| !is_noted(seen));
    assert!(manager.drop(&["text/uri-list"], &uri(&text)), "the list itself is fine");
    bench.until("a note", is_noted);
    assert!(!manager.drop(&["text/uri-list"], "https://example.com/a.mcap\r\n"));
    assert_eq!(title(), "oaktap - sim-1");

    let types = ["text/x-moz-url", "_NETSCAPE_URL", "text/plain", "text/uri-list", "UTF8_STRING"];
    assert!(manager.drop(&types, &uri(&path)));
    wait_for("its title", || (title() == "oaktap - cam 0").then_some(()));
    bench.key("space");
    bench.key("Home");
    let shows = |seen: &RgbImage, at: usize| {
        let (payload, scale) = (recording.frames[0][at].payload(), 264.0 / 352.0);
        // Scaled to the size of the window, between the texts.
        (100..250).step_by(7).all(|y| {
            (100..300).step_by(7).all(|x| {
                let pixel = |x: f64, y: f64| payload[(y as usize) * 480 + x as usize];
                let (low, high) = [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (0.0, 0.0)].iter().fold(
                    (255, 0),
                    |(low, high): (u8, u8), (dx, dy)| {
                        let value = pixel(f64::from(x) * scale + dx, f64::from(y) * scale + dy);
                        (low.min(value), high.max(value))
                    },
                );
                let seen = seen.get_pixel(x, y).0[1];
                (low.saturating_sub(24)..=high.saturating_add(24)).contains(&seen)
            })
        })
    };
    bench.until("its first picture", |seen| seen.dimensions() == (640, 352) && shows(seen, 0));
    bench.key("End");
    bench.until("its last picture", |seen| shows(seen, 59));

    // While it records, nothing is dropped.
    bench.key("r");
    wait_for("a recording", || bench.folder.path().join("recordings").exists().then_some(()));
    assert!(manager.drop(&["text/uri-list"], &uri(&path)));
    // Above the timeline of the paused recording.
    bench.until("a note again", |seen| is_dark(seen, 296..320));
    bench.key("q");
    bench.key("y");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
    // A summary of the camera, and one of the recording.
    assert_eq!(said.matches("frames  shown").count(), 2, "{said}");
}

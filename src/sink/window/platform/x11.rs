//! A connection to the X server of our own, next to the one of minifb.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use raw_window_handle::{HasDisplayHandle as _, HasWindowHandle as _, RawDisplayHandle, RawWindowHandle};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageOrder, Setup, VisualClass, Visualtype,
};
use x11rb::rust_connection::RustConnection;

use super::xlib;

/// The X server, before a window is open. `None`: a Wayland compositor without an X server.
#[derive(Debug)]
pub(in super::super) struct Display(Option<Server>);

#[derive(Debug)]
struct Server {
    connection: RustConnection,
}

impl Display {
    /// Connects to the display of the environment and checks that minifb can draw on its screen. On screens of other depths
    /// minifb crashes or shows other colors.
    pub(in super::super) fn ask() -> Result<Self, String> {
        xlib::keep_process_on_errors();
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let Some(name) = set("DISPLAY") else {
            return match (wayland_answers(), set("WAYLAND_DISPLAY")) {
                (true, _) => Ok(Self(None)),
                (false, None) => Err("no display: DISPLAY and WAYLAND_DISPLAY are not set".to_owned()),
                (false, Some(name)) => Err(format!(
                    "no Wayland compositor answers at `{}` (WAYLAND_DISPLAY), and DISPLAY is not set",
                    name.to_string_lossy()
                )),
            };
        };
        let name = name.to_string_lossy();
        let (connection, screen) = match RustConnection::connect(None) {
            Ok(connected) => connected,
            Err(_) if wayland_answers() => return Ok(Self(None)),
            Err(error) => return Err(format!("no X server answers at `{name}` (DISPLAY): {error}")),
        };
        check_screen(connection.setup(), screen).map_err(|found| format!("the X display `{name}` {found}"))?;
        Ok(Self(Some(Server { connection })))
    }
}

/// Returns whether a Wayland compositor accepts connections. minifb prefers it to an X server.
fn wayland_answers() -> bool {
    if env::var_os("WAYLAND_SOCKET").is_some() {
        return true;
    }
    let Some(name) = env::var_os("WAYLAND_DISPLAY").filter(|name| !name.is_empty()) else { return false };
    // An absolute name replaces the folder.
    let path = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").unwrap_or_default()).join(name);
    UnixStream::connect(path).is_ok()
}

/// Checks that pixels of a screen are words `0x00RRGGBB` in this host's byte order.
fn check_screen(setup: &Setup, screen: usize) -> Result<(), String> {
    const EXPECTED: &str = "expected 24 bits of color in pixels of 32 bits (red ff0000, green ff00, blue ff)";
    let screen = setup.roots.get(screen).ok_or_else(|| format!("has no screen {screen}"))?;
    let visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
    let visual = visuals.copied().find(|visual| visual.visual_id == screen.root_visual).unwrap_or_default();
    let Visualtype { class, red_mask, green_mask, blue_mask, .. } = visual;
    let depth = screen.root_depth;
    let bits = setup.pixmap_formats.iter().find(|format| format.depth == depth).map_or(0, |form| form.bits_per_pixel);
    let direct = matches!(class, VisualClass::TRUE_COLOR | VisualClass::DIRECT_COLOR);
    let order = if cfg!(target_endian = "big") { ImageOrder::MSB_FIRST } else { ImageOrder::LSB_FIRST };
    if !direct {
        return Err(format!("has a palette of {depth} bits, {EXPECTED}"));
    }
    if bits != 32 || (red_mask, green_mask, blue_mask) != (0x00ff_0000, 0xff00, 0xff) {
        return Err(format!(
            "has {depth} bits of color in pixels of {bits} bits (red {red_mask:x}, green {green_mask:x}, blue \
             {blue_mask:x}), {EXPECTED}"
        ));
    }
    if setup.image_byte_order != order {
        return Err("has pixels in the byte order of another machine".to_owned());
    }
    Ok(())
}

/// Our connection, while the window is open.
#[derive(Debug)]
pub(in super::super) struct Companion(Option<Attached>);

#[derive(Debug)]
struct Attached {
    server: Server,
    window: u32,
    survives: bool,
    lost: Option<String>,
}

impl Companion {
    /// Watches a window that minifb has opened.
    pub(in super::super) fn attach(display: Display, window: &minifb::Window) -> Self {
        let handles = (window.window_handle().map(|it| it.as_raw()), window.display_handle().map(|it| it.as_raw()));
        let (Ok(RawWindowHandle::Xlib(window)), Ok(RawDisplayHandle::Xlib(xlib))) = handles else {
            return Self(None);
        };
        // X identifiers have 29 bits.
        let id = u32::try_from(window.window).unwrap_or(0);
        let survives = xlib.display.is_some_and(|xlib| xlib::keep_process_without_server(xlib, id));
        let Some(server) = display.0 else { return Self(None) };
        let mut attached = Attached { server, window: id, survives, lost: None };
        if let Err(error) = attached.subscribe() {
            attached.lost = Some(error.to_string());
        }
        Self(Some(attached))
    }

    /// Returns why nothing may be recorded while this window is open.
    pub(in super::super) fn unsafe_to_record(&self) -> Option<&'static str> {
        self.0.as_ref().filter(|attached| !attached.survives).map(
            |_| "libX11 is older than 1.7 and would end the program with the X server: record with `oaktap record`",
        )
    }

    /// Returns why the window is lost. Call it after each call of minifb, which must not be used any more then.
    pub(in super::super) fn lost(&mut self) -> Option<String> {
        let attached = self.0.as_mut()?;
        xlib::lost().or_else(|| {
            attached.read();
            attached.lost.clone()
        })
    }
}

impl Attached {
    fn subscribe(&self) -> Result<(), x11rb::errors::ReplyOrIdError> {
        let events = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY | EventMask::EXPOSURE);
        self.server.connection.change_window_attributes(self.window, &events)?.check()?;
        Ok(())
    }

    /// Reads the events that have arrived.
    fn read(&mut self) {
        while self.lost.is_none() {
            match self.server.connection.poll_for_event() {
                Ok(None) => return,
                Ok(Some(Event::DestroyNotify(event))) if event.window == self.window => {
                    self.lost = Some("another program destroyed the window".to_owned());
                }
                Ok(Some(_)) => {}
                Err(error) => self.lost = Some(format!("the X server closed the connection: {error}")),
            }
        }
    }
}

//! A connection to the X server of our own, next to the one of minifb.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use raw_window_handle::{HasDisplayHandle as _, HasWindowHandle as _, RawDisplayHandle, RawWindowHandle};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AtomEnum, ButtonPressEvent, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _,
    CreateWindowAux, EventMask, ImageOrder, NotifyDetail, PropMode, Rectangle, Setup, VisualClass, Visualtype,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::super::mouse::{Button, PointerEvent};
use super::drop::{ClientMessage, DropTarget};
use super::{WindowEvent, icon, xlib};

x11rb::atom_manager! {
    /// Names that the X server replaces by numbers.
    Atoms: AtomsCookie {
        UTF8_STRING,
        _NET_SUPPORTED,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_ICON,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WORKAREA,
        WM_CLIENT_MACHINE,
        WM_DELETE_WINDOW,
        WM_PROTOCOLS,
    }
}

/// Dots per inch at which everything has its normal size.
const NORMAL_DPI: f32 = 96.0;

/// Width and height that the frame of a window and small panels may take.
const FRAME: (u16, u16) = (32, 64);

/// Buttons that stand for steps of the wheel.
const WHEEL_UP: u8 = 4;
const WHEEL_DOWN: u8 = 5;

fn button(number: u8) -> Option<Button> {
    match number {
        1 => Some(Button::Left),
        3 => Some(Button::Right),
        _ => None,
    }
}

fn point(x: i16, y: i16) -> (i32, i32) {
    (i32::from(x), i32::from(y))
}

pub(super) type Failure = x11rb::errors::ReplyOrIdError;

/// The X server, before a window is open. `None`: a Wayland compositor without an X server.
#[derive(Debug)]
pub(in super::super) struct Display(Option<Server>);

#[derive(Debug)]
struct Server {
    connection: RustConnection,
    root: u32,
    atoms: Atoms,
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
        let root = connection.setup().roots[screen].root;
        let atoms = Atoms::new(&connection).map_err(|error| error.to_string())?;
        let atoms = atoms.reply().map_err(|error| format!("the X display `{name}` does not answer: {error}"))?;
        Ok(Self(Some(Server { connection, root, atoms })))
    }

    /// Returns the room for a new window: the primary monitor without panels.
    pub(in super::super) fn room(&self) -> Option<(usize, usize)> {
        let server = self.0.as_ref()?;
        let monitor = server.monitor()?;
        let area = server.numbers(server.root, server.atoms._NET_WORKAREA).unwrap_or_default();
        let side = |whole: u16, area: Option<&u32>, frame: u16| {
            let area = area.and_then(|area| u16::try_from(*area).ok()).filter(|area| *area > 0);
            usize::from(area.map_or(whole, |area| area.min(whole)).saturating_sub(frame).max(1))
        };
        Some((side(monitor.width, area.get(2), FRAME.0), side(monitor.height, area.get(3), FRAME.1)))
    }

    /// Returns the scale that the desktop has set: `Xft.dpi` of the X resources, or `GDK_SCALE`.
    pub(in super::super) fn scale(&self) -> f32 {
        let Some(server) = &self.0 else { return 1.0 };
        let resources = server.bytes(server.root, AtomEnum::RESOURCE_MANAGER.into()).unwrap_or_default();
        let gdk = env::var("GDK_SCALE").ok();
        scale_of(&String::from_utf8_lossy(&resources), gdk.as_deref())
    }
}

fn scale_of(resources: &str, gdk_scale: Option<&str>) -> f32 {
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    let dpi = resources.lines().find_map(|line| number(line.strip_prefix("Xft.dpi:")?));
    let gdk = gdk_scale.and_then(number);
    dpi.map_or(1.0, |dpi| dpi / NORMAL_DPI).max(gdk.unwrap_or(1.0)).max(1.0)
}

impl Server {
    /// Returns the primary monitor, or else the first, or else the whole screen.
    fn monitor(&self) -> Option<Rectangle> {
        let monitors = self.connection.randr_get_monitors(self.root, true).ok().and_then(|cookie| cookie.reply().ok());
        let monitors = monitors.map(|reply| reply.monitors).unwrap_or_default();
        let monitor = monitors.iter().find(|monitor| monitor.primary).or(monitors.first());
        if let Some(monitor) = monitor {
            let (x, y, width, height) = (monitor.x, monitor.y, monitor.width, monitor.height);
            return Some(Rectangle { x, y, width, height });
        }
        let whole = self.connection.get_geometry(self.root).ok()?.reply().ok()?;
        Some(Rectangle { x: 0, y: 0, width: whole.width, height: whole.height })
    }

    /// Returns a property of bytes.
    fn bytes(&self, window: u32, property: u32) -> Option<Vec<u8>> {
        let reply = self.connection.get_property(false, window, property, AtomEnum::ANY, 0, 1 << 16).ok()?.reply();
        reply.ok().map(|reply| reply.value)
    }

    /// Returns a property of numbers.
    fn numbers(&self, window: u32, property: u32) -> Option<Vec<u32>> {
        let reply =
            self.connection.get_property(false, window, property, AtomEnum::ANY, 0, 1 << 12).ok()?.reply().ok()?;
        reply.value32().map(Iterator::collect)
    }

    /// Returns whether a window manager runs that fills the screen on request.
    fn window_manager_fills(&self) -> bool {
        let check = |window| self.numbers(window, self.atoms._NET_SUPPORTING_WM_CHECK)?.first().copied();
        // A window manager that has ended leaves its properties on the root window.
        let runs = check(self.root).is_some_and(|window| check(window) == Some(window));
        let supported = self.numbers(self.root, self.atoms._NET_SUPPORTED).unwrap_or_default();
        runs && supported.contains(&self.atoms._NET_WM_STATE_FULLSCREEN)
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
    events: Vec<WindowEvent>,
    fullscreen: bool,
    /// Place of the window before it filled a screen without a window manager.
    before: Option<Rectangle>,
    drop_target: Option<DropTarget>,
}

impl Companion {
    /// Watches a window that minifb has opened, and names it for the desktop.
    pub(in super::super) fn attach(display: Display, window: &minifb::Window) -> Self {
        let handles = (window.window_handle().map(|it| it.as_raw()), window.display_handle().map(|it| it.as_raw()));
        let (Ok(RawWindowHandle::Xlib(window)), Ok(RawDisplayHandle::Xlib(xlib))) = handles else {
            return Self(None);
        };
        // X identifiers have 29 bits.
        let id = u32::try_from(window.window).unwrap_or(0);
        let survives = xlib.display.is_some_and(|xlib| xlib::keep_process_without_server(xlib, id));
        let Some(server) = display.0 else { return Self(None) };
        let (events, before, drop_target) = (Vec::new(), None, None);
        let mut attached =
            Attached { server, window: id, survives, lost: None, events, fullscreen: false, before, drop_target };
        if let Err(error) = attached.subscribe().and_then(|()| attached.describe()) {
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

    /// Returns whether the events contain those of the pointer.
    pub(in super::super) fn has_pointer(&self) -> bool {
        self.0.is_some()
    }

    /// Returns what has happened since the last call.
    pub(in super::super) fn events(&mut self) -> Vec<WindowEvent> {
        self.0.as_mut().map(|attached| std::mem::take(&mut attached.events)).unwrap_or_default()
    }

    /// Fills the screen with the window, or returns to its place. Returns `false` where that is not possible.
    pub(in super::super) fn toggle_fullscreen(&mut self) -> bool {
        self.change(Attached::toggle_fullscreen)
    }

    /// Changes the size of the window.
    pub(in super::super) fn resize(&mut self, (width, height): (usize, usize)) {
        let side = |side| u32::try_from(side).unwrap_or(1).clamp(1, u32::from(u16::MAX));
        let size = ConfigureWindowAux::new().width(side(width)).height(side(height));
        self.change(|attached| {
            attached.server.connection.configure_window(attached.window, &size)?;
            Ok(())
        });
    }

    /// Sends requests. Returns `false` without a connection.
    fn change(&mut self, change: impl FnOnce(&mut Attached) -> Result<(), Failure>) -> bool {
        let Some(attached) = &mut self.0 else { return false };
        let sent = change(attached).and_then(|()| Ok(attached.server.connection.flush()?));
        if let Err(error) = sent {
            attached.lost = Some(error.to_string());
        }
        true
    }
}

impl Attached {
    fn subscribe(&mut self) -> Result<(), Failure> {
        let mask =
            EventMask::STRUCTURE_NOTIFY | EventMask::EXPOSURE | EventMask::FOCUS_CHANGE | EventMask::PROPERTY_CHANGE;
        let events = ChangeWindowAttributesAux::new().event_mask(mask);
        let connection = &self.server.connection;
        connection.change_window_attributes(self.window, &events)?.check()?;
        // Only one client gets the buttons of a window, and minifb has that of its own. It misses clicks that are shorter
        // than its polls, so an invisible window in front of it takes them. It is clipped to the window.
        let pointer = connection.generate_id()?;
        let mask =
            EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE | EventMask::POINTER_MOTION | EventMask::LEAVE_WINDOW;
        let (side, events) = (i16::MAX.unsigned_abs(), CreateWindowAux::new().event_mask(mask));
        let kind = WindowClass::INPUT_ONLY;
        connection.create_window(0, pointer, self.window, 0, 0, side, side, 0, kind, 0, &events)?.check()?;
        connection.map_window(pointer)?.check()?;
        if xlib::keeps_messages() {
            self.drop_target = Some(DropTarget::announce(connection, self.window, pointer)?);
            xlib::keep_window(self.server.atoms.WM_PROTOCOLS, self.server.atoms.WM_DELETE_WINDOW);
        }
        Ok(())
    }

    /// Sets the name, process and icon of the program, for task bars.
    fn describe(&self) -> Result<(), Failure> {
        let Server { connection, atoms, .. } = &self.server;
        let (window, replace) = (self.window, PropMode::REPLACE);
        connection.change_property8(replace, window, AtomEnum::WM_CLASS, AtomEnum::STRING, b"oaktap\0oaktap\0")?;
        let process = [std::process::id()];
        connection.change_property32(replace, window, atoms._NET_WM_PID, AtomEnum::CARDINAL, &process)?;
        let system = rustix::system::uname();
        let host = system.nodename().to_bytes();
        connection.change_property8(replace, window, atoms.WM_CLIENT_MACHINE, AtomEnum::STRING, host)?;
        let sizes = [16_u32, 32, 64].into_iter();
        let icons: Vec<u32> = sizes.flat_map(|side| [side, side].into_iter().chain(icon(side))).collect();
        connection.change_property32(replace, window, atoms._NET_WM_ICON, AtomEnum::CARDINAL, &icons)?;
        connection.flush()?;
        Ok(())
    }

    /// Reads the events and messages that have arrived.
    fn read(&mut self) {
        for [window, kind, data @ ..] in xlib::messages() {
            let atoms = &self.server.atoms;
            if (kind, data[0]) == (atoms.WM_PROTOCOLS, atoms.WM_DELETE_WINDOW) {
                self.events.push(WindowEvent::CloseAsked);
                continue;
            }
            let Some(target) = &mut self.drop_target else { continue };
            let handled = target.message(&self.server.connection, ClientMessage { window, kind, data });
            self.lost = handled.err().map(|error| error.to_string()).or(self.lost.take());
        }
        while self.lost.is_none() {
            match self.server.connection.poll_for_event() {
                Ok(None) => return,
                Ok(Some(event)) => self.take(&event),
                Err(error) => self.lost = Some(format!("the X server closed the connection: {error}")),
            }
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::DestroyNotify(event) if event.window == self.window => {
                self.lost = Some("another program destroyed the window".to_owned());
            }
            Event::Expose(event) if event.count == 0 => self.events.push(WindowEvent::Exposed),
            Event::MotionNotify(event) => self.pointer(PointerEvent::Moved(point(event.event_x, event.event_y))),
            Event::LeaveNotify(_) => self.pointer(PointerEvent::Left),
            Event::ButtonPress(event) => self.press(event),
            Event::ButtonRelease(event) => {
                if let Some(button) = button(event.detail) {
                    let at = point(event.event_x, event.event_y);
                    self.pointer(PointerEvent::Released(button, at, event.time));
                }
            }
            Event::FocusOut(event) if !matches!(event.detail, NotifyDetail::INFERIOR | NotifyDetail::POINTER) => {
                self.events.push(WindowEvent::Unfocused);
            }
            Event::PropertyNotify(event) if event.atom == self.server.atoms._NET_WM_STATE => {
                let states = self.server.numbers(self.window, self.server.atoms._NET_WM_STATE).unwrap_or_default();
                self.set_fullscreen(states.contains(&self.server.atoms._NET_WM_STATE_FULLSCREEN));
            }
            Event::SelectionNotify(event) => {
                let Some(target) = &mut self.drop_target else { return };
                match target.receive(&self.server.connection, event) {
                    Ok(dropped) => self.events.extend(dropped.map(WindowEvent::Dropped)),
                    Err(error) => self.lost = Some(error.to_string()),
                }
            }
            _ => {}
        }
    }

    fn pointer(&mut self, event: PointerEvent) {
        self.events.push(WindowEvent::Pointer(event));
    }

    fn press(&mut self, event: &ButtonPressEvent) {
        let at = point(event.event_x, event.event_y);
        match (event.detail, button(event.detail)) {
            (_, Some(button)) => self.pointer(PointerEvent::Pressed(button, at)),
            (WHEEL_UP, _) => self.pointer(PointerEvent::Wheel(at, 1)),
            (WHEEL_DOWN, _) => self.pointer(PointerEvent::Wheel(at, -1)),
            _ => {}
        }
    }

    fn set_fullscreen(&mut self, fullscreen: bool) {
        self.fullscreen = fullscreen;
        self.events.push(WindowEvent::Fullscreen(fullscreen));
    }

    fn toggle_fullscreen(&mut self) -> Result<(), Failure> {
        let Server { connection, atoms, root } = &self.server;
        if self.server.window_manager_fills() {
            // 1 adds the state, 0 removes it; the second 1 stands for an application.
            let data = [u32::from(!self.fullscreen), atoms._NET_WM_STATE_FULLSCREEN, 0, 1, 0];
            let message = ClientMessageEvent::new(32, self.window, atoms._NET_WM_STATE, data);
            let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
            connection.send_event(false, *root, mask, message)?;
            return Ok(());
        }
        let to = if let Some(before) = self.before.take() {
            before
        } else {
            let now = connection.get_geometry(self.window)?.reply()?;
            let (x, y, width, height) = (now.x, now.y, now.width, now.height);
            self.before = Some(Rectangle { x, y, width, height });
            self.server.monitor().unwrap_or(Rectangle { x, y, width, height })
        };
        let place = ConfigureWindowAux::new().x(i32::from(to.x)).y(i32::from(to.y));
        let place = place.width(u32::from(to.width)).height(u32::from(to.height));
        connection.configure_window(self.window, &place)?;
        self.set_fullscreen(self.before.is_some());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_largest_that_the_desktop_sets() {
        let resources = |dpi| format!("Xcursor.size:\t24\nXft.dpi:\t{dpi}\nXft.hinting:\t1\n");
        assert_eq!(scale_of("", None), 1.0);
        assert_eq!(scale_of(&resources("192"), None), 2.0);
        assert_eq!(scale_of(&resources("144"), Some("1")), 1.5);
        assert_eq!(scale_of(&resources("96"), Some("2")), 2.0);
        assert_eq!(scale_of(&resources("72"), None), 1.0, "not smaller than the design");
        assert_eq!(scale_of(&resources("many"), Some("x")), 1.0);
    }
}

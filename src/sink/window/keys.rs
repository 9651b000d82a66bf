//! Keys -> what they do.
//!
//! Characters are what counts where a character is meant: `?` and `+` are somewhere else on each keyboard. Keys that
//! have no character come as keys.

use minifb::{InputCallback, Key};

use std::sync::mpsc::Sender;

/// What a person asks the window for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ends the program.
    Quit,
    /// Stops and continues all pictures.
    Pause,
    /// Shows one more picture, then stops again.
    Step,
    /// So many seconds forwards in a recording, or backwards.
    Seek(i8),
    /// Plays a recording faster.
    Faster,
    /// Plays a recording slower.
    Slower,
    /// Writes what is shown to files.
    Snapshot,
    /// Begins and ends a recording.
    Record,
    /// The next level of the HUD.
    Hud,
    /// Boxes on and off.
    Boxes,
    /// Labels on and off.
    Labels,
    /// So many hundredths more confidence to be shown.
    Threshold(i8),
    /// One pixel of the picture is one of the screen, or all of the picture is seen.
    FullSize,
    /// What keys do, on and off.
    Help,
    /// One camera alone, counted from 0.
    Enlarge(usize),
    /// The next camera alone.
    Next,
    /// All cameras.
    Grid,
}

/// What one step of the threshold is, in hundredths.
const STEP: i8 = 5;

/// How many seconds an arrow key goes in a recording.
const SEEK: i8 = 5;

impl Action {
    /// What a character asks for.
    pub(super) fn of_character(character: char) -> Option<Self> {
        Some(match character.to_ascii_lowercase() {
            'q' => Self::Quit,
            ' ' | 'p' => Self::Pause,
            '.' => Self::Step,
            ']' => Self::Faster,
            '[' => Self::Slower,
            'c' => Self::Snapshot,
            'r' => Self::Record,
            'i' => Self::Hud,
            'b' => Self::Boxes,
            'l' => Self::Labels,
            '+' => Self::Threshold(STEP),
            '-' => Self::Threshold(-STEP),
            'f' => Self::FullSize,
            '?' => Self::Help,
            'g' => Self::Grid,
            digit @ '1'..='9' => Self::Enlarge(digit as usize - '1' as usize),
            _ => return None,
        })
    }

    /// What a key that types nothing asks for.
    const fn of_key(key: Key) -> Option<Self> {
        match key {
            Key::Escape => Some(Self::Quit),
            Key::Tab => Some(Self::Next),
            Key::Left => Some(Self::Seek(-SEEK)),
            Key::Right => Some(Self::Seek(SEEK)),
            Key::Up => Some(Self::Faster),
            Key::Down => Some(Self::Slower),
            _ => None,
        }
    }

    /// Whether a key that is held down asks again and again.
    const fn repeats(self) -> bool {
        matches!(self, Self::Step | Self::Threshold(_) | Self::Seek(_))
    }
}

/// What the help shows: keys, and what they do.
pub(super) const HELP: [(&str, &str); 16] = [
    ("Space  p", "pause, continue"),
    (".", "one picture further while paused"),
    ("Left  Right", "recordings: 5 s back, 5 s on"),
    ("[  ]", "recordings: slower, faster (Down, Up)"),
    ("c", "snapshot: PNG and JSON"),
    ("r", "record, stop recording"),
    ("b", "boxes"),
    ("l", "labels"),
    ("+  -", "confidence threshold"),
    ("i", "HUD: off, line, full"),
    ("1..9", "one camera alone"),
    ("Tab", "the next camera alone"),
    ("g", "all cameras"),
    ("f", "full size: 1 pixel is 1 pixel"),
    ("?", "this help"),
    ("q  Esc", "quit"),
];

/// Listens to the window. minifb's polled keys miss a tap that begins and ends between two polls; this sees each.
#[derive(Debug)]
pub(super) struct Keyboard {
    actions: Sender<Action>,
    /// Keys that are down. A key that goes down again without having come up is repeated by the system.
    down: Vec<Key>,
    repeating: bool,
}

impl Keyboard {
    /// A keyboard that sends what is asked for.
    pub(super) fn new(actions: Sender<Action>) -> Self {
        Self { actions, down: Vec::new(), repeating: false }
    }

    fn ask(&self, action: Option<Action>) {
        if let Some(action) = action.filter(|action| action.repeats() || !self.repeating) {
            // Nobody listens once the window is being closed.
            let _ = self.actions.send(action);
        }
    }
}

impl InputCallback for Keyboard {
    fn add_char(&mut self, character: u32) {
        self.ask(char::from_u32(character).and_then(Action::of_character));
    }

    fn set_key_state(&mut self, key: Key, pressed: bool) {
        self.repeating = pressed && self.down.contains(&key);
        if !pressed {
            self.down.retain(|down| *down != key);
            return;
        }
        if !self.repeating {
            self.down.push(key);
        }
        self.ask(Action::of_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn every_key_of_the_help_does_something_and_each_something_else() {
        let mut seen: Vec<Action> = Vec::new();
        for (keys, what) in HELP {
            for key in keys.split_whitespace() {
                let action = match key {
                    "Space" => Action::of_character(' '),
                    "Tab" => Action::of_key(Key::Tab),
                    "Esc" => Action::of_key(Key::Escape),
                    "Left" => Action::of_key(Key::Left),
                    "Right" => Action::of_key(Key::Right),
                    "1..9" => Action::of_character('9'),
                    _ => Action::of_character(key.chars().next().expect("a key")),
                };
                let action = action.unwrap_or_else(|| panic!("{key}, {what}"));
                let again = matches!(action, Action::Pause | Action::Quit);
                assert!(again || !seen.contains(&action), "{key}, {what}");
                seen.push(action);
            }
        }
        assert_eq!(Action::of_character('1'), Some(Action::Enlarge(0)));
        assert_eq!(Action::of_character('0'), None);
        assert_eq!(Action::of_character('Q'), Some(Action::Quit), "with caps lock on");
    }

    fn typed(events: &[(Option<Key>, bool, char)]) -> Vec<Action> {
        let (tx, rx) = channel();
        let mut keyboard = Keyboard::new(tx);
        for &(key, pressed, character) in events {
            if let Some(key) = key {
                keyboard.set_key_state(key, pressed);
            }
            if pressed {
                keyboard.add_char(u32::from(character));
            }
        }
        drop(keyboard);
        rx.iter().collect()
    }

    #[test]
    fn a_quick_tap_counts_and_a_held_key_counts_once() {
        let p = |pressed| (Some(Key::P), pressed, 'p');
        assert_eq!(typed(&[p(true), p(false)]), [Action::Pause]);
        assert_eq!(typed(&[p(true), p(true), p(true), p(false), p(true)]), [Action::Pause, Action::Pause]);
        let dot = |pressed| (Some(Key::Period), pressed, '.');
        assert_eq!(typed(&[dot(true), dot(true), dot(false)]), [Action::Step, Action::Step]);
    }

    #[test]
    fn arrows_go_through_recordings() {
        let arrow = |key, pressed| (Some(key), pressed, '\u{0}');
        let keys = [(Key::Left, true), (Key::Left, true), (Key::Left, false), (Key::Up, true), (Key::Up, true)];
        let events = keys.map(|(key, pressed)| arrow(key, pressed));
        assert_eq!(typed(&events), [Action::Seek(-5), Action::Seek(-5), Action::Faster], "held down, one seeks on");
        assert_eq!(Action::of_key(Key::Down), Action::of_character('['));
    }

    #[test]
    fn keys_without_a_character_and_characters_without_a_key() {
        // Some systems send control characters too: they must not count twice.
        assert_eq!(
            typed(&[(Some(Key::Tab), true, '\t'), (Some(Key::Escape), true, '\u{1b}')]),
            [Action::Next, Action::Quit]
        );
        assert_eq!(typed(&[(None, true, '?')]), [Action::Help]);
    }
}

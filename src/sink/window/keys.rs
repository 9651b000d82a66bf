//! Maps keys to actions.
//!
//! Keys with a character are identified by it, because `?` and `+` have other places on other keyboards. Keys without a
//! character are identified by their key code.

use std::sync::mpsc::Sender;

use minifb::{InputCallback, Key};

/// An action that a key triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ends the program.
    Quit,
    /// Pauses or continues all cameras.
    Pause,
    /// Shows the next picture while paused.
    Step,
    /// Seeks in a recording by this number of seconds.
    Seek(i8),
    /// Plays a recording faster.
    Faster,
    /// Plays a recording slower.
    Slower,
    /// Saves the shown pictures to files.
    Snapshot,
    /// Starts or stops a recording.
    Record,
    /// Switches the HUD to its next level.
    Hud,
    /// Shows or hides boxes.
    Boxes,
    /// Shows or hides labels.
    Labels,
    /// Raises the confidence threshold by this number of percentage points.
    Threshold(i8),
    /// Switches between the whole picture and its original size.
    ToggleZoom,
    /// Shows or hides the help.
    Help,
    /// Shows only the camera with this index.
    ShowOne(usize),
    /// Shows only the next camera.
    ShowNext,
    /// Shows all cameras.
    ShowAll,
}

const THRESHOLD_STEP_PERCENT: i8 = 5;

const SEEK_STEP_S: i8 = 5;

impl Action {
    fn of_character(character: char) -> Option<Self> {
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
            '+' => Self::Threshold(THRESHOLD_STEP_PERCENT),
            '-' => Self::Threshold(-THRESHOLD_STEP_PERCENT),
            'f' => Self::ToggleZoom,
            '?' => Self::Help,
            'g' => Self::ShowAll,
            digit @ '1'..='9' => Self::ShowOne(digit as usize - '1' as usize),
            _ => return None,
        })
    }

    const fn of_key(key: Key) -> Option<Self> {
        match key {
            Key::Escape => Some(Self::Quit),
            Key::Tab => Some(Self::ShowNext),
            Key::Left => Some(Self::Seek(-SEEK_STEP_S)),
            Key::Right => Some(Self::Seek(SEEK_STEP_S)),
            Key::Up => Some(Self::Faster),
            Key::Down => Some(Self::Slower),
            _ => None,
        }
    }

    /// Returns whether holding the key down repeats the action.
    const fn repeats(self) -> bool {
        matches!(self, Self::Step | Self::Threshold(_) | Self::Seek(_))
    }
}

/// Keys and their descriptions on the help overlay.
pub(super) const HELP: [(&str, &str); 16] = [
    ("Space  p", "pause or continue"),
    (".", "show the next picture while paused"),
    ("Left  Right", "recordings: seek 5 s back or forward"),
    ("[  ]", "recordings: slower or faster (Down, Up)"),
    ("c", "save a snapshot: PNG and JSON"),
    ("r", "start or stop recording"),
    ("b", "show or hide boxes"),
    ("l", "show or hide labels"),
    ("+  -", "raise or lower the confidence threshold"),
    ("i", "switch the HUD: line, full, off"),
    ("1..9", "show one camera"),
    ("Tab", "show the next camera"),
    ("g", "show all cameras"),
    ("f", "switch between fit and original size"),
    ("?", "show or hide this help"),
    ("q  Esc", "quit"),
];

/// Receives key events from the window. minifb's polled key states would miss a tap that ends before the next poll.
#[derive(Debug)]
pub(super) struct Keyboard {
    actions: Sender<Action>,
    /// Keys that are down. A further press without a release is a repetition by the system.
    down: Vec<Key>,
    repeating: bool,
}

impl Keyboard {
    pub(super) fn new(actions: Sender<Action>) -> Self {
        Self { actions, down: Vec::new(), repeating: false }
    }

    fn send(&self, action: Option<Action>) {
        if let Some(action) = action.filter(|action| action.repeats() || !self.repeating) {
            // Fails while the window is being closed.
            let _ = self.actions.send(action);
        }
    }
}

impl InputCallback for Keyboard {
    fn add_char(&mut self, character: u32) {
        self.send(char::from_u32(character).and_then(Action::of_character));
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
        self.send(Action::of_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn every_key_of_the_help_has_an_action_of_its_own() {
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
                let has_two_keys = matches!(action, Action::Pause | Action::Quit);
                assert!(has_two_keys || !seen.contains(&action), "{key}, {what}");
                seen.push(action);
            }
        }
        assert_eq!(Action::of_character('1'), Some(Action::ShowOne(0)));
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
    fn a_tap_acts_once_and_only_some_keys_repeat() {
        let p = |pressed| (Some(Key::P), pressed, 'p');
        assert_eq!(typed(&[p(true), p(false)]), [Action::Pause]);
        assert_eq!(typed(&[p(true), p(true), p(true), p(false), p(true)]), [Action::Pause, Action::Pause]);
        let dot = |pressed| (Some(Key::Period), pressed, '.');
        assert_eq!(typed(&[dot(true), dot(true), dot(false)]), [Action::Step, Action::Step]);
    }

    #[test]
    fn arrow_keys_seek_and_change_the_speed() {
        let arrow = |key, pressed| (Some(key), pressed, '\u{0}');
        let keys = [(Key::Left, true), (Key::Left, true), (Key::Left, false), (Key::Up, true), (Key::Up, true)];
        let events = keys.map(|(key, pressed)| arrow(key, pressed));
        assert_eq!(typed(&events), [Action::Seek(-5), Action::Seek(-5), Action::Faster], "a held key repeats seeking");
        assert_eq!(Action::of_key(Key::Down), Action::of_character('['));
    }

    #[test]
    fn keys_and_characters_do_not_act_twice() {
        // Some systems also send control characters for these keys.
        assert_eq!(
            typed(&[(Some(Key::Tab), true, '\t'), (Some(Key::Escape), true, '\u{1b}')]),
            [Action::ShowNext, Action::Quit]
        );
        assert_eq!(typed(&[(None, true, '?')]), [Action::Help]);
    }
}

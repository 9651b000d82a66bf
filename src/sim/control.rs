//! Answers control records as the applications that oaktap builds do (wire.md section 7). The pictures stay as they are.

use std::io::Read as _;
use std::net::TcpStream;

use crate::device::settings::Setting;
use crate::wire::{LINE, encode};

/// Bytes that are read at once.
const READ_BYTES: usize = 512;

/// Receives the control records of one client.
#[derive(Debug, Default)]
pub(super) struct ControlRecords {
    /// The beginning of a record.
    received: Vec<u8>,
}

impl ControlRecords {
    /// Reads the records that have arrived, and returns the answer to each: a note (`@N`). Does not wait.
    pub(super) fn answers(&mut self, mut client: &TcpStream) -> Vec<u8> {
        let mut bytes = [0; READ_BYTES];
        // A client that has left is found when a frame is written to it.
        let read = client.set_nonblocking(true).and_then(|()| client.read(&mut bytes)).unwrap_or(0);
        let _ = client.set_nonblocking(false);
        self.received.extend_from_slice(&bytes[..read]);
        let whole = self.received.len() - self.received.len() % LINE;
        let records: Vec<u8> = self.received.drain(..whole).collect();
        records.as_chunks().0.iter().flat_map(|line: &[u8; LINE]| note(&answer(line))).collect()
    }
}

/// Returns the orders of a record, or the reason for refusing them.
fn answer(line: &[u8; LINE]) -> String {
    let text = str::from_utf8(line).unwrap_or_default().trim();
    // `120,` and `AUT,` are the commands of the official hosts.
    let orders = match (text.strip_prefix("@K "), text.split_once(',')) {
        (Some(orders), _) => orders.to_owned(),
        (None, Some(("AUT", _))) => "focus=auto".to_owned(),
        (None, Some((lens, _))) => format!("lens={}", lens.trim()),
        (None, None) => return "no: not understood".to_owned(),
    };
    let is_refused = |order: &&str| !Setting::of_order(order).is_some_and(|(setting, value)| setting.accepts(value));
    match orders.split_whitespace().find(is_refused) {
        Some(refused) => format!("no: {refused}"),
        None => orders.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Returns a note, cut to the length of a record.
fn note(text: &str) -> [u8; LINE] {
    let is_printable = |char: &char| *char == ' ' || char.is_ascii_graphic();
    let printable: String = text.chars().filter(is_printable).take(LINE - "@N ".len()).collect();
    encode::line(&format!("@N {printable}")).unwrap_or([b' '; LINE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_acknowledged_and_others_refused() {
        for (order, expected) in [
            ("@K lens=120", "lens=120"),
            ("@K exposure=8000 iso=400", "exposure=8000 iso=400"),
            ("@K wb=auto", "wb=auto"),
            ("120,", "lens=120"),
            ("AUT,", "focus=auto"),
            ("@K lens=256", "no: lens=256"),
            ("@K lens=1 zoom=2", "no: zoom=2"),
            ("@K lens", "no: lens"),
            ("hello", "no: not understood"),
        ] {
            let line = encode::line(order).expect(order);
            assert_eq!(answer(&line), expected, "{order}");
        }
        assert_eq!(answer(&[0xff; LINE]), "no: not understood");
        assert_eq!(note(&"x".repeat(40)), *b"@N xxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
}

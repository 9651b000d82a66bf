//! The header before the image in the firmware section: watchdog and board configuration (bootloader.md 5).

use crate::device::nop::Value;
use crate::package::{MYRIAD_X, djb2};

/// Command: write to a register. Followed by address and value.
const WRITE: u8 = 0x9a;
/// Watchdog registers and their values: unlock, longest timeout, unlock, start.
const WATCHDOG: [(u32, u32); 4] =
    [(0x2032_00a8, 0xf1d0_dead), (0x2032_009c, u32::MAX), (0x2032_00a8, 0xf1d0_dead), (0x2032_00a4, 1)];
/// Command: copy bytes into memory. Followed by address and number of 32-bit words.
const COPY: u8 = 0x8a;
const BOARD_ADDRESS: u32 = 0x7801_0000;
/// Begins a board configuration.
const BOARD_MAGIC: u32 = 0x21ea_17e6;

/// The header for the default board configuration.
pub(super) fn header() -> Vec<u8> {
    let board = board().to_bytes();
    let mut header = MYRIAD_X.to_vec();
    for (register, number) in WATCHDOG {
        header.push(WRITE);
        header.extend(register.to_le_bytes());
        header.extend(number.to_le_bytes());
    }
    header.push(COPY);
    header.extend(BOARD_ADDRESS.to_le_bytes());
    let mut payload: Vec<u8> =
        [BOARD_MAGIC, djb2(&board), board.len() as u32].iter().flat_map(|number| number.to_le_bytes()).collect();
    payload.extend(board);
    payload.resize(payload.len().next_multiple_of(4), 0);
    header.extend((payload.len() as u16 / 4).to_le_bytes());
    header.extend(payload);
    header
}

/// The vendor's `BoardConfig`, with its defaults.
fn board() -> Value<'static> {
    let (nil, nothing) = (|| Value::Nil, || Value::Map(Vec::new()));
    let usb = vec![
        0x03e7_u16.into(), // vid
        0xf63b_u16.into(), // pid
        0x03e7_u16.into(), // flashBootedVid
        0xf63d_u16.into(), // flashBootedPid
        4_i32.into(),      // maxSpeed: SUPER
        "".into(),         // productName
        "".into(),         // manufacturer
    ];
    let network = vec![0_u32.into(), true.into()]; // mtu, xlinkTcpNoDelay
    let mut members = vec![
        Value::Structure(usb),
        Value::Structure(network),
        Value::Array(Vec::new()), // sysctl
        nil(),                    // watchdogTimeoutMs
        nil(),                    // watchdogInitialDelayMs
        nothing(),                // gpio
        nothing(),                // uart
    ];
    members.extend((0..7).map(|_| nil()));
    members.extend([false.into(), nothing(), nil(), nil()]); // nonExclusiveMode, camera, imu, uvc
    Value::Structure(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_equals_that_of_the_vendors_library() {
        let hex: String = header().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "4d4132789aa8003220added0f19a9c003220ffffffff9aa8003220added0f19aa4003220010000008a00000178\
             0f00e617ea211b4f27b12d000000b912b90781e703813bf681e703813df604bd00bd00b9020001ba00bebebb00\
             bb00bebebebebebebe00bb00bebe000000"
        );
    }
}

//! Stopping a session at any byte: the camera boots afterwards, and the same operation again succeeds.

use std::time::Duration;

use oaktap::bootloader::{
    Caller, ClientError, ClientOptions, Conversation, ConversationEvent, Memory, TransferProgress, map,
};
use oaktap::flash::{
    FlashError, Phase, Plan, boot_from_memory, erase_applications, read_applications, write_factory_bootloader,
    write_user_bootloader,
};
use oaktap::sim::bootloader::Activity;

use crate::flasher::{AUTO, Bench, image, package};

/// Bytes that are moved between two looks at the position.
const SLICE: usize = 16 << 10;

/// The moment of the stop.
#[derive(Clone, Copy, Debug)]
enum At {
    /// After this many bytes in both directions.
    Bytes(u64),
    /// After the camera has reported this share as written.
    Written(f32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Application,
    UserSlot,
    FactorySlot,
    Erase,
    ReadOut,
}

async fn operate(caller: Caller, operation: Operation) -> Result<(), FlashError> {
    match operation {
        Operation::Application => {
            Plan::make(&caller, package("gate"), AUTO).await?.carry_out(&caller).await.map(|_| ())
        }
        Operation::UserSlot => write_user_bootloader(&caller, &image()).await,
        Operation::FactorySlot => write_factory_bootloader(&caller, &image()).await,
        Operation::Erase => erase_applications(&caller, Memory::Auto).await.map(|_| ()),
        Operation::ReadOut => read_applications(&caller).await.map(|_| ()),
    }
}

/// A session that is stopped at a position. Returns the result, the bytes that were moved, and whether the stop was held
/// back at first.
fn stopped_at(bench: &mut Bench, operation: Operation, at: At) -> (Result<(), FlashError>, u64, bool) {
    bench.until(|doing| doing == Activity::Bootloader);
    assert!(bench.camera.connected(bench.now));
    let options = ClientOptions { inactivity_timeout: Duration::from_secs(20) };
    let mut conversation = Conversation::new(bench.now, options, |caller| operate(caller, operation));
    let (mut moved, mut held, mut asked, mut closed, mut holds) = (0, false, false, false, false);
    loop {
        let mut reached = matches!(at, At::Bytes(byte) if moved >= byte);
        for event in std::iter::from_fn(|| conversation.poll_event()) {
            match (event, at) {
                (ConversationEvent::HoldBegins(_), _) => holds = true,
                (ConversationEvent::HoldEnds, _) => holds = false,
                (ConversationEvent::Progress(TransferProgress::Written(share)), At::Written(wanted)) => {
                    reached |= share >= wanted;
                }
                _ => {}
            }
        }
        if reached && !std::mem::replace(&mut asked, true) {
            held = !conversation.stop(bench.now);
            assert_eq!(held, holds, "the events tell what is held back");
        }
        let out = if closed { &[] } else { conversation.output() };
        let out = out[..out.len().min(SLICE)].to_vec();
        conversation.consumed(out.len(), bench.now);
        bench.camera.input(&out, bench.now);
        let back = bench.camera.output();
        let back = back[..back.len().min(SLICE)].to_vec();
        bench.camera.consumed(back.len(), bench.now);
        conversation.handle_input(&back, bench.now);
        moved += (out.len() + back.len()) as u64;
        if !out.is_empty() || !back.is_empty() {
            continue;
        }
        if !closed && bench.camera.is_leaving() {
            closed = true;
            bench.camera.disconnected(bench.now);
            conversation.handle_close(bench.now);
            continue;
        }
        if let Some(result) = conversation.result() {
            bench.camera.disconnected(bench.now);
            return (result, moved, held);
        }
        let next = [Some(conversation.timeout()), bench.camera.poll_timeout()].into_iter().flatten().min();
        bench.now = next.expect("the conversation has a limit").max(bench.now);
        bench.camera.handle_timeout(bench.now);
        conversation.handle_timeout(bench.now);
    }
}

/// A camera with an application. For the factory slot, it runs the new bootloader from memory.
fn ready(operation: Operation) -> Bench {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s&bootloader=0.0.26&image=0.0.28&write-rate=1MiB");
    bench.flash(&package("door"), AUTO).expect("no fault");
    if operation == Operation::FactorySlot {
        let boot = async |caller: Caller| boot_from_memory(&caller, &image()).await;
        bench.session(boot).0.expect("no fault");
    }
    bench
}

fn check(operation: Operation, at: At) {
    let mut bench = ready(operation);
    let (result, _, held) = stopped_at(&mut bench, operation, at);
    let context = format!("{operation:?} stopped at {at:?}: {result:?}");
    match &result {
        Err(error @ FlashError::Stopped { .. }) => {
            let text = error.to_string();
            assert!(text.starts_with("stopped at byte "), "{text}");
            assert!(operation != Operation::FactorySlot || !matches!(error.phase(), Phase::Write(_)), "{text}");
        }
        // The operation was complete, or its last step could not be stopped any more.
        Ok(()) => {}
        Err(error) => panic!("{context}: {error}"),
    }
    if operation == Operation::FactorySlot && held {
        let memory = bench.camera.memory(Memory::Flash).expect("there is one");
        let stored = memory.read(map::BOOTLOADER.into(), image().bytes().len()).expect("inside of the memory");
        assert!(stored == image().bytes(), "{context}");
    }
    bench.until(|doing| matches!(doing, Activity::Bootloader | Activity::Recovery));
    assert_eq!(bench.camera.activity(), Activity::Bootloader, "{context}");
    let result = bench.session(|caller| operate(caller, operation)).0;
    assert!(result.is_ok(), "{context}, and again: {result:?}");
    bench.until(|doing| matches!(doing, Activity::Bootloader | Activity::Recovery));
    assert_eq!(bench.camera.activity(), Activity::Bootloader, "{context}");
}

#[test]
fn a_session_can_be_stopped_at_every_byte() {
    use Operation::{Application, Erase, FactorySlot, ReadOut, UserSlot};
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for (operation, positions) in [(Application, 10), (UserSlot, 10), (FactorySlot, 16), (Erase, 6), (ReadOut, 4)] {
        let (result, total, _) = stopped_at(&mut ready(operation), operation, At::Bytes(u64::MAX));
        result.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        check(operation, At::Bytes(0));
        for part in 0..positions {
            // One seeded position in each part.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, len) = (total * part / positions, total / positions);
            check(operation, At::Bytes(from + (seed >> 33) % len.max(1)));
        }
    }
}

#[test]
fn a_session_can_be_stopped_while_the_camera_writes() {
    for operation in [Operation::Application, Operation::UserSlot, Operation::FactorySlot] {
        for share in [0.0, 0.3, 0.7, 1.0] {
            check(operation, At::Written(share));
        }
    }
}

#[test]
fn the_factory_slot_is_held_until_it_was_read_back() {
    let mut bench = ready(Operation::FactorySlot);
    let (result, _, held) = stopped_at(&mut bench, Operation::FactorySlot, At::Written(0.5));
    assert!(held && result.is_ok(), "{result:?}");
    // The camera refuses once: it is written again, although the user has asked to stop.
    let mut bench = ready(Operation::FactorySlot);
    bench.camera.set_faults("refuse-late:0.9*1".parse().expect("a fault"));
    let (result, _, held) = stopped_at(&mut bench, Operation::FactorySlot, At::Written(0.5));
    assert!(held && result.is_ok(), "{result:?}");
    // An application is not held.
    let mut bench = ready(Operation::Application);
    let (result, _, held) = stopped_at(&mut bench, Operation::Application, At::Written(0.5));
    let Err(error @ FlashError::Stopped { .. }) = result else { panic!("{result:?}") };
    assert!(!held && error.to_string().contains("the camera has no application now"), "{error}");
}

#[test]
fn a_stop_before_the_first_request_ends_the_session() {
    let mut bench = ready(Operation::ReadOut);
    bench.until(|doing| doing == Activity::Bootloader);
    assert!(bench.camera.connected(bench.now));
    let options = ClientOptions { inactivity_timeout: Duration::from_secs(20) };
    let mut conversation =
        Conversation::new(bench.now, options, |caller| async move { caller.identify().await.map(|_| ()) });
    assert!(conversation.stop(bench.now));
    let Some(Err(ClientError::Stopped(at))) = conversation.result() else { panic!("{conversation:?}") };
    assert_eq!((at.during, at.total), ("opening the session", 0));
    while !conversation.output().is_empty() {
        let out = conversation.output().to_vec();
        conversation.consumed(out.len(), bench.now);
        bench.camera.input(&out, bench.now);
    }
    assert!(bench.camera.is_leaving(), "the session ends with a reset");
}

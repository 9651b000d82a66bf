//! The flasher with a camera that gives arbitrary answers: it terminates, and reports success only after reading back.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oaktap::bootloader::{
    AnnouncedData, ApplicationDetails, BootloaderType, Caller, ClientOptions, Conversation, Memory, MemoryDetails,
    Request, Response, Version,
};
use oaktap::flash::{FlashError, Flashed, Plan, FlashOptions};
use oaktap::package::{Package, PackageBuilder};
use oaktap::xlink::{Link, LinkEvent};

#[derive(Arbitrary, Debug)]
enum Answer {
    /// Correct.
    Right,
    Raw(Vec<u8>),
    Complete(Option<String>),
    Progress(f32),
    Version(u8),
    NoOp(bool),
    Announced {
        total: u16,
        packets: u8,
        config: bool,
    },
    /// Correct, except for one written byte.
    Flip(u16),
    Nothing,
}

/// A camera with 9 MiB of flash; stores the written part only.
struct Camera {
    written: Vec<u8>,
    config: Option<Vec<u8>>,
    expects: usize,
    what: Option<Request>,
}

impl Camera {
    fn right(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.expects > 0 {
            self.expects = self.expects.saturating_sub(bytes.len());
            match &self.what {
                Some(Request::SetConfig { .. }) => self.config.get_or_insert_default().extend_from_slice(bytes),
                _ => self.written.extend_from_slice(bytes),
            }
            return if self.expects == 0 { vec![Response::FlashComplete(Ok(())).to_bytes()] } else { vec![] };
        }
        let Ok(request) = Request::parse(bytes) else { return vec![] };
        self.what = Some(request.clone());
        let one = |response: Response| vec![response.to_bytes()];
        match request {
            Request::Version => one(Response::Version(Version::RECOMMENDED)),
            Request::Type => one(Response::Type(BootloaderType::Network)),
            Request::Commit => one(Response::Commit("c".into())),
            Request::IsUserBootloader => one(Response::IsUserBootloader(false)),
            Request::Application { .. } => one(Response::Application(Ok(ApplicationDetails::default()))),
            Request::MemoryDetails { memory } => {
                one(Response::MemoryDetails((memory == Memory::Flash).then(|| MemoryDetails {
                    memory,
                    size: 9 << 20,
                    info: String::new(),
                })))
            }
            Request::UpdateFlash { total, .. } | Request::WriteFlash { total, .. } => {
                self.written.clear();
                self.expects = total as usize;
                vec![]
            }
            Request::SetConfig { total, .. } => {
                self.config = None;
                self.expects = total as usize;
                vec![]
            }
            Request::ReadFlash { offset, total, .. } => {
                let from = (offset as usize).saturating_sub(8 << 20);
                let byte = |at: usize| self.written.get(at).copied().unwrap_or(0xff);
                let bytes = (from..from + total as usize).map(byte).collect();
                vec![Response::ReadFlash(Ok(AnnouncedData { total, packets: 1 })).to_bytes(), bytes]
            }
            Request::GetConfig { .. } => match self.config.clone() {
                None => one(Response::Config(Err("No config available".into()))),
                Some(config) => {
                    let announced = AnnouncedData { total: config.len() as u32, packets: 1 };
                    vec![Response::Config(Ok(announced)).to_bytes(), config]
                }
            },
            _ => one(Response::NoOp { invalid: true }),
        }
    }

    fn answer(&mut self, answer: Option<&Answer>, bytes: &[u8]) -> Vec<Vec<u8>> {
        let one = |response: Response| vec![response.to_bytes()];
        match answer {
            None | Some(Answer::Right) => self.right(bytes),
            Some(Answer::Raw(raw)) => vec![raw.clone()],
            Some(Answer::Complete(error)) => one(Response::FlashComplete(error.clone().map_or(Ok(()), Err))),
            Some(Answer::Progress(share)) => one(Response::Progress(*share)),
            Some(Answer::Version(patch)) => one(Response::Version(Version::new(0, 0, u32::from(*patch)))),
            Some(Answer::NoOp(invalid)) => one(Response::NoOp { invalid: *invalid }),
            Some(Answer::Announced { total, packets, config }) => {
                let announced = Ok(AnnouncedData { total: u32::from(*total), packets: u32::from(*packets) });
                one(if *config { Response::Config(announced) } else { Response::ReadFlash(announced) })
            }
            Some(Answer::Flip(at)) => {
                let writes = self.expects > 0 && !matches!(self.what, Some(Request::SetConfig { .. }));
                let right = self.right(bytes);
                if let Some(byte) = self.written.get_mut(usize::from(*at)).filter(|_| writes) {
                    *byte ^= 1;
                }
                right
            }
            Some(Answer::Nothing) => vec![],
        }
    }
}

fn package() -> Package {
    let bytes = PackageBuilder::new(b"MA2x and more".to_vec()).app_name("fuzz").build().expect("a package");
    Package::parse(bytes).expect("a whole one")
}

fuzz_target!(|answers: Vec<Answer>| {
    let mut answers = answers.iter();
    let package = package();
    let expected = package.bytes().to_vec();
    let task = async move |caller: Caller| -> Result<Flashed, FlashError> {
        Plan::make(&caller, package, FlashOptions { memory: Memory::Auto, force: false }).await?.carry_out(&caller).await
    };
    let mut conversation = Conversation::new(Duration::ZERO, ClientOptions::default(), task);
    let mut camera = Camera { written: Vec::new(), config: None, expects: 0, what: None };
    let mut link = Link::device();
    let mut now = Duration::ZERO;
    for _ in 0..10_000 {
        let out = conversation.output().to_vec();
        conversation.consumed(out.len(), now);
        link.handle_input(&out).expect("XLink packets");
        while let Some(event) = link.poll() {
            match event {
                LinkEvent::OpenedByPeer(stream, _) => link.write_unopened(stream),
                LinkEvent::Packet(stream, bytes) if link.name(stream) == oaktap::bootloader::STREAM => {
                    for packet in camera.answer(answers.next(), &bytes) {
                        link.send(stream, packet);
                    }
                }
                _ => {}
            }
        }
        let back = link.output().to_vec();
        link.consumed(back.len());
        conversation.handle_input(&back, now);
        while conversation.poll_event().is_some() {}
        if let Some(result) = conversation.result() {
            if let Ok(flashed) = result {
                assert!(camera.written.starts_with(&expected), "{flashed:?}, and it is not there");
            }
            return;
        }
        if out.is_empty() && back.is_empty() {
            now = conversation.timeout().max(now);
            conversation.handle_timeout(now);
        }
    }
    panic!("it never ends");
});

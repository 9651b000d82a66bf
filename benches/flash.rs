//! Flashes an application of 28 MiB to a simulated camera over loopback and reads it back: `cargo bench --bench flash`
//!
//! This measures the protocol only: the flash memory of a real camera is far slower. For comparison, the same bytes go
//! over a plain socket, in turn. Both ends are in this process. The target is 200 MB/s.

mod live;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use live::measure::median;
use oaktap::bootloader::{Caller, ClientOptions, Memory};
use oaktap::flash::{FlashError, FlashOptions, Flashed, Plan};
use oaktap::net::talk::talk;
use oaktap::package::{Package, PackageBuilder};
use oaktap::sim::bootloader::{Activity, CameraConfig, CameraSimulator, Place};

const TURNS: usize = 7;
const MB: f64 = 1e6;

fn main() {
    let package = package();
    let bytes = 2.0 * package.bytes().len() as f64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config: CameraConfig = "nor=64MiB&wait-again=3600s&restart=10ms".parse().expect("a camera");
    let camera = CameraSimulator::start(config, &[Place::free_ports(Ipv4Addr::LOCALHOST)]).expect("free ports");
    let place = camera.places()[0];
    let address = SocketAddr::from((place.ip, place.link));
    let (mut flashed, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let copied = bytes / copy(package.bytes()).as_secs_f64() / MB;
        assert!(camera.wait_until(Duration::from_secs(10), |camera| camera.activity() == Activity::Bootloader));
        let wanted = package.clone();
        let start = Instant::now();
        // Nobody stops it.
        let (_, stop) = tokio::sync::watch::channel(0);
        let done =
            runtime.block_on(talk(address, ClientOptions::default(), stop, |_| {}, |caller| flash(caller, wanted)));
        let rate = bytes / start.elapsed().as_secs_f64() / MB;
        assert!(done.expect("the camera answers").expect("flashing succeeds").written);
        flashed.push(rate);
        plain.push(copied);
        ratios.push(rate / copied);
    }
    println!("{} MB written, read back and compared", package.bytes().len() as f64 / MB);
    println!("  plain socket, there and back {:>7.0} MB/s", median(&mut plain));
    println!("  flash                        {:>7.0} MB/s (target: >= 200)", median(&mut flashed));
    println!("  flash / plain socket: {:.2}", median(&mut ratios));
}

async fn flash(caller: Caller, package: Package) -> Result<Flashed, FlashError> {
    Plan::make(&caller, package, FlashOptions { memory: Memory::Auto, force: true }).await?.carry_out(&caller).await
}

/// Sends the bytes to an echo server and receives them again, without a protocol. Returns the duration.
fn copy(bytes: &[u8]) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a listening socket");
    let len = bytes.len();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut received = vec![0; len];
        stream.read_exact(&mut received).expect("all bytes arrive");
        stream.write_all(&received).expect("all bytes arrive");
    });
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).expect("a listening socket");
    stream.write_all(bytes).expect("all bytes arrive");
    let mut received = vec![0; len];
    stream.read_exact(&mut received).expect("all bytes arrive");
    let took = start.elapsed();
    assert!(received == bytes);
    echo.join().expect("the echo thread does not panic");
    took
}

fn package() -> Package {
    let noise = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17).to_le_bytes()[3];
    let mut firmware = b"MA2x".to_vec();
    firmware.extend((0..27_489_112).map(noise));
    let bytes =
        PackageBuilder::new(firmware).asset_storage(vec![7; 800_000]).app_name("bench").build().expect("a package");
    Package::parse(bytes).expect("a valid package")
}

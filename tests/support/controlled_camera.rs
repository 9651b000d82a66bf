//! A camera that takes control records.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oaktap::sim::{SimConfig, Stream};
use oaktap::sync::locked;
use oaktap::wire::encode;

/// Serves each client the stream of a simulated camera, and answers control records, but not the first one: the program must not
/// believe that it was taken. Refuses an ISO. Returns its address and the records that it answers.
pub(crate) fn controlled_camera(config: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let config: SimConfig = config.parse().expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let received = Arc::new(Mutex::new(Vec::new()));
    let records = Arc::clone(&received);
    let closes = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, records) = (client.expect("a client"), Arc::clone(&records));
            let mut stream = Stream::new(&config).expect("a camera");
            let closes = Arc::clone(&closes);
            // Ends with the connection, and paces the stream: at most 10 frames per second.
            thread::spawn(move || -> std::io::Result<()> {
                client.set_read_timeout(Some(Duration::from_millis(100)))?;
                let mut line = [0; 32];
                loop {
                    client.write_all(&stream.turn().bytes())?;
                    if client.read_exact(&mut line).is_err() {
                        continue;
                    }
                    if !closes.swap(true, Ordering::SeqCst) {
                        return Ok(());
                    }
                    let order = String::from_utf8_lossy(&line).trim_end().to_owned();
                    let text = order.trim_start_matches("@K ").to_owned();
                    let answer = if text.starts_with("iso=") { "no: this lens has no gain".to_owned() } else { text };
                    client.write_all(&encode::line(&format!("@N {answer}")).expect("a record"))?;
                    locked(&records).push(order);
                }
            });
        }
    });
    (address, received)
}

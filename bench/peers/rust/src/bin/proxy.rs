//! A network of a given round trip between a client and a server: passes each request on after that time, and each response at once.
//! `proxy 127.0.0.1:5432 1` listens on a free port, prints its number, and adds a round trip of 1 ms.
//!
//! Only one direction waits, because one precise sleep costs less than two. Each connection has three threads that block, so that nothing
//! polls: one reads requests and notes their time, one passes them on when they are due, and one passes responses on.
use std::env::args;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = args().collect();
    let (server, delay) = (args[1].clone(), Duration::from_secs_f64(args[2].parse::<f64>().expect("milliseconds") / 1_000.0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("its address").port());
    for client in listener.incoming().flatten() {
        let Ok(server) = TcpStream::connect(&server) else { continue };
        for end in [&client, &server] {
            end.set_nodelay(true).expect("no delay of our own");
        }
        let twin = |end: &TcpStream| end.try_clone().expect("a second handle");
        let (requests, responses) = ((twin(&client), twin(&server)), (server, client));
        let (sender, receiver) = channel();
        spawn(move || pass_when_due(receiver, requests.1));
        spawn(move || {
            each_chunk(requests.0, |bytes| sender.send((Instant::now() + delay, bytes.to_vec())).is_ok());
        });
        spawn(move || {
            let (from, mut to) = responses;
            each_chunk(from, |bytes| to.write_all(bytes).is_ok());
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

/// Until the end of the connection, or until `pass` returns false.
fn each_chunk(mut from: TcpStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(size) = from.read(&mut buffer) {
        if size == 0 || !pass(&buffer[..size]) {
            return;
        }
    }
}

fn pass_when_due(chunks: Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in chunks {
        sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

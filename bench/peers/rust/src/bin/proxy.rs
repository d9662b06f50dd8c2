//! A network of a given round trip between a client and a server: passes each request on after that time, and each response at once.
//! `proxy 127.0.0.1:5432 1` listens on a free port, prints its number, and adds a round trip of 1 ms.
//!
//! Only one direction waits, because one precise sleep costs less than two. One thread serves all connections: when many are busy, it
//! wakes up once for several of them. `ppoll` sleeps more precisely than a millisecond, which timers of event loops do not.
use std::collections::VecDeque;
use std::env::args;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

/// Requests that are due so soon are passed on too, in one wake-up.
const EARLY: Duration = Duration::from_micros(50);

/// Numbers of the two ends; `None` after the end of the connection.
type Connection = Option<[TcpStream; 2]>;
const CLIENT: usize = 0;
const SERVER: usize = 1;

struct Request {
    due: Instant,
    connection: usize,
    bytes: Vec<u8>,
}

fn main() {
    let args: Vec<String> = args().collect();
    let (server, delay) = (&args[1], Duration::from_secs_f64(args[2].parse::<f64>().expect("milliseconds") / 1_000.0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("its address").port());

    let mut connections: Vec<Connection> = vec![];
    let mut requests: VecDeque<Request> = VecDeque::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        for (connection, end) in wait(&listener, &connections, requests.front().map(|first| first.due)) {
            if connection == connections.len() {
                connections.push(accept(&listener, server));
                continue;
            }
            let Some(ends) = &mut connections[connection] else { continue };
            match ends[end].read(&mut buffer) {
                Ok(size) if size > 0 && end == CLIENT => {
                    requests.push_back(Request { due: Instant::now() + delay, connection, bytes: buffer[..size].to_vec() })
                }
                Ok(size) if size > 0 && ends[CLIENT].write_all(&buffer[..size]).is_ok() => {}
                // Dropping both ends closes them. A client that leaves has nothing more to say.
                _ => connections[connection] = None,
            }
        }
        let now = Instant::now() + EARLY;
        while requests.front().is_some_and(|first| first.due <= now) {
            let Some(Request { connection, bytes, .. }) = requests.pop_front() else { break };
            let Some(ends) = &mut connections[connection] else { continue };
            if ends[SERVER].write_all(&bytes).is_err() {
                connections[connection] = None;
            }
        }
    }
}

/// Waits until then, or until something can be read. Returns the ends; the listener counts as one more connection.
fn wait(listener: &TcpListener, connections: &[Connection], until: Option<Instant>) -> Vec<(usize, usize)> {
    let mut places = vec![];
    let mut ends = vec![];
    for (connection, pair) in connections.iter().enumerate() {
        for (end, stream) in pair.iter().flatten().enumerate() {
            places.push((connection, end));
            ends.push(PollFd::new(stream, PollFlags::IN));
        }
    }
    places.push((connections.len(), 0));
    ends.push(PollFd::new(listener, PollFlags::IN));
    let timeout = until.map(|due| {
        let left = due.saturating_duration_since(Instant::now());
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
    });
    // A signal ends the wait early, which is harmless.
    let _ = poll(&mut ends, timeout.as_ref());
    places.into_iter().zip(&ends).filter(|(_, end)| !end.revents().is_empty()).map(|(place, _)| place).collect()
}

fn accept(listener: &TcpListener, server: &str) -> Connection {
    let (client, _) = listener.accept().ok()?;
    let server = TcpStream::connect(server).ok()?;
    for end in [&client, &server] {
        end.set_nodelay(true).ok()?;
    }
    Some([client, server])
}

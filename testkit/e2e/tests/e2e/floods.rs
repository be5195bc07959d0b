//! Floods of HTTP/2 frames that are cheap to send and mean nothing: the gateway takes no memory for them, others are served
//! meanwhile, and whoever does not stop is sent away.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use novagate_e2e::{FileWorld, PATIENCE, wait_until};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A POST to `/open/a` whose body does not end, on stream 1: `:method POST`, `:scheme http`, `:path`, `:authority a`.
const BEGUN: &[u8] = b"\0\0\x12\x01\x04\0\0\0\x01\x83\x86\x44\x07/open/a\x41\x01a\x0f\x0d\x01\x39";
/// Frames of a flood.
const FRAMES: usize = 100_000;
/// What the gateway may take for one.
const MOST_KIB: u64 = 1024;
/// Without a byte for so long, a connection is thought to stay.
const WAIT: Duration = Duration::from_secs(5);
/// What it takes to read a flood to its end, at the most.
const LONGEST: Duration = Duration::from_secs(10);

/// A frame of each kind that a client may send again and again.
const KINDS: [(&str, &[u8]); 7] = [
    ("PING", b"\0\0\x08\x06\0\0\0\0\0abcdefgh"),
    ("answers to a PING", b"\0\0\x08\x06\x01\0\0\0\0abcdefgh"),
    ("SETTINGS", b"\0\0\0\x04\0\0\0\0\0"),
    ("SETTINGS with a value", b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x01\0\0"),
    ("empty DATA", b"\0\0\0\0\0\0\0\0\x01"),
    ("PRIORITY", b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10"),
    ("an unknown kind", b"\0\0\0\x63\0\0\0\0\0"),
];

/// How a flood ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// The gateway has ended the connection.
    is_expelled: bool,
    /// Bytes that it took.
    taken: usize,
}

/// Sends the frame again and again, and takes answers or not.
fn flood(world: &FileWorld, of: &[u8], takes_answers: bool) -> End {
    let mut stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(BEGUN).unwrap();
    // One that takes no answers is not waited for: its bytes stay where they are.
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let reading = takes_answers.then(|| std::thread::spawn(move || ends(&mut reader)));
    let (frames, mut taken) = (of.repeat(100), 0);
    let begun = Instant::now();
    while taken < FRAMES * of.len() && stream.write_all(&frames).is_ok() {
        taken += frames.len();
        assert!(begun.elapsed() < LONGEST, "{:?} for {taken} bytes", begun.elapsed());
    }
    let is_expelled = match reading {
        Some(reading) => reading.join().unwrap(),
        None => ends(&mut stream),
    };
    End { is_expelled, taken }
}

/// Reads what comes; whether it is up to the end of the connection.
fn ends(stream: &mut TcpStream) -> bool {
    let mut piece = [0; 16_384];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(fault) => return !matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

#[test]
fn floods_of_frames_take_no_memory_and_hold_up_nobody() {
    let world = FileWorld::start(Vec::new());
    for _ in 0..50 {
        world.gateway.get("/open/a").expect(200);
    }
    for (what, frame) in KINDS {
        for takes_answers in [false, true] {
            let before = world.gateway.own_memory_kib();
            let (mut most, mut slowest) = (before, Duration::ZERO);
            let end = std::thread::scope(|scope| {
                let flooding = scope.spawn(|| flood(&world, frame, takes_answers));
                while !flooding.is_finished() {
                    let asked = Instant::now();
                    world.gateway.get("/open/other").expect(200);
                    slowest = slowest.max(asked.elapsed());
                    most = most.max(world.gateway.own_memory_kib());
                }
                flooding.join().unwrap()
            });
            let told =
                format!("{what}, answers taken: {takes_answers}: {end:?}, {before} to {most} KiB, others {slowest:?}");
            assert!(end.is_expelled && end.taken > 0, "{told}");
            assert!(most <= before + MOST_KIB && slowest < WAIT, "{told}");
            wait_until("the flooder is gone", PATIENCE, || {
                world.gateway.metric("active_connections ").is_none_or(|count| count < 0.5)
            });
        }
    }
}

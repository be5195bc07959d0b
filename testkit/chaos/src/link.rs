//! A TCP link in front of one or several servers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection to a server may take.
const CONNECT: Duration = Duration::from_secs(2);

/// When a link is cut that waits for a word of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server never gets the word.
    Before,
    /// The server gets the word, the client never gets the answer.
    After,
}

/// Stands in front of servers and forwards every connection to the next one that takes it, as a balancer does.
pub struct CutLink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    targets: Vec<SocketAddr>,
    next: AtomicUsize,
    numbers: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Both ends of every connection, by its number.
    connections: BTreeMap<usize, [TcpStream; 2]>,
    refusing: bool,
    frozen: bool,
    delay: Duration,
    /// Cuts everything when a client says this.
    trap: Option<(Vec<u8>, Moment)>,
    /// Traps that have caught their word.
    caught: usize,
    ended: bool,
}

/// What is to be done with bytes that came.
enum Verdict {
    Pass,
    PassAndCut,
    Cut,
}

impl CutLink {
    /// A link to a server on this machine.
    pub fn before(port: u16) -> Self {
        Self::balancing(&[SocketAddr::from(([127, 0, 0, 1], port))])
    }

    /// A link to several servers, in turn.
    pub fn balancing(targets: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (next, numbers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { targets: targets.to_vec(), next, numbers, state, changed });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of it.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection that stands; new ones are forwarded.
    pub fn cut(&self) {
        self.shared.lock().cut();
    }

    /// Ends every connection, and every new one at once, until [`Self::heal`].
    pub fn refuse(&self) {
        let mut state = self.shared.lock();
        state.refusing = true;
        state.cut();
    }

    /// Keeps every connection and forwards nothing, until [`Self::heal`].
    pub fn freeze(&self) {
        self.shared.lock().frozen = true;
    }

    /// Forwards everything only after this long.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Cuts every connection when a client says `word` next, once.
    pub fn cut_at(&self, word: &[u8], moment: Moment) {
        self.shared.lock().trap = Some((word.to_vec(), moment));
    }

    /// How often a word was waited for and came.
    pub fn caught(&self) -> usize {
        self.shared.lock().caught
    }

    /// Connections that stand.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Forwards as if nothing had been.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        (state.refusing, state.frozen, state.delay, state.trap) = (false, false, Duration::ZERO, None);
        self.shared.changed.notify_all();
    }
}

impl Drop for CutLink {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ended = true;
            state.cut();
            self.shared.changed.notify_all();
        }
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn cut(&mut self) {
        for stream in std::mem::take(&mut self.connections).into_values().flatten() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next server that takes a connection.
    fn connect(&self) -> Option<TcpStream> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut turn = (0..self.targets.len()).map(|step| self.targets[(first + step) % self.targets.len()]);
        turn.find_map(|target| TcpStream::connect_timeout(&target, CONNECT).ok())
    }

    /// Waits as long as the link is frozen or slow, and says what to do with the bytes.
    fn judge(&self, bytes: &[u8], from_client: bool) -> Verdict {
        let mut state = self.lock();
        let due = Instant::now() + state.delay;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.ended || (!state.frozen && left.is_zero()) {
                break;
            }
            let wait = if state.frozen { Duration::from_secs(1) } else { left };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let trapped = |(word, _): &mut (Vec<u8>, Moment)| bytes.windows(word.len()).any(|part| part == word.as_slice());
        match state.trap.take_if(|trap| from_client && trapped(trap)) {
            None => Verdict::Pass,
            Some((_, moment)) => {
                state.caught += 1;
                if moment == Moment::Before { Verdict::Cut } else { Verdict::PassAndCut }
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        {
            let state = shared.lock();
            if state.ended {
                return;
            }
            if state.refusing {
                continue;
            }
        }
        let Some(server) = shared.connect() else { continue };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let twins = [client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone()];
        let [Ok(to_client), Ok(to_server), Ok(client_cut), Ok(server_cut)] = twins else { continue };
        let number = shared.numbers.fetch_add(1, Ordering::Relaxed);
        shared.lock().connections.insert(number, [client_cut, server_cut]);
        let (up, down) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || {
            pump(client, to_server, &up, true);
            up.lock().connections.remove(&number);
        });
        std::thread::spawn(move || pump(server, to_client, &down, false));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, from_client: bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..count];
        let passed = match shared.judge(bytes, from_client) {
            Verdict::Pass => to.write_all(bytes).is_ok(),
            Verdict::PassAndCut => {
                // The client's side first, so that no answer can slip through.
                drop(from.shutdown(Shutdown::Both));
                drop(to.write_all(bytes));
                false
            }
            Verdict::Cut => false,
        };
        if !passed {
            break;
        }
    }
    // What the server has got it may work off: it sees the end only after that.
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte with the same byte.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut twin = stream.try_clone().expect("a twin");
                    drop(std::io::copy(&mut stream, &mut twin));
                });
            }
        });
        address
    }

    fn open(link: &CutLink) -> TcpStream {
        let stream = TcpStream::connect(link.address()).expect("the link listens");
        stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        stream
    }

    fn ask(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(word)?;
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn a_link_forwards_until_it_is_cut_and_then_again() {
        let link = CutLink::before(echo().port());
        let mut stream = open(&link);
        assert_eq!(ask(&mut stream, b"one").expect("forwarded"), b"one");
        link.cut();
        assert!(ask(&mut stream, b"two").is_err());
        assert_eq!(ask(&mut open(&link), b"three").expect("forwarded again"), b"three");
    }

    #[test]
    fn a_link_that_refuses_ends_new_connections_until_it_heals() {
        let link = CutLink::before(echo().port());
        link.refuse();
        assert!(ask(&mut open(&link), b"one").is_err());
        link.heal();
        assert_eq!(ask(&mut open(&link), b"two").expect("healed"), b"two");
    }

    #[test]
    fn a_frozen_link_keeps_what_was_said_until_it_heals() {
        let link = CutLink::before(echo().port());
        let mut stream = open(&link);
        link.freeze();
        let fault = ask(&mut stream, b"one").expect_err("nothing comes");
        assert!(matches!(fault.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{fault}");
        link.heal();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).expect("it comes after all");
        assert_eq!(&answer, b"one");
    }

    #[test]
    fn a_word_cuts_the_link_before_or_after_the_server_gets_it() {
        for (moment, arrives) in [(Moment::Before, false), (Moment::After, true)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
            let link = CutLink::before(listener.local_addr().expect("an address").port());
            link.cut_at(b"COMMIT", moment);
            let mut client = open(&link);
            client.write_all(b"BEGIN").expect("it is taken");
            let mut server = listener.accept().expect("it comes").0;
            let mut begin = [0; 5];
            server.read_exact(&mut begin).expect("the first word arrives");
            client.write_all(b"x COMMIT x").expect("it is taken");
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).expect("an end");
            assert_eq!(rest == b"x COMMIT x", arrives, "{moment:?}");
            assert_eq!((link.caught(), client.read(&mut begin).unwrap_or(0)), (1, 0));
        }
    }

    #[test]
    fn a_balancer_goes_round_and_leaves_out_who_is_away() {
        let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
        let link = CutLink::balancing(&[gone, echo()]);
        for _ in 0..4 {
            assert_eq!(ask(&mut open(&link), b"one").expect("forwarded"), b"one");
        }
    }
}

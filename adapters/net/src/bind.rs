//! Listening sockets, with errors that say which setting to change.
//!
//! Always: sockets are non-blocking and listen when they are returned. A port that somebody else listens on is an error
//! even when both sides use `SO_REUSEPORT`: Linux would silently share it between the two programs.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;

/// Attempts at finding one free port for all sockets when the port is left to the kernel.
const PORT_ATTEMPTS: usize = 8;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error("{flag}: {addr} is already in use")]
    InUse {
        /// The flag or setting that names the address.
        flag: &'static str,
        /// The address.
        addr: SocketAddr,
    },
    /// The address is no address of this machine.
    #[error("{flag}: {addr} is not an address of this machine")]
    NotHere {
        /// The flag or setting that names the address.
        flag: &'static str,
        /// The address.
        addr: SocketAddr,
    },
    /// Anything else, such as a port that needs a privilege.
    #[error("{flag}: cannot listen on {addr}")]
    Other {
        /// The flag or setting that names the address.
        flag: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// One listening socket of our own. `flag` names the setting that holds the address.
pub fn bind(addr: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    listen(addr, Sharing::Exclusive).map_err(|source| explain(addr, flag, source))
}

/// `count` sockets that share one address by `SO_REUSEPORT`, one for each worker; with port 0 they share the port that
/// the kernel chose.
///
/// The address is bound exclusively first and given back, so a listener of another process is found.
pub fn bind_shared(addr: SocketAddr, count: NonZeroUsize, flag: &'static str) -> Result<Vec<TcpListener>, BindError> {
    let mut attempts = if addr.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match share(addr, count) {
            Ok(sockets) => return Ok(sockets),
            // Between the probe and the sockets a port chosen by the kernel may have gone to somebody else.
            Err(fault) if fault.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(fault) => return Err(explain(addr, flag, fault)),
        }
    }
}

/// `count` handles of one socket that somebody else has opened, one for each worker. `flag` names what it stands for.
pub fn share_socket(
    socket: &TcpListener,
    count: NonZeroUsize,
    flag: &'static str,
) -> Result<Vec<TcpListener>, BindError> {
    let addr = socket.local_addr().unwrap_or_else(|_unknown| SocketAddr::from(([0, 0, 0, 0], 0)));
    let shared = (0..count.get()).map(|_| socket.try_clone()).collect::<io::Result<_>>();
    shared.map_err(|source| BindError::Other { flag, addr, source })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    ReusePort,
}

fn share(addr: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    let probe = socket(addr, Sharing::Exclusive)?;
    let chosen = TcpListener::from(probe).local_addr()?;
    // The probe is closed here: its exclusive claim would refuse our own sockets too.
    (0..count.get()).map(|_| listen(chosen, Sharing::ReusePort)).collect()
}

fn listen(addr: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = socket(addr, sharing)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(addr: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a previous run in TIME_WAIT do not block a restart; a listener still conflicts.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::ReusePort {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn explain(addr: SocketAddr, flag: &'static str, source: io::Error) -> BindError {
    if source.kind() == io::ErrorKind::AddrInUse {
        BindError::InUse { flag, addr }
    } else if source.kind() == io::ErrorKind::AddrNotAvailable {
        BindError::NotHere { flag, addr }
    } else {
        BindError::Other { flag, addr, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_PORT: &str = "127.0.0.1:0";

    fn any_port() -> SocketAddr {
        ANY_PORT.parse().unwrap()
    }

    fn count(workers: usize) -> NonZeroUsize {
        NonZeroUsize::new(workers).unwrap()
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_flag_and_the_address() {
        let holder = bind(any_port(), "--control-addr").unwrap();
        let addr = holder.local_addr().unwrap();
        let error = bind(addr, "--gateway-addr").unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }));
        assert_eq!(error.to_string(), format!("--gateway-addr: {addr} is already in use"));
    }

    #[test]
    fn shared_sockets_share_the_port_the_kernel_chose() {
        let sockets = bind_shared(any_port(), count(4), "PORT").unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 4);
        assert!(ports.iter().all(|port| *port != 0 && *port == ports[0]));
    }

    #[test]
    fn a_second_program_that_would_share_the_port_silently_is_refused() {
        let first = bind_shared(any_port(), count(2), "PORT").unwrap();
        let addr = first[0].local_addr().unwrap();
        let error = bind_shared(addr, count(2), "PORT").unwrap_err();
        assert!(matches!(error, BindError::InUse { flag: "PORT", .. }), "{error}");
    }

    #[test]
    fn an_exclusive_listener_refuses_shared_sockets_and_the_other_way_round() {
        let exclusive = bind(any_port(), "PORT").unwrap();
        let addr = exclusive.local_addr().unwrap();
        assert!(matches!(bind_shared(addr, count(1), "PORT"), Err(BindError::InUse { .. })));
        drop(exclusive);
        let _shared = bind_shared(addr, count(1), "PORT").unwrap();
        assert!(matches!(bind(addr, "PORT"), Err(BindError::InUse { .. })));
    }

    #[test]
    fn an_address_of_another_machine_is_told_apart() {
        let error = bind("192.0.2.1:0".parse().unwrap(), "HOST").unwrap_err();
        assert!(matches!(error, BindError::NotHere { flag: "HOST", .. }), "{error}");
    }
}

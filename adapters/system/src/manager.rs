//! The service manager: sockets that it passes, and what it wants to know (`systemd.service(5)`, `sd_listen_fds(3)`,
//! `sd_notify(3)`; other managers speak the same).
//!
//! Always: without a manager, or when it does not listen, nothing happens. Not here: when a program is ready or stuck.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Listening sockets that the manager has opened for a gateway.
#[derive(Debug, Default)]
pub struct PassedListeners {
    /// For traffic.
    pub data: Option<TcpListener>,
    /// For operators.
    pub admin: Option<TcpListener>,
}

/// Takes the sockets that the manager passed: by the names `data` and `admin` (`FileDescriptorName=`), those with other names
/// in this order. More than two, or what is no listening TCP socket, is an error.
pub fn passed_listeners() -> io::Result<PassedListeners> {
    let mut passed = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut listeners = PassedListeners::default();
    for (at, place) in places(&names, passed.len())?.into_iter().enumerate() {
        let Some(listener) = passed.take_tcp_listener(at)? else { continue };
        listener.set_nonblocking(true)?;
        *match place {
            Place::Data => &mut listeners.data,
            Place::Admin => &mut listeners.admin,
        } = Some(listener);
    }
    Ok(listeners)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Data,
    Admin,
}

/// What each of so many sockets is for.
fn places(names: &str, count: usize) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for at in 0..count {
        let wanted = match names.split(':').nth(at) {
            Some("data") => Some(Place::Data),
            Some("admin") => Some(Place::Admin),
            _ => None,
        };
        let free = [Place::Data, Place::Admin].into_iter().find(|place| !places.contains(place));
        match wanted.or(free) {
            Some(place) if !places.contains(&place) => places.push(place),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "more sockets were passed than there is use for",
                ));
            }
        }
    }
    Ok(places)
}

/// Tells the manager that the program does its work.
pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Tells the manager that the program finishes what runs.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
}

/// Tells the manager that the program is well; to be said at least once in every [`watchdog_interval`].
pub fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// After so long without [`tell_alive`] the manager ends the process; `None`: never.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(what) {
        tracing::warn!(%fault, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_by_their_names_and_else_by_their_order() {
        use Place::{Admin, Data};
        for (names, count, expected) in [
            ("", 0, vec![]),
            ("", 1, vec![Data]),
            ("", 2, vec![Data, Admin]),
            ("admin", 1, vec![Admin]),
            ("admin:data", 2, vec![Admin, Data]),
            ("admin:gateway.socket", 2, vec![Admin, Data]),
            ("gateway.socket:gateway.socket", 2, vec![Data, Admin]),
        ] {
            assert_eq!(places(names, count).unwrap(), expected, "{names}");
        }
    }

    #[test]
    fn a_socket_without_use_is_an_error() {
        for (names, count) in [("", 3), ("data:data", 2), ("x:data", 2)] {
            assert!(places(names, count).is_err(), "{names}");
        }
    }

    #[test]
    fn without_a_manager_nothing_is_passed_and_nothing_is_told() {
        let passed = passed_listeners().unwrap();
        assert!(passed.data.is_none() && passed.admin.is_none());
        tell_ready();
        assert_eq!(watchdog_interval(), None);
    }
}

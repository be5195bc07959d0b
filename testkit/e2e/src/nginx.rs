//! nginx as a plain proxy, to compare the gateway with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;

use novagate_services::{NGINX_PACKAGE, nginx, skip};

use crate::{Folder, Process, free_port};

/// A running nginx.
pub struct Nginx {
    address: SocketAddr,
    // Before its folder.
    _process: Process,
    _folder: Folder,
}

impl Nginx {
    /// Passes everything on to an upstream: bodies as they come, in the framing they come in. `None`, and the test is said
    /// to be left out, where it is not installed.
    pub fn in_front_of(upstream: SocketAddr) -> Option<Self> {
        let Some(program) = nginx() else {
            skip(&format!(
                "nginx (`apt-get install -y --no-install-recommends {NGINX_PACKAGE}`, or `cargo xtask setup`)"
            ));
            return None;
        };
        let folder = Folder::new("nginx");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(&folder, address, upstream)).expect("the folder can be written");
        let (prefix, file) = (folder.path().display().to_string(), file.display().to_string());
        let arguments = ["-e", "stderr", "-p", &prefix, "-c", &file];
        let mut process = Process::of_program(&program, &arguments, &BTreeMap::new(), Stdio::null());
        process.wait_ready("nginx listens", || TcpStream::connect(address).is_ok());
        Some(Self { address, _process: process, _folder: folder })
    }

    /// Where it takes traffic.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn configuration(folder: &Folder, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.path().display();
    // The built-in places belong to the system's nginx.
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places = kinds.map(|kind| format!("{kind}_temp_path {folder}/{kind};")).join(" ");
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
  {places} access_log off; underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
  client_max_body_size 0;
  server {{
    listen {address};
    location / {{
      proxy_pass http://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_request_buffering off;
      proxy_buffering off;
    }}
  }}
}}
"
    )
}

//! The client of the agent: decodes its frames into events.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use crate::event::{Host, What};
/// tmp
pub fn listen(mut agent: UnixStream, events: Sender<What>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().spawn(move || {
        let mut d = imalab_wire::frame::Decoder::new();
        let mut b = vec![0; 65536];
        while let Ok(n @ 1..) = agent.read(&mut b) {
            let mut at = 0; while at < n { at += d.push(&b[at..n]);
            while let Some(m) = d.next() {
                match m { Ok((_, m)) => drop(events.send(What::Guest(m))), Err(e) => drop(events.send(What::Host(Host::BadFrame{text: e.to_string()}))) }
            }
            }
        }
    })
}

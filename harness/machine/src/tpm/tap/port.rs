//! The tap's own port: swtpm's protocol over TCP on the loopback address, for the harness's own commands.
//!
//! libtss2 connects anew for every command and sends one control request, SET_LOCALITY, when it is opened
//! (`src/tss2-tcti/tcti-swtpm.c`, 3.2 to 4.1); versions without `port + 1` of their own to set take the next one
//! for control.
//!
//! Who connects is [looked up](Admit) first. A stranger's connection is closed at once and takes nobody's place.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::socket::{Shutdown as How, shutdown};

use super::record::Recorder;
use super::{Admit, Trouble};
use crate::tpm::control::{self, be32};
use crate::tpm::frame::{self, REST, Received};
use imalab_formats::tpm::command::changes_pcr;
use imalab_trace::Origin;

/// How often another pair of ports is tried when the neighbour of a free one is taken.
const TRIES: usize = 256;

/// Connections served at once; further ones are closed.
const CONNECTIONS: usize = 64;

/// The two listening sockets and their connections.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    data: TcpListener,
    control: TcpListener,
    admit: Admit,
    /// What SET_LOCALITY last said on this port, for all of its connections, as with swtpm.
    locality: AtomicU8,
    open: Mutex<Open>,
    recorder: Arc<Recorder>,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    next: u64,
    streams: HashMap<u64, TcpStream>,
}

impl Port {
    /// Binds two neighbouring ports. Both are held from the first moment, so that two machines cannot get the
    /// same.
    pub(super) fn bind(recorder: Arc<Recorder>, admit: Admit) -> io::Result<Self> {
        let (data, control) = pair()?;
        let number = data.local_addr()?.port();
        let locality = AtomicU8::new(0);
        Ok(Port { number, data, control, admit, locality, open: Mutex::default(), recorder })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Closes the port and every connection; nothing is served any more.
    pub(super) fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.closed = true;
        for stream in open.streams.values() {
            // Fails only when the peer is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        for listener in [&self.data, &self.control] {
            // Wakes accept(2), which then fails with EINVAL (net/ipv4/af_inet.c, inet_csk_accept).
            let _ = shutdown(listener.as_raw_fd(), How::Both);
        }
    }

    /// Accepts data connections until the port is closed, and waits for the last of them.
    pub(super) fn serve_data(&self) {
        self.accept(&self.data, |stream| self.commands(stream));
    }

    /// Accepts control connections until the port is closed, and waits for the last of them.
    pub(super) fn serve_control(&self) {
        self.accept(&self.control, |stream| self.requests(stream));
    }

    fn accept(&self, listener: &TcpListener, serve: impl Fn(TcpStream) -> io::Result<()> + Sync) {
        let serve = &serve;
        std::thread::scope(|scope| {
            loop {
                let stream = match listener.accept() {
                    Ok((stream, _)) => stream,
                    Err(error) if is_passing(&error) => continue,
                    // The port was closed, or is of no use any more.
                    Err(error) => return self.recorder.trouble(&Trouble::Port(error)),
                };
                // Closed when it is dropped; nothing of a stranger's was read.
                if !self.admit.admits(&stream) {
                    continue;
                }
                let Ok(Some(id)) = self.enter(&stream) else { continue };
                let thread = std::thread::Builder::new().name("tpm-port-peer".to_owned());
                let started = thread.spawn_scoped(scope, move || {
                    // The peer's end of a broken connection is the peer's business.
                    let _ = serve(stream);
                    self.leave(id);
                });
                if let Err(error) = started {
                    self.leave(id);
                    self.recorder.trouble(&Trouble::Port(error));
                }
            }
        });
    }

    /// Notes a connection so that [`Port::close`] finds it; `None` when it must not be served.
    fn enter(&self, stream: &TcpStream) -> io::Result<Option<u64>> {
        stream.set_nodelay(true)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.closed || open.streams.len() >= CONNECTIONS {
            return Ok(None);
        }
        let id = open.next;
        open.next += 1;
        open.streams.insert(id, stream.try_clone()?);
        Ok(Some(id))
    }

    fn leave(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).streams.remove(&id);
    }

    /// Serves TPM commands on one connection. One that is malformed is answered, and the connection closed.
    fn commands(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let received = frame::receive(&mut stream, Some(REST))?;
            let begin_ns = self.recorder.now();
            let locality = self.locality.load(Ordering::SeqCst);
            match received {
                Received::Closed => return Ok(()),
                Received::Bad(..) => return stream.write_all(&frame::bare_answer(frame::RC_COMMAND_SIZE)),
                Received::Whole(command) => {
                    let change = changes_pcr(&command);
                    let answer = self.recorder.forward(Origin::Harness, locality, begin_ns, command);
                    if let Some(command) = change.filter(|_| frame::code(&answer) == Some(frame::RC_SUCCESS))
                    {
                        self.recorder.trouble(&Trouble::Foreign { command });
                    }
                    stream.write_all(&answer)?;
                }
            }
        }
    }

    /// Answers control requests on one connection. swtpm sees none of them.
    fn requests(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut request = [0; 256];
        loop {
            let mut got = 0;
            while got < 4 {
                match stream.read(&mut request[got..])? {
                    0 => return Ok(()),
                    more => got += more,
                }
            }
            if be32(&request, 0) == control::SET_LOCALITY && got == 4 {
                got += stream.read(&mut request[got..])?;
            }
            stream.write_all(&self.reply(&request[..got]))?;
        }
    }

    fn reply(&self, request: &[u8]) -> Vec<u8> {
        match (be32(request, 0), request.get(4)) {
            // SET_LOCALITY is all that can be done here: PTM_CAP_SET_LOCALITY, 1 << 3, behind a zero result.
            (control::GET_CAPABILITY, _) => [control::SUCCESS, 1 << 3].map(u32::to_be_bytes).concat(),
            (control::SET_LOCALITY, Some(&locality @ 0..=4)) => {
                self.locality.store(locality, Ordering::SeqCst);
                control::SUCCESS.to_be_bytes().to_vec()
            }
            (control::SET_LOCALITY, Some(_)) => control::BAD_LOCALITY.to_be_bytes().to_vec(),
            (control::SET_LOCALITY, None) => control::BAD_PARAMETER.to_be_bytes().to_vec(),
            // INIT, STOP, SHUTDOWN, state blobs and all else would touch the guest's TPM.
            _ => control::BAD_ORDINAL.to_be_bytes().to_vec(),
        }
    }
}

/// Errors of accept(2) that concern one connection only (its manual page, "Error handling").
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted | ErrorKind::ConnectionReset)
}

/// Two listening sockets on neighbouring ports.
fn pair() -> io::Result<(TcpListener, TcpListener)> {
    let mut last = io::Error::from(ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let data = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let Some(next) = data.local_addr()?.port().checked_add(1) else { continue };
        match TcpListener::bind((Ipv4Addr::LOCALHOST, next)) {
            Ok(control) => return Ok((data, control)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

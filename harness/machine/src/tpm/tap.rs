//! The tap: stands between QEMU's `tpm-emulator` and swtpm, sees every command, and lets the harness put its own
//! between the guest's.
//!
//! QEMU speaks swtpm's control protocol on one socket and hands over, by `CMD_SET_DATAFD`, the socket on which it
//! will send the guest's TPM commands. The tap keeps that one, has a data channel of its own to swtpm, and thus
//! decides when which command reaches the TPM. It records an exchange *before* it lets go of the answer: what the
//! guest says afterwards stands later in the stream.
//!
//! Blocking threads: one for QEMU's control channel, one for the guest's commands, two that accept on the
//! [port](Tap::port) and one for each connection there. Each ends when its peer closes, and all of them when the
//! tap is [shut down](Tap::shutdown).

mod guest;
mod peer;
mod port;
mod record;
mod waits;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::control::ControlError;
use super::frame::{self, BadFrame};
use super::link::{Link, LinkError};
use imalab_formats::tpm::fault::Fault;
use imalab_trace::{Origin, What};

use guest::Guest;
pub use peer::Admit;
use port::Port;
use record::Recorder;

/// `TPM2_StirRandom` (TPM 2.0 Library Part 3, 16.2).
const CC_STIR_RANDOM: u32 = 0x146;

/// Takes what the tap sees, in TPM order. It is called while the TPM waits, so it must not block on anything that
/// needs the TPM or the tap; sending on an [`imalab_trace::Sender`] is what it is meant for.
pub type Sink = Arc<dyn Fn(What) + Send + Sync>;

/// What the harness does at a mark: gets the mark's number, while the guest waits for the answer.
///
/// It may use the tap's own port. When it fails, the guest's mark command fails with `TPM_RC_FAILURE` and the
/// reason goes into the stream.
pub type OnMark = Box<dyn FnMut(u64) -> Result<AfterMark, Box<dyn std::error::Error + Send + Sync>> + Send>;

/// What the tap does once the harness is done at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterMark {
    /// Answers it.
    Answer,
    /// Answers it when it is [released](Tap::release).
    Hold,
    /// Answers it, and does this to later commands.
    Arm(Fault),
}

/// What goes wrong at the tap while the machine runs. Each becomes a
/// [`Host::TpmTrouble`](imalab_trace::Host::TpmTrouble) in the stream.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The guest sent something that is no TPM command. It got `TPM_RC_COMMAND_SIZE`, the TPM nothing.
    #[error("malformed TPM command of the guest: {0}")]
    GuestFrame(BadFrame),
    /// The guest sent a mark command that is none.
    #[error("malformed mark of the guest: {0}")]
    MarkFrame(imalab_formats::tpm::command::CommandError),
    /// The harness failed at a mark.
    #[error("mark {number}: {text}")]
    Mark {
        /// The mark.
        number: u64,
        /// What it failed with.
        text: String,
    },
    /// swtpm gave no answer to a TPM command; the sender got `TPM_RC_FAILURE`, and so do all later ones.
    #[error("no answer of the TPM to {command}: {source}")]
    NoAnswer {
        /// Name of the command.
        command: String,
        /// Why.
        source: LinkError,
    },
    /// The control channel between QEMU and swtpm broke and was closed towards QEMU.
    #[error("control channel of the TPM: {0}")]
    Control(ControlError),
    /// The socket of the guest's commands failed.
    #[error("data channel of the guest: {0}")]
    GuestData(io::Error),
    /// A connection to the tap's port could not be served.
    #[error("port of the tap: {0}")]
    Port(io::Error),
    /// A command that came by the tap's port changed a PCR: what that holds after it is not the guest's doing.
    #[error("{command} came through the harness's own port, not from the guest")]
    Foreign {
        /// Name of the command, and the PCR.
        command: String,
    },
}

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// No two neighbouring ports on the loopback address could be had.
    #[error("no free pair of ports on 127.0.0.1: {0}")]
    Ports(io::Error),
    /// A socket or a thread could not be made.
    #[error("cannot start the tap: {0}")]
    Io(#[from] io::Error),
}

/// A running tap.
///
/// Dropping it shuts it down.
#[derive(Debug)]
pub struct Tap {
    recorder: Arc<Recorder>,
    guest: Arc<Guest>,
    port: Arc<Port>,
    threads: Vec<JoinHandle<()>>,
}

impl Tap {
    /// Starts the tap on a link to swtpm, and returns with it QEMU's end of the control channel.
    ///
    /// QEMU inherits it as descriptor N and gets `-chardev socket,id=X,fd=N -tpmdev
    /// tpm-emulator,id=Y,chardev=X`; after that the caller drops it. `epoch` is when the machine was started: the
    /// times of the exchanges count from there. `admit` says who may use the tap's port.
    pub fn start(
        link: Link,
        epoch: Instant,
        sink: Sink,
        on_mark: OnMark,
        admit: Admit,
    ) -> Result<(Tap, OwnedFd), TapError> {
        link.wait_without_limit()?;
        let recorder = Arc::new(Recorder::new(link, epoch, sink));
        let (ours, qemus) = UnixStream::pair()?;
        let guest = Arc::new(Guest::new(ours, Arc::clone(&recorder)));
        let port = Arc::new(Port::bind(Arc::clone(&recorder), admit).map_err(TapError::Ports)?);
        let mut tap = Tap { recorder, guest, port, threads: Vec::new() };
        let guest = Arc::clone(&tap.guest);
        tap.spawn("tpm-control", move || guest.serve_control(on_mark))?;
        let port = Arc::clone(&tap.port);
        tap.spawn("tpm-port", move || port.serve_data())?;
        let port = Arc::clone(&tap.port);
        tap.spawn("tpm-port-control", move || port.serve_control())?;
        Ok((tap, qemus.into()))
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(())
    }

    /// The loopback TCP port on which the tap speaks swtpm's protocol; control is on the next one, where libtss2
    /// expects it.
    ///
    /// For libtss2 it is `swtpm:host=127.0.0.1,port=N`. Whoever is not [admitted](Admit) is disconnected before a byte of
    /// theirs is read. Nothing there can reset or stop the TPM: that is for the guest alone.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Whether a command of the guest waits at the tap, as the plan says.
    pub fn is_held(&self) -> bool {
        self.guest.is_held()
    }

    /// The kernel's number of the thread of this process that carries the guest's commands; none before the guest's TPM was started.
    pub fn thread(&self) -> Option<u32> {
        self.guest.thread()
    }

    /// How long swtpm has owed the answer to a command, if it does.
    pub fn owed(&self) -> Option<Duration> {
        self.recorder.owed()
    }

    /// Lets go of the mark that was held, or that will be.
    pub fn release(&self, mark: u64) {
        self.guest.release(mark);
    }

    /// Has the TPM mix `bytes` into its random numbers (`TPM2_StirRandom`), beside what it takes from its host by itself
    /// then: that of a restored machine would else give what all others from the same state give.
    ///
    /// # Errors
    /// Its response code, when it refuses.
    pub fn stir(&self, bytes: &[u8; 32]) -> Result<(), u32> {
        let body = [&32u16.to_be_bytes()[..], bytes].concat();
        let command = frame::bare(CC_STIR_RANDOM, &body);
        let answer = self.recorder.forward(Origin::Harness, 0, self.recorder.now(), command);
        match frame::code(&answer) {
            Some(frame::RC_SUCCESS) => Ok(()),
            code => Err(code.unwrap_or(frame::RC_FAILURE)),
        }
    }

    /// Closes every socket, to swtpm (which ends) as well as to QEMU, and waits for the tap's threads.
    ///
    /// Returns at once even when swtpm is stopped; it waits for a mark handler that is running, whose connections
    /// to the port fail. What fails because of the shutdown does not come into the stream.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.recorder.close();
        self.guest.close();
        self.port.close();
        for thread in self.threads.drain(..) {
            // A panic of ours was already printed by its thread; the machine ends in any case.
            let _ = thread.join();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop();
    }
}

//! QEMU's side of the tap: its control channel, and the channel of the guest's commands.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use imalab_wire::MARK_COMMAND;

use super::record::Recorder;
use super::waits::{Ended, Waits};
use super::{AfterMark, OnMark, Trouble};
use crate::tpm::control::{self, ControlError, Request, be32};
use crate::tpm::faults::Faults;
use crate::tpm::frame::{self, REST, Received};
use imalab_formats::tpm::command::{Command, command_code, parse};
use imalab_formats::tpm::fault::How;
use imalab_trace::{Host, Origin, What};

/// Everything between QEMU and the recorder.
#[derive(Debug)]
pub(super) struct Guest {
    control: UnixStream,
    data: Mutex<Data>,
    /// What the guest's SET_LOCALITY last said.
    locality: AtomicU8,
    /// Whether QEMU has started the TPM. Its own probing comes before (`tpm_util_test_tpmdev`), and is no
    /// guest's.
    started: AtomicBool,
    /// What is to happen to later commands.
    faults: Mutex<Faults>,
    waits: Waits,
    /// The thread that carries the guest's commands, once there is one.
    thread: OnceLock<u32>,
    recorder: Arc<Recorder>,
}

/// The socket of the guest's commands, for waking whoever reads it.
#[derive(Debug, Default)]
struct Data {
    /// None before QEMU has sent it.
    stream: Option<UnixStream>,
    closed: bool,
}

impl Guest {
    pub(super) fn new(control: UnixStream, recorder: Arc<Recorder>) -> Self {
        Guest {
            control,
            data: Mutex::default(),
            locality: AtomicU8::new(0),
            started: AtomicBool::new(false),
            faults: Mutex::default(),
            waits: Waits::default(),
            thread: OnceLock::new(),
            recorder,
        }
    }

    /// Closes both sockets towards QEMU and keeps them closed.
    pub(super) fn close(&self) {
        self.waits.close();
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.closed = true;
        for socket in data.stream.iter().chain([&self.control]) {
            // Fails only when the peer is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether a command waits here.
    pub(super) fn is_held(&self) -> bool {
        self.waits.is_waiting()
    }

    /// The kernel's number of the thread that carries the guest's commands, once there is one.
    pub(super) fn thread(&self) -> Option<u32> {
        self.thread.get().copied()
    }

    /// Lets go of a mark.
    pub(super) fn release(&self, mark: u64) {
        self.waits.release(mark);
    }

    /// Serves QEMU's control channel until QEMU or the tap closes it, and the guest's commands beside it.
    pub(super) fn serve_control(&self, on_mark: OnMark) {
        let mut on_mark = Some(on_mark);
        std::thread::scope(|scope| {
            let result = self.control_loop(|stream| {
                // The handler is there as long as no socket was taken.
                let Some(on_mark) = on_mark.take() else { return Ok(()) };
                let thread = std::thread::Builder::new().name("tpm-guest".to_owned());
                thread.spawn_scoped(scope, move || self.serve_data(stream, on_mark)).map(drop)
            });
            match result {
                Err(ControlError::Io(error)) if is_gone(&error) => {}
                Err(error) => self.recorder.trouble(&Trouble::Control(error)),
                Ok(()) => {}
            }
            // QEMU must not wait for an answer that will not come.
            let _ = self.control.shutdown(Shutdown::Both);
        });
    }

    fn control_loop(
        &self,
        mut on_data: impl FnMut(UnixStream) -> io::Result<()>,
    ) -> Result<(), ControlError> {
        let mut has_data = false;
        while let Some(request) = control::receive_request(&self.control)? {
            let answer = if request.code() == control::SET_DATAFD {
                let result = match request.fd {
                    Some(fd) if !has_data => {
                        has_data = true;
                        on_data(self.take_data(fd)?)?;
                        control::SUCCESS
                    }
                    // As swtpm: one data channel for a lifetime.
                    Some(_) => control::IOERROR,
                    None => control::BAD_PARAMETER,
                };
                result.to_be_bytes().to_vec()
            } else {
                self.pass_on(&request)?
            };
            (&self.control).write_all(&answer)?;
        }
        Ok(())
    }

    /// Keeps the socket that QEMU meant for swtpm.
    fn take_data(&self, fd: OwnedFd) -> io::Result<UnixStream> {
        let stream = UnixStream::from(fd);
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if data.closed {
            stream.shutdown(Shutdown::Both)?;
        }
        data.stream = Some(stream.try_clone()?);
        Ok(stream)
    }

    /// Gives swtpm a control request. What changes the state in which commands run waits for the command under
    /// way, which can only be the harness's; questions, CANCEL and SHUTDOWN do not.
    fn pass_on(&self, request: &Request) -> Result<Vec<u8>, ControlError> {
        let link = self.recorder.link();
        let bytes = &request.bytes;
        match request.code() {
            control::SET_LOCALITY => {
                let answer = link.lock().control(bytes)?;
                if be32(&answer, 0) == control::SUCCESS {
                    self.locality.store(bytes[4], Ordering::SeqCst);
                }
                Ok(answer)
            }
            control::INIT => {
                let answer = link.lock().control(bytes)?;
                if be32(&answer, 0) == control::SUCCESS {
                    self.started.store(true, Ordering::SeqCst);
                }
                Ok(answer)
            }
            control::STOP | control::SET_BUFFERSIZE | control::SET_STATEBLOB | control::GET_STATEBLOB => {
                link.lock().control(bytes)
            }
            control::SHUTDOWN => {
                // Told first: that swtpm has ended then comes later.
                self.recorder.note(What::Host(Host::EndAsked));
                link.control(bytes)
            }
            control::CANCEL_TPM_CMD => {
                let answer = link.control(bytes);
                self.waits.cancel();
                answer
            }
            _ => link.control(bytes),
        }
    }

    /// Serves the guest's commands until QEMU or the tap closes the channel.
    fn serve_data(&self, mut stream: UnixStream, mut on_mark: OnMark) {
        // There is one, and a number is never negative.
        let _ = self.thread.set(nix::unistd::gettid().as_raw().unsigned_abs());
        loop {
            let received = match frame::receive(&mut stream, Some(REST)) {
                Ok(received) => received,
                Err(error) => return self.data_trouble(error),
            };
            let begin_ns = self.recorder.now();
            let answer = match received {
                Received::Closed => return,
                Received::Bad(bytes, bad) => {
                    self.recorder.trouble(&Trouble::GuestFrame(bad));
                    self.answer_ourselves(Origin::Guest, begin_ns, bytes, frame::RC_COMMAND_SIZE)
                }
                Received::Whole(command) => self.answer(begin_ns, command, &mut on_mark),
            };
            if let Err(error) = stream.write_all(&answer) {
                return self.data_trouble(error);
            }
        }
    }

    /// Decides what becomes of one whole command of the guest. Whatever shall delay, replace or swallow an answer
    /// belongs here.
    fn answer(&self, begin_ns: u64, command: Vec<u8>, on_mark: &mut OnMark) -> Vec<u8> {
        let locality = self.locality.load(Ordering::SeqCst);
        if !self.started.load(Ordering::SeqCst) {
            return self.probe(locality, &command);
        }
        let code = command_code(&command);
        if code != Some(MARK_COMMAND) {
            let fault =
                code.and_then(|code| self.faults.lock().unwrap_or_else(PoisonError::into_inner).next(code));
            return match fault {
                Some(how) => self.fault(how, locality, begin_ns, command),
                None => self.recorder.forward(Origin::Guest, locality, begin_ns, command),
            };
        }
        let code = match parse(&command) {
            Ok(Command::Mark { number }) => self.mark(number, on_mark),
            Ok(_) => frame::RC_COMMAND_SIZE,
            Err(error) => {
                self.recorder.trouble(&Trouble::MarkFrame(error));
                frame::RC_COMMAND_SIZE
            }
        };
        self.answer_ourselves(Origin::Mark, begin_ns, command, code)
    }

    fn mark(&self, number: u64, on_mark: &mut OnMark) -> u32 {
        let text = match catch_unwind(AssertUnwindSafe(|| on_mark(number))) {
            Ok(Ok(AfterMark::Answer)) => return frame::RC_SUCCESS,
            Ok(Ok(AfterMark::Hold)) => {
                self.waits.released(number);
                return frame::RC_SUCCESS;
            }
            Ok(Ok(AfterMark::Arm(fault))) => {
                self.faults.lock().unwrap_or_else(PoisonError::into_inner).arm(fault);
                return frame::RC_SUCCESS;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the handler panicked".to_owned(),
        };
        self.recorder.trouble(&Trouble::Mark { number, text });
        frame::RC_FAILURE
    }

    /// Does to a command what the plan says. Nobody else's command waits for that.
    fn fault(&self, how: How, locality: u8, begin_ns: u64, command: Vec<u8>) -> Vec<u8> {
        let code = command_code(&command).unwrap_or_default();
        // Asked before anybody can know of the fault: whoever cancels because of it ends the wait.
        let cancels = self.waits.cancels();
        self.recorder.note(What::Host(Host::Fault { command: code, how }));
        let carry_out = |command| self.recorder.forward(Origin::Guest, locality, begin_ns, command);
        match how {
            How::Answer { code } => self.answer_ourselves(Origin::Kept, begin_ns, command, code),
            How::Lost { carried_out: true } => {
                let answer = carry_out(command);
                self.waits.cancelled(cancels);
                answer
            }
            How::Lost { carried_out: false } => {
                self.waits.cancelled(cancels);
                self.answer_ourselves(Origin::Kept, begin_ns, command, frame::RC_CANCELED)
            }
            How::Late { ms, carried_out: true } => {
                let answer = carry_out(command);
                self.waits.for_ms(ms, cancels);
                answer
            }
            How::Late { ms, carried_out: false } => match self.waits.for_ms(ms, cancels) {
                Ended::Come => carry_out(command),
                Ended::Cancelled | Ended::Closed => {
                    self.answer_ourselves(Origin::Kept, begin_ns, command, frame::RC_CANCELED)
                }
            },
        }
    }

    /// A command that the TPM does not see.
    fn answer_ourselves(&self, origin: Origin, begin_ns: u64, command: Vec<u8>, code: u32) -> Vec<u8> {
        let answer = frame::bare_answer(code);
        let locality = self.locality.load(Ordering::SeqCst);
        self.recorder.exchange(origin, locality, begin_ns, command, &answer);
        answer
    }

    /// QEMU asks a TPM that is not started which version it is; that is no event of the machine.
    fn probe(&self, locality: u8, command: &[u8]) -> Vec<u8> {
        self.recorder.link().lock().exchange(locality, command).unwrap_or_else(|source| {
            self.recorder.trouble(&Trouble::NoAnswer { command: "QEMU's probe".to_owned(), source });
            frame::bare_answer(frame::RC_FAILURE)
        })
    }

    fn data_trouble(&self, error: io::Error) {
        if !is_gone(&error) {
            self.recorder.trouble(&Trouble::GuestData(error));
        }
        // QEMU must not wait for an answer that will not come.
        if let Some(stream) = &self.data.lock().unwrap_or_else(PoisonError::into_inner).stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Whether QEMU has ended with something of ours unread, which is for whoever watches QEMU to tell.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

//! A swtpm behind a tap, and the little of QEMU's `tpm-emulator` that the tap gets to see.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use imalab_formats::ima::Bank;
use imalab_machine::tpm::link::Link;
use imalab_machine::tpm::swtpm;
use imalab_machine::tpm::tap::{Admit, AfterMark, OnMark, Tap};
use imalab_trace::{Exchange, Host, Origin, What};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take before a test calls it hung, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What swtpm prints, in its folder.
const LOG: &str = "log";

/// Held while a child is started, so that it inherits its own descriptors and nobody else's.
static SPAWNING: Mutex<()> = Mutex::new(());

/// Starts a child that inherits `fds` under their numbers.
pub(crate) fn spawn(mut command: Command, fds: Vec<OwnedFd>) -> Child {
    let _alone = SPAWNING.lock().unwrap();
    for fd in &fds {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    command.spawn().unwrap()
}

/// Runs a tpm2-tool over a tap's port.
pub(crate) fn tool(port: u16, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(name);
    command.args(arguments).env("TPM2TOOLS_TCTI", format!("swtpm:host=127.0.0.1,port={port}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command, Vec::new()).wait_with_output().unwrap()
}

/// A child that does not outlive the test.
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    /// Waits for the child to end by itself.
    pub(crate) fn ended(&self) -> bool {
        let pid = Pid::from_raw(self.0.id() as i32);
        let (sender, ended) = channel();
        // Not reaped: that is for the owner, who would otherwise kill somebody else.
        std::thread::spawn(move || {
            sender.send(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT))
        });
        ended.recv_timeout(PATIENCE).is_ok_and(|status| status.is_ok())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A swtpm that nobody has talked to yet.
pub(crate) struct Swtpm {
    pub(crate) folder: TempDir,
    pub(crate) child: Owned,
    pub(crate) control: UnixStream,
}

impl Swtpm {
    pub(crate) fn start() -> Swtpm {
        let folder = TempDir::new().unwrap();
        let mut launch = swtpm::prepare(Path::new("swtpm"), folder.path()).unwrap();
        let log = File::create(folder.path().join(LOG)).unwrap();
        launch.command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = Owned(spawn(launch.command, launch.inherit));
        Swtpm { folder, child, control: launch.control }
    }
}

/// Everything, from swtpm to the place of QEMU.
pub(crate) struct Rig {
    pub(crate) qemu: Qemu,
    pub(crate) tap: Option<Tap>,
    pub(crate) events: Receiver<What>,
    pub(crate) child: Owned,
    folder: TempDir,
}

impl Rig {
    /// A machine whose firmware has started the TPM.
    pub(crate) fn started(banks: &[Bank]) -> Rig {
        Rig::with_marks(banks, |_| Box::new(|_| Ok(AfterMark::Answer)))
    }

    /// The same, with a mark handler that gets the tap's port.
    pub(crate) fn with_marks(banks: &[Bank], on_mark: impl FnOnce(PortCell) -> OnMark) -> Rig {
        let mut rig = Rig::attached(banks, on_mark);
        rig.qemu.init();
        assert_eq!(code(&rig.qemu.command(&startup())), 0);
        rig
    }

    /// A machine whose firmware has started the TPM, and whose port is for this process alone.
    pub(crate) fn closed(banks: &[Bank]) -> Rig {
        let mut rig = Rig::admitting(banks, |_| Box::new(|_| Ok(AfterMark::Answer)), Admit::ThisProcess);
        rig.qemu.init();
        assert_eq!(code(&rig.qemu.command(&startup())), 0);
        rig
    }

    /// A machine whose QEMU is just about to start the TPM.
    pub(crate) fn attached(banks: &[Bank], on_mark: impl FnOnce(PortCell) -> OnMark) -> Rig {
        Rig::admitting(banks, on_mark, Admit::ThisUser)
    }

    fn admitting(banks: &[Bank], on_mark: impl FnOnce(PortCell) -> OnMark, admit: Admit) -> Rig {
        let swtpm = Swtpm::start();
        let link = Link::open(swtpm.control, PATIENCE).unwrap();
        link.set_banks(banks).unwrap();
        let (sender, events) = channel();
        let port = PortCell::default();
        let on_mark = on_mark(port.clone());
        let sink = Arc::new(move |what| drop(sender.send(what)));
        let (tap, qemu) = Tap::start(link, Instant::now(), sink, on_mark, admit).unwrap();
        *port.0.lock().unwrap() = tap.port();
        let qemu = Qemu::attach(qemu);
        Rig { qemu, tap: Some(tap), events, child: swtpm.child, folder: swtpm.folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.tap.as_ref().unwrap().port()
    }

    /// The name of the thread that carries the guest's commands.
    pub(crate) fn thread(&self) -> String {
        let thread = self.tap.as_ref().and_then(Tap::thread).unwrap();
        std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap()
    }

    pub(crate) fn shutdown(&mut self) {
        self.tap.take().unwrap().shutdown();
    }

    /// The next event.
    pub(crate) fn event(&self) -> What {
        match self.events.recv_timeout(PATIENCE) {
            Ok(what) => what,
            Err(RecvTimeoutError::Timeout) => panic!("no event; swtpm said:\n{}", self.log()),
            Err(RecvTimeoutError::Disconnected) => panic!("the tap is gone"),
        }
    }

    /// The next event, which is an exchange.
    pub(crate) fn exchange(&self) -> Exchange {
        match self.event() {
            What::Tpm(exchange) => exchange,
            other => panic!("expected an exchange, got {other:?}"),
        }
    }

    /// The next event, which is trouble.
    pub(crate) fn trouble(&self) -> String {
        match self.event() {
            What::Host(Host::TpmTrouble { text }) => text,
            other => panic!("expected trouble, got {other:?}"),
        }
    }

    /// Drops what has happened so far.
    pub(crate) fn forget(&self) {
        while self.events.try_recv().is_ok() {}
    }

    /// What has happened so far, exchanges only.
    pub(crate) fn exchanges(&self, origin: Origin) -> Vec<Exchange> {
        let exchanges = self.events.try_iter().filter_map(|what| match what {
            What::Tpm(exchange) if exchange.origin == origin => Some(exchange),
            _ => None,
        });
        exchanges.collect()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).unwrap()
    }
}

/// The tap's port, for a mark handler that has to exist before the tap does.
#[derive(Clone, Default)]
pub(crate) struct PortCell(Arc<Mutex<u16>>);

impl PortCell {
    pub(crate) fn get(&self) -> u16 {
        *self.0.lock().unwrap()
    }
}

/// QEMU's side: the order and the sizes of `backends/tpm/tpm_emulator.c`.
pub(crate) struct Qemu {
    pub(crate) control: UnixStream,
    pub(crate) data: UnixStream,
}

impl Qemu {
    pub(crate) fn attach(control: OwnedFd) -> Qemu {
        let control = UnixStream::from(control);
        let (data, theirs) = UnixStream::pair().unwrap();
        for socket in [&control, &data] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        assert_eq!(set_data_fd(&control, &theirs), [0; 4]);
        Qemu { control, data }
    }

    pub(crate) fn control(&mut self, code: u32, payload: &[u8], answer: usize) -> Vec<u8> {
        self.control.write_all(&[&code.to_be_bytes()[..], payload].concat()).unwrap();
        let mut bytes = vec![0; answer];
        self.control.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What QEMU does when the machine is reset: stop, buffer size, init.
    pub(crate) fn init(&mut self) {
        assert_eq!(self.control(0x0e, &[], 4), [0; 4]);
        assert_eq!(self.control(0x11, &4096u32.to_be_bytes(), 16)[..4], [0; 4]);
        assert_eq!(self.control(0x02, &[0; 4], 4), [0; 4]);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.data.write_all(bytes).unwrap();
    }

    pub(crate) fn answer(&mut self) -> Vec<u8> {
        answer(&mut self.data)
    }

    pub(crate) fn command(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.answer()
    }
}

/// Sends CMD_SET_DATAFD with `fd` and returns the result.
pub(crate) fn set_data_fd(control: &UnixStream, fd: &impl AsRawFd) -> [u8; 4] {
    let fds = [fd.as_raw_fd()];
    let request = 0x10u32.to_be_bytes();
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(control.as_raw_fd(), &[IoSlice::new(&request)], &rights, MsgFlags::empty(), None).unwrap();
    let mut answer = [0; 4];
    (&*control).read_exact(&mut answer).unwrap();
    answer
}

/// Reads one whole answer.
pub(crate) fn answer(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    stream.read_exact(&mut bytes).unwrap();
    let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize;
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[10..]).unwrap();
    bytes
}

/// Response code of an answer.
pub(crate) fn code(answer: &[u8]) -> u32 {
    u32::from_be_bytes(answer[6..10].try_into().unwrap())
}

/// A command without sessions.
pub(crate) fn command(code: u32, body: &[u8]) -> Vec<u8> {
    message(0x8001, code, body)
}

fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let length = 10 + body.len() as u32;
    [&tag.to_be_bytes()[..], &length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

pub(crate) fn startup() -> Vec<u8> {
    command(0x144, &[0, 0])
}

pub(crate) fn mark(number: u64) -> Vec<u8> {
    command(imalab_wire::MARK_COMMAND, &number.to_be_bytes())
}

/// TPM2_GetRandom of `bytes` bytes.
pub(crate) fn random(bytes: u16) -> Vec<u8> {
    command(0x17b, &bytes.to_be_bytes())
}

/// TPM2_PCR_Extend of PCR 10 as the kernel sends it: a digest of `byte`s for each bank.
pub(crate) fn extend(banks: &[Bank], byte: u8) -> Vec<u8> {
    let mut body = 10u32.to_be_bytes().to_vec();
    body.extend(9u32.to_be_bytes());
    body.extend(0x4000_0009u32.to_be_bytes());
    body.extend([0; 5]);
    body.extend((banks.len() as u32).to_be_bytes());
    for bank in banks {
        body.extend(bank.tpm_alg().to_be_bytes());
        body.extend(vec![byte; bank.digest_size()]);
    }
    message(0x8002, 0x182, &body)
}

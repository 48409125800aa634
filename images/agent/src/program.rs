//! The program that QEMU was given, and the wait for it in a machine that is saved before it has one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use imalab_wire::frame::{self, HEADER};
use imalab_wire::{Message, PROGRAM_ITEM, Program, SEED};

use crate::port::Port;
use crate::raw;

/// Where the kernel takes bytes for its random numbers.
const RANDOM: &str = "/dev/urandom";

/// The fw_cfg item.
#[derive(Debug)]
pub(crate) struct Item {
    file: File,
    path: PathBuf,
}

/// What it holds.
#[derive(Debug)]
pub(crate) enum Given {
    Program(Program),
    /// Nothing yet: see [`Item::wait`].
    Nothing,
}

impl Item {
    /// Opens it; `None` when QEMU was given none.
    pub(crate) fn open() -> Result<Option<Self>, String> {
        Self::at(Path::new("/sys/firmware/qemu_fw_cfg/by_name").join(PROGRAM_ITEM).join("raw"))
    }

    fn at(path: PathBuf) -> Result<Option<Self>, String> {
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { file, path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }

    pub(crate) fn read(&self) -> Result<Given, String> {
        let head = self.head()?;
        if frame::is_waiting(&head) {
            return Ok(Given::Nothing);
        }
        let bad = |error| format!("bad program: {error}");
        // Behind it may be more, and each page costs the reading of all that is before it (`fw_cfg_read_blob`,
        // drivers/firmware/qemu_fw_cfg.c).
        let mut bytes = vec![0; frame::program_length(&head).map_err(bad)?];
        self.fill(&mut bytes, 0)?;
        frame::decode_program(&bytes).map(Given::Program).map_err(bad)
    }

    /// Says that this machine may be saved, and looks until the item holds a program, which it does in a machine that was
    /// restored. The only event is that the item has changed, of which nobody tells: guest time stands still between the
    /// two, so that there is one look too many at most.
    pub(crate) fn wait(&self, port: &mut Port) -> Result<Program, String> {
        // Before it is said: from then on any look may be one of a restored machine.
        let waiting = self.head()?;
        port.message(&Message::Waiting).and_then(|()| port.flush()).map_err(|error| error.to_string())?;
        while self.head()? == waiting {}
        // Once more: a machine that was saved within a look has bytes of either.
        let Given::Program(program) = self.read()? else {
            return Err("the program went away again".to_owned());
        };
        self.stir()?;
        Ok(program)
    }

    /// Gives the kernel's random numbers what tells this machine from all others that were restored from the same state.
    fn stir(&self) -> Result<(), String> {
        let at = frame::program_length(&self.head()?).map_err(|error| error.to_string())?;
        let mut seed = [0; SEED];
        self.fill(&mut seed, at as u64)?;
        File::open(RANDOM)
            .and_then(|random| Ok(raw::add_entropy(&random, &seed)?))
            .map_err(|error| format!("{RANDOM} takes no seed: {error}"))
    }

    fn head(&self) -> Result<[u8; HEADER], String> {
        let mut head = [0; HEADER];
        self.fill(&mut head, 0)?;
        Ok(head)
    }

    fn fill(&self, bytes: &mut [u8], at: u64) -> Result<(), String> {
        self.file.read_exact_at(bytes, at).map_err(|error| cannot_read(&self.path, &error))
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use imalab_wire::{End, Setup};

    use super::*;

    fn program() -> Program {
        Program {
            token: 7,
            setup: Setup::default(),
            tasks: Vec::new(),
            finally: Vec::new(),
            end: End::PowerOff,
        }
    }

    fn item(bytes: &[u8]) -> Item {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw");
        std::fs::write(&path, bytes).unwrap();
        Item::at(path).unwrap().unwrap()
    }

    #[test]
    fn a_program_is_read_with_or_without_a_seed_behind_it() {
        let mut bytes = frame::encode_program(&program()).unwrap();
        for _ in 0..2 {
            assert!(matches!(item(&bytes).read().unwrap(), Given::Program(found) if found == program()));
            bytes.extend([9; SEED]);
        }
    }

    #[test]
    fn what_is_no_program_is_told_from_none_yet() {
        assert!(matches!(item(&frame::waiting()).read().unwrap(), Given::Nothing));
        let mut cut = frame::encode_program(&program()).unwrap();
        cut.pop();
        let error = item(&cut).read().unwrap_err();
        assert!(error.starts_with("cannot read "), "{error}");
        let error = item(&[7; HEADER]).read().unwrap_err();
        assert!(error.starts_with("bad program: "), "{error}");
        assert!(Item::at("/nowhere/raw".into()).unwrap().is_none());
    }

    #[test]
    fn the_wait_ends_when_there_is_a_program() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw");
        std::fs::write(&path, frame::waiting()).unwrap();
        let item = Item::at(path.clone()).unwrap().unwrap();
        let (ours, theirs) = crate::sockets::pair().unwrap();
        let waiter = std::thread::spawn(move || item.wait(&mut Port::new(theirs)));
        let mut buffer = vec![0; 64];
        crate::sockets::receive(&ours, &mut buffer).unwrap();
        let said = frame::encode(0, &Message::Waiting).unwrap();
        assert_eq!(buffer[..said.len()], said);
        // Without a seed behind it, which comes after the program was read.
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let bytes = frame::encode_program(&program()).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        file.write_all_at(&bytes[HEADER..], HEADER as u64).unwrap();
        file.write_all_at(&bytes[..HEADER], 0).unwrap();
        let error = waiter.join().unwrap().unwrap_err();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}

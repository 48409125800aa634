//! How to start swtpm: one for each machine, in a state folder of its own, without a socket in the file system.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A swtpm that is ready to be started.
///
/// The caller starts [`Launch::command`] so that the child inherits [`Launch::inherit`] under the same
/// descriptor numbers, then drops both; what is left is [`Launch::control`], for
/// [`Link::open`](super::link::Link::open). swtpm ends when the link's data channel is closed (`--terminate`; on the
/// loss of its control channel alone 0.7 does not), and before there is one it has to be killed.
#[derive(Debug)]
pub struct Launch {
    /// Program and arguments.
    pub command: Command,
    /// Descriptors that the command line names by number; close-on-exec as long as they are here.
    pub inherit: Vec<OwnedFd>,
    /// The harness's end of the control channel.
    pub control: UnixStream,
}

/// Why swtpm could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare swtpm in {}: {source}", folder.display())]
pub struct LaunchError {
    /// The state folder.
    pub folder: PathBuf,
    /// What failed.
    pub source: io::Error,
}

/// Prepares `program` to run a TPM 2.0 whose state is in `folder`, which must exist and is made private.
///
/// `program` is looked up in `PATH` when it is a bare name, and is otherwise relative to the folder of the caller.
/// swtpm runs *in* the folder and names it `.`, because its options are split at commas. What it has to say it
/// prints on its standard streams, which are the caller's to set.
pub fn prepare(program: &Path, folder: &Path) -> Result<Launch, LaunchError> {
    prepare_in(program, folder).map_err(|source| LaunchError { folder: folder.to_owned(), source })
}

fn prepare_in(program: &Path, folder: &Path) -> io::Result<Launch> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    let (control, theirs) = UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    // What has a slash would be looked for in the folder that the child runs in (execve(2)).
    let bare = program.components().count() == 1 && !program.as_os_str().as_encoded_bytes().contains(&b'/');
    let program = if bare { program.to_owned() } else { std::path::absolute(program)? };
    let mut command = Command::new(program);
    command
        .args(["socket", "--tpm2", "--terminate", "--tpmstate", "dir=.,mode=0600", "--ctrl"])
        .arg(format!("type=unixio,clientfd={}", theirs.as_raw_fd()))
        .current_dir(folder);
    Ok(Launch { command, inherit: vec![theirs], control })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bare("swtpm", "swtpm")]
    #[case::whole("/opt/swtpm", "/opt/swtpm")]
    #[case::relative("./swtpm", "swtpm")]
    #[case::below("tools/swtpm", "tools/swtpm")]
    fn a_relative_program_is_that_of_the_caller(#[case] program: &str, #[case] expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let launch = prepare(Path::new(program), folder.path()).unwrap();
        let here = std::env::current_dir().unwrap();
        let expected = if program.contains('/') { here.join(expected) } else { expected.into() };
        assert_eq!(launch.command.get_program(), expected.as_os_str());
    }
}

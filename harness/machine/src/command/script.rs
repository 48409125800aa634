//! The dry run: a machine's command lines as text to paste into a shell.

use std::path::PathBuf;

use super::{Endpoint, Endpoints, MachineSpec, QEMU, argv};

/// Stands for the script's scratch folder until the text is quoted. No argument can hold this byte.
const SCRATCH: &str = "\0";

/// A POSIX shell command that starts the machine: swtpm (with `tpm`, all banks active, as it comes), then
/// QEMU with the console on the terminal. What the agent sends is left in `agent.frames` beside the monitor's
/// socket, in a scratch folder that goes when QEMU ends.
///
/// The tap and the harness's own evidence are not part of it.
#[must_use]
pub fn script(spec: &MachineSpec, tpm: bool) -> String {
    let file = |name: &str| PathBuf::from(format!("{SCRATCH}/{name}"));
    let endpoints = Endpoints {
        qmp: Endpoint::Listen(file("qmp.sock")),
        agent: Endpoint::File(file("agent.frames")),
        console: Endpoint::Stdio,
        tpm: tpm.then(|| Endpoint::Connect(file("tpm.sock"))),
    };
    // A compound command: the shell has read all of it before QEMU takes the terminal.
    let mut script = String::from("(\nset -eu\nscratch=$(mktemp -d)\n");
    if tpm {
        // As a daemon it returns when its socket is there; it ends when QEMU closes the connection.
        script.push_str(
            "trap 'kill \"$(cat \"$scratch/swtpm.pid\")\" 2>/dev/null || :; rm -rf \"$scratch\"' EXIT\n\
             swtpm socket --tpm2 --tpmstate dir=\"$scratch\" --ctrl type=unixio,path=\"$scratch/tpm.sock\" \\\n\
             \x20 --flags startup-clear --daemon --pid file=\"$scratch/swtpm.pid\"\n",
        );
    } else {
        script.push_str("trap 'rm -rf \"$scratch\"' EXIT\n");
    }
    script.push_str(QEMU);
    let mut first_on_line = true;
    for argument in argv(spec, &endpoints) {
        // An option and its value share a line.
        script.push_str(if argument.starts_with('-') || first_on_line { " \\\n  " } else { " " });
        first_on_line = false;
        script.push_str(&quoted(&argument));
    }
    script.push_str("\n)\n");
    script
}

/// One argument as one shell word.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    let quoted = format!("'{}'", argument.replace('\'', r"'\''"));
    quoted.replace(SCRATCH, r#"'"$scratch"'"#)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("-smp", "-smp")]
    #[case::empty("", "''")]
    #[case::blanks("a b", "'a b'")]
    #[case::expansions("$HOME `id` *", "'$HOME `id` *'")]
    #[case::quotes("it's", r"'it'\''s'")]
    #[case::line_end("a\nb", "'a\nb'")]
    #[case::scratch("path=\0/x", r#"'path='"$scratch"'/x'"#)]
    fn quotes(#[case] argument: &str, #[case] expected: &str) {
        assert_eq!(quoted(argument), expected);
    }

    #[rstest]
    #[case("a  b")]
    #[case("it's \"$HOME\" \\ `id` $(id) * ~ #")]
    #[case("é\nü\n")]
    fn the_shell_gives_it_back(#[case] argument: &str) {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(argument))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), argument);
    }
}

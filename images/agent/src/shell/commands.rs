//! The built-in commands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Shell, Trouble, kmsg, show};
use crate::clock::now_ns;
use crate::ops::{directory, measure_one};

const HELP: &[(&str, &str)] = &[
    ("help", "lists the commands"),
    ("ls [DIR]", "lists a directory, IMA's own when none is given"),
    ("cat FILE", "shows a file; one that is no text as a hex dump"),
    ("echo TEXT [> FILE]", "prints a line, or writes it to a file"),
    ("write TEXT FILE", "writes a line to a file in one piece"),
    ("stage", "stages the measurement list"),
    ("delete", "deletes the staged list"),
    ("trim N", "removes the first N records of the current list"),
    ("measure NAME", "has a new file of that name measured"),
    ("count", "shows the number of records in the current list"),
    ("mount", "lists what is mounted"),
    ("dmesg", "shows the kernel's messages"),
    ("poweroff", "ends the machine"),
];

impl Shell {
    pub(super) fn command(&self, name: &str, rest: &str, out: &mut impl Write) -> Result<(), Trouble> {
        match name {
            "help" => help(out),
            "ls" if rest.is_empty() => ls(&self.ima, out),
            "ls" => ls(Path::new(rest), out),
            "cat" => cat(required(rest, "cat FILE")?.as_ref(), out),
            "echo" => match rest.rsplit_once('>') {
                Some((text, file)) => write_line(text.trim_end(), file.trim_start()),
                None => Ok(writeln!(out, "{rest}")?),
            },
            "write" => match rest.rsplit_once(char::is_whitespace) {
                Some((text, file)) => write_line(text.trim_end(), file),
                None => Err(usage("write TEXT FILE")),
            },
            "stage" => write_line("A", self.staged()?),
            "delete" => write_line("D", self.staged()?),
            "trim" => write_line(required(rest, "trim N")?, self.ima.join("ascii_runtime_measurements")),
            "measure" => self.measure(required(rest, "measure NAME")?),
            "count" => cat(&self.ima.join("runtime_measurements_count"), out),
            "mount" => cat("/proc/mounts".as_ref(), out),
            "dmesg" => Ok(kmsg::show(out).map_err(told)??),
            _ => Err(Trouble::Command("no such command; `help` lists them".to_owned())),
        }
    }

    /// A file of the staged list; all of them drive the same list.
    fn staged(&self) -> Result<PathBuf, Trouble> {
        let mut found: Vec<PathBuf> = fs::read_dir(&self.ima)
            .map_err(told)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("_staged"))
            .collect();
        found.sort();
        let none = || Trouble::Command("this kernel has no staged list (CONFIG_IMA_STAGING)".to_owned());
        found.into_iter().next().ok_or_else(none)
    }

    /// The content is new each time, so that the record is too.
    fn measure(&self, name: &str) -> Result<(), Trouble> {
        if name.contains('/') {
            return Err(Trouble::Command("a name, not a path".to_owned()));
        }
        let dir = directory(&self.files.to_string_lossy()).map_err(|errno| told(errno.into()))?;
        measure_one(&dir, name, format!("{name} {}\n", now_ns()).as_bytes())
            .map_err(|errno| told(errno.into()))
    }
}

fn told(error: io::Error) -> Trouble {
    Trouble::Command(error.to_string())
}

fn usage(usage: &str) -> Trouble {
    Trouble::Command(format!("usage: {usage}"))
}

fn required<'a>(argument: &'a str, form: &str) -> Result<&'a str, Trouble> {
    if argument.is_empty() { Err(usage(form)) } else { Ok(argument) }
}

fn help(out: &mut impl Write) -> Result<(), Trouble> {
    for (form, summary) in HELP {
        writeln!(out, "{form:20} {summary}")?;
    }
    Ok(())
}

fn ls(dir: &Path, out: &mut impl Write) -> Result<(), Trouble> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(told)? {
        names.push(entry.map_err(told)?.file_name());
    }
    names.sort();
    for name in names {
        writeln!(out, "{}", name.display())?;
    }
    Ok(())
}

fn cat(path: &Path, out: &mut impl Write) -> Result<(), Trouble> {
    let mut file = File::open(path).map_err(told)?;
    let mut dump = show::Dump::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(dump.finish(out)?),
            Ok(len) => dump.add(&buffer[..len], out)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(told(error)),
        }
    }
}

/// One `write` of the line, as the kernel's files want it.
fn write_line(text: &str, path: impl AsRef<Path>) -> Result<(), Trouble> {
    let mut file = OpenOptions::new().write(true).open(&path);
    if matches!(&file, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        file = File::create_new(&path);
    }
    let mut file = file.map_err(told)?;
    if file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        file.set_len(0).map_err(told)?;
    }
    let line = format!("{text}\n");
    let written = file.write(line.as_bytes()).map_err(told)?;
    if written == line.len() {
        Ok(())
    } else {
        Err(Trouble::Command(format!("{written} of {} bytes were written", line.len())))
    }
}

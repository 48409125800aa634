//! PID 1 of a guest in which the log keeper is put to the trial. Nothing is judged here: what was seen is handed to the host.
//!
//! `trial=view` on the kernel's command line chooses the story of `view.rs`, anything else that of `killed.rs`.

mod guest;
mod killed;
mod old_reader;
mod port;
mod program;
mod traced;
mod view;

use guest::{Result, say};

const KEEPER: &str = "/bin/logkeeper";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, path] = arguments.as_slice()
        && command == "open"
    {
        return program::open(path);
    }
    if let Err(error) = story() {
        say(&format!("failed: {error}"));
    }
    guest::power_off();
}

fn story() -> Result<()> {
    let command_line = std::fs::read_to_string("/proc/cmdline").or_else(|_| {
        guest::mount_proc()?;
        Ok::<String, Box<dyn std::error::Error>>(std::fs::read_to_string("/proc/cmdline")?)
    })?;
    let words: Vec<&str> = command_line.split_ascii_whitespace().collect();
    if words.contains(&"trial=view") { view::story() } else { killed::story(words.contains(&"trial=all")) }
}

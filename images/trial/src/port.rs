//! What is handed to the host.

use std::fs::File;
use std::io::Write;

use crate::guest::Result;

/// Where the host reads.
pub(crate) const PORT: &str = "/dev/vport0p1";

/// Hands over contents, each with a line before it: name and length in bytes.
pub(crate) struct Port(File);

impl Port {
    pub(crate) fn open() -> Result<Port> {
        Ok(Port(File::options().write(true).open(PORT)?))
    }

    pub(crate) fn send(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.0.write_all(format!("{name} {}\n", content.len()).as_bytes())?;
        Ok(self.0.write_all(content)?)
    }
}

//! Files that tasks and programs find.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use imalab_wire::File;

/// Writes them, with the folders above each.
pub(crate) fn write(files: &[File]) -> Result<(), String> {
    files
        .iter()
        .try_for_each(|file| one(file).map_err(|error| format!("cannot write {}: {error}", file.path)))
}

fn one(file: &File) -> io::Result<()> {
    let path = Path::new(&file.path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    open.write_all(&file.bytes)?;
    // Whatever the mask of new files says.
    open.set_permissions(Permissions::from_mode(file.mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_folders_and_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        let file = |mode, bytes: &[u8]| File {
            path: path.to_str().unwrap().to_owned(),
            mode,
            bytes: bytes.to_vec(),
        };
        write(&[file(0o644, b"longer"), file(0o755, b"text")]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
        let below =
            File { path: path.join("x").to_str().unwrap().to_owned(), mode: 0o644, bytes: Vec::new() };
        assert!(write(&[below]).unwrap_err().starts_with("cannot write "));
    }
}

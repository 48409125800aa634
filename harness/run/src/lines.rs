//! Source lines of a kernel's addresses, where a build of it has them.

use std::fmt;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use imalab_schedule::{Symbols, SymbolsError};

use super::lane::{SeededError, symbols};

/// A function of every kernel, and its file: what stands before that in a line is where the kernel was built.
const KNOWN: (&str, &str) = ("start_kernel", "init/main.c");

/// Source lines of one kernel.
pub struct Lines {
    loader: Loader,
    root: String,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// Why there are no source lines.
#[derive(Debug, thiserror::Error)]
pub enum NoLines {
    /// The file cannot be read, or is no program.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was built without them.
    #[error("{} has no source lines", .0.display())]
    None(PathBuf),
    /// No symbols beside it.
    #[error(transparent)]
    Symbols(#[from] SeededError),
    /// It is another kernel.
    #[error("{} is another kernel: its `{symbol}` is at another address", path.display())]
    Other {
        /// Which.
        path: PathBuf,
        /// The first symbol that is not where it should be.
        symbol: String,
    },
}

impl Lines {
    /// Those of the kernel whose `vmlinux` is beside the image.
    ///
    /// # Errors
    /// [`NoLines`].
    pub fn beside(image: &Path) -> Result<Lines, NoLines> {
        Lines::open(&image.with_file_name("vmlinux"), &symbols(image)?)
    }

    /// Those of another build of the same code, which was made with them: its own `System.map` is beside it.
    ///
    /// # Errors
    /// [`NoLines`].
    pub fn of_the_same(vmlinux: &Path, kernel: &Symbols) -> Result<Lines, NoLines> {
        let own = symbols(vmlinux)?;
        match kernel.first_moved(&own) {
            Some(symbol) => Err(NoLines::Other { path: vmlinux.to_owned(), symbol: symbol.to_owned() }),
            None => Lines::open(vmlinux, &own),
        }
    }

    fn open(vmlinux: &Path, symbols: &Symbols) -> Result<Lines, NoLines> {
        let unreadable =
            |error: SymbolsError| NoLines::Unreadable { path: vmlinux.to_owned(), reason: error.to_string() };
        let (function, file) = KNOWN;
        Lines::with(vmlinux, symbols.address(function).map_err(unreadable)?, file)
    }

    /// Of a program that has a line of this file at this address.
    fn with(program: &Path, address: u64, file: &str) -> Result<Lines, NoLines> {
        let unreadable = |reason: String| NoLines::Unreadable { path: program.to_owned(), reason };
        let loader = Loader::new(program).map_err(|error| unreadable(error.to_string()))?;
        let found = loader.find_location(address).map_err(|error| unreadable(error.to_string()))?;
        let root = found.and_then(|found| found.file?.strip_suffix(file).map(str::to_owned));
        let root = root.ok_or_else(|| NoLines::None(program.to_owned()))?;
        Ok(Lines { loader, root })
    }

    /// `security/integrity/ima/ima_queue.c:330`; `None`: nobody knows.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<String> {
        let found = self.loader.find_location(address).ok()??;
        let (file, line) = (found.file?, found.line?);
        let file = file.strip_prefix(&self.root).unwrap_or(file);
        Some(format!("{}:{line}", file.trim_start_matches("./")))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A map of these functions, in a folder of its own.
    fn folder(functions: &[(&str, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let line = |(name, address): &(&str, u64)| format!("{address:016x} T {name}\n");
        fs::write(folder.path().join("System.map"), functions.iter().map(line).collect::<String>()).unwrap();
        folder
    }

    /// This very test's program, whose source lines are not a kernel's.
    fn program(folder: &Path) -> PathBuf {
        let path = folder.join("vmlinux");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        path
    }

    #[inline(never)]
    fn somewhere() -> u32 {
        line!()
    }

    #[test]
    fn an_address_has_its_file_below_the_root_and_its_line() {
        let program = std::env::current_exe().unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let own = maps.lines().find(|line| line.ends_with(program.to_str().unwrap())).unwrap();
        let begin = u64::from_str_radix(own.split('-').next().unwrap(), 16).unwrap();
        let address = somewhere as fn() -> u32 as usize as u64 - begin;
        let lines = Lines::with(&program, address, "src/lines.rs").unwrap();
        let told = lines.of(address).unwrap();
        // The compiler may leave nothing of it but its end.
        let near = [somewhere() - 1, somewhere(), somewhere() + 1];
        assert!(near.iter().any(|line| told == format!("src/lines.rs:{line}")), "{told}");
        assert_eq!(lines.of(u64::MAX), None);
        assert!(matches!(Lines::with(&program, address, "init/main.c"), Err(NoLines::None(_))));
    }

    #[test]
    fn what_has_no_lines_is_told_apart() {
        let own = folder(&[("start_kernel", 0x10), ("ima_add", 0x40)]);
        let image = own.path().join("bzImage");
        assert!(matches!(Lines::beside(&image), Err(NoLines::Unreadable { .. })));
        fs::write(own.path().join("vmlinux"), "no program").unwrap();
        assert!(matches!(Lines::beside(&image), Err(NoLines::Unreadable { .. })));
        program(own.path());
        assert!(matches!(Lines::beside(&image), Err(NoLines::None(_))));
        let none = folder(&[("ima_add", 0x40)]);
        program(none.path());
        assert!(
            Lines::beside(&none.path().join("bzImage")).unwrap_err().to_string().contains("start_kernel")
        );
        fs::remove_file(none.path().join("System.map")).unwrap();
        assert!(matches!(Lines::beside(&none.path().join("bzImage")), Err(NoLines::Symbols(_))));
    }

    #[test]
    fn another_kernel_is_refused_by_the_symbol_that_moved() {
        let kernel = folder(&[("start_kernel", 0x10), ("ima_add", 0x40)]);
        let symbols = symbols(&kernel.path().join("bzImage")).unwrap();
        let moved = folder(&[("start_kernel", 0x10), ("ima_add", 0x44)]);
        let error = Lines::of_the_same(&program(moved.path()), &symbols).unwrap_err();
        assert!(
            error.to_string().ends_with("is another kernel: its `ima_add` is at another address"),
            "{error}"
        );
        let same = folder(&[("start_kernel", 0x10), ("ima_add", 0x40)]);
        assert!(matches!(Lines::of_the_same(&program(same.path()), &symbols), Err(NoLines::None(_))));
    }
}

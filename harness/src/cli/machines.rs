//! Arguments that every command with a machine has.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use miette::miette;

use super::{Failure, added, kernels};
use crate::carried;
use crate::report::{Exit, print};
use imalab_kernels::cache::Cache;
use imalab_kernels::choice::Choice as KernelChoice;
use imalab_machine::accel::{self, Accel, Choice};
use imalab_machine::command::QEMU;
use imalab_run::{Interrupts, Kernel, Scratch, scratch_place};

/// What machines are made from.
#[derive(Args, Clone)]
#[command(next_help_heading = "Machines")]
pub(super) struct MachineArgs {
    #[command(flatten)]
    pub choice: KernelChoice,
    /// Kernel name and existing x86 boot image, instead of the options above (repeatable)
    #[arg(
        long = "kernel-image",
        value_name = "NAME=BZIMAGE",
        value_parser = kernel,
        help_heading = "Kernels",
        conflicts_with_all = ["names", "all_kernels", "tree", "image", "series", "kconfig"]
    )]
    pub kernel_images: Vec<Kernel>,
    /// Initramfs with the agent as /init (default: the built-in one)
    #[arg(long, value_name = "FILE", help_heading = "Machines")]
    pub initramfs: Option<PathBuf>,
    /// Copy the files in DIR into the guest's root, for `programs:` of scenarios to run (repeatable)
    #[arg(long = "add", value_name = "DIR", help_heading = "Machines")]
    pub added: Vec<PathBuf>,
    #[command(flatten)]
    pub surroundings: Surroundings,
}

/// What machines are made from, all of it there.
pub(super) struct Machines {
    /// The kernels, with what is demanded of each.
    pub kernels: Vec<Kernel>,
    /// The image.
    pub initramfs: PathBuf,
}

/// What machines run in.
#[derive(Args, Clone)]
#[command(next_help_heading = "Machines")]
pub(super) struct Surroundings {
    /// Accelerator (default: KVM if usable)
    #[arg(long, value_name = "kvm|tcg", value_parser = accelerator)]
    pub accel: Option<Accel>,
    /// QEMU program
    #[arg(long, value_name = "PROGRAM", default_value = QEMU, value_parser = OsStringValueParser::new().try_map(program))]
    pub qemu: PathBuf,
    /// swtpm program
    #[arg(long, value_name = "PROGRAM", default_value = "swtpm", value_parser = OsStringValueParser::new().try_map(program))]
    pub swtpm: PathBuf,
    /// QEMU plugin for the deterministic lane (default: next to this program)
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// Cache directory (default: $XDG_CACHE_HOME/imalab or ~/.cache/imalab)
    #[arg(long, value_name = "DIR", default_value_os_t = cache(), hide_default_value = true)]
    pub cache: PathBuf,
}

/// Takes `NAME=BZIMAGE`.
pub(super) fn kernel(text: &str) -> Result<Kernel, String> {
    let (name, image) = text.split_once('=').ok_or("expected NAME=BZIMAGE")?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if name.is_empty() || !name.chars().all(sound) {
        return Err(format!("a kernel's name is made of letters, digits and `._+-`, not `{name}`"));
    }
    Ok(Kernel::new(name, image))
}

/// A program by its name, to be looked up, or by its path: made absolute, since it is not started in this folder.
fn program(text: OsString) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.components().count() == 1 && path.is_relative() && !path.starts_with(".") {
        return Ok(path);
    }
    if !path.is_file() {
        return Err("there is no such file".to_owned());
    }
    std::path::absolute(&path).map_err(|error| error.to_string())
}

fn accelerator(text: &str) -> Result<Accel, String> {
    match text {
        "kvm" => Ok(Accel::Kvm),
        "tcg" => Ok(Accel::Tcg),
        _ => Err("expected kvm or tcg".to_owned()),
    }
}

/// `$XDG_CACHE_HOME/imalab`, by default `~/.cache/imalab` (XDG Base Directory Specification).
pub(super) fn cache() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("imalab")
}

impl Surroundings {
    /// The accelerator, and why this one.
    pub(super) fn accelerator(&self) -> Choice {
        accel::choose(self.accel, &self.qemu, &self.cache)
    }

    /// Folders of machines, and signals, for this process.
    pub(super) fn claim(&self) -> Result<(Scratch, Interrupts), Failure> {
        let interrupts = Interrupts::install().map_err(Failure::setup)?;
        let scratch = Scratch::new(&scratch_place(&self.cache.join("scratch"))).map_err(Failure::setup)?;
        Ok((scratch, interrupts))
    }
}

impl MachineArgs {
    /// Builds kernels that the cache has not, and refuses images that are not there before anything is started.
    pub(super) fn ready(&self) -> Result<Machines, Failure> {
        let cache = &self.surroundings.cache;
        let initramfs = image(self.initramfs.as_deref(), cache)?;
        // What is wrong with it is told before a kernel is built.
        is_file(&initramfs)?;
        let initramfs = match self.added.as_slice() {
            [] => initramfs,
            dirs => added::image_with(&initramfs, dirs, cache)?,
        };
        let kernels = match self.kernel_images.as_slice() {
            [] => kernels::chosen(&self.choice, cache)?,
            given => given.to_vec(),
        };
        let machines = Machines { kernels, initramfs };
        machines.check()?;
        Ok(machines)
    }
}

/// The guest's image: the one that is given, or that this program carries.
pub(super) fn image(given: Option<&Path>, cache: &Path) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    carried::image(cache).map_err(|error| Failure::of_kernels(&error))?.ok_or_else(|| {
        Failure::usage(miette!(
            help = "`cargo xtask test` builds one; `cargo install --path harness` installs an imalab that \
                    has one; --initramfs names another",
            "this imalab was built without a guest image"
        ))
    })
}

/// Prints the path of the guest's image.
pub(super) fn print_image() -> Result<Exit, Failure> {
    let cache = Cache::open().map_err(|error| Failure::of_kernels(&error))?;
    let image = image(None, cache.root())?;
    print::line(&image.display().to_string()).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}

fn is_file(path: &Path) -> Result<(), Failure> {
    if path.is_file() {
        return Ok(());
    }
    Err(Failure::usage(miette!(
        help = "without --kernel-image and --initramfs, kernels are built by name and the image is this program's",
        "{} is not a file",
        path.display()
    )))
}

impl Machines {
    fn check(&self) -> Result<(), Failure> {
        let mut names = BTreeSet::new();
        if let Some(twice) = self.kernels.iter().find(|kernel| !names.insert(&kernel.name)) {
            return Err(Failure::usage(miette!("kernel `{}` is given twice", twice.name)));
        }
        self.kernels.iter().try_for_each(|kernel| is_file(&kernel.image))?;
        for kernel in &self.kernels {
            if !is_boot_image(&kernel.image).map_err(|error| unreadable(&kernel.image, &error))? {
                return Err(Failure::usage(miette!(
                    help = "a kernel's build leaves it as arch/x86/boot/bzImage",
                    "{} is not an x86 boot image",
                    kernel.image.display()
                )));
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(miette!("cannot read {}: {error}", path.display()))
}

/// Whether a file has the signature of a kernel's setup header (`Documentation/arch/x86/boot.rst`, offset 0x202).
fn is_boot_image(path: &Path) -> io::Result<bool> {
    let mut signature = Vec::new();
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(0x202))?;
    file.take(4).read_to_end(&mut signature)?;
    Ok(signature == b"HdrS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_by_its_path_is_made_absolute_and_one_by_its_name_is_looked_up() {
        // A test runs in the folder of its package.
        for path in ["./Cargo.toml", "src/main.rs"] {
            let found = program(path.into()).unwrap();
            assert!(found.is_absolute() && found.is_file(), "{}", found.display());
        }
        assert_eq!(program("swtpm".into()), Ok(PathBuf::from("swtpm")));
        assert_eq!(program("./swtpm".into()), Err("there is no such file".to_owned()));
    }
}

//! What imalab needs on the host, where Debian keeps it, and how its absence shows.

use std::path::PathBuf;

use super::toolbox::Toolbox;

/// How to see whether a thing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A program on `PATH`.
    Program(&'static str),
    /// A C header, by its path below an include folder.
    Header(&'static str),
    /// A library's pkg-config file.
    PkgConfig(&'static str),
    /// A library file below a library folder.
    Library(&'static str),
    /// Any one of these files.
    File(&'static [&'static str]),
}

/// What a command does that asks something of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Builds Rust programs.
    Rust,
    /// Builds the harness, which is linked to the TPM software stack.
    Harness,
    /// Starts machines.
    Machine,
    /// Builds a kernel.
    Kernel,
    /// Fetches a kernel's source from Debian.
    Source,
    /// Runs our own tests.
    Check,
}

impl Use {
    /// All of them.
    pub(crate) const ALL: &[Self] =
        &[Self::Rust, Self::Harness, Self::Machine, Self::Kernel, Self::Source, Self::Check];
}

/// One thing that imalab needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requirement {
    /// How to see it.
    pub(crate) probe: Probe,
    /// The Debian package that brings it.
    pub(crate) package: &'static str,
    /// What it is for, in a few words.
    pub(crate) purpose: &'static str,
    /// What cannot be done without it.
    pub(crate) uses: &'static [Use],
}

const fn need(
    uses: &'static [Use],
    probe: Probe,
    package: &'static str,
    purpose: &'static str,
) -> Requirement {
    Requirement { probe, package, purpose, uses }
}

use Probe::{File, Header, Library, PkgConfig, Program};

const RUST: &[Use] = &[Use::Rust, Use::Kernel];
const HARNESS: &[Use] = &[Use::Harness];
const MACHINE: &[Use] = &[Use::Machine];
const KERNEL: &[Use] = &[Use::Kernel];
const SOURCE: &[Use] = &[Use::Source];
const CHECK: &[Use] = &[Use::Check];

/// Everything, in the order in which a run needs it.
pub(crate) const ALL: &[Requirement] = &[
    need(RUST, Program("gcc"), "gcc", "compiles kernels"),
    need(RUST, Program("ld"), "binutils", "links kernels"),
    need(KERNEL, Program("make"), "make", "builds kernels"),
    need(KERNEL, Program("flex"), "flex", "builds Kconfig"),
    need(KERNEL, Program("bison"), "bison", "builds Kconfig"),
    need(KERNEL, Program("bc"), "bc", "a kernel's time constants"),
    need(KERNEL, Program("perl"), "perl", "a kernel's assembly"),
    need(KERNEL, Program("lz4"), "lz4", "packs the kernel image"),
    need(SOURCE, Program("xz"), "xz-utils", "unpacks kernel sources"),
    need(SOURCE, Program("tar"), "tar", "unpacks kernel sources"),
    need(SOURCE, Program("patch"), "patch", "patches kernel sources"),
    need(SOURCE, Program("dpkg-deb"), "dpkg", "unpacks kernel sources"),
    need(
        SOURCE,
        File(&[
            "/usr/share/keyrings/debian-archive-keyring.pgp",
            "/usr/share/keyrings/debian-archive-keyring.gpg",
        ]),
        "debian-archive-keyring",
        "checks where kernel sources come from",
    ),
    need(KERNEL, Header("libelf.h"), "libelf-dev", "builds objtool"),
    need(KERNEL, Header("openssl/ssl.h"), "libssl-dev", "signing tools of a kernel"),
    need(KERNEL, Header("linux/types.h"), "linux-libc-dev", "builds the kernel's own tools"),
    need(RUST, Library("libc.a"), "libc6-dev", "the static agent"),
    need(HARNESS, Program("pkg-config"), "pkg-config", "finds the TPM software stack"),
    need(HARNESS, PkgConfig("tss2-esys"), "libtss2-dev", "talks to the TPM"),
    need(MACHINE, Library("libtss2-tcti-swtpm.so"), "libtss2-dev", "talks to the TPM"),
    need(MACHINE, Program("qemu-system-x86_64"), "qemu-system-x86", "the machine"),
    need(
        MACHINE,
        File(&["/usr/share/qemu/qboot.rom", "/usr/share/seabios/qboot.rom"]),
        "qemu-system-data",
        "firmware",
    ),
    need(MACHINE, Program("swtpm"), "swtpm", "the TPM"),
    need(CHECK, Program("tpm2_pcrread"), "tpm2-tools", "lets another tool check us"),
    need(CHECK, Program("evmctl"), "ima-evm-utils", "lets another tool check us"),
    need(KERNEL, Program("git"), "git", "reads a developer's kernel tree"),
    need(CHECK, Program("python3"), "python3", "checks the CI's workflows"),
    need(
        CHECK,
        // What a virtual environment needs is in a package beside each Python of Debian.
        File(&[
            "/usr/lib/python3.13/ensurepip",
            "/usr/lib/python3.11/ensurepip",
            "/usr/lib/python3.12/ensurepip",
            "/usr/lib/python3.14/ensurepip",
            "/usr/lib/python3.15/ensurepip",
        ]),
        "python3-venv",
        "checks the CI's workflows",
    ),
];

/// Where a host keeps its programs, headers and libraries.
#[derive(Debug)]
pub(crate) struct Places {
    /// Folders of `PATH`.
    pub(crate) programs: Vec<PathBuf>,
    /// Include folders of the compiler.
    pub(crate) headers: Vec<PathBuf>,
    /// Library folders of the linker.
    pub(crate) libraries: Vec<PathBuf>,
    /// Folders before absolute paths: `/`, and what was unpacked beside it.
    pub(crate) roots: Vec<PathBuf>,
}

impl Places {
    /// Those of this machine (Filesystem Hierarchy Standard, Debian's multiarch).
    pub(crate) fn of_this_machine() -> Self {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        let toolbox = Toolbox::entered().map(|toolbox| toolbox.root().to_path_buf());
        let roots: Vec<PathBuf> = [PathBuf::from("/")].into_iter().chain(toolbox).collect();
        let below = |base: &str| {
            let bases = roots.iter().map(|root| root.join(base));
            bases.flat_map(|base| [base.clone(), base.join(&triplet)]).collect::<Vec<_>>()
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            // Debian keeps some tools where only root's PATH looks.
            programs: std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect(),
            headers: [below("usr/include"), below("usr/local/include")].concat(),
            // Others than Debian keep libraries of 64 bits apart.
            libraries: [below("usr/lib"), below("usr/lib64"), below("usr/local/lib")].concat(),
            roots,
        }
    }

    /// Whether `probe` finds its thing.
    pub(crate) fn have(&self, probe: Probe) -> bool {
        let any = |folders: &[PathBuf], path: &str| folders.iter().any(|folder| folder.join(path).exists());
        match probe {
            Probe::Program(name) => any(&self.programs, name),
            Probe::Header(path) => any(&self.headers, path),
            Probe::Library(file) => any(&self.libraries, file),
            Probe::PkgConfig(name) => {
                any(&self.libraries, &format!("pkgconfig/{name}.pc"))
                    || any(&self.roots, &format!("usr/share/pkgconfig/{name}.pc"))
            }
            Probe::File(paths) => paths.iter().any(|path| any(&self.roots, path.trim_start_matches('/'))),
        }
    }

    /// What one of `uses` needs and is not there.
    pub(crate) fn missing(&self, uses: &[Use]) -> Vec<&'static Requirement> {
        let needed = ALL.iter().filter(|requirement| requirement.uses.iter().any(|it| uses.contains(it)));
        needed.filter(|requirement| !self.have(requirement.probe)).collect()
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Program(name) => write!(f, "program {name}"),
            Self::Header(path) => write!(f, "header {path}"),
            Self::PkgConfig(name) => write!(f, "library {name}"),
            Self::Library(file) => write!(f, "library {file}"),
            Self::File(paths) => write!(f, "file {}", paths.first().unwrap_or(&"")),
        }
    }
}

/// The packages that bring `missing`, each once, in the order of first need.
pub(crate) fn packages(missing: &[&Requirement]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for requirement in missing {
        if !packages.contains(&requirement.package) {
            packages.push(requirement.package);
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn bare(root: &Path) -> Places {
        Places {
            programs: vec![root.join("usr/bin")],
            headers: vec![root.join("usr/include")],
            libraries: vec![root.join("usr/lib")],
            roots: vec![root.to_path_buf()],
        }
    }

    fn path_of(probe: Probe) -> PathBuf {
        match probe {
            Probe::Program(name) => Path::new("usr/bin").join(name),
            Probe::Header(path) => Path::new("usr/include").join(path),
            Probe::PkgConfig(name) => PathBuf::from(format!("usr/lib/pkgconfig/{name}.pc")),
            Probe::Library(file) => Path::new("usr/lib").join(file),
            Probe::File(paths) => PathBuf::from(paths[0].trim_start_matches('/')),
        }
    }

    #[test]
    fn a_bare_machine_misses_everything_at_once() {
        let root = tempfile::tempdir().unwrap();
        let places = bare(root.path());
        let missing = places.missing(Use::ALL);
        assert_eq!(missing.len(), ALL.len());
        insta::assert_snapshot!(packages(&missing).join(" "));
    }

    #[test]
    fn each_requirement_is_seen_where_its_probe_looks() {
        let root = tempfile::tempdir().unwrap();
        let places = bare(root.path());
        for requirement in ALL {
            assert!(!places.have(requirement.probe), "{}", requirement.probe);
            let path = root.path().join(path_of(requirement.probe));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert!(places.have(requirement.probe), "{}", requirement.probe);
        }
        assert!(places.missing(Use::ALL).is_empty());
    }

    #[test]
    fn nobody_is_asked_for_more_than_is_used() {
        let root = tempfile::tempdir().unwrap();
        let places = bare(root.path());
        for requirement in ALL.iter().filter(|requirement| requirement.package != "debian-archive-keyring") {
            let path = root.path().join(path_of(requirement.probe));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
        }
        for used in Use::ALL {
            let missing = packages(&places.missing(&[*used]));
            let expected: &[&str] = if *used == Use::Source { &["debian-archive-keyring"] } else { &[] };
            assert_eq!(missing, expected, "{used:?}");
        }
        let bare_of = |used| packages(&bare(Path::new("/nowhere")).missing(&[used]));
        assert_eq!(bare_of(Use::Rust), ["gcc", "binutils", "libc6-dev"]);
        assert_eq!(bare_of(Use::Harness), ["pkg-config", "libtss2-dev"]);
    }

    #[test]
    fn any_of_several_files_will_do() {
        let root = tempfile::tempdir().unwrap();
        let probe = Probe::File(&["/a/new", "/a/old"]);
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/old"), "").unwrap();
        assert!(bare(root.path()).have(probe));
    }
}

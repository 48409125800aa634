//! A checkout with a kernel so small that it builds in an instant, and a cache of its own.

#![expect(clippy::unwrap_used, reason = "a lab that cannot be set up is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Stands in for kbuild. `bzImage` notes that it ran, and waits at a gate while there is one.
const MAKEFILE: &str = "\
VERSION = 7
PATCHLEVEL = 9
O ?= .
allnoconfig:
\tgrep -v DROPPED $(KCONFIG_ALLCONFIG) > $(O)/.config
\tmkdir -p $(O)/include/config
\techo 7.9.9 > $(O)/include/config/kernel.release
olddefconfig:
\techo configured >> $(HOME)/configured
\tmkdir -p $(O)/include/config
\techo 7.9.9 > $(O)/include/config/kernel.release
bzImage:
\techo built >> $(HOME)/builds
\tif test -p $(HOME)/gate; then cat $(HOME)/gate; fi
\tif test -f $(HOME)/loud; then yes \"$$(printf 'a.c:1:1: error: %04000d' 1)\" | head -c 80M; exit 1; fi
\tif test -f $(HOME)/broken; then echo 'ima.c:1: error: broken' >&2; exit 1; fi
\tmkdir -p $(O)/arch/x86/boot
\tcat kernel/fork.c > $(O)/arch/x86/boot/bzImage
\ttouch $(O)/vmlinux $(O)/System.map
";

/// See the module.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    /// A lab whose only fragment is `fragment`.
    pub(crate) fn new(fragment: &str) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        let tree = lab.path("linux-7.9");
        fs::create_dir_all(tree.join("kernel")).unwrap();
        fs::write(tree.join("Makefile"), MAKEFILE).unwrap();
        fs::write(tree.join("Kbuild"), "").unwrap();
        fs::write(tree.join("kernel/fork.c"), "kernel\n").unwrap();
        fs::write(tree.join("Kconfig"), "config DROPPED\n\tbool \"d\"\n\tdepends on NOTHING\n").unwrap();
        let tarball = lab.path("linux-7.9.tar");
        let status = Command::new("tar")
            .args(["--create", "--file"])
            .arg(&tarball)
            .arg("--directory")
            .arg(lab.folder.path())
            .arg("linux-7.9")
            .status();
        assert!(status.unwrap().success());
        let digest = sha256(&tarball);
        // The cache has the tarball already, so that no test needs a network.
        let sources = lab.cache("sources");
        fs::create_dir_all(&sources).unwrap();
        fs::rename(&tarball, sources.join(format!("linux-7.9-{}", &digest[..16]))).unwrap();
        let config = lab.path("checkout/kernel-config");
        fs::create_dir_all(config.join("fragments")).unwrap();
        fs::create_dir_all(lab.path("home")).unwrap();
        fs::write(config.join("fragments/base.config"), fragment).unwrap();
        let catalogue = format!(
            "default: tiny\ndebian_suites: []\nkernels:\n  tiny:\n    source:\n      tarball:\n        \
             url: \"https://example.org/linux-7.9.tar\"\n        sha256: \"{digest}\"\n    fragments: [base]\n"
        );
        fs::write(config.join("kernels.yaml"), catalogue).unwrap();
        lab
    }

    /// Adds the same kernel as a Debian package that the suite sid offers, and makes it the only one.
    pub(crate) fn as_debian_package(&self) {
        let package = self.path("package");
        fs::create_dir_all(package.join("DEBIAN")).unwrap();
        fs::create_dir_all(package.join("usr/src")).unwrap();
        let control = "Package: linux-source-7.9\nVersion: 7.9.9-1\nArchitecture: all\n\
                       Maintainer: nobody <nobody@example.org>\nDescription: kernel\n";
        fs::write(package.join("DEBIAN/control"), control).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--xz").arg("--file").arg(package.join("usr/src/linux-source-7.9.tar.xz"));
        tar.arg("--transform=s/^linux-/linux-source-/").arg("--directory").arg(self.folder.path());
        assert!(tar.arg("linux-7.9").status().unwrap().success());
        let file = self.path("package.deb");
        let mut build = Command::new("dpkg-deb");
        build.arg("--build").arg("--root-owner-group").arg(&package).arg(&file);
        assert!(build.output().unwrap().status.success());
        let digest = sha256(&file);
        fs::copy(&file, self.cache("sources").join(format!("7.9.9-1-{}", &digest[..16]))).unwrap();
        fs::create_dir_all(self.cache("apt")).unwrap();
        let answer = format!(
            r#"{{"suites":["sid"],"failure":null,"offers":[{{"package":"linux-source-7.9","version":"7.9.9-1",
            "sha256":"{digest}","size":1000,"suite":"sid"}}]}}"#
        );
        fs::write(self.cache("apt/offers.json"), answer).unwrap();
        let catalogue = "default: newest\ndebian_suites: [sid]\nkernels:\n  newest:\n    source:\n      \
                         debian-newest:\n        from: \"7.2\"\n    fragments: [base]\n";
        fs::write(self.path("checkout/kernel-config/kernels.yaml"), catalogue).unwrap();
    }

    /// Adds a kernel of the same source with the series `patches`.
    pub(crate) fn add_kernel(&self, name: &str, patches: &[&str]) {
        let path = self.path("checkout/kernel-config/kernels.yaml");
        let mut catalogue = fs::read_to_string(&path).unwrap();
        let tiny = catalogue.split_once("  tiny:\n").unwrap().1;
        let entry = tiny.split_once("    fragments").unwrap().0;
        let entry = format!("  {name}:\n{entry}    fragments: [base]\n    patches: {patches:?}\n");
        catalogue.push_str(&entry);
        fs::write(path, catalogue).unwrap();
    }

    /// Adds a series for kernels of `range`, with a mail for each change of a file from one line to another.
    pub(crate) fn add_series(&self, name: &str, range: &str, changes: &[(&str, &str, &str)]) {
        let folder = self.path("checkout/kernel-config/patches").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("series.yaml"), format!("kernels: {range}\nnotes: a test\n")).unwrap();
        for (number, (file, old, new)) in (1..).zip(changes) {
            fs::write(folder.join(format!("{number:04}-change.patch")), mail(number, file, old, new))
                .unwrap();
        }
    }

    /// The kernel's tree, as a developer has it.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path("linux-7.9")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the cache.
    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        self.path("cache/imalab").join(name)
    }

    /// A path in the home that builds see.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// The command in this lab.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imalab-kernels"));
        command.args(arguments).env("HOME", self.path("home")).env("XDG_CACHE_HOME", self.path("cache"));
        command.env("IMALAB_CHECKOUT", self.path("checkout"));
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// How often the kernel was built.
    pub(crate) fn builds(&self) -> usize {
        self.count("builds")
    }

    /// How often a tree's own `.config` was taken over.
    pub(crate) fn configured(&self) -> usize {
        self.count("configured")
    }

    fn count(&self, name: &str) -> usize {
        fs::read_to_string(self.home(name)).map_or(0, |text| text.lines().count())
    }

    /// What lies among the cached kernels, but for locks.
    pub(crate) fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache("kernels")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }

    /// Makes builds wait at a gate, and gives the gate's path.
    pub(crate) fn gate(&self) -> PathBuf {
        let gate = self.home("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        gate
    }
}

/// A mail that changes the one line `old` of a file to `new`; an empty `old` makes the file.
pub(crate) fn mail(number: usize, file: &str, old: &str, new: &str) -> String {
    let (from, hunk) = match old {
        "" => ("/dev/null".to_owned(), format!("@@ -0,0 +1 @@\n+{new}\n")),
        old => (format!("a/{file}"), format!("@@ -1 +1 @@\n-{old}\n+{new}\n")),
    };
    let mode = if old.is_empty() { "new file mode 100644\n" } else { "" };
    format!(
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\nSubject: [PATCH {number}] ima: Change {file}\n\nWhy.\n---\n\
         diff --git a/{file} b/{file}\n{mode}--- {from}\n+++ b/{file}\n{hunk}-- \n2.39.5\n\n"
    )
}

/// Waits until a build stands at the gate. Opening it for writing is what waits.
pub(crate) fn wait_at(gate: &Path) -> fs::File {
    fs::File::options().write(true).open(gate).unwrap()
}

fn sha256(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

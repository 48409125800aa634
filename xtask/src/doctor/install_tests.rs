use super::*;
use crate::doctor::toolbox::Toolbox;
use rstest::rstest;
use std::fs;

/// What a bookworm with qemu-utils from its backports was told before (shortened): it happened with `--yes`.
const HARM: &str = "\
NOTE: This is only a simulation!
Remv qemu-utils [1:10.0.2+ds-2+deb13u1~bpo12+1]
Inst libssl3 [3.0.16-1~deb12u1] (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64])
Inst libssl-dev (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []
Inst qemu-system-common (1:7.2+dfsg-7+deb12u18+b3 Debian:12.12/oldstable [amd64])
Conf qemu-system-common (1:7.2+dfsg-7+deb12u18+b3 Debian:12.12/oldstable [amd64])
";

#[test]
fn a_simulation_tells_new_from_changed_and_removed() {
    let changes = Changes::of(HARM);
    assert_eq!(changes.new, ["libssl-dev", "qemu-system-common"]);
    assert_eq!(changes.changed, ["libssl3 (3.0.16-1~deb12u1 -> 3.0.17-1~deb12u2)"]);
    assert_eq!(changes.removed, ["qemu-utils (1:10.0.2+ds-2+deb13u1~bpo12+1)"]);
    assert!(changes.harms());
    assert_eq!(Changes::of("Reading package lists...\n"), Changes::default());
}

#[test]
fn an_error_has_all_its_lines() {
    let text = "W: old list\n gone\nE: Unable to satisfy dependencies:\n   1. a:amd64 is selected\n   2. b breaks it\nN: note\n";
    let expected = ["Unable to satisfy dependencies:", "   1. a:amd64 is selected", "   2. b breaks it"];
    assert_eq!(errors(text).collect::<Vec<_>>(), expected);
}

#[test]
fn packages_are_pinned_before_their_sources() {
    let installed = "installed\tlibssl3\tamd64\t3.0.16\topenssl\nconfig-files\told\tamd64\t1\told\n\
                     not-installed\tgone\tamd64\t\tgone\nunpacked\ttzdata\tall\t2025b\ttzdata\n";
    insta::assert_snapshot!(preferences(installed));
}

/// A machine with packages of its own, and two releases of a mirror, as apt and dpkg see them.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// `installed` and `offered` are stanzas; each of the latter is of the release `stable` or `backports`.
    fn new(installed: &[&str], stable: &[&str], backports: &[&str]) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        for folder in
            ["lists/partial", "parts", "archives/partial", "dpkg/updates", "dpkg/info", "stable", "backports"]
        {
            fs::create_dir_all(lab.path(folder)).unwrap();
        }
        let here = |stanza: &&str| {
            format!("{stanza}Status: install ok installed\nMaintainer: n\nDescription: d\n\n")
        };
        fs::write(lab.path("dpkg/status"), installed.iter().map(here).collect::<String>()).unwrap();
        let mut sources = String::new();
        for (release, stanzas) in [("stable", stable), ("backports", backports)] {
            let offer = |stanza: &&str| {
                let file = format!("Filename: ./x.deb\nSize: 1\nSHA256: {}\n", "0".repeat(64));
                let file = if stanza.contains("Filename:") { "" } else { &file };
                format!("{stanza}{file}Description: d\n\n")
            };
            let folder = lab.path("dists").join(release);
            let list = folder.join("main/binary-amd64/Packages");
            fs::create_dir_all(list.parent().unwrap()).unwrap();
            fs::write(&list, stanzas.iter().map(offer).collect::<String>()).unwrap();
            let quiet =
                if release == "backports" { "NotAutomatic: yes\nButAutomaticUpgrades: yes\n" } else { "" };
            let (digest, size) =
                (imalab_kernels::cache::sha256_of_file(&list).unwrap(), fs::metadata(&list).unwrap().len());
            let about = format!(
                "Suite: {release}\nCodename: {release}\nComponents: main\nArchitectures: amd64\n{quiet}\
                 SHA256:\n {digest} {size} main/binary-amd64/Packages\n"
            );
            fs::write(folder.join("Release"), about).unwrap();
            writeln!(sources, "deb [trusted=yes] file:{} {release} main", lab.folder.path().display())
                .unwrap();
        }
        fs::write(lab.path("sources.list"), sources).unwrap();
        fs::write(lab.path("preferences"), "").unwrap();
        let at = lab.folder.path().display();
        let config = format!(
            "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"{at}/parts\";\n\
             Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"{at}/parts\";\n\
             Dir::Etc::preferences \"{at}/preferences\";\nDir::Etc::preferencesparts \"{at}/parts\";\n\
             Dir::State \"{at}\";\nDir::State::lists \"{at}/lists\";\nDir::State::status \"{at}/dpkg/status\";\n\
             Dir::Cache \"{at}\";\nDir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
             APT::Sandbox::User \"\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n"
        );
        fs::write(lab.path("apt.conf"), config).unwrap();
        let update = lab.host().command("apt-get").arg("update").output().unwrap();
        assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn host(&self) -> Host {
        Host { sudo: false, config: Some(self.path("apt.conf")), database: Some(self.path("dpkg")) }
    }

    fn plan(&self, packages: &[&str]) -> Result<Option<String>> {
        let host = self.host();
        host.plan(packages, host.keep().unwrap().path())
    }
}

fn stanza(name: &str, version: &str, source: &str, more: &str) -> String {
    format!("Package: {name}\nVersion: {version}\nSource: {source}\nArchitecture: amd64\n{more}")
}

#[test]
fn what_needs_nothing_else_is_installed() {
    let lab = Lab::new(
        &[&stanza("libc6", "1", "glibc", "")],
        &[&stanza("flex", "1", "flex", "Depends: libc6\n")],
        &[],
    );
    assert_eq!(lab.plan(&["flex"]).unwrap(), None);
}

#[test]
fn a_package_that_is_in_the_way_is_not_removed() {
    let lab = Lab::new(
        &[&stanza("qemu-utils", "10", "qemu", "Breaks: qemu-system-common (<< 8)\n")],
        &[
            &stanza("qemu-system-x86", "7", "qemu", "Depends: qemu-system-common\n"),
            &stanza("qemu-system-common", "7", "qemu", ""),
        ],
        &[],
    );
    let error = lab.plan(&["qemu-system-x86"]).unwrap_err().to_string();
    assert!(error.contains("nothing was changed"), "{error}");
    assert!(error.contains("apt would remove: qemu-utils (10)"), "{error}");
}

#[test]
fn an_older_library_is_not_upgraded_for_its_headers() {
    let installed = stanza("libssl3", "3.0.16", "openssl", "");
    let newer = [
        stanza("libssl3", "3.0.17", "openssl", ""),
        stanza("libssl-dev", "3.0.17", "openssl", "Depends: libssl3 (= 3.0.17)\n"),
    ];
    let lab = Lab::new(&[&installed], &[&newer[0], &newer[1]], &[]);
    let error = lab.plan(&["libssl-dev"]).unwrap_err().to_string();
    assert!(error.contains("apt would change: libssl3 (3.0.16 -> 3.0.17)"), "{error}");

    // The headers that fit are there still: those are meant.
    let older = stanza("libssl-dev", "3.0.16", "openssl", "Depends: libssl3 (= 3.0.16)\n");
    let lab = Lab::new(&[&installed], &[&newer[0], &newer[1], &older], &[]);
    assert_eq!(lab.plan(&["libssl-dev"]).unwrap(), None);
    let host = lab.host();
    let simulation = host.simulate(&["libssl-dev"], Some(host.keep().unwrap().path()), None).unwrap();
    assert_eq!(simulation.changes, Changes { new: vec!["libssl-dev".into()], ..Changes::default() });
}

#[test]
fn a_backport_beside_which_the_rest_has_to_be_one_too() {
    let lab = Lab::new(
        &[&stanza("qemu-utils", "10", "qemu", "Breaks: qemu-system-x86 (<< 8)\n")],
        &[
            &stanza("qemu-system-x86", "7", "qemu", "Depends: seabios\n"),
            &stanza("seabios", "1", "seabios", ""),
        ],
        &[
            &stanza("qemu-system-x86", "10", "qemu", "Depends: seabios (>= 2)\n"),
            &stanza("qemu-utils", "10", "qemu", "Breaks: qemu-system-x86 (<< 8)\n"),
            &stanza("seabios", "2", "seabios", ""),
        ],
    );
    assert_eq!(lab.plan(&["qemu-system-x86"]).unwrap().as_deref(), Some("backports"));
}

#[test]
fn a_package_that_no_release_has_is_named() {
    let lab = Lab::new(&[], &[], &[]);
    let error = lab.plan(&["swtpm"]).unwrap_err().to_string();
    assert!(error.contains("Unable to locate package swtpm"), "{error}");
}

#[rstest]
#[case(true, "sudo apt-get install --yes --no-remove --no-install-recommends flex bison")]
#[case(false, "apt-get install --yes --no-remove --no-install-recommends flex bison")]
fn one_line_brings_it_all(#[case] sudo: bool, #[case] line: &str) {
    assert_eq!(Host { sudo, ..Host::default() }.line(&["flex", "bison"]), line);
}

/// A package file with one program, and its stanza in a list.
fn package(folder: &Path, name: &str, more: &str) -> String {
    let root = folder.join(name);
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::write(root.join("usr/bin").join(name), name).unwrap();
    let control =
        format!("Package: {name}\nVersion: 7\nArchitecture: amd64\nMaintainer: n\nDescription: d\n{more}");
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    let file = folder.join(format!("{name}.deb"));
    let built =
        Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&root).arg(&file).output();
    assert!(built.unwrap().status.success());
    let (digest, size) =
        (imalab_kernels::cache::sha256_of_file(&file).unwrap(), fs::metadata(&file).unwrap().len());
    stanza(name, "7", "qemu", more)
        + &format!("Filename: root{}\nSize: {size}\nSHA256: {digest}\n", file.display())
}

#[test]
fn what_the_machine_cannot_take_is_unpacked_beside_it() {
    let files = tempfile::tempdir().unwrap();
    let offered = [
        package(files.path(), "qemu-system-x86", "Depends: qemu-system-common, libc6\n"),
        package(files.path(), "qemu-system-common", ""),
        package(files.path(), "libc6", ""),
    ];
    let lab = Lab::new(
        &[
            &stanza("qemu-utils", "10", "qemu", "Breaks: qemu-system-common (<< 8)\n"),
            &stanza("libc6", "1", "glibc", ""),
        ],
        &offered.iter().map(String::as_str).collect::<Vec<_>>(),
        &[],
    );
    assert!(lab.plan(&["qemu-system-x86"]).is_err());
    let before = fs::read(lab.path("dpkg/status")).unwrap();
    // Paths of a list are below its mirror.
    std::os::unix::fs::symlink("/", lab.path("root")).unwrap();
    let cache = imalab_kernels::cache::Cache::at(lab.path("cache")).unwrap();
    let toolbox = Toolbox::make(&cache, lab.host(), &["qemu-system-x86"]).unwrap();
    let there = |name: &str| toolbox.root().join("usr/bin").join(name).exists();
    assert!(there("qemu-system-x86") && there("qemu-system-common"));
    assert!(!there("libc6"), "the machine has it");
    assert_eq!(fs::read(lab.path("dpkg/status")).unwrap(), before, "the machine is as it was");
}

//! Built kernels between machines.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;
use tar::{Archive, Builder, EntryType, Header};

use crate::lab::Lab;

/// The same catalogue with the cache of another machine, which has no source.
fn elsewhere(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = lab.command(arguments);
    command.env("XDG_CACHE_HOME", lab.home("elsewhere"));
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn exported(lab: &Lab) -> PathBuf {
    let file = lab.home("tiny.tar");
    let output = lab.run(&["export", "tiny", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    file
}

fn imported(lab: &Lab, file: &Path) -> Output {
    elsewhere(lab, &["import", file.to_str().unwrap()]).output().unwrap()
}

/// What a machine has of kernels, but for locks.
fn kernels(lab: &Lab) -> Vec<String> {
    let Ok(entries) = fs::read_dir(lab.home("elsewhere/imalab/kernels")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

#[rstest]
#[case::the_same_compiler(None)]
#[case::another_compiler(Some("echo 'gcc (another) 1.0'"))]
#[case::no_compiler(Some("exit 1"))]
fn a_kernel_is_built_once_for_two_machines(#[case] gcc: Option<&str>) {
    let lab = Lab::new("CONFIG_A=y\n");
    let file = exported(&lab);
    assert_eq!(lab.builds(), 1);
    let output = imported(&lab, &file);
    assert!(output.status.success() && said(&output).contains("Linux 7.9.9"), "{}", said(&output));
    let mut path = elsewhere(&lab, &["path", "tiny"]);
    if let Some(script) = gcc {
        let folder = lab.home("bin");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("gcc"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(folder.join("gcc"), fs::Permissions::from_mode(0o755)).unwrap();
        let paths = std::env::var("PATH").unwrap();
        path.env("PATH", format!("{}:{paths}", folder.display()));
    }
    let output = path.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let image = String::from_utf8(output.stdout).unwrap();
    assert!(Path::new(image.trim()).starts_with(lab.home("elsewhere")), "{image}");
    assert_eq!(fs::read(image.trim()).unwrap(), b"kernel\n");
    assert_eq!(lab.builds(), 1, "it was not built again");
    // Another fragment is another kernel, and is not the imported one.
    let again = imported(&lab, &file);
    assert!(said(&again).contains("already in the cache"), "{}", said(&again));
}

/// What is in an archive: name, type, content.
type Content = Vec<(String, EntryType, Vec<u8>)>;

fn content(file: &Path) -> Content {
    let mut archive = Archive::new(fs::File::open(file).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), entry.header().entry_type(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn write(file: &Path, content: &Content) {
    let mut archive = Builder::new(fs::File::create(file).unwrap());
    for (name, kind, bytes) in content {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(*kind);
        // As somebody would who means harm: the crate refuses such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if *kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, bytes.as_slice()).unwrap();
    }
    archive.finish().unwrap();
}

fn described(content: &mut Content, change: impl FnOnce(&mut Value)) {
    let mut meta: Value = serde_json::from_slice(&content[0].2).unwrap();
    change(&mut meta);
    content[0].2 = meta.to_string().into_bytes();
}

fn place(content: &Content, name: &str) -> usize {
    content.iter().position(|(found, ..)| found == name).unwrap()
}

type Change = fn(&mut Content);

#[rstest]
#[case::another_image(|c: &mut Content| { let at = place(c, "bzImage"); c[at].2.push(0) }, "bzImage is not what was built")]
#[case::missing(|c: &mut Content| { let at = place(c, "vmlinux"); c.remove(at); }, "vmlinux is missing")]
#[case::twice(|c: &mut Content| { let at = place(c, "config"); let one = c[at].clone(); c.push(one) }, "config is in it twice")]
#[case::not_named(|c: &mut Content| c.push(("tools/testing/kunit/x".into(), EntryType::Regular, vec![1])), "not named")]
#[case::above(|c: &mut Content| c.push(("../x".into(), EntryType::Regular, vec![1])), "../x is no file of a build")]
#[case::absolute(|c: &mut Content| c.push(("/tmp/x".into(), EntryType::Regular, vec![1])), "/tmp/x is no file of a build")]
#[case::above_a_folder(|c: &mut Content| c.push(("tools/testing/kunit/../../../x".into(), EntryType::Regular, vec![1])), "no file of a build")]
#[case::a_link(|c: &mut Content| { let at = place(c, "config"); c[at].1 = EntryType::Symlink; c[at].2.clear() }, "config is no file of a build")]
#[case::a_folder(|c: &mut Content| { let at = place(c, "config"); c[at].1 = EntryType::Directory; c[at].2.clear() }, "config is no file of a build")]
#[case::no_description(|c: &mut Content| { c.remove(0); }, "does not begin with a meta.json")]
#[case::a_long_description(|c: &mut Content| c[0].2.resize(2 << 20, b' '), "at most 1048576 bytes")]
#[case::another_schema(|c: &mut Content| described(c, |meta| meta["schema"] = 99.into()), "schema 99")]
#[case::a_key_that_is_a_path(|c: &mut Content| described(c, |meta| meta["key"] = "../../../../../../x".into()), "a digest that is none")]
#[case::a_name_that_is_a_path(|c: &mut Content| described(c, |meta| meta["files"]["../x"] = meta["key"].clone()), "no file of a build")]
#[case::a_name_that_lock_files_have(
    |c: &mut Content| described(c, |meta| meta["source"]["tarball"]["url"] = "https://example.org/.tar".into()),
    "names no version"
)]
#[case::a_tree(|c: &mut Content| described(c, |meta| meta["source"] = Value::Null), "of a tree on another machine")]
#[case::contradiction(|c: &mut Content| described(c, |meta| meta["bzimage_sha256"] = meta["key"].clone()), "contradicts itself")]
fn what_is_not_what_it_says_is_refused_and_leaves_nothing(#[case] change: Change, #[case] why: &str) {
    let lab = Lab::new("CONFIG_A=y\n");
    let file = exported(&lab);
    let mut content = content(&file);
    change(&mut content);
    write(&file, &content);
    let output = imported(&lab, &file);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains(why) && said(&output).contains("tiny.tar"), "{}", said(&output));
    assert_eq!(kernels(&lab), Vec::<String>::new());
    assert!(!lab.home("x").exists() && !lab.home("elsewhere/x").exists());
}

#[test]
fn what_is_no_archive_is_refused() {
    let lab = Lab::new("CONFIG_A=y\n");
    let file = exported(&lab);
    let whole = fs::read(&file).unwrap();
    for (bytes, why) in [
        (b"".as_slice(), "it is empty"),
        (&[7; 4096], "not an archive"),
        (&whole[..whole.len() - 2048], "truncated"),
        (&whole[..1024], "cannot be used"),
    ] {
        fs::write(&file, bytes).unwrap();
        let output = imported(&lab, &file);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
        assert_eq!(kernels(&lab), Vec::<String>::new());
    }
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let output = imported(&lab, &file);
    assert!(said(&output).contains("not a regular file"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_imported_does_not_take_the_place_of_what_was_built() {
    let lab = Lab::new("CONFIG_A=y\n");
    let file = exported(&lab);
    let mut content = content(&file);
    let (at, other) = (place(&content, "bzImage"), b"another\n".to_vec());
    let digest = {
        use sha2::Digest;
        sha2::Sha256::digest(&other).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    content[at].2 = other;
    described(&mut content, |meta| {
        meta["bzimage_sha256"] = digest.as_str().into();
        meta["files"]["bzImage"] = digest.as_str().into();
    });
    write(&file, &content);
    let output = lab.run(&["import", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("another build of the same key"), "{}", said(&output));
}

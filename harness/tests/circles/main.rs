//! Files of one crate that name each other in a circle are those that `docs/architecture.md` names, with what ties them.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

mod names;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use names::Module;
use rstest::rstest;

/// A file below a crate's `src`, without `.rs` and `/mod`.
type Files = BTreeMap<Vec<String>, Module>;

/// Files that are named by the files of one crate.
type Arrows = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crates' folders, from the root.
fn crates() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let members = members.split('"').skip(1).step_by(2).map(str::to_owned);
    // Targets to fuzz have no `src`: each is a program of one file.
    members.filter(|krate| root().join(krate).join("src").is_dir()).collect()
}

/// A program of a crate that has a library too: it sees the library as any other crate does.
fn beside_a_library(src: &Path, file: &Path) -> bool {
    file == src.join("main.rs") && src.join("lib.rs").exists()
}

/// All of a crate's own files, those of tests apart.
fn files(src: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !beside_a_library(src, &path) {
                let place = path.strip_prefix(src).unwrap().with_extension("");
                let mut place: Vec<String> =
                    place.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if matches!(place.last().unwrap().as_str(), "mod" | "lib" | "main") {
                    place.pop();
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let file = syn::parse_file(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
                found.insert(place, names::read(&file));
            }
        }
    }
    // What is compiled for tests alone stands there, not here: `#[cfg(test)] mod NAME;`.
    let tests: Vec<Vec<String>> = found
        .iter()
        .flat_map(|(place, module)| {
            module.tests.iter().map(|name| [place.as_slice(), std::slice::from_ref(name)].concat())
        })
        .collect();
    found.retain(|place, _| !tests.iter().any(|test| place.starts_with(test)));
    found
}

/// Circles as they are: rooms of one floor (files and folders that stand beside each other) each of which names all of the others, by
/// way of one another. A circle of files in one folder is one of its rooms; what ties files of two folders ties the folders.
fn circles(arrows: &Arrows) -> BTreeSet<BTreeSet<Vec<String>>> {
    // By folder: which of its rooms names which.
    let mut rooms: BTreeMap<Vec<String>, Arrows> = BTreeMap::new();
    for (from, on) in arrows.iter().flat_map(|(from, all)| all.iter().map(move |on| (from, on))) {
        let shared = from.iter().zip(on).take_while(|(one, other)| one == other).count();
        // One that is a part of the other is no neighbour.
        if let (Some(from), Some(on)) = (from.get(..=shared), on.get(..=shared)) {
            rooms
                .entry(from[..shared].to_vec())
                .or_default()
                .entry(from.to_vec())
                .or_default()
                .insert(on.to_vec());
        }
    }
    rooms.values().flat_map(circles_of).collect()
}

fn circles_of(arrows: &Arrows) -> BTreeSet<BTreeSet<Vec<String>>> {
    let reached = |from: &Vec<String>| {
        let mut reached = BTreeSet::new();
        let mut left = vec![from];
        while let Some(at) = left.pop() {
            for on in arrows.get(at).into_iter().flatten() {
                if reached.insert(on.clone()) {
                    left.push(on);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        arrows.keys().map(|room| (room, reached(room))).collect();
    let circle = |room: &Vec<String>| -> BTreeSet<Vec<String>> {
        let back = |other: &&Vec<String>| reached.get(other).is_some_and(|back| back.contains(room));
        reached[room].iter().filter(back).cloned().collect()
    };
    arrows.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// One row of the page: a crate, and the files of one circle.
fn row(krate: &str, circle: &BTreeSet<Vec<String>>) -> String {
    let files: Vec<String> = circle
        .iter()
        .map(|place| if place.is_empty() { "`lib`".to_owned() } else { format!("`{}`", place.join("/")) })
        .collect();
    format!("| `{krate}` | {} |", files.join(", "))
}

fn arrows(of: &[(&str, &str)]) -> Arrows {
    let root = ("", "");
    let files: Files = std::iter::once(&root)
        .chain(of)
        .map(|(place, text)| {
            let place = place.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            (place, names::read(&syn::parse_file(text).unwrap()))
        })
        .collect();
    paths::arrows(&files)
}

#[rstest]
#[case::one_way(&[("a", "use crate::b::B; fn a() -> B { B }"), ("b", "pub struct B;")], &[])]
#[case::both_ways(&[("a", "use crate::b::B; pub struct A(B);"), ("b", "pub struct B(crate::a::A);")], &["a b"])]
#[case::by_way_of_a_third(
    &[("a", "fn a() { crate::b::b() }"), ("b", "use super::c::c; pub fn b() { c() }"), ("c", "pub fn c() { super::a::a() }")],
    &["a b c"]
)]
#[case::by_a_name_that_is_handed_on(
    &[("", "pub use b::B;"), ("a", "use crate::B; pub struct A(B);"), ("b", "pub struct B(crate::a::A);")],
    &["a b"]
)]
#[case::in_a_macro(&[("a", "pub fn a() { f!(crate::b::b()) }"), ("b", "pub fn b() { crate::a::a() }")], &["a b"])]
#[case::by_what_a_macro_makes(
    &[("a", "made! { A { x } } use crate::b::B; fn f(_: B) {}"), ("b", "pub struct B(crate::a::A);")],
    &["a b"]
)]
#[case::by_all_of_a_file(&[("a", "use crate::b::*; pub struct A(B);"), ("b", "pub struct B(super::a::A);")], &["a b"])]
#[case::folders(
    &[("a/x", "fn x() { crate::b::y() }"), ("a/z", "pub fn z() {}"), ("b", "pub fn y() { crate::a::z::z() }"), ("a", "mod x; pub mod z;")],
    &["a b"]
)]
#[case::a_part(&[("a", "pub struct A; mod b; fn f() { b::g() }"), ("a/b", "pub fn g() -> super::A { super::A }")], &[])]
#[case::in_tests_alone(
    &[("a", "use crate::b::B; pub struct A(B);"), ("b", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; fn f(_: A) {} }")],
    &[]
)]
#[case::a_variable_of_a_files_name(&[("", "fn f(a: u8) -> u8 { a }"), ("a", "pub fn a() { crate::f(1); }")], &[])]
fn a_circle_is_seen(#[case] files: &[(&str, &str)], #[case] circles: &[&str]) {
    assert_eq!(texts(&arrows(files)), circles);
}

fn texts(arrows: &Arrows) -> Vec<String> {
    let text = |circle: &BTreeSet<Vec<String>>| {
        circle.iter().map(|room| room.join("/")).collect::<Vec<_>>().join(" ")
    };
    circles(arrows).iter().map(text).collect()
}

#[test]
fn the_page_names_all_circles() {
    let mut real = BTreeSet::new();
    for krate in crates() {
        let files = files(&root().join(&krate).join("src"));
        let arrows = paths::arrows(&files);
        if std::env::var_os("IMALAB_SHOW_CIRCLES").is_some() {
            for circle in circles(&arrows) {
                println!("{}", row(&krate, &circle));
                let room = |file: &Vec<String>| circle.iter().find(|room| file.starts_with(room)).cloned();
                for (from, on) in arrows.iter().flat_map(|(from, all)| all.iter().map(move |on| (from, on))) {
                    if matches!((room(from), room(on)), (Some(one), Some(other)) if one != other) {
                        println!("    {} -> {}", from.join("/"), on.join("/"));
                    }
                }
            }
        }
        real.extend(circles(&arrows).iter().map(|circle| row(&krate, circle)));
    }
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, table) = page.split_once("<!-- circles -->").expect("where the table begins");
    let (table, _) = table.split_once("<!-- end: circles -->").expect("where it ends");
    let told: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split(" | ");
            let (krate, files) = (cells.next().unwrap(), cells.next().unwrap());
            assert!(cells.next().is_some_and(|why| why.len() > 10), "what ties them: {line}");
            format!("{krate} | {files} |")
        })
        .collect();
    let missing: Vec<&String> = real.difference(&told).collect();
    let gone: Vec<&String> = told.difference(&real).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not on the page: {missing:#?}\nno circle: {gone:#?}");
}

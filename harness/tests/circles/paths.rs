//! Which file a path leads to.

use std::collections::BTreeSet;

use super::{Arrows, Files};

/// Which files each file names, through whatever file hands a name on; those that it is a part of apart (`a/b` of `a`).
pub(crate) fn arrows(files: &Files) -> Arrows {
    files
        .iter()
        .map(|(place, module)| {
            let on: BTreeSet<Vec<String>> = module
                .used
                .iter()
                .filter_map(|path| lead(files, place, path, 0))
                // A part may name what it is a part of.
                .filter(|on| !place.starts_with(on))
                .collect();
            (place.clone(), on)
        })
        .collect()
}

/// How often a name may be handed on.
const DEPTH: usize = 16;

/// The file in which what a path of a file names is defined; none for what another crate, or the language, has.
fn lead(files: &Files, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    if depth > DEPTH {
        return None;
    }
    match first.as_str() {
        "crate" => walk(files, Vec::new(), rest, depth),
        "self" => walk(files, from.to_vec(), rest, depth),
        "super" => {
            let (_, above) = from.split_last()?;
            match rest.first().map(String::as_str) {
                Some("super") => lead(files, above, rest, depth),
                _ => walk(files, above.to_vec(), rest, depth),
            }
        }
        _ => walk(files, from.to_vec(), path, depth),
    }
}

/// From a file, by the names of a path.
fn walk(files: &Files, at: Vec<String>, path: &[String], depth: usize) -> Option<Vec<String>> {
    let module = files.get(&at)?;
    // A file by itself is no value and no type: a name that reads so is a variable's.
    let (first, rest) = path.split_first()?;
    if module.defines.contains(first) {
        return Some(at);
    }
    if let Some(taken) = module.taken.get(first) {
        return lead(files, &at, &[taken, rest].concat(), depth + 1);
    }
    let child = [at.as_slice(), std::slice::from_ref(first)].concat();
    if files.contains_key(&child) {
        return walk(files, child, rest, depth);
    }
    module.all_of.iter().find_map(|all| lead(files, &at, &[all, path].concat(), depth + 1))
}

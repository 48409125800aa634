//! What is quoted stands where it is said to stand: in the kernel that the suite is made for, or in our own series.
//!
//! `IMALAB_SOURCES` is a folder with the files that are quoted, as they are in the kernel's tree; `cargo xtask check` keeps it
//! beside the kernel's image.

#![expect(clippy::unwrap_used, reason = "a test's panic is its failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use imalab_formats::ima::model::{DOCUMENT, From, Rule, SAID, Words};
use imalab_language::scenario;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of the kernel that were kept.
struct Sources {
    folder: PathBuf,
    read: BTreeMap<String, String>,
}

impl Sources {
    fn open() -> Sources {
        let Some(folder) = std::env::var_os("IMALAB_SOURCES") else {
            panic!("IMALAB_SOURCES is not set: run `cargo xtask check`")
        };
        Sources { folder: folder.into(), read: BTreeMap::new() }
    }

    /// A file, with one blank for what is between words.
    fn text(&mut self, path: &str) -> &str {
        let file = self.folder.join(path);
        self.read.entry(path.to_owned()).or_insert_with(|| {
            let text = std::fs::read_to_string(&file);
            plain(&text.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
        })
    }

    fn has(&mut self, path: &str, words: &str) -> bool {
        self.text(path).contains(&plain(words))
    }
}

/// Without line breaks and the stars of comments, and without what marks a word in a document.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix("* ").unwrap_or(line)
    });
    let joined = lines.collect::<Vec<_>>().join(" ").replace(['`', '*'], "");
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All that a series adds.
fn added_by(series: &str) -> String {
    let folder = repository().join("kernel-config/patches").join(series);
    let mut patches: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    patches.sort();
    let texts = patches.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let added = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.strip_prefix('+')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    });
    plain(&added.collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_rule_quotes_what_is_there() {
    let mut sources = Sources::open();
    let (mut wrong, mut quoted) = (Vec::new(), 0);
    for rule in Rule::ALL {
        match rule.words() {
            Words::Quoted { from: From::Kernel(path), text } => {
                quoted += 1;
                if !sources.has(path, text) {
                    wrong.push(format!("{rule:?}: `{text}` does not stand in {path}"));
                }
                if path == DOCUMENT && !rule.source().starts_with(DOCUMENT) {
                    wrong.push(format!("{rule:?}: quotes {path}, and names {}", rule.source()));
                }
            }
            Words::Quoted { from: From::Series(names), text } => {
                quoted += 1;
                for name in names.iter().filter(|name| !added_by(name).contains(&plain(text))) {
                    wrong.push(format!("{rule:?}: `{text}` does not stand in the series {name}"));
                }
            }
            Words::Ours => {}
        }
        wrong.extend(unfounded(&mut sources, *rule));
    }
    for (dialect, rule, series, text) in SAID {
        if !added_by(series).contains(&plain(text)) {
            wrong.push(format!("{dialect}, {rule:?}: `{text}` does not stand in the series {series}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(quoted > 40, "{quoted}");
}

/// A section that the document lacks, or a function that its file lacks.
fn unfounded(sources: &mut Sources, rule: Rule) -> Option<String> {
    let source = rule.source();
    if let Some(section) = source.strip_prefix(DOCUMENT) {
        let section = section.trim_matches([',', ' ', '"']);
        return (!sources.has(DOCUMENT, section)).then(|| format!("{rule:?}: no section `{section}`"));
    }
    let (function, path) = source.split_once(", ")?;
    let of_kernel = path.ends_with(".c") || path.ends_with(".h");
    (of_kernel && !sources.has(path, function)).then(|| format!("{rule:?}: {path} has no `{function}`"))
}

/// What a text quotes, taken apart where words are left out.
fn quotes(text: &str) -> Vec<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.flat_map(|quote| quote.split('…').map(|part| part.trim().to_owned()).collect::<Vec<_>>()).collect()
}

/// Files that a text names, by their last part, where they were kept.
fn named<'k>(text: &str, kept: &'k BTreeSet<String>) -> Vec<&'k str> {
    let ends = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let words: BTreeSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
        .map(|w| w.trim_matches('.'))
        .collect();
    kept.iter().map(String::as_str).filter(|path| words.contains(ends(path).as_str())).collect()
}

/// Paths of all files that were kept.
fn kept(folder: &Path, below: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            kept(folder, &path, into);
        } else {
            into.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// Whatever a scenario quotes stands in one of the files that it names; what is ours says so.
#[test]
fn every_scenario_quotes_what_is_there() {
    let mut sources = Sources::open();
    let mut files = BTreeSet::new();
    kept(&sources.folder.clone(), &sources.folder.clone(), &mut files);
    let (mut wrong, mut looked_up) = (Vec::new(), 0);
    for scenario in scenario::load_all(&repository().join("scenarios")).unwrap() {
        let breaks = scenario.known_defect.as_ref().map(|defect| defect.breaks.clone());
        let texts = [Some(scenario.promise.clone()), breaks];
        for text in texts.into_iter().flatten().filter(|text| !text.to_lowercase().starts_with("ours")) {
            let mut named = named(&text, &files);
            // The document of its theme, where a defect names a function alone.
            named.extend(["security/integrity/ima/ima_queue.c", "security/integrity/ima/ima_fs.c", DOCUMENT]);
            for quote in quotes(&text).iter().filter(|quote| quote.split(' ').count() > 1) {
                looked_up += 1;
                if !named.iter().any(|path| sources.has(path, quote)) {
                    wrong.push(format!("{}: `{quote}` stands in none of {named:?}", scenario.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(looked_up > 20, "{looked_up}");
}

/// The page's part on the document quotes the document.
#[test]
fn the_page_of_coverage_quotes_what_is_there() {
    let mut sources = Sources::open();
    let page = std::fs::read_to_string(repository().join("docs/coverage.md")).unwrap();
    let (mut wrong, mut looked_up) = (Vec::new(), 0);
    for part in page.split("\n## ").filter(|part| part.starts_with("doc, ")) {
        let (heading, rows) = part.split_once('\n').unwrap();
        let section = heading.trim_start_matches("doc, ");
        if !sources.has(DOCUMENT, section) {
            wrong.push(format!("no section `{section}`"));
        }
        for row in rows.lines().filter(|line| line.starts_with("| ")) {
            let promise = row.split(" | ").next().unwrap_or_default();
            for quote in quotes(promise) {
                looked_up += 1;
                if !sources.has(DOCUMENT, &quote) {
                    wrong.push(format!("{section}: `{quote}` does not stand there"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(looked_up > 20, "{looked_up}");
}

#[test]
fn a_quote_is_found_whatever_its_line_breaks_and_nothing_else_is() {
    let text = plain("/**\n * ima_queue_stage - Stage all\n *   measurements\n */\n\techo ``A`` > x\n");
    assert!(text.contains(&plain("Stage all measurements")) && text.contains(&plain("echo A > x")), "{text}");
    assert!(!text.contains(&plain("Stage no measurements")));
    assert_eq!(quotes("he says \"one … two\" and \"three\""), ["one", "two", "three"]);
}

//! Config fragments: read, merged, and checked against the `.config` that Kconfig made of them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::stop::Stop;

/// The comment that makes the next symbol optional.
const OPTIONAL: &str = "# optional";

/// What one line of a fragment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Symbol with its prefix, for example `CONFIG_IMA`.
    pub(crate) symbol: String,
    /// Value as it stands in a `.config`; `n` for a symbol that is not set.
    pub(crate) value: String,
    /// Whether a kernel that does not know the symbol may go without it.
    pub(crate) optional: bool,
    /// File name of the fragment, and the line, counted from 1; [`FLAG`] for the command line.
    pub(crate) place: (String, usize),
}

/// Where the user asks for symbols.
const FLAG: &str = "--kconfig";

impl Setting {
    /// Whether it is the user's, on the command line.
    pub(crate) fn users(&self) -> bool {
        self.place.0 == FLAG
    }
}

/// What `--kconfig` asks for: `SYMBOL` or `SYMBOL=VALUE`, each with or without `CONFIG_`. They count more than `settings`.
///
/// # Errors
/// [`Stop::Usage`] for what is no symbol, or the same one twice with different values.
pub(crate) fn add(settings: &mut Vec<Setting>, asked: &[String]) -> Result<(), Stop> {
    let mut all: Vec<Setting> = Vec::new();
    for (number, text) in (1..).zip(asked) {
        let (symbol, value) = text.split_once('=').unwrap_or((text, "y"));
        let symbol = format!("CONFIG_{}", symbol.strip_prefix("CONFIG_").unwrap_or(symbol));
        let line = format!("{symbol}={value}");
        if line.contains(char::is_control) {
            return Err(Stop::Usage(format!("{FLAG}: {text:?} is more than a line")));
        }
        let parsed = parse(FLAG, &line).map_err(|_| {
            Stop::Usage(format!(
                "{FLAG}: {text:?} is not a symbol; it looks like IMA_STAGING or IMA_STAGING=n"
            ))
        })?;
        for mut setting in parsed {
            setting.place.1 = number;
            if let Some(other) =
                all.iter().find(|other| other.symbol == setting.symbol && other.value != setting.value)
            {
                let message =
                    format!("{FLAG}: {} is to be {} and {}", setting.symbol, other.value, setting.value);
                return Err(Stop::Usage(message));
            }
            all.push(setting);
        }
    }
    for setting in all {
        match settings.iter_mut().find(|earlier| earlier.symbol == setting.symbol) {
            Some(earlier) => *earlier = setting,
            None => settings.push(setting),
        }
    }
    Ok(())
}

/// A symbol that did not stick.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    /// What was asked for.
    pub(crate) setting: Setting,
    /// What the final `.config` has.
    pub(crate) got: String,
    /// What Kconfig says about it: dependencies, or that there is no such symbol.
    pub(crate) hint: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = &self.setting.place;
        let place = if self.setting.users() { FLAG.to_owned() } else { format!("{file}:{line}") };
        write!(
            f,
            "{place}: {} should be {}, and the final .config has {}\n    {}",
            self.setting.symbol, self.setting.value, self.got, self.hint
        )
    }
}

/// Reads the text of a fragment named `file`.
///
/// # Errors
/// A line that is neither `CONFIG_X=value`, `# CONFIG_X is not set` nor a comment.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    let mut optional = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line == OPTIONAL {
            optional = true;
            continue;
        }
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let (symbol, value) = match (unset, line.split_once('=')) {
            (Some(symbol), _) => (symbol, "n"),
            (None, _) if line.is_empty() || line.starts_with('#') => continue,
            (None, Some((symbol, value))) => (symbol, value),
            (None, None) => {
                bail!("{file}:{number}: expected CONFIG_SYMBOL=value or a comment, found {line:?}")
            }
        };
        let name = symbol.strip_prefix("CONFIG_").unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            bail!("{file}:{number}: {symbol:?} is not a symbol; they look like CONFIG_IMA");
        }
        if value.is_empty() {
            bail!("{file}:{number}: {symbol} has no value; write {symbol}=n to turn it off");
        }
        settings.push(Setting {
            symbol: symbol.to_owned(),
            value: value.to_owned(),
            optional,
            place: (file.to_owned(), number),
        });
        optional = false;
    }
    Ok(settings)
}

/// Reads the fragments `names` from `folder`; where two ask for the same symbol the later one wins, as
/// with the kernel's own `merge_config.sh`. In the order in which symbols first appear.
pub(crate) fn load(folder: &Path, names: &[String]) -> Result<Vec<Setting>> {
    let mut merged: Vec<Setting> = Vec::new();
    for name in names {
        let file = format!("{name}.config");
        let path = folder.join(&file);
        let text = fs::read_to_string(&path)
            .map_err(|error| Stop::Usage(format!("cannot read the fragment {}: {error}", path.display())))?;
        let parsed = parse(&file, &text).map_err(|error| Stop::Usage(format!("{error:#}")))?;
        for setting in parsed {
            match merged.iter_mut().find(|earlier| earlier.symbol == setting.symbol) {
                Some(earlier) => *earlier = setting,
                None => merged.push(setting),
            }
        }
    }
    Ok(merged)
}

/// The settings as text that Kconfig reads (`KCONFIG_ALLCONFIG`, or the tail of a `.config`).
pub(crate) fn to_config(settings: &[Setting]) -> String {
    settings.iter().map(|setting| format!("{}={}\n", setting.symbol, setting.value)).collect()
}

/// Compares `settings` with the final `.config`; `tree` is asked why a symbol did not stick.
pub(crate) fn unmet(settings: &[Setting], config: &str, tree: &Path) -> Vec<Unmet> {
    let values = values(config);
    let off: Vec<&Setting> =
        settings.iter().filter(|setting| got(&values, &setting.symbol) != setting.value).collect();
    if off.is_empty() {
        return Vec::new();
    }
    let definitions = Definitions::find(tree, &off);
    off.into_iter()
        .filter(|setting| !(setting.optional && definitions.of(&setting.symbol).is_empty()))
        .map(|setting| Unmet {
            setting: setting.clone(),
            got: got(&values, &setting.symbol).to_owned(),
            hint: definitions.hint(setting),
        })
        .collect()
}

/// Fails with every symbol of `settings` that the final `.config` does not have.
///
/// # Errors
/// [`Stop::Unbuildable`] when the user asked for one of them.
pub(crate) fn verify(settings: &[Setting], config: &str, tree: &Path) -> Result<()> {
    let unmet = unmet(settings, config, tree);
    if unmet.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = unmet.iter().map(ToString::to_string).collect();
    let list = list.join("\n  ");
    if unmet.iter().any(|unmet| unmet.setting.users()) {
        let text = format!("{} symbol(s) that were asked for did not stick:\n  {list}", unmet.len());
        return Err(Stop::Unbuildable(text).into());
    }
    bail!("{} symbol(s) of the config fragments did not stick:\n  {list}", unmet.len());
}

fn values(config: &str) -> BTreeMap<&str, &str> {
    config.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

fn got<'a>(values: &BTreeMap<&str, &'a str>, symbol: &str) -> &'a str {
    values.get(symbol).copied().unwrap_or("n")
}

/// One place where a Kconfig file defines a symbol.
struct Definition {
    symbol: String,
    /// "file:line".
    place: String,
    /// Its `depends on` expressions.
    depends: Vec<String>,
    /// Whether it has a prompt; Kconfig alone decides one that has none.
    prompt: bool,
}

/// Where the Kconfig files of a tree define the symbols in question.
struct Definitions(Vec<Definition>);

impl Definitions {
    fn find(tree: &Path, settings: &[&Setting]) -> Self {
        let mut found = Vec::new();
        for path in kconfig_files(tree) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let shown = path.strip_prefix(tree).unwrap_or(&path).display().to_string();
            read_definitions(&text, &shown, settings, &mut found);
        }
        Self(found)
    }

    fn of(&self, symbol: &str) -> Vec<&Definition> {
        self.0.iter().filter(|definition| definition.symbol == symbol).collect()
    }

    fn hint(&self, setting: &Setting) -> String {
        let definitions = self.of(&setting.symbol);
        if definitions.is_empty() && setting.users() {
            return "this kernel has no such symbol".into();
        }
        if definitions.is_empty() {
            return format!(
                "this kernel has no such symbol (renamed or removed?); \"{OPTIONAL}\" on the line above lets it go"
            );
        }
        let lines: Vec<String> = definitions.into_iter().map(Definition::explain).collect();
        lines.join("\n    ")
    }
}

impl Definition {
    fn explain(&self) -> String {
        let why = if !self.prompt {
            "has no prompt, so no fragment can set it".to_owned()
        } else if self.depends.is_empty() {
            "the menu around it, a choice, or another symbol's select decides".to_owned()
        } else {
            format!("depends on {}", self.depends.join(" && "))
        };
        format!("{}: {why}", self.place)
    }
}

/// Finds what a Kconfig file says about `settings` (Documentation/kbuild/kconfig-language.rst).
fn read_definitions(text: &str, file: &str, settings: &[&Setting], found: &mut Vec<Definition>) {
    let mut current: Option<Definition> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        match (word, &mut current) {
            // A block starts in the first column; help texts are indented.
            ("config" | "menuconfig", _) if !line.starts_with(char::is_whitespace) => {
                found.extend(current.take());
                let setting =
                    settings.iter().find(|setting| setting.symbol.strip_prefix("CONFIG_") == Some(rest));
                current = setting.map(|setting| Definition {
                    symbol: setting.symbol.clone(),
                    place: format!("{file}:{number}"),
                    depends: Vec::new(),
                    prompt: false,
                });
            }
            ("depends", Some(definition)) => {
                definition
                    .depends
                    .extend(rest.strip_prefix("on ").map(|condition| condition.trim().to_owned()));
            }
            ("bool" | "tristate" | "int" | "hex" | "string" | "prompt", Some(definition)) => {
                definition.prompt |= rest.starts_with('"');
            }
            _ => {}
        }
    }
    found.extend(current);
}

fn kconfig_files(tree: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![tree.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() && !name.starts_with('.') {
                folders.push(entry.path());
            } else if name.starts_with("Kconfig") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;

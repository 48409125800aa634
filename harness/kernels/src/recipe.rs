//! What a kernel is built by, and the keys of builds.

use std::process::Command;

use anyhow::Result;

use crate::cache;
use crate::fragment::{self, Setting};
use crate::make;
use crate::process::stdout_of;
use crate::series::Series;
use crate::source::Resolved;

/// Version of what a build is and of its description, `meta.json`: a part of every key.
pub(crate) const SCHEMA: u32 = 2;

/// What a patch is called in a key, by how much of its files' names is stripped.
const PATCH: &[&str] = &["patch-p0", "patch", "patch-p2", "patch-p3"];

/// What to build.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The merged fragments.
    pub(crate) settings: Vec<Setting>,
    /// The series of patches in order.
    pub(crate) patches: Vec<Series>,
    /// Whether the tree stays in the cache, for other kernels of the same source.
    pub(crate) shares: bool,
}

impl Recipe {
    /// SHA-256 over everything but source and compiler.
    pub(crate) fn digest(&self) -> String {
        let config = fragment::to_config(&self.settings);
        let arguments = make::ARGUMENTS.join("\n");
        let environment = format!("{:?}", make::ENVIRONMENT);
        let mails = self.patches.iter().flat_map(|series| &series.mails);
        // Another level than git's own makes another kernel; the name of that part keeps the others' keys.
        let patches = mails.map(|mail| (PATCH[mail.strip.min(PATCH.len() - 1)], mail.content.as_slice()));
        cache::sha256_of_parts(
            [
                ("schema", SCHEMA.to_be_bytes().as_slice()),
                ("config", config.as_bytes()),
                ("arguments", arguments.as_bytes()),
                ("environment", environment.as_bytes()),
            ]
            .into_iter()
            .chain(patches),
        )
    }

    /// SHA-256 over everything that decides what comes out.
    pub(crate) fn key(&self, source: &Resolved, compiler: &str) -> String {
        cache::sha256_of_parts([
            ("recipe", self.digest().as_bytes()),
            ("source", source.sha256().as_bytes()),
            ("compiler", compiler.as_bytes()),
        ])
    }
}

/// The compiler and linker that kbuild will use.
pub(crate) fn compiler() -> Result<String> {
    let first_line = |program: &str| -> Result<String> {
        let text = stdout_of(Command::new(program).arg("--version").env("LC_ALL", "C"))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    Ok(format!("{}; {}", first_line("gcc")?, first_line("ld")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Excludes, Mail, Range};

    fn recipe(fragment: &str, patch: &[u8]) -> Recipe {
        Recipe {
            settings: fragment::parse("base.config", fragment).unwrap(),
            patches: vec![Series {
                name: "rfc-v2".into(),
                kernels: Range::default(),
                excludes: Excludes::default(),
                mails: vec![Mail { name: "0001.patch".into(), content: patch.to_vec(), strip: 1 }],
                users: false,
            }],
            shares: false,
        }
    }

    fn source(digit: &str) -> Resolved {
        Resolved::Tarball { url: "https://example.org/linux-6.6.tar.xz".into(), sha256: digit.repeat(64) }
    }

    #[test]
    fn the_key_follows_content_and_nothing_else() {
        let key = recipe("CONFIG_A=y", b"+1").key(&source("0"), "gcc 12");
        // Comments, blank lines and the places of settings do not change what is built.
        assert_eq!(recipe("# why\n\nCONFIG_A=y\n", b"+1").key(&source("0"), "gcc 12"), key);
        for other in [
            recipe("CONFIG_A=n", b"+1").key(&source("0"), "gcc 12"),
            recipe("CONFIG_A=y", b"+2").key(&source("0"), "gcc 12"),
            recipe("CONFIG_A=y", b"+1").key(&source("1"), "gcc 12"),
            recipe("CONFIG_A=y", b"+1").key(&source("0"), "gcc 13"),
        ] {
            assert_ne!(other, key);
        }
    }

    #[test]
    fn the_key_is_the_same_tomorrow() {
        // A change here throws every cached kernel away; make it on purpose.
        insta::assert_snapshot!(recipe("CONFIG_A=y", b"+1").key(&source("0"), "gcc 12"));
    }
}

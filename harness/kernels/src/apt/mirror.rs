//! Which Debian mirror this machine uses, as apt itself reads its sources.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process::stdout_of;

/// Overrides the mirror of the main archive found in the host's apt sources.
const OVERRIDE: &str = "IMALAB_DEBIAN_MIRROR";

/// Names under which Debian's own archive has a suite, beside the code name of the running release.
const SUITES: &[&str] = &["stable", "oldstable", "testing", "unstable", "sid", "trixie", "bookworm", "forky"];

/// A package list that the host's apt is configured to fetch.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    uri: &'a str,
    suite: &'a str,
    component: &'a str,
}

/// Ending of the suites that live in the security archive, which has a mirror of its own.
const SECURITY: &str = "-security";

/// Base URIs of Debian's archives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirrors {
    main: String,
    /// Not every machine has it among its sources.
    security: Option<String>,
}

impl Mirrors {
    /// The mirror that has `suite`, if any.
    pub(crate) fn of(&self, suite: &str) -> Option<&str> {
        if suite.ends_with(SECURITY) { self.security.as_deref() } else { Some(&self.main) }
    }
}

/// The mirrors, from the environment and the host's apt sources.
///
/// # Errors
/// When apt is missing, or none of its sources is Debian's main archive.
pub(crate) fn find() -> Result<Mirrors> {
    // apt reads one-line and deb822 sources alike, and says what it read in a form made for programs.
    let targets = stdout_of(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)",
        "Created-By: Packages",
    ]))
    .context("cannot ask apt for its sources")?;
    let named = std::env::var(OVERRIDE).ok().filter(|mirror| !mirror.is_empty());
    choose(&targets, codename().as_deref(), named).with_context(|| {
        format!("no apt source of this machine is Debian's main archive; name one in {OVERRIDE}")
    })
}

/// Picks Debian's archives among the targets that apt printed; `named` is the user's word for the main one.
fn choose(targets: &str, codename: Option<&str>, named: Option<String>) -> Option<Mirrors> {
    let targets: Vec<Target<'_>> =
        targets.lines().filter_map(parse).filter(|target| target.component == "main").collect();
    let running = |target: &&Target<'_>| codename == Some(target.suite);
    let debian = |target: &&Target<'_>| running(target) || SUITES.contains(&target.suite);
    // Others call a suite "stable" too; Debian's mirrors end in /debian.
    let archive = |target: &&Target<'_>| target.uri.trim_end_matches('/').ends_with("/debian");
    let found = || {
        let of_debian = || targets.iter().filter(debian);
        of_debian().find(archive).or_else(|| of_debian().find(running)).map(|target| target.uri.to_owned())
    };
    // With the component "main" and such a suite there is only Debian's.
    let security = targets
        .iter()
        .find(|target| target.suite.strip_suffix(SECURITY).is_some_and(|suite| SUITES.contains(&suite)))
        .map(|target| target.uri.to_owned());
    Some(Mirrors { main: named.or_else(found)?, security })
}

fn parse(line: &str) -> Option<Target<'_>> {
    let mut fields = line.split('\t');
    Some(Target { uri: fields.next()?, suite: fields.next()?, component: fields.next()? })
}

/// `VERSION_CODENAME` of os-release(5).
fn codename() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::usual(
        "http://mirror.example/debian/\tbookworm\tmain\nhttp://mirror.example/debian-security/\tbookworm-security\tmain\n",
        Some(("http://mirror.example/debian/", Some("http://mirror.example/debian-security/")))
    )]
    #[case::others_first(
        "https://packages.example/apt/\tcloud-bookworm\tmain\nhttps://browser.example/deb/\tstable\tmain\nhttp://mirror.example/debian\tbookworm\tmain\n",
        Some(("http://mirror.example/debian", None))
    )]
    #[case::odd_path("http://proxy.example/repo/deb13\tbookworm\tmain\n", Some(("http://proxy.example/repo/deb13", None)))]
    #[case::another_component("https://containers.example/linux/debian/\tbookworm\tstable\n", None)]
    #[case::none("https://nodes.example/node_20.x/\tnodistro\tmain\n", None)]
    #[case::nothing("", None)]
    fn debian_is_told_from_others(#[case] targets: &str, #[case] expected: Option<(&str, Option<&str>)>) {
        let mirrors = choose(targets, Some("bookworm"), None);
        assert_eq!(mirrors.as_ref().map(|found| (found.main.as_str(), found.security.as_deref())), expected);
    }

    #[test]
    fn the_users_word_counts_most() {
        let targets = "http://mirror.example/debian/\tbookworm\tmain\n";
        let mirrors = choose(targets, Some("bookworm"), Some("http://near.example/debian".into())).unwrap();
        assert_eq!(mirrors.of("sid"), Some("http://near.example/debian"));
        assert_eq!(mirrors.of("trixie-security"), None);
    }
}

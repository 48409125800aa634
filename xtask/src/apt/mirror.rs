//! Which Debian mirror this machine uses, as apt itself reads its sources.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process::stdout_of;

/// Overrides the mirror found in the host's apt sources.
pub(crate) const OVERRIDE: &str = "IMALAB_DEBIAN_MIRROR";

/// Names under which Debian's own archive has a suite, beside the code name of the running release.
const SUITES: &[&str] = &["stable", "oldstable", "testing", "unstable", "sid", "trixie", "bookworm", "forky"];

/// A package list that the host's apt is configured to fetch.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    uri: &'a str,
    suite: &'a str,
    component: &'a str,
}

/// The base URI of the mirror, from the environment or from the host's apt sources.
///
/// # Errors
/// When apt is missing, or none of its sources is Debian's main archive.
pub(crate) fn find() -> Result<String> {
    if let Some(mirror) = std::env::var(OVERRIDE).ok().filter(|mirror| !mirror.is_empty()) {
        return Ok(mirror);
    }
    // apt reads one-line and deb822 sources alike, and says what it read in a form made for programs.
    let targets = stdout_of(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)",
        "Created-By: Packages",
    ]))
    .context("cannot ask apt for its sources")?;
    choose(&targets, codename().as_deref()).with_context(|| {
        format!("no apt source of this machine is Debian's main archive; name one in {OVERRIDE}")
    })
}

/// Picks Debian's main archive among the targets that apt printed.
fn choose(targets: &str, codename: Option<&str>) -> Option<String> {
    let ours = |target: &Target<'_>| {
        target.component == "main" && (codename == Some(target.suite) || SUITES.contains(&target.suite))
    };
    let candidates: Vec<Target<'_>> = targets.lines().filter_map(parse).filter(ours).collect();
    // Others call a suite "stable" too; Debian's mirrors end in /debian.
    let archive = |target: &&Target<'_>| target.uri.trim_end_matches('/').ends_with("/debian");
    candidates
        .iter()
        .find(archive)
        .or_else(|| candidates.iter().find(|target| codename == Some(target.suite)))
        .map(|target| target.uri.to_owned())
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
        Some("http://mirror.example/debian/")
    )]
    #[case::others_first(
        "https://packages.example/apt/\tcloud-bookworm\tmain\nhttps://browser.example/deb/\tstable\tmain\nhttp://mirror.example/debian\tbookworm\tmain\n",
        Some("http://mirror.example/debian")
    )]
    #[case::odd_path(
        "http://proxy.example/repo/deb13\tbookworm\tmain\n",
        Some("http://proxy.example/repo/deb13")
    )]
    #[case::another_component("https://containers.example/linux/debian/\tbookworm\tstable\n", None)]
    #[case::none("https://nodes.example/node_20.x/\tnodistro\tmain\n", None)]
    #[case::nothing("", None)]
    fn debian_is_told_from_others(#[case] targets: &str, #[case] mirror: Option<&str>) {
        assert_eq!(choose(targets, Some("bookworm")).as_deref(), mirror);
    }
}

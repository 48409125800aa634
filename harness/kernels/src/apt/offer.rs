//! What Debian's suites offer: the `linux-source-X.Y` packages in their package lists.

use std::io::BufRead;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Line, package_line};
use crate::stop::Stop;

/// One version of one package in one suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// For example `linux-source-7.3`.
    pub package: String,
    /// Debian version, for example `7.3.4-1~bpo13+1`.
    pub version: String,
    /// SHA-256 of the package file, from the signed list.
    pub sha256: String,
    /// Size of the package file in bytes.
    pub size: u64,
    /// The suite, as we asked for it.
    pub suite: String,
}

impl Offer {
    /// The version line, for example 7.3.
    pub fn line(&self) -> Option<Line> {
        package_line(&self.package)
    }
}

/// Finds the offers in a `Packages` list (deb822 stanzas, Debian's repository format).
pub fn read(list: impl BufRead, suite: &str) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    let mut stanza: Option<Offer> = None;
    for line in list.lines() {
        let line = line.with_context(|| format!("cannot read the package list of {suite}"))?;
        // Tens of thousands of stanzas are not ours; they cost one comparison a line.
        if let Some(package) = line.strip_prefix("Package: ") {
            stanza = package_line(package).map(|_| Offer {
                package: package.to_owned(),
                version: String::new(),
                sha256: String::new(),
                size: 0,
                suite: suite.to_owned(),
            });
        } else if let Some(offer) = &mut stanza {
            if line.is_empty() {
                offers.extend(stanza.take().filter(complete));
            } else if let Some((field, value)) = line.split_once(": ") {
                match field {
                    "Version" => value.clone_into(&mut offer.version),
                    "SHA256" => value.clone_into(&mut offer.sha256),
                    "Size" => offer.size = value.parse().context("a package size that is not a number")?,
                    _ => {}
                }
            }
        }
    }
    offers.extend(stanza.filter(complete));
    Ok(offers)
}

fn complete(offer: &Offer) -> bool {
    !offer.version.is_empty() && offer.sha256.len() == 64
}

/// The newest version of `package`.
///
/// # Errors
/// [`Stop::Usage`] that lists what is offered, when that is not; or when dpkg cannot be asked.
pub(crate) fn newest<'a>(offers: &'a [Offer], package: &str) -> Result<&'a Offer> {
    match pick(offers.iter().filter(|offer| offer.package == package))? {
        Some(offer) => Ok(offer),
        None => {
            Err(Stop::Usage(format!("no suite offers {package} any longer; {}", offered(offers)?)).into())
        }
    }
}

/// The newest version of the newest line that is not older than `from`.
///
/// # Errors
/// As [`newest`].
pub(crate) fn newest_line(offers: &[Offer], from: Line) -> Result<&Offer> {
    let line = offers.iter().filter_map(Offer::line).filter(|line| *line >= from).max();
    let of_line = offers.iter().filter(|offer| line.is_some() && offer.line() == line);
    match pick(of_line)? {
        Some(offer) => Ok(offer),
        None => {
            let offered = offered(offers)?;
            Err(Stop::Usage(format!("no suite offers linux-source-{from} or a newer line; {offered}")).into())
        }
    }
}

/// The newest offer of each line, oldest line first.
///
/// # Errors
/// When dpkg cannot be asked.
pub(crate) fn newest_of_each_line(offers: &[Offer]) -> Result<Vec<&Offer>> {
    let mut lines: Vec<Line> = offers.iter().filter_map(Offer::line).collect();
    lines.sort();
    lines.dedup();
    let mut newest = Vec::new();
    for line in lines {
        newest.extend(pick(offers.iter().filter(|offer| offer.line() == Some(line)))?);
    }
    Ok(newest)
}

/// Puts `items` in the order of their versions, the newest first.
///
/// # Errors
/// When dpkg cannot be asked.
pub(crate) fn sort_newest_first<T>(items: &mut [T], version: impl Fn(&T) -> &str) -> Result<()> {
    for from in 1..items.len() {
        let mut at = from;
        while at > 0 && is_newer(version(&items[at]), version(&items[at - 1]))? {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
    Ok(())
}

fn pick<'a>(offers: impl Iterator<Item = &'a Offer>) -> Result<Option<&'a Offer>> {
    let mut newest: Option<&Offer> = None;
    for offer in offers {
        newest = match newest {
            Some(known) if !is_newer(&offer.version, &known.version)? => Some(known),
            _ => Some(offer),
        };
    }
    Ok(newest)
}

/// Whether version `a` is newer than `b` (deb-version(7)). dpkg itself says so; there are a few to compare, once a day.
fn is_newer(a: &str, b: &str) -> Result<bool> {
    if a == b {
        return Ok(false);
    }
    let mut dpkg = Command::new("dpkg");
    let output = dpkg.args(["--compare-versions", a, "gt", b]).stdin(Stdio::null()).output();
    let output = output.context("cannot run dpkg")?;
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("dpkg cannot compare {a} with {b}: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// A sentence that says what is offered.
fn offered(offers: &[Offer]) -> Result<String> {
    let list: Vec<String> = newest_of_each_line(offers)?
        .into_iter()
        .map(|offer| format!("{} ({} in {})", offer.package, offer.version, offer.suite))
        .collect();
    Ok(if list.is_empty() {
        "none is offered at all".into()
    } else {
        format!("there are {}", list.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn stanza(package: &str, version: &str) -> String {
        format!(
            "Package: {package}\nSource: linux\nVersion: {version}\nDescription: text\n more text\nSize: 1234\nSHA256: {}\n\n",
            "0".repeat(64)
        )
    }

    fn offers() -> Vec<Offer> {
        let backports = [
            stanza("linux-source-7.3", "7.3.4-1~bpo13+1"),
            stanza("linux-source-7.2", "7.2.12-1~bpo13+1"),
            stanza("linux-source", "7.3.4-1~bpo13+1"),
            stanza("linux-source-7.2", "7.2.6-1~bpo13+1"),
            stanza("hello", "2.10-3"),
        ];
        let experimental = stanza("linux-source-7.3", "7.3~rc7-1~exp1");
        let stable = stanza("linux-source-6.12", "6.12.107-1");
        let mut offers = read(backports.concat().as_bytes(), "trixie-backports").unwrap();
        offers.extend(read(experimental.as_bytes(), "experimental").unwrap());
        // The last stanza of a list need not end with an empty line.
        offers.extend(read(stable.trim_end().as_bytes(), "trixie").unwrap());
        offers
    }

    #[test]
    fn only_kernel_sources_with_a_line_are_offers() {
        let offers = offers();
        assert_eq!(offers.len(), 5);
        assert_eq!(offers[0].size, 1234);
        assert_eq!(offers[0].suite, "trixie-backports");
    }

    #[rstest]
    #[case("linux-source-7.3", "7.3.4-1~bpo13+1")]
    #[case("linux-source-7.2", "7.2.12-1~bpo13+1")]
    #[case("linux-source-6.12", "6.12.107-1")]
    fn the_newest_version_of_any_suite(#[case] package: &str, #[case] version: &str) {
        assert_eq!(newest(&offers(), package).unwrap().version, version);
    }

    #[test]
    fn the_newest_line() {
        let from = "7.2".parse().unwrap();
        assert_eq!(newest_line(&offers(), from).unwrap().package, "linux-source-7.3");
    }

    #[test]
    fn a_line_that_is_gone_is_said_with_those_that_are_there() {
        insta::assert_snapshot!(newest(&offers(), "linux-source-7.1").unwrap_err());
        insta::assert_snapshot!(newest_line(&offers(), "8.0".parse().unwrap()).unwrap_err());
        insta::assert_snapshot!(newest(&[], "linux-source-7.3").unwrap_err());
    }

    #[rstest]
    #[case::patch_level("7.3.4-1", "7.3.10-1")]
    #[case::backport_before_its_origin("7.3.4-1~bpo13+1", "7.3.4-1")]
    #[case::release_candidate("7.3~rc7-1~exp1", "7.3.4-1~bpo13+1")]
    #[case::revision("6.12.94-1", "6.12.94-2")]
    #[case::epoch("9.9-1", "1:0.1-1")]
    fn versions_are_compared_as_dpkg_does(#[case] older: &str, #[case] newer: &str) {
        assert!(is_newer(newer, older).unwrap());
        assert!(!is_newer(older, newer).unwrap());
        assert!(!is_newer(newer, newer).unwrap());
    }

    #[test]
    fn the_newest_comes_first() {
        let mut versions = ["7.3~rc7-1", "7.3.10-1", "7.3.4-1~bpo13+1", "7.3.4-1"];
        sort_newest_first(&mut versions, |version| version).unwrap();
        assert_eq!(versions, ["7.3.10-1", "7.3.4-1", "7.3.4-1~bpo13+1", "7.3~rc7-1"]);
    }

    #[test]
    fn a_stanza_without_digest_is_no_offer() {
        assert!(
            read("Package: linux-source-7.3\nVersion: 7.3.4-1\n\n".as_bytes(), "sid").unwrap().is_empty()
        );
    }
}

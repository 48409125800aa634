//! What Debian's suites offer: the `linux-source-X.Y` packages in their package lists.

use std::io::BufRead;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::version;
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

    /// Which of two versions is the newer, as dpkg has it.
    pub fn compare_version(&self, other: &Self) -> std::cmp::Ordering {
        version::compare(&self.version, &other.version)
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
/// [`Stop::Usage`] that lists what is offered.
pub fn newest<'a>(offers: &'a [Offer], package: &str) -> Result<&'a Offer, Stop> {
    pick(offers.iter().filter(|offer| offer.package == package))
        .ok_or_else(|| Stop::Usage(format!("no suite offers {package} any longer; {}", offered(offers))))
}

/// The newest version of the newest line that is not older than `from`.
///
/// # Errors
/// [`Stop::Usage`] that lists what is offered.
pub fn newest_line(offers: &[Offer], from: Line) -> Result<&Offer, Stop> {
    let line = offers.iter().filter_map(Offer::line).filter(|line| *line >= from).max();
    line.and_then(|line| pick(offers.iter().filter(|offer| offer.line() == Some(line)))).ok_or_else(|| {
        Stop::Usage(format!("no suite offers linux-source-{from} or a newer line; {}", offered(offers)))
    })
}

fn pick<'a>(offers: impl Iterator<Item = &'a Offer>) -> Option<&'a Offer> {
    offers.max_by(|a, b| a.compare_version(b))
}

/// The newest offer of each line, oldest line first.
pub fn newest_of_each_line(offers: &[Offer]) -> Vec<&Offer> {
    let mut lines: Vec<Line> = offers.iter().filter_map(Offer::line).collect();
    lines.sort();
    lines.dedup();
    lines
        .into_iter()
        .filter_map(|line| pick(offers.iter().filter(|offer| offer.line() == Some(line))))
        .collect()
}

/// A sentence that says what is offered.
fn offered(offers: &[Offer]) -> String {
    let list: Vec<String> = newest_of_each_line(offers)
        .into_iter()
        .map(|offer| format!("{} ({} in {})", offer.package, offer.version, offer.suite))
        .collect();
    if list.is_empty() { "none is offered at all".into() } else { format!("there are {}", list.join(", ")) }
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

    #[test]
    fn a_stanza_without_digest_is_no_offer() {
        assert!(
            read("Package: linux-source-7.3\nVersion: 7.3.4-1\n\n".as_bytes(), "sid").unwrap().is_empty()
        );
    }
}

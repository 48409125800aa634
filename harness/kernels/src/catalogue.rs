//! `kernel-config/kernels.yaml`: the kernels that have a name, and where they come from.

mod variant;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::stop::Stop;
pub use variant::Variant;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Name used when the command line gives none.
    pub default: String,
    /// Debian suites that are asked for `linux-source-*` packages; one that a mirror lacks is passed over.
    pub debian_suites: Vec<String>,
    /// The kernels by name, among them those variants that belong to all kernels.
    pub kernels: BTreeMap<String, Entry>,
    /// What can follow a kernel's name after a `+`.
    #[serde(default)]
    pub variants: BTreeMap<String, Variant>,
}

/// One kernel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// Where its source comes from.
    pub source: Source,
    /// Fragments under `kernel-config/fragments`, later ones win.
    pub fragments: Vec<String>,
    /// Series under `kernel-config/patches`, applied in this order.
    #[serde(default)]
    pub patches: Vec<String>,
    /// Capabilities that it must have, by the harness's names; lacking one fails its suite.
    #[serde(default)]
    pub offers: Vec<String>,
    /// Why the suite runs on it only where it is named, and not with all others.
    #[serde(default)]
    pub only_by_name: Option<String>,
    /// What a reader should know about it; not read by any program.
    #[serde(default)]
    pub notes: String,
}

impl Entry {
    /// Whether it is a release that nobody has patched, whose version tells its defects.
    pub fn is_stock(&self) -> bool {
        self.patches.is_empty() && !matches!(self.source, Source::Tree(_))
    }
}

/// Where a kernel's source comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The newest version of a package such as `linux-source-7.3` that any suite offers.
    Debian(String),
    /// The newest line of `linux-source-*` that any suite offers, and not older than this one.
    DebianNewest {
        /// Oldest line that will do, for example `7.2`.
        from: Line,
    },
    /// A tarball with a known digest.
    Tarball {
        /// Where to fetch it.
        url: String,
        /// SHA-256 of the file, in hexadecimal digits.
        sha256: String,
    },
    /// A tree on this machine, relative to the checkout; built incrementally.
    Tree(PathBuf),
}

/// A version line such as `7.3`, ordered by number and not by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Line {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::str::FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (major, minor) = text.split_once('.')?;
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        };
        parse()
            .ok_or_else(|| format!("{text:?} is not a version line; expected two numbers, such as \"7.3\""))
    }
}

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Catalogue {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// With file, line and column when it is not YAML of this form.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Somebody wrote it, and has to mend it.
        Self::parse(&text)
            .map_err(|error| Stop::Usage(format!("{} cannot be used: {error:#}", path.display())).into())
    }

    fn parse(text: &str) -> Result<Self> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let mut catalogue: Self =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| anyhow!("{error}"))?;
        catalogue.list_variants()?;
        catalogue.check()?;
        Ok(catalogue)
    }

    /// Adds the variants that belong to all kernels to the list.
    fn list_variants(&mut self) -> Result<()> {
        let mut listed = Vec::new();
        for (variant, meaning) in &self.variants {
            for kernel in &meaning.all_kernels {
                let name = format!("{kernel}+{variant}");
                let entry = self.entry(&name).with_context(|| format!("variant {variant}: all-kernels"))?;
                listed.push((name, entry));
            }
        }
        self.kernels.extend(listed);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.entry(&self.default).context("default")?;
        for name in self.variants.keys() {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || !name.bytes().all(fits) {
                return Err(anyhow!("{name:?} is not a valid name for a variant: letters, digits, '-'"));
            }
        }
        for (name, entry) in &self.kernels {
            // Names become file names, and NAME=PATH on the harness's command line.
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
            if name.is_empty() || name.starts_with(['.', '-']) || !name.bytes().all(fits) {
                return Err(anyhow!(
                    "{name:?} is not a valid name for a kernel: letters, digits, '.', '-', '_', '+'"
                ));
            }
            match &entry.source {
                Source::Debian(package) if package_line(package).is_none() => {
                    return Err(anyhow!("kernel {name}: {package:?} is not a package like linux-source-7.3"));
                }
                Source::Tarball { sha256, .. }
                    if sha256.len() != 64
                        || !sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
                {
                    return Err(anyhow!("kernel {name}: sha256 needs 64 lower-case hexadecimal digits"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether another kernel has the same source as `entry`, so that they can share a tree.
    pub fn shares_source(&self, entry: &Entry) -> bool {
        self.kernels.values().filter(|other| other.source == entry.source).count() > 1
            // A variant that is not listed.
            || !self.kernels.values().any(|other| other.fragments == entry.fragments)
    }

    /// Those that are meant where no kernel is named but all are.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().filter(|(_, entry)| entry.only_by_name.is_none()).map(|(name, _)| name.as_str())
    }

    /// The kernel `name`, which may be one of the list followed by variants.
    ///
    /// # Errors
    /// [`Stop::Usage`] that lists the names there are.
    pub fn entry(&self, name: &str) -> Result<Entry, Stop> {
        variant::find(name, &self.kernels, &self.variants).ok_or_else(|| {
            let names =
                |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let kernels = names(self.kernels.keys().collect());
            let variants = match names(self.variants.keys().collect()) {
                none if none.is_empty() => none,
                some => format!("; after each can follow, once and after a `+`: {some}"),
            };
            Stop::Usage(format!("no kernel is called {name:?}; there are {kernels}{variants}"))
        })
    }
}

/// The version line in a package name: 7.3 of `linux-source-7.3`.
pub fn package_line(package: &str) -> Option<Line> {
    package.strip_prefix("linux-source-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOOD: &str = r#"
default: mainline
debian_suites: [sid]
kernels:
  mainline:
    source:
      debian-newest:
        from: "7.2"
    fragments: [base, ima]
    offers: [staging, trim]
  "7.3":
    source:
      debian: linux-source-7.3
    fragments: [base]
    offers: []
    notes: has staging
  "6.6":
    source:
      tarball:
        url: "https://example.org/linux-6.6.tar.xz"
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    fragments: [base]
    patches: [rfc-v2]
    offers: [rfc-v2]
  mine:
    source:
      tree: ../linux
    fragments: []
    offers: []
variants:
  kasan:
    fragments: [kasan]
    notes: checks memory
  no-trim:
    fragments: [no-trim]
    lacks: [trim, rfc-v2]
    offers: [no-trim]
    all-kernels: [mainline]
"#;

    #[test]
    fn every_kind_of_source_is_read() {
        let catalogue = Catalogue::parse(GOOD).unwrap();
        let source = |name: &str| catalogue.entry(name).unwrap().source.clone();
        assert_eq!(source("mainline"), Source::DebianNewest { from: Line { major: 7, minor: 2 } });
        assert_eq!(source("7.3"), Source::Debian("linux-source-7.3".into()));
        assert!(matches!(source("6.6"), Source::Tarball { .. }));
        assert_eq!(source("mine"), Source::Tree("../linux".into()));
        assert_eq!(catalogue.entry("6.6").unwrap().patches, ["rfc-v2"]);
        assert_eq!(catalogue.entry("mainline").unwrap().offers, ["staging", "trim"]);
        let stock = catalogue.kernels.iter().filter(|(_, entry)| entry.is_stock());
        assert_eq!(
            stock.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["7.3", "mainline", "mainline+no-trim"]
        );
    }

    #[test]
    fn variants_of_any_kernel_have_a_name_and_some_are_of_all_kernels() {
        let catalogue = Catalogue::parse(GOOD).unwrap();
        assert_eq!(
            catalogue.all().collect::<Vec<_>>(),
            ["6.6", "7.3", "mainline", "mainline+no-trim", "mine"]
        );
        let listed = catalogue.entry("mainline+no-trim").unwrap();
        assert_eq!(
            (listed.fragments.len(), listed.offers),
            (3, vec!["staging".to_owned(), "no-trim".into()])
        );
        let both = catalogue.entry("mainline+no-trim+kasan").unwrap();
        assert_eq!(both.fragments, ["base", "ima", "no-trim", "kasan"]);
        assert!(catalogue.shares_source(&both));
        let patched = catalogue.entry("6.6+kasan").unwrap();
        assert_eq!(
            (patched.offers.as_slice(), patched.is_stock()),
            (["rfc-v2".to_owned()].as_slice(), false)
        );
        for wrong in
            ["mainline+", "mainline+kasam", "kasan", "mainline+kasan+kasan", "mainline+no-trim+no-trim"]
        {
            let error = catalogue.entry(wrong).unwrap_err().to_string();
            assert!(
                error.ends_with("after each can follow, once and after a `+`: kasan, no-trim"),
                "{error}"
            );
        }
    }

    #[rstest]
    #[case::unknown_field(GOOD.replace("notes:", "note:"))]
    #[case::unknown_source(GOOD.replace("debian: linux", "ubuntu: linux"))]
    #[case::not_a_package(GOOD.replace("debian: linux-source-7.3", "debian: linux-7.3"))]
    #[case::line_is_a_number(GOOD.replace("from: \"7.2\"", "from: seven"))]
    #[case::short_digest(GOOD.replace("ba7816bf", ""))]
    #[case::default_unknown(GOOD.replace("default: mainline", "default: main"))]
    #[case::odd_name(GOOD.replace("mine:", "a=b:"))]
    #[case::odd_variant(GOOD.replace("kasan:", "ka+san:"))]
    #[case::variant_of_none(GOOD.replace("all-kernels: [mainline]", "all-kernels: [main]"))]
    fn what_is_wrong_is_said(#[case] text: String) {
        insta::with_settings!({ snapshot_suffix => std::thread::current().name().unwrap_or("?").rsplit("::").next().unwrap_or("?").to_owned() }, {
            insta::assert_snapshot!(format!("{:#}", Catalogue::parse(&text).unwrap_err()));
        });
    }

    #[rstest]
    #[case("7.10", "7.9", std::cmp::Ordering::Greater)]
    #[case("10.0", "9.99", std::cmp::Ordering::Greater)]
    #[case("7.3", "7.3", std::cmp::Ordering::Equal)]
    fn lines_are_ordered_by_number(#[case] a: &str, #[case] b: &str, #[case] order: std::cmp::Ordering) {
        assert_eq!(a.parse::<Line>().unwrap().cmp(&b.parse().unwrap()), order);
    }

    #[test]
    fn the_catalogue_of_this_checkout_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config");
        let catalogue = Catalogue::load(&folder.join("kernels.yaml")).unwrap();
        let default = &catalogue.default;
        for variant in catalogue.variants.keys() {
            let entry = catalogue.entry(&format!("{default}+{variant}")).unwrap();
            crate::fragment::load(&folder.join("fragments"), &entry.fragments).unwrap();
        }
        for entry in catalogue.kernels.values() {
            crate::fragment::load(&folder.join("fragments"), &entry.fragments).unwrap();
            assert!(
                !entry.offers.is_empty(),
                "a kernel that is to offer nothing shows nothing by what it lacks"
            );
            for series in &entry.patches {
                crate::series::load(&folder.join("patches"), series).unwrap();
            }
        }
    }
}

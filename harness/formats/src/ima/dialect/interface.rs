//! Which kernel interface takes records out of the list.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Dialect;

/// The kernel interface in force: a handle to its [`Dialect`], by whose name it is stored and told.
///
/// Those that are [known](Interface::KNOWN) are constants; a test brings [its own](Interface::of). There is nothing to match
/// on: whoever wants to know how interfaces differ asks the dialect.
#[derive(Clone, Copy)]
pub struct Interface(&'static Dialect);

impl Interface {
    /// That of a dialect.
    pub const fn of(dialect: &'static Dialect) -> Interface {
        Interface(dialect)
    }

    /// What is known of it.
    pub const fn dialect(self) -> &'static Dialect {
        self.0
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        self.0.name
    }
}

impl PartialEq for Interface {
    fn eq(&self, other: &Interface) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Interface {}

impl Hash for Interface {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Interface {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Interface {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Interface, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A name that no interface has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an interface; there are {}", .0.escape_debug(), names())]
pub struct NoInterface(String);

fn names() -> String {
    Interface::KNOWN.iter().map(|interface| interface.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Interface {
    type Err = NoInterface;

    fn from_str(name: &str) -> Result<Interface, NoInterface> {
        let named = |interface: &&Interface| interface.name() == name;
        Interface::KNOWN.iter().find(named).copied().ok_or_else(|| NoInterface(name.to_owned()))
    }
}

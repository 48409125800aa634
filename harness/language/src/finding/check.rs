//! The checks by their names.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! checks {
    ($($(#[doc = $holds:literal])+ $name:literal $module:ident $check:ident,)+) => {
        /// A check: an invariant, or what a suite says of a kernel as a whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Check {
            $($(#[doc = $holds])+ #[serde(rename = $name)] $check,)+
            /// A kernel offers what it must offer.
            #[serde(rename = "offers")]
            Offers,
            /// A kernel gives what it was asked for, when it is asked what it offers.
            #[serde(rename = "probe")]
            Probe,
        }

        impl Check {
            /// The invariants: what each run is judged by, in this order.
            pub const INVARIANTS: [Check; [$($name),+].len()] = [$(Check::$check),+];

            /// Its name, in results and in scenarios.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Check::$check => $name,)+
                    Check::Offers => "offers",
                    Check::Probe => "probe",
                }
            }
        }
    };
}

crate::invariants!(checks);

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

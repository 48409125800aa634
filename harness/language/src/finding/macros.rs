//! One table a group: the enum of its findings, their codes with meaning and fields, and a sample of each.

/// Makes a group of findings from a table: meaning (as its doc comment), code, name, and fields with their types.
///
/// A finding is an object in JSON: `code`, and the fields beside it. What a field means that other groups have too stands in
/// `FIELDS`; one that this group alone has may be explained after the codes: `fields { name: "what it is" }`.
macro_rules! findings {
    ($(#[doc = $about:literal])+ $group:ident {
        $($(#[doc = $meaning:literal])+ $code:literal $name:ident { $($field:ident: $type:ty),* $(,)? })+
    } $(fields { $($own:ident: $explained:literal),+ $(,)? })?) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "code")]
        #[expect(missing_docs, reason = "what a field is stands once for all findings that have it: `FIELDS`")]
        pub enum $group {
            $($(#[doc = $meaning])+ #[serde(rename = $code)] $name { $($field: $type),* },)+
        }

        impl $group {
            /// What the group is about.
            pub const ABOUT: &str = concat!($($about),+);

            /// What fields mean that no other group has.
            pub const FIELDS: &[(&str, &str)] = &[$($((stringify!($own), $explained)),+)?];

            /// Every code of the group.
            pub const CODES: &[$crate::finding::Entry] = &[$($crate::finding::Entry {
                name: $code,
                meaning: concat!($($meaning),+),
                fields: &[$((stringify!($field), <$type as $crate::finding::Part>::KEYS)),*],
            }),+];

            /// The name of what was found.
            pub fn code(&self) -> &'static str {
                match self { $($group::$name { .. } => $code,)+ }
            }

            /// One of each code, with made-up fields: what tests of the words and of the documents go through.
            pub fn samples() -> Vec<$group> {
                vec![$($group::$name {
                    $($field: <$type as $crate::finding::Part>::sample(stringify!($field)),)*
                }),+]
            }
        }
    };
}

/// Makes the findings of all groups one type, told apart by what stands before the slash of a code.
macro_rules! groups {
    ($($prefix:literal $group:ident,)+) => {
        /// Something that was found, as data: what, where, what was expected and what came. Its words are made where it is reported.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
        pub enum Finding {
            $(#[doc = concat!("Codes that begin with `", $prefix, "`.")] $group($group),)+
        }

        $(impl From<$group> for Finding {
            fn from(finding: $group) -> Finding {
                Finding::$group(finding)
            }
        })+

        impl Finding {
            /// The name of what was found: `exactly-once/record-lost`. It stays what it is.
            pub fn code(&self) -> &'static str {
                match self { $(Finding::$group(finding) => finding.code(),)+ }
            }

            /// What was found, as a sentence of one line.
            pub fn words(&self, phrase: &dyn Phrasing) -> String {
                match self { $(Finding::$group(finding) => finding.words(phrase),)+ }
            }

            /// One of each code, with made-up fields.
            pub fn samples() -> Vec<Finding> {
                let mut all = Vec::new();
                $(all.extend($group::samples().into_iter().map(Finding::$group));)+
                all
            }
        }

        /// Every group: what stands before the slash, what finds it, and its codes.
        pub const GROUPS: &[Group] = &[$(Group {
            prefix: $prefix, about: $group::ABOUT, codes: $group::CODES, fields: $group::FIELDS,
        }),+];

        impl serde::Serialize for Finding {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Finding::$group(finding) => finding.serialize(serializer),)+ }
            }
        }

        impl<'de> serde::Deserialize<'de> for Finding {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Finding, D::Error> {
                use serde::de::Error;
                let value = serde_json::Value::deserialize(deserializer)?;
                let code = value.get("code").and_then(serde_json::Value::as_str).unwrap_or_default();
                let prefix = code.split_once('/').map_or(code, |(prefix, _)| prefix);
                match prefix {
                    $($prefix => $group::deserialize(value).map(Finding::$group).map_err(D::Error::custom),)+
                    _ => Err(D::Error::custom(format!("`{}` is no code of a finding", code.escape_debug()))),
                }
            }
        }
    };
}

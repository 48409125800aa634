//! What findings are made of.

use serde::{Deserialize, Serialize};

/// A type of a finding's field.
pub trait Part {
    /// Fields of its own.
    const KEYS: &'static [&'static str] = &[];

    /// Something that a field of this name could have.
    fn sample(field: &'static str) -> Self;
}

impl Part for bool {
    fn sample(_: &'static str) -> bool {
        true
    }
}

impl Part for String {
    fn sample(field: &'static str) -> String {
        let text = match field {
            "bank" => "sha256",
            "capability" | "capabilities" => "staging",
            "child" => "qemu",
            "digest" | "expected_digest" | "found_digest" => "sha256:9ab2",
            "error" => "checksum",
            "file" => "/m/f-3",
            "function" | "functions" | "called_from" | "holder_function" => "ima_queue_stage",
            "kernel" => "mainline",
            "line" => "INFO: task agent:72 blocked for more than 30 seconds.",
            "release" => "7.3.4",
            "task" => "agent:72",
            "holder" => "agent:70",
            other => other,
        };
        text.to_owned()
    }
}

/// Whole numbers, each made up by the field's name so that two of one finding differ.
macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Part for $type {
            fn sample(field: &'static str) -> $type {
                match field {
                    "event" => 41,
                    "count_before" | "expected" => 4,
                    "count_after" | "found" => 3,
                    "pcr" => 10,
                    "more" => 1,
                    other => (other.len() % 7) as $type + 2,
                }
            }
        }
    )+};
}

numbers!(i32 i64 u8 u16 u32 u64);

impl<T: Part> Part for Option<T> {
    const KEYS: &'static [&'static str] = T::KEYS;

    fn sample(field: &'static str) -> Option<T> {
        Some(T::sample(field))
    }
}

impl<T: Part> Part for Vec<T> {
    const KEYS: &'static [&'static str] = T::KEYS;

    fn sample(field: &'static str) -> Vec<T> {
        vec![T::sample(field)]
    }
}

/// Makes parts from their fields, says what a sample of each is, and lists them for the documents.
macro_rules! parts {
    ($(#[doc = $about:literal] $part:ident { $(#[doc = $doc:literal] $field:ident: $type:ty = $sample:expr),+ $(,)? })+) => {
        $(
            #[doc = $about]
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            pub struct $part {
                $(#[doc = $doc] pub $field: $type,)+
            }

            impl Part for $part {
                const KEYS: &'static [&'static str] = &[$(stringify!($field)),+];

                fn sample(_: &'static str) -> $part {
                    $part { $($field: $sample),+ }
                }
            }
        )+

        /// What each part is, and its fields with their meaning.
        #[cfg(test)]
        pub(super) const PARTS: &[(&str, &[(&str, &str)])] =
            &[$(($about, &[$((stringify!($field), $doc)),+])),+];
    };
}

parts! {
    /// A step of the scenario.
    Step {
        /// Its number in the plan.
        id: u32 = 3,
        /// What it does, as the scenario says it.
        text: String = "trim 1".to_owned(),
        /// Its line in the scenario; 0 when imalab added it.
        line: u32 = 12,
        /// The task that takes it.
        task: String = "main".to_owned(),
        /// The boot that it belongs to, from 0.
        boot: u16 = 0,
    }

    /// One of the operations that a step is made of.
    Operation {
        /// Its place in the step, from 0.
        number: u16 = 1,
        /// What it does: a system call, or what the agent does by several.
        call: String = "write".to_owned(),
        /// The path that it is of.
        path: Option<String> = None,
        /// The agent's slot of the descriptor that it is of.
        slot: Option<u16> = Some(0),
        /// The first bytes that it writes, escaped.
        bytes: Option<String> = Some("1\\n".to_owned()),
        /// Files that it is of, or a number that says which.
        count: Option<u64> = None,
    }

    /// A measurement list as one file shows it.
    List {
        /// `binary` or `ascii`.
        form: String = "binary".to_owned(),
        /// The bank of the file.
        bank: String = "sha256".to_owned(),
        /// Whether it is the list of staged records.
        staged: bool = false,
    }

    /// A record of a list, or one that is known only by its extend.
    Record {
        /// Its place, from 1: in the whole log, or in the list that the finding names.
        number: Option<u64> = Some(4),
        /// Its file's name, or what its template has in that place; null when no list ever showed it.
        name: Option<String> = Some("/m/f-3".to_owned()),
        /// Its template.
        template: Option<String> = Some("ima-ng".to_owned()),
        /// What was extended for it in the machine's first bank.
        digest: Option<String> = Some("sha1:77aa".to_owned()),
        /// Whether it is a violation.
        violation: bool = false,
        /// Where it was read.
        place: Option<Place> = None,
    }

    /// Where a record was read.
    Place {
        /// `saved`, `staged`, `trimmed`, `current`, `lost` (at a kexec) or `unread`.
        list: String = "current".to_owned(),
        /// Its number there, from 1.
        number: u64 = 2,
        /// The step that read it.
        step: Step = Step::sample("step"),
    }

    /// An extend that the tap saw.
    Extend {
        /// Its place among those that the log is compared with, from 1.
        number: u64 = 4,
        /// Its event in the trace.
        event: u64 = 44,
        /// The PCR.
        pcr: u32 = 10,
        /// Its digest in the machine's first bank.
        digest: Option<String> = Some("sha1:77aa".to_owned()),
        /// The name of the record that it is of, when any list ever showed that.
        record: Option<String> = Some("/m/f-3".to_owned()),
        /// Whether it is that of a violation.
        violation: bool = false,
    }

    /// Extends and records in all.
    Totals {
        /// Extends.
        extends: u64 = 8,
        /// Records.
        records: u64 = 7,
        /// Extended and not recorded.
        lost: u64 = 1,
        /// Recorded more often than extended.
        doubled: u64 = 0,
        /// Recorded and never extended.
        never_extended: u64 = 0,
    }

    /// A promise of the kernel's interface.
    Promise {
        /// The rule of the reference model: `one-writer`.
        rule: String = "one-writer".to_owned(),
        /// What it says, in the words of imalab.
        says: String = "there is one writer at a time".to_owned(),
        /// The words of who made it, where there are any.
        quoted: Option<String> = Some("only by one actor (writer) at a time".to_owned()),
        /// Who made it: a document and its section, or a file of the kernel.
        source: String = "Documentation/security/IMA-export-delete.rst, \"Interface Access\"".to_owned(),
    }

    /// A line of the guest's console.
    ConsoleLine {
        /// Its number, from 1.
        number: u64 = 2,
        /// Its event in the trace.
        event: u64 = 41,
        /// What it says, without the time stamp.
        text: String = "WARNING: CPU: 0 PID: 44 at ima_fs.c:512".to_owned(),
    }

    /// Who likely holds what a task waits for.
    Holder {
        /// `task`, `itself` or `not-found`.
        who: String = "task".to_owned(),
        /// Its name and number, as the kernel writes them.
        task: Option<String> = Some("agent:70".to_owned()),
        /// What the scenario calls it.
        scenario_task: Option<String> = Some("main".to_owned()),
        /// What it does: `waits`, `runs`, `is-not-blocked` or `unknown`.
        does: String = "waits".to_owned(),
        /// The function in which it does.
        function: Option<String> = Some("ima_pcr_extend".to_owned()),
    }

    /// A task of the guest that waits.
    Waiter {
        /// Its name and number, as the kernel writes them.
        task: String = "agent:70".to_owned(),
        /// What the scenario calls it.
        scenario_task: Option<String> = None,
        /// The function in which it waits.
        function: Option<String> = Some("ima_pcr_extend".to_owned()),
    }
}

impl Record {
    /// One of which only its place is known.
    pub fn unknown(number: u64) -> Record {
        let number = Some(number);
        Record { number, name: None, template: None, digest: None, violation: false, place: None }
    }
}

/// What was expected, or what came: a number, a word (`success`, `error` for any, `EBUSY`), several words of which each would
/// do, or numbers from one to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(i64),
    /// An outcome by its name.
    Word(String),
    /// One of these.
    OneOf(Vec<String>),
    /// One from the least to the most.
    Range {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
}

impl Value {
    /// The call succeeded.
    pub const SUCCESS: &str = "success";
    /// It failed, with whatever error.
    pub const ERROR: &str = "error";
    /// Nothing was recorded.
    pub const NO_RECORD: &str = "no-record";
    /// It never ended.
    pub const NO_END: &str = "no-end";

    /// An outcome by its name.
    pub fn word(word: impl Into<String>) -> Value {
        Value::Word(word.into())
    }

    /// A count. No run has as many of anything as do not fit.
    pub fn count(number: impl TryInto<i64>) -> Value {
        Value::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl Part for Value {
    fn sample(field: &'static str) -> Value {
        match field {
            "found" => Value::word(Value::SUCCESS),
            _ => Value::word("EBUSY"),
        }
    }
}

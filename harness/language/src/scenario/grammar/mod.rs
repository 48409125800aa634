//! The language as a table: every key, verb and field, what its value may be, and what it means.
//!
//! The parser takes names and ranges from here, and the reference (`docs/scenarios.md`) and the schema for editors
//! (`docs/scenario.schema.json`) are made of it.

mod calls;
mod file;
mod kernel;
mod lists;
mod names;
mod programs;
mod tasks;

pub(super) use file::{DEFECT, KERNELS, KEYS, LIMIT, LOST, MACHINE, RACE, SHOWS, TASK};
pub(super) use kernel::UNTIL;
pub(super) use names::{
    CAPABILITIES, COMMANDS, ERRNOS, EVENTS, LIMITS, RESPONSES, SIGNALS, number, special_files,
};
pub(crate) use names::{CHECKS, poll_event};
pub(super) use programs::{FILE, PROGRAM};

use crate::capability::Capability;

/// A verb.
#[derive(Debug)]
pub(super) struct Form {
    /// As a scenario has it.
    pub(super) name: &'static str,
    /// What `- verb: value` gives.
    pub(super) short: Option<&'static str>,
    /// Its fields but `expect`.
    pub(super) fields: &'static [Field],
    /// Of these, exactly one is given.
    pub(super) one_of: &'static [&'static str],
    /// Whether it takes `expect`, and with which counts.
    pub(super) expect: Expect,
    /// What it does.
    pub(super) doc: &'static str,
}

/// A key of a map.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What stands there when it may not be left out, as an error says it.
    pub(super) required: Option<&'static str>,
    /// What holds when it is left out.
    pub(super) default: Option<&'static str>,
    pub(super) doc: &'static str,
}

/// What a step may be expected to give.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// It takes no `expect`.
    No,
    /// Success, an errno, `any`, `blocked`, or a map with one of these counts.
    Yes(&'static [&'static str]),
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A whole number from the one to the other.
    Number(u64, u64),
    /// A whole number that may be negative.
    Signed,
    /// A whole number from the one to the other, or one of these words.
    NumberOr(u64, u64, &'static [&'static str]),
    /// `true` or `false`.
    Truth,
    /// A name.
    Name,
    /// Text that is not empty.
    Text,
    /// Texts of a line, or one.
    Texts,
    /// Text that may be empty, byte for byte.
    Bytes,
    /// An even number of hexadecimal digits.
    Hex,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, or a list of them.
    Words(&'static [&'static str]),
    /// Capabilities of kernels: one, or a list.
    Capabilities,
    /// A code of findings, without what stands before its slash.
    Code,
    /// Fields of a finding, with their values.
    Finding,
    /// Words of a command line, or one.
    CommandLine,
    /// An absolute path.
    Path,
    /// One of the files that have a name, or an absolute path.
    File,
    /// Banks: a list, one, or several joined by `+`.
    Banks,
    /// A list of steps.
    Steps,
    /// A list of steps and of lists of steps.
    Choice,
    /// A kernel's version, as text.
    Version,
    /// Parameters and their values.
    Matrix,
    /// Task names and their steps.
    Tasks,
    /// Words of a program's command line, byte for byte: a list, or one.
    Arguments,
    /// Program names and what they are.
    Programs,
    /// Paths and texts.
    Files,
    /// A map with these keys.
    Map(&'static [Field]),
    /// A map with these keys, or a list of such maps.
    Maps(&'static [Field]),
}

impl Shape {
    /// The words of which several may be given.
    pub(super) fn several(self) -> Option<&'static [&'static str]> {
        match self {
            Shape::Words(words) => Some(words),
            Shape::Capabilities => Some(Capability::names()),
            _ => None,
        }
    }
}

/// A heading of the reference, and its verbs.
pub(super) type Group = (&'static str, &'static [Form]);

/// All verbs, as the reference orders them.
pub(super) const GROUPS: &[Group] = &[
    ("The list", lists::FORMS),
    ("Descriptors", calls::FORMS),
    ("Tasks and processes", tasks::FORMS),
    ("Programs", programs::FORMS),
    ("The TPM and the kernel", kernel::FORMS),
];

/// Most files of a step: ten million records are beyond what a guest's memory holds.
pub(super) const MAX_FILES: u64 = 10_000_000;

/// Most boots of a run.
pub(super) const MAX_BOOTS: u64 = 16;

/// Every verb.
pub(super) fn forms() -> impl Iterator<Item = &'static Form> + Clone {
    GROUPS.iter().flat_map(|(_, forms)| forms.iter())
}

/// The verb of this name.
pub(super) fn form(name: &str) -> Option<&'static Form> {
    forms().find(|form| form.name == name)
}

impl Form {
    /// Names of all that may stand below it.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        let expect = match self.expect {
            Expect::No => None,
            Expect::Yes(_) => Some("expect"),
        };
        self.fields.iter().map(|field| field.name).chain(expect).collect()
    }
}

/// A field that may be left out.
const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, required: None, default: None, doc }
}

impl Field {
    /// It may not be left out.
    const fn needed(mut self, expected: &'static str) -> Field {
        self.required = Some(expected);
        self
    }

    /// It may, and then this holds.
    const fn or(mut self, default: &'static str) -> Field {
        self.default = Some(default);
        self
    }
}

/// Verbs that `stress` cannot choose: they order, start or end tasks, wait for others, or have to happen.
pub(super) const NEVER_CHOSEN: &[&str] = &[
    "quote",
    "checkpoint",
    "tpm-fault",
    "fork",
    "thread",
    "background",
    "barrier",
    "await-blocked",
    "start",
    "wait-for",
    "kill",
    "exit",
    "stress",
    "hold",
    "release",
    "receive-descriptor",
    "take-descriptor",
    "kexec-execute",
    "kexec",
];

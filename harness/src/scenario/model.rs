//! What a scenario says, once it has been read.

use std::collections::BTreeSet;

use serde::Serialize;

use super::defect::KnownDefect;
use crate::ima::Bank;
use crate::interface::Capability;
use crate::plan::{Form, Parameters, Shape};

/// One scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Path below the scenarios' folder, without `.yaml`: `stage/once`.
    pub id: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// The promise it tests, with who made it.
    pub promise: String,
    /// What the scenario itself asks of the kernel; what its verbs need comes on top.
    pub needs: BTreeSet<Capability>,
    /// Defect of a kernel that it shows.
    pub known_defect: Option<KnownDefect>,
    /// One for each combination of its matrix, at least one.
    pub variants: Vec<Variant>,
}

impl Scenario {
    /// The variant with these matrix values.
    pub fn variant(&self, parameters: &Parameters) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.parameters == *parameters)
    }
}

/// A scenario with one combination of its matrix put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The combination.
    pub parameters: Parameters,
    /// The machine it runs on.
    pub machine: Shape,
    /// IMA policy to load, whole.
    pub policy: String,
    /// Run side by side from the start; `main` is what `steps:` holds.
    pub tasks: Vec<Task>,
}

/// Steps that run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Never empty.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line it stands on, from 1.
    pub line: u32,
    /// What it does.
    pub verb: Verb,
    /// What it must give.
    pub expect: Expectation,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Makes IMA measure files.
    Measure {
        /// Count.
        files: u64,
        /// Common part of their names; the same name and salt are the same files, path and content.
        name: String,
        /// Part of their content.
        salt: String,
    },
    /// Moves the current list to the staged list.
    Stage,
    /// Reads the staged list.
    Save,
    /// Removes the staged list.
    Delete,
    /// Reads the current list, then removes its first records.
    Trim {
        /// How many.
        records: Records,
    },
    /// Takes a quote.
    Quote,
    /// Reads every view of every list.
    Checkpoint,
    /// Waits for the other tasks that name it.
    Barrier {
        /// Its name.
        name: String,
        /// Which time this task comes to it, from 0.
        round: u16,
    },
    /// Opens a file, reads it whole and closes it.
    View {
        /// The file.
        file: File,
    },
    /// A system call, spelled out.
    Call(Call),
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file under a name.
    Open {
        /// The descriptor's name in this task.
        slot: String,
        /// The file.
        file: File,
        /// How.
        access: Access,
    },
    /// Reads from a descriptor to the end, or up to a limit.
    Read {
        /// The descriptor's name.
        slot: String,
        /// Bytes at most.
        limit: Option<u64>,
        /// Bytes a system call.
        chunk: u32,
    },
    /// Writes once to a descriptor.
    Write {
        /// The descriptor's name.
        slot: String,
        /// What.
        text: String,
    },
    /// Closes a descriptor.
    Close {
        /// The descriptor's name.
        slot: String,
    },
}

/// Number of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// This many.
    Exactly(u64),
    /// As many as the current list holds then.
    All,
}

/// A file to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// A measurement list.
    List {
        /// Binary or ASCII.
        form: Form,
        /// Bank whose file it is; `None`: the file without a bank in its name.
        bank: Option<Bank>,
        /// The staged list.
        staged: bool,
    },
    /// `runtime_measurements_count`.
    Count,
    /// `violations`.
    Violations,
    /// Any other, by absolute path.
    Path(String),
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
    /// `O_WRONLY | O_CREAT | O_TRUNC`.
    Create,
}

/// What a step must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Success, with as many records as follow from the steps before, where that is known.
    Default,
    /// Success.
    Ok,
    /// Failure with this Linux errno.
    Errno(i32),
    /// Success or any failure.
    Any,
    /// Success, and so many more records in the current list.
    NewRecords(u64),
    /// Success, and so many records in the list that was read.
    Records(u64),
}

/// What `imalab list` shows of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// As [`Scenario::id`].
    pub id: String,
    /// As [`Scenario::summary`].
    pub summary: String,
    /// As [`Scenario::promise`].
    pub promise: String,
    /// Everything it needs of a kernel, what its verbs need included.
    pub needs: BTreeSet<Capability>,
    /// Number of combinations of its matrix.
    pub runs: usize,
    /// Whether it shows a known defect.
    pub known_defect: bool,
}

impl Scenario {
    /// What `imalab list` shows of it.
    pub fn listing(&self) -> Listing {
        Listing {
            id: self.id.clone(),
            summary: self.summary.clone(),
            promise: self.promise.clone(),
            needs: self.variants.iter().flat_map(|variant| crate::plan::needs(self, variant)).collect(),
            runs: self.variants.len(),
            known_defect: self.known_defect.is_some(),
        }
    }
}

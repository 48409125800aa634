//! Keys of the file itself.

use super::Shape::{
    Banks, Capabilities, Code, CommandLine, Files, Finding, Map, Maps, Matrix, Number, NumberOr, Programs,
    Steps, Tasks, Text, Texts, Truth, Version, Word,
};
use super::{Field, field};

/// The whole file.
pub(in crate::scenario) const KEYS: &[Field] = &[
    field("summary", Text, "what the scenario does, a sentence").needed("a sentence that says what it does"),
    field(
        "promise",
        Text,
        "the promise that it tests, and who made it: a document and its section, or a kernel function",
    )
    .needed("the promise it tests, and who made it"),
    field("needs", Capabilities, "capabilities that the kernel must have").or("what the verbs imply"),
    field("matrix", Matrix, "parameters and their values; every combination is a run").or("one run"),
    field(
        "only-when-named",
        Truth,
        "run it only if a pattern of `imalab test` is its full name: for runs of an hour",
    )
    .or("`false`"),
    field("machine", Map(MACHINE), "the machine").or("see below"),
    field("policy", Text, "the IMA policy, whole, as text")
        .or("measures the files of `measure`, nothing else"),
    field(
        "kernel-says",
        Texts,
        "text that the console must show, each within a line: for warnings after which the kernel continues",
    )
    .or("none"),
    field("files", Files, "files of the guest: an absolute path, and its text, or `{text, mode}`").or("none"),
    field("programs", Programs, "programs that are not ours: a name, and what it runs").or("none"),
    field("steps", Steps, "what task `main` does").or("`steps` or `tasks`"),
    field("tasks", Tasks, "further tasks: a name, and its list of steps, or `{boot, steps}`").or("none"),
    field("race", Map(RACE), "under which schedules the deterministic lane runs it; other lanes run it once")
        .or("none"),
    field("known-defect", Map(DEFECT), "the defect of a kernel that this scenario shows").or("none"),
    field("known-limit", Map(LIMIT), "what kernels are known not to carry over a kexec").or("none"),
];

/// `machine:`.
pub(in crate::scenario) const MACHINE: &[Field] = &[
    field("cpus", Number(1, 64), "vCPUs").or("2"),
    field("memory-mib", Number(64, 65_536), "memory in MiB").or("256"),
    field(
        "banks",
        Banks,
        "active PCR banks: a list of `sha1`, `sha256`, `sha384`, `sha512`, or names joined by `+` so that a parameter can hold several",
    )
    .or("`[sha1, sha256]`"),
    field("kernel-args", CommandLine, "words appended to the kernel's command line; empty ones are left out").or("none"),
];

/// A task of `tasks:` in its long form.
pub(in crate::scenario) const TASK: &[Field] = &[
    field(
        "boot",
        Number(0, super::MAX_BOOTS - 1),
        "boot in which it runs; each `kexec-execute` starts the next",
    )
    .or("0, or that of the task that starts it"),
    field("steps", Steps, "what it does").needed("a list of steps"),
];

/// `race:`.
pub(in crate::scenario) const RACE: &[Field] = &[
    field("tasks", Texts, "the tasks that race, for the reader: each must be a task of the scenario")
        .or("all"),
    field("strategy", Text, "scheduling strategy, as for `--strategy`").or("`random:10`"),
    field("schedules", Number(1, 100_000), "under how many schedules").or("1"),
];

/// `known-defect:`.
pub(in crate::scenario) const DEFECT: &[Field] = &[
    field("kernels", Map(KERNELS), "kernels that have it")
        .needed("`{from: \"7.2\"}`, `{before: \"8.0\"}` or both"),
    field("breaks", Text, "the promise that it breaks, quoted")
        .needed("the promise, in the words of who made it"),
    field("link", Text, "where it was reported or is explained"),
    field("shows", Maps(SHOWS), "how it shows: in each of these checks")
        .needed("`{check: NAME, code: NAME}`"),
];

/// `kernels:` of a known defect.
pub(in crate::scenario) const KERNELS: &[Field] = &[
    field("from", Version, "first version that has it"),
    field("before", Version, "first version that no longer has it"),
];

/// `known-limit:`.
pub(in crate::scenario) const LIMIT: &[Field] = &[
    field("kernels", Map(KERNELS), "kernels that have it")
        .needed("`{from: \"7.2\"}`, `{before: \"8.0\"}` or both"),
    field("why", Text, "what those kernels do, and where").needed("what those kernels do, and where"),
    field("link", Text, "where it is explained"),
    field("lost", Map(LOST), "exactly which records are lost").needed("`{records: 3}` or `{records: all}`"),
];

/// `lost:` of a known limit.
pub(in crate::scenario) const LOST: &[Field] = &[
    field(
        "records",
        NumberOr(0, u32::MAX as u64, &["all"]),
        "how many at the end of the list, including staged ones, or `all`; 0: no limit",
    )
    .needed("a number of records at the end of the list, or `all`"),
    field("kexec", Number(1, super::MAX_BOOTS - 1), "which kexec loses them").or("1"),
];

/// `shows:` of a known defect.
pub(in crate::scenario) const SHOWS: &[Field] = &[
    field("check", Word(super::names::CHECKS), "the check that fails, or `kernel-died`")
        .needed("the check that fails"),
    field("code", Code, "what it finds, by its code (`docs/findings.md`) without the check's name")
        .or("required, but of `kernel-died`: any death"),
    field("with", Finding, "fields that those findings have, as results have them").or("any"),
];

//! What is done to the TPM, to IMA's policy, and to the kernel as a whole.

use super::Shape::{CommandLine, Map, Name, Number, NumberOr, Path, Text, Truth, Word};
use super::{Expect, Field, Form, field};

const HOLD: Field = field("name", Name, "the hold").needed("the hold's name");
const AT: &str = "a function of the kernel, or a place in it where a block begins (`ima_queue_stage+0x2f`)";
const FROM: Field =
    field("from", Text, "the function that calls it there: others who call it are not meant").or("any");
/// Until when a task is held.
pub(in crate::scenario) const UNTIL: &[Field] = &[
    field("task", Name, "the other task").needed("a task's name"),
    field("at", Text, "it comes to this place, as above").or("one of `at`, `step`"),
    FROM,
    field(
        "step",
        Number(1, 4096),
        "it has ended this step of its own, from 1; a `repeat` counts as what it becomes",
    )
    .or("one of `at`, `step`"),
];
const KERNEL: Field = field("kernel", Text, "a kernel of the image, or `same`").or("`same`");
const ARGS: Field =
    field("args", CommandLine, "words for its command line, after those of the running kernel");
const WITHOUT: Field =
    field("without", CommandLine, "words of the running kernel's command line to leave out");
const CALL: Field = field(
    "call",
    Word(&["kexec-file-load", "kexec-load"]),
    "which system call: `kexec_file_load(2)`, or `kexec_load(2)`, by which no list is carried",
)
.or("`kexec-file-load`");
const ON_CRASH: Field = field(
    "on-crash",
    Truth,
    "loads it for a panic, beside what is loaded for `reboot(2)`: into memory that `crashkernel=` in the machine's `kernel-args` reserves",
)
.or("`false`");

pub(super) const FORMS: &[Form] = &[
    Form {
        name: "hold",
        short: Some("name"),
        fields: &[
            field("name", Name, "the hold, of the TPM"),
            field("task", Name, "the task that is held at a place of the kernel's code"),
            field("at", Text, AT).or("needed with `task`"),
            FROM,
            field("until", Map(UNTIL), "until when").or("needed with `task`"),
        ],
        one_of: &["name", "task"],
        expect: Expect::No,
        doc: "with `name`, occupies the TPM until another task releases it, and waits for that: it belongs in a task of its own. An IMA extend waits meanwhile, with the list's mutex taken and its record appended. With `task`, see \"Holding a task\"",
    },
    Form {
        name: "release",
        short: Some("name"),
        fields: &[HOLD],
        one_of: &[],
        expect: Expect::No,
        doc: "releases a hold of another task",
    },
    Form {
        name: "tpm-fault",
        short: Some("answer"),
        fields: &[
            field(
                "answer",
                NumberOr(1, u32::MAX as u64, super::names::RESPONSE_NAMES),
                "the TPM never sees the command, and this is the answer: a response code's name or number",
            ),
            field("lost", Truth, "the guest gets no answer").or("`false`"),
            field("late-ms", Number(1, 600_000), "the guest gets the answer this many milliseconds later"),
            field(
                "carried-out",
                Truth,
                "with `lost` and `late-ms`: the TPM carries the command out (at once)",
            )
            .or("`false`"),
            field(
                "command",
                NumberOr(1, u32::MAX as u64, super::names::COMMAND_NAMES),
                "which commands it affects",
            )
            .or("`extend`"),
            field("skip", Number(0, u32::MAX as u64), "how many of them pass first").or("0"),
            field("times", Number(1, u32::MAX as u64), "how many it then affects").or("1"),
        ],
        one_of: &["answer", "lost", "late-ms"],
        expect: Expect::No,
        doc: "injects a fault into later TPM commands: one of `answer`, `lost` and `late-ms`",
    },
    Form {
        name: "load-policy",
        short: None,
        fields: &[
            field("rules", Text, "rules, a line each, each written by a call of its own"),
            field("path", Path, "a file of the guest with rules"),
        ],
        one_of: &["rules", "path"],
        expect: Expect::Yes(&[]),
        doc: "gives IMA further rules: either `rules` or `path`",
    },
    Form {
        name: "load-module",
        short: None,
        fields: &[
            field("name", Name, "part of the file's name").or("a file of the step's own"),
            field("salt", Text, "part of the file's content"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`finit_module(2)` of a file that is not a module",
    },
    Form {
        name: "kexec-load",
        short: Some("kernel"),
        fields: &[KERNEL, ARGS, WITHOUT, CALL, ON_CRASH],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "loads a kernel, with a segment for the measurement list",
    },
    Form {
        name: "kexec-unload",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "unloads it",
    },
    Form {
        name: "kexec-execute",
        short: None,
        fields: &[field(
            "by",
            Word(&["reboot", "panic"]),
            "how the running kernel is left: by `reboot(2)`, or by a panic, for what was loaded with `on-crash`",
        )
        .or("`reboot`")],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "starts the loaded kernel: the `steps:` that follow run in the next boot",
    },
    Form {
        name: "kexec",
        short: Some("kernel"),
        fields: &[KERNEL, ARGS, WITHOUT, CALL, ON_CRASH],
        one_of: &[],
        expect: Expect::No,
        doc: "`kexec-load` and `kexec-execute`, with `on-crash` by a panic",
    },
];

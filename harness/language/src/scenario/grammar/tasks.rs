//! Tasks, processes and what they may do.

use super::Shape::{Choice, Name, Number, NumberOr, Steps, Word};
use super::{Expect, Field, Form, field};

const TASK: Field = field("task", Name, "the task").needed("a task's name");

pub(super) const FORMS: &[Form] = &[
    Form {
        name: "fork",
        short: Some("task"),
        fields: &[TASK],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "starts a task of `tasks:` here, as a child process: it inherits the descriptors that are open, by their names",
    },
    Form {
        name: "thread",
        short: Some("task"),
        fields: &[TASK],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "starts a task of `tasks:` here, as a thread of this process: they share all descriptors",
    },
    Form {
        name: "background",
        short: None,
        fields: &[
            field("as", Name, "the new task's name").needed("the new task's name"),
            field("steps", Steps, "its steps").needed("a list of steps"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`fork` of a task that is written here",
    },
    Form {
        name: "barrier",
        short: Some("name"),
        fields: &[field("name", Name, "the barrier").needed("the barrier's name")],
        one_of: &[],
        expect: Expect::No,
        doc: "waits until every task of the boot that names it has come; a task comes to it again for each further time it is written",
    },
    Form {
        name: "await-blocked",
        short: Some("task"),
        fields: &[TASK],
        one_of: &[],
        expect: Expect::Yes(&["value"]),
        doc: "waits until that task waits within a system call of its present operation; fails with `ESRCH` when it has ended",
    },
    Form {
        name: "kill",
        short: Some("task"),
        fields: &[
            field("task", Name, "the task, or the program").needed("a task's or a program's name"),
            field("signal", Word(super::names::SIGNAL_NAMES), "the signal").or("`KILL`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&["value"]),
        doc: "ends a task's process, or a program with all of its processes, and waits until it is gone; a program gets another signal than `KILL` in its first process. Its value is a program's status",
    },
    Form {
        name: "exit",
        short: Some("status"),
        fields: &[field("status", Number(0, 255), "exit status").or("0")],
        one_of: &[],
        expect: Expect::No,
        doc: "ends the task's process, its threads included, with all that is open; the last step of a task",
    },
    Form {
        name: "drop-capability",
        short: Some("capability"),
        fields: &[field("capability", Word(super::names::CAPABILITY_NAMES), "without `CAP_`, in lower case")
            .needed("a capability's name")],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "gives up a capability",
    },
    Form {
        name: "set-user",
        short: Some("uid"),
        fields: &[field("uid", Number(0, u32::MAX as u64), "its number").needed("a user's number")],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`setresuid(2)`",
    },
    Form {
        name: "user-namespace",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "enters a user namespace of its own",
    },
    Form {
        name: "limit",
        short: None,
        fields: &[
            field("resource", Word(super::names::LIMIT_NAMES), "which").needed("a resource"),
            field(
                "value",
                NumberOr(0, i64::MAX as u64, &["unlimited"]),
                "both limits, in the resource's unit, or `unlimited`",
            )
            .needed("a number or `unlimited`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`setrlimit(2)`",
    },
    Form {
        name: "stress",
        short: None,
        fields: &[
            field("ms", Number(1, 600_000), "milliseconds after which no more are begun")
                .needed("how long, in milliseconds"),
            field("times", Number(1, 10_000), "how many are chosen at most").or("100"),
            field("choose", Choice, "steps, and lists of steps that are kept together")
                .needed("a list of steps and of lists of steps"),
        ],
        one_of: &[],
        expect: Expect::No,
        doc: "takes steps by chance, which the seed of the run decides; what their `expect` does not say is left to the invariants",
    },
];

//! Programs that are not ours.

use super::Shape::{Arguments, Bytes, Name, Number, NumberOr, Text, Word};
use super::{Expect, Field, Form, field};

/// A program of `programs:`.
pub(in crate::scenario) const PROGRAM: &[Field] = &[
    field("run", Text, "an absolute path in the guest, or the name of a program of the image: `logkeeper`")
        .needed("an absolute path, or the name of a program of the image"),
    field("arguments", Arguments, "its arguments").or("none"),
    field("environment", Arguments, "its environment, `NAME=VALUE` each, and nothing else").or("none"),
    field("user", Number(0, u32::MAX as u64), "the user and group that it runs as").or("0"),
    field("processes", Number(1, 64), "how many of its processes and threads may use the lists").or("2"),
];

/// A file of `files:` in its long form.
pub(in crate::scenario) const FILE: &[Field] = &[
    field("text", Bytes, "its content").or("empty"),
    field("mode", Text, "its permissions, octal digits in quotes").or("`\"0644\"`"),
];

const OF: Field = field("program", Name, "the program").needed("a program's name");

pub(super) const FORMS: &[Form] = &[
    Form {
        name: "start",
        short: Some("program"),
        fields: &[
            OF,
            field(
                "kill-at",
                NumberOr(1, 1_000_000, &["next"]),
                "kills it at the end of its system call of this number; `next`: of one more than at the `next` before, from 1",
            ),
            field("counting", Word(&["changes", "every"]), "which calls count: those that change a file, a folder, a lock or a list, and succeed, or every one").or("`changes`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "starts a program of `programs:`; it inherits nothing, and is killed when all tasks of the boot have ended",
    },
    Form {
        name: "wait-for",
        short: None,
        fields: &[
            OF,
            field("says", Text, "a line that it prints, on either stream, with this text in it; each line is come by once"),
            field("status", Number(0, 255), "its end, with this exit status, or 128 and the signal that killed it"),
        ],
        one_of: &["says", "status"],
        expect: Expect::Yes(&["value"]),
        doc: "waits for a program, by its last `start` in this task, or its only one in this boot; fails with `ESRCH` when it ends without saying that",
    },
];

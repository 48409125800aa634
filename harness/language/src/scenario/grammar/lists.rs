//! Verbs that work on the measurement list, and what orders steps.

use super::Shape::{Bytes, File, Name, Number, NumberOr, Path, Steps, Text, Word};
use super::{Expect, Field, Form, MAX_FILES, field};

const FILES: Field = field("files", Number(1, MAX_FILES), "how many files").or("1");
const NAME: Field = field(
    "name",
    Name,
    "common part of the files' names; the same `name` and `salt` are the same paths and contents again",
)
.or("files of the step's own");
const SALT: Field = field("salt", Text, "part of the files' content");

pub(super) const BANK: Field = field(
    "bank",
    Word(super::names::BANKS),
    "bank whose file it is; without it the file that has none in its name",
);

pub(super) const FORMS: &[Form] = &[
    Form {
        name: "measure",
        short: Some("files"),
        fields: &[
            FILES,
            NAME,
            SALT,
            field(
                "by",
                Word(&["open", "exec", "mmap"]),
                "how each file is used: opened for reading, executed, or mapped for execution; the last two need a `policy` that measures it",
            )
            .or("`open`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&["new-records"]),
        doc: "makes IMA measure files",
    },
    Form {
        name: "violate",
        short: Some("files"),
        fields: &[
            FILES,
            NAME,
            SALT,
            field(
                "kind",
                Word(&["open-writers", "time-of-use"]),
                "`open-writers`: measured while it is open for writing; `time-of-use`: opened for writing while it is open and measured",
            )
            .or("`open-writers`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&["new-records"]),
        doc: "makes IMA see a violation with each file",
    },
    Form {
        name: "stage",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "moves the whole current list to the staged list",
    },
    Form {
        name: "save",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&["records"]),
        doc: "reads the staged list: what it read is what user space holds",
    },
    Form {
        name: "delete",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "removes the staged list",
    },
    Form {
        name: "trim",
        short: Some("records"),
        // Beyond what any list holds, and within what 21 bytes of request can say.
        fields: &[
            field("records", NumberOr(0, i64::MAX as u64, &["all"]), "how many, or `all`"),
            field(
                "to",
                NumberOr(1, i64::MAX as u64, &["first", "last"]),
                "what is before a record of the kernel's own that divides the log: the first or last one in the list, or that of this number, from 1",
            ),
        ],
        one_of: &["records", "to"],
        expect: Expect::Yes(&[]),
        doc: "reads the current list, then removes its first records",
    },
    Form {
        name: "mark-log",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "has the kernel add a record that divides the log (`log_digest`)",
    },
    Form {
        name: "snapshot",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "opens the file that has the kernel record all PCRs (`snapshot_aggregate`), reads what is before that record, and closes it",
    },
    Form {
        name: "purge",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "as `snapshot`, and removes what was read before it closes the file",
    },
    Form {
        name: "attest",
        short: Some("how"),
        fields: &[field(
            "how",
            Word(&["trim", "stage"]),
            "`trim`: opens the list, reads PCR 10 and the list, and trims as many records as lead to the PCR; `stage`: stages, saves, does the same over what is staged, and deletes it, which needs a PCR that nobody extends meanwhile",
        )
        .or("`trim`")],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "does what an attestation agent does at each quote (IMA-export-delete.rst, \"Remote Attestation Agent Workflow\"); needs bank `sha256`",
    },
    Form {
        name: "quote",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::No,
        doc: "holds the guest and takes a quote with a fresh nonce",
    },
    Form {
        name: "checkpoint",
        short: None,
        fields: &[],
        one_of: &[],
        expect: Expect::No,
        doc: "reads every view of every list and the counters, and holds the guest while the PCRs are read",
    },
    Form {
        name: "view",
        short: Some("file"),
        fields: &[field("file", File, "the file").needed("what to open"), BANK],
        one_of: &[],
        expect: Expect::Yes(&["records", "value"]),
        doc: "opens a file, reads it whole, closes it; of a counter, `value` is the number that it shows",
    },
    Form {
        name: "create",
        short: Some("path"),
        fields: &[
            field("path", Path, "absolute path in the guest").needed("an absolute path"),
            field("text", Bytes, "its content").or("empty"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "creates or replaces a file, which is not measured by itself",
    },
    Form {
        name: "repeat",
        short: None,
        fields: &[
            field("times", Number(1, 1000), "how often").needed("how often"),
            field("steps", Steps, "the steps").needed("a list of steps"),
        ],
        one_of: &[],
        expect: Expect::No,
        doc: "runs the steps several times; cannot be nested",
    },
];

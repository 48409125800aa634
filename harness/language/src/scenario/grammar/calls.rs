//! System calls on descriptors that the scenario names.

use super::Shape::{Bytes, File, Hex, Name, Number, Signed, Truth, Word, Words};
use super::lists::BANK;
use super::{Expect, Field, Form, field};

/// Most bytes of one call, 16 MiB: more only costs the guest memory.
const MAX_BYTES: u64 = 1 << 24;

const OF: Field = field("of", Name, "the descriptor").needed("the descriptor's name");
const AS: Field = field("as", Name, "the descriptor's name").needed("the descriptor's name");
const BAD_POINTER: Field =
    field("bad-pointer", Number(0, MAX_BYTES), "this many bytes, at an unmapped address");

pub(super) const FORMS: &[Form] = &[
    Form {
        name: "open",
        short: None,
        fields: &[
            AS,
            field("file", File, "the file").needed("what to open"),
            BANK,
            field(
                "flags",
                Words(&[
                    "read",
                    "write",
                    "read-write",
                    "create",
                    "append",
                    "nonblock",
                    "truncate",
                    "exclusive",
                    "directory",
                    "path",
                    "direct",
                    "sync",
                ]),
                "the `O_` flags, one or a list; `create`, `append` and `truncate` alone also write, and `create` all alone also truncates",
            )
            .or("`read`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "opens a file and names the descriptor",
    },
    Form {
        name: "read",
        short: Some("from"),
        fields: &[
            field("from", Name, "the descriptor").needed("the descriptor's name"),
            field("limit", Number(0, u32::MAX as u64), "bytes at most").or("to the end"),
            // More than a mebibyte per call only costs the guest memory.
            field("chunk", Number(1, 1 << 20), "bytes a call").or("64 KiB"),
            field("at", Signed, "byte offset: one `pread(2)` of `bytes` bytes"),
            field("bytes", Number(0, MAX_BYTES), "with `at`: how many").or("64 KiB"),
            BAD_POINTER,
        ],
        one_of: &[],
        expect: Expect::Yes(&["records", "bytes", "value"]),
        doc: "reads, by default to the end",
    },
    Form {
        name: "write",
        short: None,
        fields: &[
            field("to", Name, "the descriptor").needed("the descriptor's name"),
            field("text", Bytes, "what, as text in double quotes: `\"A\\n\"`"),
            field("hex", Hex, "what, as hexadecimal digits"),
            BAD_POINTER,
            field("at", Signed, "byte offset: one `pwrite(2)`"),
        ],
        one_of: &["text", "hex", "bad-pointer"],
        expect: Expect::Yes(&["bytes", "value"]),
        doc: "one `write(2)` of `text`, `hex` or `bad-pointer`",
    },
    Form {
        name: "seek",
        short: None,
        fields: &[
            OF,
            field("to", Signed, "how many bytes").needed("how many bytes"),
            field("from", Word(&["start", "current", "end"]), "from where they count").or("`start`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&["value"]),
        doc: "`lseek(2)`",
    },
    Form {
        name: "close",
        short: Some("as"),
        fields: &[AS],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "closes a descriptor",
    },
    Form {
        name: "duplicate",
        short: None,
        fields: &[field("from", Name, "the descriptor").needed("the descriptor's name"), AS],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`dup(2)`: gives the same open file a second name",
    },
    Form {
        name: "map",
        short: Some("of"),
        fields: &[
            OF,
            field("bytes", Number(0, MAX_BYTES), "how many from the start").or("4096"),
            field("write", Truth, "writable too").or("`false`"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`mmap(2)`, shared, and `munmap(2)`",
    },
    Form {
        name: "splice",
        short: None,
        fields: &[
            OF,
            field("bytes", Number(1, MAX_BYTES), "how many out of the file"),
            field("text", Bytes, "this into it"),
        ],
        one_of: &["bytes", "text"],
        expect: Expect::Yes(&["bytes", "value"]),
        doc: "`splice(2)` through a pipe: either `bytes` out or `text` in",
    },
    Form {
        name: "poll",
        short: Some("of"),
        fields: &[OF, field("events", Words(super::names::EVENT_NAMES), "which").or("`[in, out]`")],
        one_of: &[],
        expect: Expect::Yes(&["value"]),
        doc: "`poll(2)` without waiting; its value is `revents`",
    },
    Form {
        name: "truncate",
        short: None,
        fields: &[
            OF,
            field("length", Signed, "bytes").needed("how many bytes"),
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "`ftruncate(2)`",
    },
    Form {
        name: "send-descriptor",
        short: None,
        fields: &[OF, field("to", Name, "a task of the same boot").needed("a task's name")],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "sends a descriptor to a task (`SCM_RIGHTS`), which has to receive it; it stays open here",
    },
    Form {
        name: "receive-descriptor",
        short: Some("as"),
        fields: &[AS],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "waits for a descriptor that another task sends, and names it",
    },
    Form {
        name: "take-descriptor",
        short: None,
        fields: &[
            field("from", Name, "a task of the same boot, seen by an `await-blocked` before").needed("a task's name"),
            AS,
        ],
        one_of: &[],
        expect: Expect::Yes(&[]),
        doc: "takes a descriptor of the file that another task is reading or writing, while it waits in that call (`pidfd_getfd(2)`): of a file that nobody else had open, neither `write(2)` then waits for the other one",
    },
];

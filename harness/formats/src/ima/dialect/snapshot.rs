//! The log snapshotting design of 2023, in our own series `kernel-config/patches/snapshot`: opening a file has the kernel record all
//! PCRs, reading it gives what came before that, and writing to it removes that (`ima_snapshot_ops` there). Nothing is staged.

use nix::errno::Errno;

use super::{
    Access, Admin, Call, Dialect, Excludes, Flushed, Form, Grammar, Identity, OwnFile, Place, STALE, Target,
    Verbs, Words, read_only, verbs,
};
use crate::ima::file;
use crate::ima::lists::Request;

const FILE: OwnFile = OwnFile {
    name: "snapshot",
    admin: Admin::Always,
    in_order: true,
    refuses: &[(file::Access { read: false, write: true }, Errno::EINVAL)],
    excludes: Excludes::Others,
    place: Place::Any,
    shows: None,
    divides: true,
};

const OWN: Target = Target::Own(FILE.name);

pub(super) const DIALECT: Dialect = Dialect {
    name: "snapshot",
    document: "Documentation/security/IMA-snapshot.rst of the series snapshot (kernel-config/patches)",
    words: Some(Words { name: "snapshot", met_by: "CONFIG_IMA_SNAPSHOT=y and the series snapshot" }),
    identity: Identity { originals_writable: Some(false), signs: &[], by_files: true },
    own_files: &[FILE],
    mark: Some("snapshot_aggregate"),
    verbs: Verbs {
        snapshot: Some(&[Call::Open(OWN, Access::Read), Call::Read, Call::Close]),
        purge: Some(&[Call::Open(OWN, Access::ReadWrite), Call::Read, Call::Write("1"), Call::Close]),
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: true,
        length: 1..=usize::MAX,
        newline_needed: false,
        form: Form::Anything,
        in_order: true,
        verbs: &[(OWN, "", Request::Purge)],
        number: None,
    },
    flushed: Flushed::Always,
    suspended: STALE,
    own_errors: true,
    ..read_only::DIALECT
};

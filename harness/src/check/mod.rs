//! Pure: a plan and its trace become verdicts, one file per invariant.

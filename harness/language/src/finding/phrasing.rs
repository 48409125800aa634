//! How the parts of a finding read in a sentence.

use super::{Extend, List, Operation, Promise, Record, Step, Totals, Value, Waiter};

/// Words for the parts of findings.
///
/// A finding's sentence stands beside its code, and is put together of these. Only `report` of the crate `imalab` has
/// them, so nothing below it can make a sentence of a finding, and nothing can decide anything by one.
pub trait Phrasing {
    /// `1 record`, `2 records`.
    fn count(&self, number: u64, what: &str) -> String;
    /// `is` or `are`, as the number wants.
    fn be(&self, number: u64) -> &'static str;
    /// A step with its number and its line.
    fn step(&self, step: &Step) -> String;
    /// What a finding begins with that may be of no step.
    fn at(&self, step: Option<&Step>, operation: Option<&Operation>) -> String;
    /// An operation with its number and its arguments.
    fn operation(&self, operation: &Operation) -> String;
    /// `binary sha256 list`.
    fn list(&self, list: &List) -> String;
    /// A record with its number, and where it was read.
    fn record(&self, record: &Record) -> String;
    /// A record by name, template and digest: `/m/f-3 (ima-ng, sha1:77aa)`.
    fn described(&self, record: &Record) -> String;
    /// An extend with its number, event, PCR and digest.
    fn extend(&self, extend: &Extend) -> String;
    /// As a sentence goes on.
    fn totals(&self, totals: Option<&Totals>) -> String;
    /// `EBUSY`, `success`, `an error`, `1 to 5`.
    fn value(&self, value: &Value) -> String;
    /// As a sentence goes on.
    fn promise(&self, promise: &Promise) -> String;
    /// As a sentence goes on.
    fn undecided(&self, undecided: bool) -> &'static str;
    /// Which part of the log has a value, as a sentence goes on.
    fn prefix(&self, prefix: Option<u64>) -> String;
    /// Tasks that wait, as a sentence goes on.
    fn waiters(&self, waiters: &[Waiter]) -> String;
    /// A task as the kernel and the scenario call it.
    fn both_names(&self, task: &str, scenario: Option<&str>) -> String;

    /// As [`Phrasing::record`]; of none `none`.
    fn record_or(&self, record: Option<&Record>, none: &str) -> String {
        record.map_or_else(|| none.to_owned(), |record| self.record(record))
    }

    /// As [`Phrasing::described`]; of none `none`.
    fn described_or(&self, record: Option<&Record>, none: &str) -> String {
        record.map_or_else(|| none.to_owned(), |record| self.described(record))
    }
}

//! Verbs from their fields.

mod calls;
mod hold;
mod kernel;
mod lists;
mod programs;
mod tasks;

use super::error::ScenarioError;
use super::fields::Fields;
use super::grammar::Form;
use super::model::Verb;
use super::steps::Reader;

pub(super) use kernel::kexec_load;

/// Reads a verb that is one step; the reader has dealt with those that stand for several.
pub(super) fn read(
    reader: &mut Reader<'_>,
    form: &'static Form,
    fields: &Fields<'_>,
) -> Result<Verb, ScenarioError> {
    for group in [lists::read, calls::read, tasks::read, programs::read, kernel::read] {
        if let Some(verb) = group(reader, form.name, fields)? {
            return Ok(verb);
        }
    }
    // A test has every verb of the grammar read.
    Err(reader.source.error(fields.at(), format!("`{}` is not read", form.name)))
}

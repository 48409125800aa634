//! What a form is that grows while a suite runs.

use std::io;

use crate::event::SuiteEvent;

/// A form that is written as there is something to write.
pub(super) trait LiveForm {
    /// Writes what is to be said of an event.
    fn event(&mut self, event: SuiteEvent<'_>) -> io::Result<()>;
}

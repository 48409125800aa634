//! What imalab costs, always beside something else that was measured by turns with it.

mod boot;
mod figures;
mod suite;

pub use boot::{Boot, BootError, BootRound, boot};
pub use figures::{Figures, host};
pub use suite::{SuiteFigures, suite};

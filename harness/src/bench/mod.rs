//! What imalab costs, always beside something else that was measured by turns with it.

mod boot;
mod determinism;
mod figures;
pub mod interfaces;
mod latency;
mod plot;
mod suite;

pub use boot::{Boot, BootError, BootRound, boot};
pub use determinism::{Determinism, Load, Print, PrintError, Repetition};
pub use figures::{Figures, host};
pub use latency::{Grown, Growth, growth, held_up};
pub use plot::{PlotError, compared, histograms, lines as growth_plot};
pub use suite::{SuiteFigures, suite};

//! The explorer: programs that nobody wrote under schedules that a seed decides, and what of it breaks an invariant.
//!
//! What needs no machine is in the crate `imalab-explore`.

mod campaign;
mod dir;
mod finding;
mod lab;
mod scenario;
mod sign;

pub use campaign::{Bounds, Campaign, CampaignEvent, Stop, core_ms, explore};
pub use dir::{Dir, DirError, Found, Kept, State};
pub use finding::{Limits, Trouble};
pub use lab::{Lab, Tried};
pub use sign::Sign;

//! What the explorer does without a machine: makes programs, knows which of them prove something, and what is new in a run.

mod coverage;
mod generate;
mod known;
mod mutate;
mod program;
mod render;
mod rng;
mod shorten;
mod sound;

pub use coverage::{Fresh, Seen, States};
pub use generate::{Offers, generate};
pub use known::{Explained, Known};
pub use mutate::mutate;
pub use program::{Access, Actor, Answer, List, Name, Phase, Place, Program, Request, Slot, Step, TOO_MANY};
pub use render::{Head, Rendered, render};
pub use shorten::shorten;
pub use sound::sound;

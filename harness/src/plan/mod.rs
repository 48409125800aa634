//! Pure: a scenario and a kernel's capabilities become a plan.

mod types;

pub use types::{
    Action, Budget, Expect, Form, Interface, Mark, Observed, Parameters, Plan, PlannedStep, Reading, Shape,
};

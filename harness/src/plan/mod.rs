//! Pure: a scenario and a kernel's capabilities become a plan.

//! The one result model, and everything that prints it.

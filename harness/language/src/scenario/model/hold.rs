//! Tasks that are held at places of the kernel's code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the kernel's code: a function, or where so many bytes of it come before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The function's name in `System.map`.
    pub function: String,
    /// Bytes from its begin.
    #[serde(default)]
    pub offset: u64,
    /// The function that calls it; `None`: any.
    #[serde(default)]
    pub from: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        if self.offset > 0 {
            write!(f, "+{:#x}", self.offset)?;
        }
        match &self.from {
            Some(from) => write!(f, " from {from}"),
            None => Ok(()),
        }
    }
}

/// A task that is held, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHold {
    /// Its name.
    pub task: String,
    /// Where.
    pub at: Place,
    /// Until when.
    pub until: HeldUntil,
}

/// Until when a task is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldUntil {
    /// Until this task comes to a place.
    Comes {
        /// Its name.
        task: String,
        /// The place.
        to: Place,
    },
    /// Until this task has ended a step.
    Ends {
        /// Its name.
        task: String,
        /// Which of its steps, from 1.
        step: u32,
    },
}

impl HeldUntil {
    /// The task that is waited for.
    pub fn task(&self) -> &str {
        match self {
            HeldUntil::Comes { task, .. } | HeldUntil::Ends { task, .. } => task,
        }
    }
}

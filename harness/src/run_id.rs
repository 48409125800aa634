//! How a run is named wherever it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use imalab_check::outcome::RunResult;
use imalab_language::plan::Parameters;

/// What the run is called among scenarios that says what a kernel did otherwise than promised when it was asked what it offers.
pub const PROBE: &str = "kernel/probe";

/// What tells a run from every other of its suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// As [`imalab_language::plan::Plan::scenario`]: `stage/once`.
    pub scenario: String,
    /// The matrix values.
    pub parameters: Parameters,
    /// Name of the kernel in this suite.
    pub kernel: String,
    /// Which repetition, from 1.
    pub repeat: u32,
}

impl RunId {
    /// The name of a finished run.
    pub fn of(run: &RunResult) -> RunId {
        RunId {
            scenario: run.scenario.clone(),
            parameters: run.parameters.clone(),
            kernel: run.kernel.clone(),
            repeat: run.repeat,
        }
    }

    /// What it repeats: scenario, parameters and kernel.
    pub fn case_key(&self) -> (&str, &Parameters, &str) {
        (&self.scenario, &self.parameters, &self.kernel)
    }

    /// The scenario's folder: `stage` of `stage/once`, `found/trim` of `found/trim/order`; `scenarios` when it
    /// lies in none.
    pub fn theme(&self) -> &str {
        self.scenario.rsplit_once('/').map_or("scenarios", |(theme, _)| theme)
    }

    /// The scenario's own name with its parameters: `once [banks=sha1]`.
    pub fn case(&self) -> String {
        let name = self.scenario.rsplit_once('/').map_or(self.scenario.as_str(), |(_, name)| name);
        self.decorated(name)
    }

    /// The whole scenario with its parameters, without the kernel: `stage/once [banks=sha1]`.
    pub fn without_kernel(&self) -> String {
        self.decorated(&self.scenario)
    }

    fn decorated(&self, name: &str) -> String {
        let mut text = name.to_owned();
        if !self.parameters.is_empty() {
            let values: Vec<String> =
                self.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text.push_str(&format!(" [{}]", values.join(", ")));
        }
        // No `#`: it would start a directive in KTAP.
        if self.repeat > 1 {
            text.push_str(&format!(" repeat {}", self.repeat));
        }
        text
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.without_kernel(), self.kernel)
    }
}

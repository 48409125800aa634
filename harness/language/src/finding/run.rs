//! What ends a run before its checks say anything: a dead kernel, a hang, trouble of the surroundings.

use super::{Holder, Waiter};

findings! {
    /// The guest's kernel died.
    KernelDied {
        /// It panicked. `function` is where, `called_from` the first function of IMA below it, `functions` the whole call trace.
        "kernel-died/panic" Panic {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// A fault in the kernel.
        "kernel-died/oops" Oops {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// It ran into a `BUG()`.
        "kernel-died/bug" Bug {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// It told QEMU of a panic, and printed none.
        "kernel-died/told-of-a-panic" ToldOfAPanic {}
        /// QEMU says that it panicked.
        "kernel-died/panicked" Panicked {}
        /// The guest reset itself without a word.
        "kernel-died/reset" Reset {}
        /// No kernel came after the panic that the scenario asked for.
        "kernel-died/no-kernel-after-panic" NoKernelAfterPanic {}
    }
}

findings! {
    /// What ended a run before its checks say anything.
    Run {
        /// A signal ended it.
        "run/interrupted" Interrupted {}
        /// The guest sent more than a run takes.
        "run/flooded" Flooded { limit: String }
        /// The kernel says that a task or a processor hangs: where, and who likely holds what the task waits for.
        "run/hangs" Hangs {
            line: String, task: Option<String>, scenario_task: Option<String>, function: Option<String>,
            called_from: Option<String>, lock: Option<String>, holder: Option<Holder>, waiters: Vec<Waiter>,
        }
        /// Nothing happened for too long. `agent_error`: what the agent complained of before.
        "run/no-progress" NoProgress {
            deadline: String, agent_error: Option<String>, idle: Option<u64>, processors: Option<u64>, waiters: Vec<Waiter>,
        }
        /// QEMU lost the end of an interrupt: a halted processor has this vector in service.
        "run/interrupt-lost" InterruptLost { processor: u64, vector: u8 }
        /// A kernel gave its TPM up, and nothing that was measured of the host says why.
        "run/tpm-given-up" TpmGivenUp { line: String }
        /// The host was too busy: the TPM's answer was late, or a process of the machine waited for a processor.
        "run/host-busy" HostBusy {
            line: String, waited_ms: Option<u64>, within_ms: Option<u64>, answer_ms: Option<u64>,
        }
        /// The agent was lost: it never said hello, or its last message never came.
        "run/agent-lost" AgentLost { said_hello: bool, powered_off: bool, tpm_given_up: Option<String> }
        /// The agent could not do something.
        "run/agent-error" AgentError { error: String }
        /// The agent's stream cannot be decoded.
        "run/bad-frame" BadFrame { error: String }
        /// QEMU or swtpm ended, before `needed_by` (`qemu` or `guest`) was done with it.
        "run/child-ended" ChildEnded {
            child: String, status: i32, needed_by: Option<String>, last_words: Vec<String>,
        }
        /// A signal from outside ended QEMU.
        "run/qemu-killed" QemuKilled {}
        /// The TPM or the tap before it failed.
        "run/tpm-trouble" TpmTrouble { error: String }
        /// Something of the surroundings failed.
        "run/trouble" Trouble { error: String }
        /// The machine could not be started.
        "run/not-started" NotStarted { error: String, hint: Option<String> }
        /// In the deterministic lane, nobody knows the schedule of a run that passed otherwise, or of the one that counts points.
        "run/schedule-unknown" ScheduleUnknown { error: String }
        /// A run from a saved machine and the same from its kernel's image came to different ends, each run twice.
        "run/forks-differ" ForksDiffer { fork: Vec<String>, cold: Vec<String> }
        /// imalab itself failed.
        "run/imalab-failed" ImalabFailed { error: String }
    }
}

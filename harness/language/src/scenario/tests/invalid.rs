//! Scenarios that are wrong in one way each.

/// Puts steps below a head that is right.
pub(super) fn with_steps(steps: &str) -> String {
    format!("summary: s\npromise: p\nsteps:\n{steps}")
}

/// Who can know that a text is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenario) enum Knows {
    /// Whoever looks at each place by itself.
    Schema,
    /// The parser alone.
    Parser,
}
use Knows::{Parser, Schema};

/// What is wrong, and the text that has it wrong.
pub(in crate::scenario) fn invalid() -> Vec<(&'static str, Knows, String)> {
    let steps = |name, knows, text: &str| (name, knows, with_steps(text));
    let programs = |name, knows, text: &str| {
        let head = "summary: s\npromise: p\nprograms: {keeper: {run: logkeeper}}\nsteps:\n";
        (name, knows, format!("{head}{text}"))
    };
    let whole = |name, knows, text: &str| (name, knows, text.to_owned());
    let head =
        |name, knows, text: &str| (name, knows, format!("summary: s\npromise: p\n{text}steps:\n  - stage\n"));
    let task_hold = |name, knows, hold: &str| {
        (
            name,
            knows,
            format!(
                "summary: s\npromise: p\nsteps:\n  - hold: {hold}\n  - measure\ntasks:\n  b: [measure]\n"
            ),
        )
    };
    vec![
        steps("unknown verb", Schema, "  - measure: 3\n  - stge\n"),
        steps("unknown verb with fields", Schema, "  - messure: {files: 3}\n"),
        steps("unknown field of a step", Schema, "  - measure: {file: 3}\n"),
        head("unknown field of the scenario", Schema, "sumary: t\n"),
        steps("unknown errno", Schema, "  - stage: {expect: EEXISTS}\n"),
        steps("errno in lower case", Schema, "  - stage: {expect: eexist}\n"),
        steps("count where none is read", Schema, "  - stage: {expect: {records: 1}}\n"),
        steps("records of something measured", Schema, "  - measure: {files: 2, expect: {records: 1}}\n"),
        head("unknown bank", Schema, "machine:\n  banks: [sha1, sha265]\n"),
        head("no bank", Schema, "machine:\n  banks: []\n"),
        head("bank twice", Parser, "machine:\n  banks: sha1+sha256+sha1\n"),
        head("unknown capability", Schema, "needs: [stageing]\n"),
        head("unknown field of the machine", Schema, "machine: {cpu: 2}\n"),
        head("race of an unknown task", Parser, "race: {tasks: [main, othr]}\n"),
        head("race by no strategy", Parser, "race: {strategy: \"dfs:3\"}\n"),
        head("race under no schedule", Schema, "race: {schedules: 0}\n"),
        head("no boolean", Schema, "only-when-named: yes please\n"),
        head("too many processors", Schema, "machine: {cpus: 65}\n"),
        head("two words as one", Schema, "machine:\n  kernel-args: [\"quiet debug\"]\n"),
        head("nothing that the kernel says", Schema, "kernel-says: []\n"),
        head("two lines that the kernel says", Schema, "kernel-says: \"one\\ntwo\"\n"),
        head("a number that the kernel says", Schema, "kernel-says: [42]\n"),
        steps("unknown parameter", Parser, "  - measure: ${files}\n"),
        whole(
            "unknown parameter beside another",
            Parser,
            "summary: s\npromise: p\nmatrix: {files: [1, 2]}\nsteps:\n  - measure: ${fils}\n",
        ),
        whole(
            "parameter of the wrong type",
            Parser,
            "summary: s\npromise: p\nmatrix: {n: [a]}\nsteps:\n  - measure: ${n}\n",
        ),
        head("matrix value twice", Schema, "matrix: {n: [1, 1]}\n"),
        head("matrix without values", Schema, "matrix: {n: []}\n"),
        head("matrix with a list as a value", Schema, "matrix: {n: [[1]]}\n"),
        head(
            "matrix too large",
            Parser,
            "matrix:\n  a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n  b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n  c: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n",
        ),
        steps("text for a number", Schema, "  - measure: many\n"),
        steps("negative number", Schema, "  - measure: -1\n"),
        steps("fraction", Schema, "  - measure: 1.5\n"),
        steps("number beyond 64 bits", Schema, "  - trim: 99999999999999999999\n"),
        steps("trim without a number", Schema, "  - trim\n"),
        steps("list for a step", Schema, "  - [stage]\n"),
        steps("two verbs in a step", Schema, "  - stage:\n    save:\n"),
        head("duplicate key", Schema, "summary: t\n"),
        whole("no steps", Schema, "summary: s\npromise: p\n"),
        whole("empty steps", Schema, "summary: s\npromise: p\nsteps: []\n"),
        whole("steps that are no list", Schema, "summary: s\npromise: p\nsteps: stage\n"),
        whole("no summary", Schema, "promise: p\nsteps:\n  - stage\n"),
        whole("number for the summary", Schema, "summary: 7\npromise: p\nsteps:\n  - stage\n"),
        whole("empty file", Schema, ""),
        whole("a list for a scenario", Schema, "- stage\n"),
        whole("two documents", Schema, "summary: s\npromise: p\nsteps:\n  - stage\n---\nsummary: t\n"),
        whole("tab", Schema, "summary: s\npromise: p\nsteps:\n\t- stage\n"),
        whole("unclosed bracket", Schema, "summary: s\npromise: p\nneeds: [staging\nsteps:\n  - stage\n"),
        whole("merge key", Schema, "summary: s\npromise: p\nmachine:\n  <<: {cpus: 2}\nsteps:\n  - stage\n"),
        whole("unknown alias", Schema, "summary: s\npromise: p\nsteps: *none\n"),
        head("task twice", Parser, "tasks:\n  main:\n    - save\n"),
        head("name of a task", Schema, "tasks:\n  Other Task:\n    - save\n"),
        head("unknown task's field", Schema, "task:\n  other:\n    - save\n"),
        steps("barrier alone", Parser, "  - barrier: here\n"),
        head(
            "barrier with uneven parties",
            Parser,
            "tasks:\n  a:\n    - barrier: x\n    - barrier: x\n  b:\n    - barrier: x\n",
        ),
        steps("delete of what nobody saved", Parser, "  - measure: 3\n  - stage\n  - delete\n"),
        steps(
            "delete of what was staged after the save",
            Parser,
            "  - stage\n  - save\n  - delete\n  - stage\n  - delete\n",
        ),
        steps(
            "raw delete of what nobody saved",
            Parser,
            "  - open: {as: w, file: staged-binary, flags: write}\n  - write: {to: w, text: \"D\\n\"}\n",
        ),
        steps(
            "raw trim",
            Parser,
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, text: \"5\\n\"}\n",
        ),
        steps("descriptor that is not open", Parser, "  - open: {as: list, file: binary}\n  - read: lst\n"),
        steps(
            "descriptor twice",
            Parser,
            "  - open: {as: r, file: binary}\n  - open: {as: r, file: ascii}\n",
        ),
        steps("close twice", Parser, "  - open: {as: r, file: binary}\n  - close: r\n  - close: r\n"),
        steps("unknown file", Schema, "  - open: {as: r, file: binry}\n"),
        steps("relative path", Schema, "  - open: {as: r, file: m/f}\n"),
        steps("bank of a counter", Parser, "  - open: {as: r, file: count, bank: sha1}\n"),
        steps("unknown flags", Schema, "  - open: {as: r, file: binary, flags: rw}\n"),
        steps(
            "records of half a list",
            Parser,
            "  - open: {as: r, file: binary}\n  - read: {from: r, limit: 10, expect: {records: 1}}\n",
        ),
        steps(
            "number for text",
            Schema,
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, text: 1}\n",
        ),
        head(
            "new records beside another task",
            Parser,
            "tasks:\n  a:\n    - measure: {files: 1, expect: {new-records: 1}}\n",
        ),
        head("all records beside another task", Parser, "tasks:\n  a:\n    - trim: all\n"),
        steps(
            "repeat in repeat",
            Parser,
            "  - repeat:\n      times: 2\n      steps:\n        - repeat: {times: 2, steps: [stage]}\n",
        ),
        steps(
            "too many steps",
            Parser,
            "  - repeat:\n      times: 1000\n      steps: [save, save, save, save, save]\n",
        ),
        head(
            "check of a known defect",
            Schema,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows: {check: replya, code: gap}\n",
        ),
        head(
            "code of a known defect",
            Schema,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows: {check: steps, code: countr}\n",
        ),
        head(
            "code of another check",
            Parser,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows: {check: steps, code: record-lost}\n",
        ),
        head(
            "known defect without a code",
            Parser,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows: {check: steps}\n",
        ),
        head(
            "field of another finding",
            Parser,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows:\n    check: steps\n    code: counter\n    with: {records: 3}\n",
        ),
        head(
            "field of a field of a finding",
            Parser,
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows:\n    check: steps\n    code: counter\n    with: {step: {name: a}}\n",
        ),
        head(
            "kernel of a known defect",
            Schema,
            "known-defect:\n  kernels: {from: new}\n  breaks: b\n  shows: {check: steps, code: counter}\n",
        ),
        steps("number for a name", Schema, "  - fork: 5\n"),
        steps("unknown flags among others", Schema, "  - open: {as: r, file: binary, flags: [read, fast]}\n"),
        steps("flags twice", Parser, "  - open: {as: r, file: binary, flags: [sync, sync]}\n"),
        steps("two accesses", Parser, "  - open: {as: r, file: binary, flags: [read, write]}\n"),
        steps(
            "pread without an offset",
            Parser,
            "  - open: {as: r, file: binary}\n  - read: {from: r, bytes: 5}\n",
        ),
        steps(
            "pread with a limit",
            Parser,
            "  - open: {as: r, file: binary}\n  - read: {from: r, at: 1, limit: 5}\n",
        ),
        steps(
            "read to nowhere at an offset",
            Parser,
            "  - open: {as: r, file: binary}\n  - read: {from: r, at: 1, bad-pointer: 5}\n",
        ),
        steps(
            "offset that is text",
            Schema,
            "  - open: {as: r, file: binary}\n  - read: {from: r, at: start}\n",
        ),
        steps(
            "nothing to write",
            Schema,
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w}\n",
        ),
        steps(
            "two things to write",
            Schema,
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, text: \"a\", hex: \"00\"}\n",
        ),
        steps(
            "odd hexadecimal digits",
            Schema,
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, hex: \"410\"}\n",
        ),
        steps("seek without an offset", Schema, "  - open: {as: r, file: binary}\n  - seek: r\n"),
        steps(
            "unknown whence",
            Schema,
            "  - open: {as: r, file: binary}\n  - seek: {of: r, to: 1, from: middle}\n",
        ),
        steps("duplicate of nothing", Parser, "  - duplicate: {from: a, as: b}\n"),
        steps(
            "duplicate to an open name",
            Parser,
            "  - open: {as: a, file: binary}\n  - duplicate: {from: a, as: a}\n",
        ),
        steps(
            "splice of both",
            Schema,
            "  - open: {as: a, file: binary}\n  - splice: {of: a, bytes: 1, text: b}\n",
        ),
        steps(
            "unknown event",
            Schema,
            "  - open: {as: a, file: binary}\n  - poll: {of: a, events: [in, err]}\n",
        ),
        steps(
            "truth that is a word",
            Schema,
            "  - open: {as: a, file: binary}\n  - map: {of: a, write: yes}\n",
        ),
        steps("relative path to create", Schema, "  - create: m/x\n"),
        steps(
            "records of the second read",
            Parser,
            "  - open: {as: r, file: binary}\n  - read: r\n  - read: {from: r, expect: {records: 1}}\n",
        ),
        steps(
            "records after a seek",
            Parser,
            "  - open: {as: r, file: binary}\n  - seek: {of: r, to: 0}\n  - read: {from: r, expect: {records: 1}}\n",
        ),
        steps(
            "records by another name",
            Parser,
            "  - open: {as: r, file: binary}\n  - duplicate: {from: r, as: s}\n  - read: {from: s, limit: 5}\n  - read: {from: r, expect: {records: 1}}\n",
        ),
        steps("records of a counter", Parser, "  - view: {file: count, expect: {records: 1}}\n"),
        steps("value of a list", Parser, "  - view: {file: binary, expect: {value: 1}}\n"),
        steps("value of any file", Parser, "  - view: {file: /proc/meminfo, expect: {value: 1}}\n"),
        steps("two counts", Schema, "  - view: {file: binary, expect: {records: 1, bytes: 2}}\n"),
        steps("value of what has none", Schema, "  - stage: {expect: {value: 1}}\n"),
        steps(
            "value that is text",
            Schema,
            "  - open: {as: a, file: binary}\n  - poll: {of: a, expect: {value: in}}\n",
        ),
        steps("expectation of what takes none", Schema, "  - quote: {expect: ok}\n"),
        steps("fork of nothing", Parser, "  - fork: child\n"),
        steps("fork of main", Parser, "  - fork: main\n"),
        head(
            "task started twice",
            Parser,
            "tasks:\n  a:\n    - fork: b\n    - thread: b\n  b:\n    - stage\n",
        ),
        head("tasks that start each other", Parser, "tasks:\n  a:\n    - fork: b\n  b:\n    - fork: a\n"),
        steps(
            "background twice",
            Parser,
            "  - repeat: {times: 2, steps: [{background: {as: b, steps: [stage]}}]}\n",
        ),
        steps("background without steps", Schema, "  - background: {as: b, steps: []}\n"),
        head(
            "descriptor of the parent that is closed",
            Parser,
            "tasks:\n  a:\n    - open: {as: r, file: binary}\n    - close: r\n    - fork: b\n  b:\n    - read: r\n",
        ),
        head(
            "descriptor that the parent opens later",
            Parser,
            "tasks:\n  a:\n    - fork: b\n    - open: {as: r, file: binary}\n  b:\n    - read: r\n",
        ),
        head(
            "descriptor of another thread that nobody opens",
            Parser,
            "tasks:\n  a:\n    - thread: b\n    - open: {as: r, file: binary}\n  b:\n    - read: s\n",
        ),
        head(
            "descriptor to nobody",
            Parser,
            "tasks:\n  a:\n    - open: {as: r, file: binary}\n    - send-descriptor: {of: r, to: c}\n  b:\n    - receive-descriptor: r\n",
        ),
        head(
            "descriptor that nobody sends",
            Parser,
            "tasks:\n  a:\n    - open: {as: r, file: binary}\n    - send-descriptor: {of: r, to: b}\n  b:\n    - receive-descriptor: r\n    - receive-descriptor: s\n",
        ),
        head(
            "descriptor of a task that does not exist",
            Parser,
            "tasks:\n  a:\n    - take-descriptor: {from: c, as: t}\n  b:\n    - stage\n",
        ),
        head(
            "descriptor of a task that nobody saw wait",
            Parser,
            "tasks:\n  a:\n    - take-descriptor: {from: b, as: t}\n    - await-blocked: b\n  b:\n    - open: {as: r, file: binary}\n    - read: r\n",
        ),
        steps("step after the exit", Parser, "  - exit: 1\n  - stage\n"),
        steps("exit status", Schema, "  - exit: 256\n"),
        steps("kill of oneself", Parser, "  - kill: main\n"),
        head(
            "kill of a thread of the process",
            Parser,
            "tasks:\n  a:\n    - thread: b\n    - kill: b\n  b:\n    - stage\n",
        ),
        head(
            "kill in another boot",
            Parser,
            "tasks:\n  a:\n    - kexec\n  b: {boot: 1, steps: [{kill: a}]}\n",
        ),
        steps(
            "signal that ends nothing",
            Schema,
            "  - background: {as: b, steps: [stage]}\n  - kill: {task: b, signal: STOP}\n",
        ),
        steps("waiting that nobody sees", Parser, "  - measure: {files: 1, expect: blocked}\n"),
        steps("unknown capability of a process", Schema, "  - drop-capability: sys_admin\n"),
        steps("unknown resource", Schema, "  - limit: {resource: files, value: 3}\n"),
        steps("limit without a value", Schema, "  - limit: {resource: nofile}\n"),
        steps("hold of one's own", Parser, "  - hold: tpm\n  - release: tpm\n"),
        steps("hold that nobody releases", Parser, "  - background: {as: b, steps: [hold: tpm]}\n"),
        steps(
            "release of another hold",
            Parser,
            "  - background: {as: b, steps: [hold: tpm]}\n  - release: tmp\n  - release: tpm\n",
        ),
        head(
            "hold of two tasks",
            Parser,
            "tasks:\n  a:\n    - hold: x\n  b:\n    - hold: x\n  c:\n    - release: x\n    - release: x\n",
        ),
        task_hold("hold of a task nowhere", Parser, "{task: b, until: {task: main, step: 1}}"),
        task_hold("hold of a task for ever", Parser, "{task: b, at: mutex_lock}"),
        task_hold("hold of a task until nothing", Parser, "{task: b, at: mutex_lock, until: {task: main}}"),
        task_hold("hold of a task until nobody", Schema, "{task: b, at: mutex_lock, until: {step: 1}}"),
        task_hold(
            "hold of a task until two things",
            Parser,
            "{task: b, at: mutex_lock, until: {task: main, at: mutex_lock, step: 1}}",
        ),
        task_hold(
            "hold of a task until itself",
            Parser,
            "{task: b, at: mutex_lock, until: {task: b, step: 1}}",
        ),
        task_hold(
            "hold of an unknown task",
            Parser,
            "{task: c, at: mutex_lock, until: {task: main, step: 1}}",
        ),
        task_hold(
            "hold until an unknown task",
            Parser,
            "{task: b, at: mutex_lock, until: {task: c, step: 1}}",
        ),
        task_hold(
            "hold until a step that is not there",
            Parser,
            "{task: main, at: mutex_lock, until: {task: b, step: 2}}",
        ),
        task_hold("hold at no place", Parser, "{task: b, at: mutex lock, until: {task: main, step: 1}}"),
        task_hold("hold at no offset", Parser, "{task: b, at: mutex_lock+0xg, until: {task: main, step: 1}}"),
        task_hold(
            "hold by no caller",
            Parser,
            "{task: b, at: mutex_lock, from: 1x, until: {task: main, step: 1}}",
        ),
        task_hold(
            "hold by a caller of the middle",
            Parser,
            "{task: b, at: mutex_lock+8, from: ima_add, until: {task: main, step: 1}}",
        ),
        task_hold("hold of the TPM at a place", Parser, "{name: tpm, at: mutex_lock}"),
        task_hold("hold of a task and of the TPM", Schema, "{name: tpm, task: b}"),
        whole(
            "hold of a task on one processor",
            Parser,
            "summary: s\npromise: p\nmachine: {cpus: 1}\nsteps:\n  - hold: {task: b, at: mutex_lock, until: {task: main, step: 1}}\ntasks:\n  b: [measure]\n",
        ),
        steps("fault without a kind", Schema, "  - tpm-fault: {times: 3}\n"),
        steps("two faults", Schema, "  - tpm-fault: {answer: retry, lost: true}\n"),
        steps("fault that is none", Parser, "  - tpm-fault: {lost: false}\n"),
        steps("unknown answer", Schema, "  - tpm-fault: again\n"),
        steps("answer that is carried out", Parser, "  - tpm-fault: {answer: retry, carried-out: true}\n"),
        steps("policy without rules", Schema, "  - load-policy\n"),
        steps("execution under the default policy", Parser, "  - measure: {files: 1, by: exec}\n"),
        head("attest without its bank", Parser, "machine: {banks: [sha1]}\ntasks:\n  a:\n    - attest\n"),
        steps("kernel with a slash", Parser, "  - kexec: ../vmlinuz\n"),
        steps("two words of a kernel as one", Schema, "  - kexec: {args: \"quiet debug\"}\n"),
        steps("crash kernel by the old call", Parser, "  - kexec: {on-crash: true, call: kexec-load}\n"),
        steps("kexec that may fail", Parser, "  - kexec-execute: {expect: any}\n"),
        head("steps after the boot", Parser, "tasks:\n  a:\n    - kexec\n    - stage\n"),
        head("two ways out of a boot", Parser, "tasks:\n  a:\n    - kexec\n  b:\n    - kexec\n"),
        head("boot that nothing leads to", Parser, "tasks:\n  a: {boot: 1, steps: [stage]}\n"),
        head(
            "boot of a task that is started elsewhere",
            Parser,
            "tasks:\n  a:\n    - fork: b\n    - kexec\n  b: {boot: 1, steps: [stage]}\n",
        ),
        head("boot out of range", Schema, "tasks:\n  a: {boot: 99, steps: [stage]}\n"),
        head("task without steps", Schema, "tasks:\n  a: {boot: 0}\n"),
        steps("delete of what was carried over", Parser, "  - stage\n  - save\n  - kexec\n  - delete\n"),
        head(
            "barrier over two boots",
            Parser,
            "tasks:\n  a:\n    - barrier: x\n    - kexec\n  b: {boot: 1, steps: [barrier: x]}\n",
        ),
        steps(
            "checkpoint beside a child",
            Parser,
            "  - background: {as: b, steps: [measure]}\n  - checkpoint\n",
        ),
        steps("stress without a time", Schema, "  - stress: {choose: [stage]}\n"),
        steps("stress of nothing", Schema, "  - stress: {ms: 5, choose: []}\n"),
        steps("barrier by chance", Schema, "  - stress: {ms: 5, choose: [{barrier: x}]}\n"),
        steps(
            "stress in stress",
            Schema,
            "  - stress: {ms: 5, choose: [{stress: {ms: 1, choose: [stage]}}]}\n",
        ),
        steps(
            "too much stress",
            Parser,
            "  - stress: {ms: 5, times: 10000, choose: [[stage, save, delete]]}\n",
        ),
        steps(
            "delete by chance of what nobody saved",
            Parser,
            "  - stress: {ms: 5, choose: [stage, delete]}\n",
        ),
        steps("all records by chance", Parser, "  - stress: {ms: 5, choose: [{trim: all}]}\n"),
        steps(
            "descriptor left open by chance",
            Parser,
            "  - stress: {ms: 5, choose: [{open: {as: r, file: binary}}]}\n",
        ),
        steps("a program that is none", Parser, "  - start: keeper\n"),
        programs("unknown program", Parser, "  - start: kepper\n"),
        programs(
            "waiting for what was never started",
            Parser,
            "  - wait-for: {program: keeper, says: ready}\n",
        ),
        programs("waiting for nothing", Schema, "  - start: keeper\n  - wait-for: {program: keeper}\n"),
        programs(
            "waiting for two things",
            Schema,
            "  - start: keeper\n  - wait-for: {program: keeper, says: a, status: 0}\n",
        ),
        programs("killed at no call", Schema, "  - start: {program: keeper, kill-at: 0}\n"),
        programs("counting for nothing", Parser, "  - start: {program: keeper, counting: every}\n"),
        programs("started by chance", Schema, "  - stress: {ms: 5, choose: [{start: keeper}]}\n"),
        head("program without what it runs", Schema, "programs: {keeper: {arguments: [run]}}\n"),
        head("program by a relative path", Parser, "programs: {keeper: {run: bin/keeper}}\n"),
        head("program with an unknown field", Schema, "programs: {keeper: {run: logkeeper, args: [run]}}\n"),
        head("program with the name of a task", Parser, "programs: {main: {run: logkeeper}}\n"),
        head("environment that sets nothing", Parser, "programs: {k: {run: /bin/k, environment: [PATH]}}\n"),
        head("number as an argument", Schema, "programs: {k: {run: /bin/k, arguments: [1]}}\n"),
        head("file by a relative path", Schema, "files: {etc/config: text}\n"),
        head("file that climbs", Parser, "files: {/etc/../sys/config: text}\n"),
        head("file of the guest's own", Parser, "files: {/sys/kernel/config: text}\n"),
        head("file that is a number", Schema, "files: {/etc/config: 7}\n"),
        head("file with no permissions", Parser, "files: {/etc/config: {text: a, mode: \"rwx\"}}\n"),
        steps(
            "descriptor closed by chance",
            Parser,
            "  - open: {as: r, file: binary}\n  - stress: {ms: 5, choose: [{close: r}]}\n",
        ),
    ]
}

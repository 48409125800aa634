//! QEMU's command line, built from plain data.
//!
//! Pure: nothing is looked up on the host, so the same specification always gives the same line.

mod deterministic;
mod script;

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::accel::Accel;
pub use deterministic::Deterministic;
pub(crate) use deterministic::plugin;
pub use script::script;

/// The machine to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Virtual processors, at least 1.
    pub cpus: u32,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// The accelerator.
    pub accel: Accel,
    /// x86 boot image.
    pub kernel: PathBuf,
    /// Compressed or plain cpio archive with the agent as `/init`.
    pub initramfs: PathBuf,
    /// What the guest is told of its time stamp counter's frequency: [`Accel::tsc_mhz`].
    pub tsc_mhz: Option<u32>,
    /// Kernel parameters after [`KERNEL_ARGS`]; a later one wins in the kernel.
    pub kernel_args: Vec<String>,
    /// File with the agent's program, offered as [`imalab_wire::PROGRAM_ITEM`].
    pub program: Option<PathBuf>,
    /// What it is told where a seed decides everything, which takes [`Accel::Tcg`]; `None` in the other lanes.
    pub deterministic: Option<Deterministic>,
    /// Port of this host on which the machine waits for a debugger before its first instruction.
    pub debugger: Option<u16>,
}

/// Kernel parameters that every machine gets.
///
/// * `console=ttyS0`: the serial port is the console.
/// * `panic=-1`: reboot at once after a panic, which ends QEMU (`-no-reboot`): nobody waits for a dead guest.
/// * `oops=panic`: what the dead task held stays held; a verdict after an oops is worth nothing.
/// * `loglevel=5`: warnings and worse reach the console. What is below would cost boot time: every byte is a
///   trap into the emulated UART.
/// * `random.trust_cpu=on`, with the processor's RDRAND: no wait for entropy in a guest without any devices.
/// * `tsc=nowatchdog`: while 7.3 switches its first clock (`timekeeping_notify`, all processors in `stop_machine`), the
///   clocksource watchdog may wait on one of them for another that is stopped (`watchdog_wait_seq`,
///   `kernel/time/clocksource.c`), with interrupts off and a time limit by the very clock that then stands still. The boot
///   hangs for good; one of some 200 did on a host with more to do than processors.
/// * `no_timer_check`: at boot the kernel counts five interrupts of its timer in some 0.15 seconds and panics when there
///   are fewer (`check_timer`, `arch/x86/kernel/apic/io_apic.c`), which a busy host makes happen. Under KVM Linux never
///   counts them (`paravirt_ops_setup`, `arch/x86/kernel/kvm.c`).
/// * `watchdog_thresh=20`, `rcupdate.rcu_cpu_stall_timeout=60`, `sysctl.kernel.hung_task_timeout_secs=30` and
///   `…_check_interval_secs=5`: what hangs is told after 30 seconds of a task, 40 of a processor and 60 of a grace period. The run
///   ends then, unless the host was what let it wait (`run::follow`).
/// * `sysctl.kernel.panic_on_unrecovered_nmi=1`, `panic_print=0x80`: at an NMI, which the run sends when nothing gets on any more,
///   the kernel panics and prints the stacks of all tasks that wait without being woken by signals (`SYS_INFO_BLOCKED_TASKS`,
///   `include/linux/sys_info.h`; before 6.17 `PANIC_PRINT_BLOCKED_TASKS`). A hung task's own report has its stack at a level
///   that is not printed (`sched_show_task`). `unknown_nmi_panic` is not enough: without a PIT there is no port 0x61, so that
///   the kernel reads all ones as the NMI's reason and takes it for a system error (`default_do_nmi`).
pub const KERNEL_ARGS: [&str; 13] = [
    "console=ttyS0",
    "panic=-1",
    "oops=panic",
    "loglevel=5",
    "random.trust_cpu=on",
    "tsc=nowatchdog",
    "no_timer_check",
    "watchdog_thresh=20",
    "rcupdate.rcu_cpu_stall_timeout=60",
    "sysctl.kernel.hung_task_timeout_secs=30",
    "sysctl.kernel.hung_task_check_interval_secs=5",
    "sysctl.kernel.panic_on_unrecovered_nmi=1",
    "panic_print=0x80",
];

/// What a channel is attached to on QEMU's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A connected socket that QEMU inherits under this number.
    Fd(RawFd),
    /// QEMU connects to this UNIX socket.
    Connect(PathBuf),
    /// QEMU listens on this UNIX socket and does not wait.
    Listen(PathBuf),
    /// QEMU writes to this file.
    File(PathBuf),
    /// QEMU's own standard streams.
    Stdio,
}

/// The channels of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Monitor.
    pub qmp: Endpoint,
    /// The agent's port, [`imalab_wire::PORT`].
    pub agent: Endpoint,
    /// Serial port.
    pub console: Endpoint,
    /// swtpm's (or the tap's) control channel; without it the machine has no TPM.
    pub tpm: Option<Endpoint>,
}

/// QEMU's program for the one architecture that there is so far.
pub const QEMU: &str = "qemu-system-x86_64";

/// QEMU's arguments, without the program.
#[must_use]
pub fn argv(spec: &MachineSpec, endpoints: &Endpoints) -> Vec<String> {
    let mut argv: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| argv.extend([name.to_owned(), value]);

    // Without the PIT: nothing needs it, and a kernel that is not told the TSC's frequency asks it first (see `tsc`).
    option("-machine", "q35,usb=off,vmport=off,pit=off".into());
    // Boots what `-kernel` names and nothing else, and is part of QEMU. SeaBIOS, with its menu and option
    // ROMs, needs 0.1 s more of processor time under TCG, and would extend the TPM's PCRs 0 to 7.
    option("-bios", "qboot.rom".into());
    let lane = spec.deterministic.as_ref();
    match spec.accel {
        Accel::Kvm => {
            option("-accel", "kvm".into());
            option("-cpu", "host".into());
        }
        Accel::Tcg => {
            // The cache of translated code, in MiB: three kexecs in a row take a tenth less time than with the usual 1 GiB.
            let thread = if lane.is_some() { "single" } else { "multi" };
            option("-accel", format!("tcg,thread={thread},tb-size=64"));
            // As little as a kernel runs on: the same three kexecs take two thirds of what they take with `max`, or with
            // any model that has AVX2. An AMD, which `max` is, also takes 0.1 s to start its second processor.
            // No RDSEED: QEMU 7.2 warns that TCG has none. The kernel seeds from RDRAND then (`random_init_early`).
            option("-cpu", "kvm64,+rdrand".into());
        }
    }
    for (name, value) in lane.iter().flat_map(|lane| lane.options()) {
        option(name, value);
    }
    option("-smp", spec.cpus.to_string());
    option("-m", format!("{}M", spec.memory_mib));

    option("-kernel", text(&spec.kernel));
    option("-initrd", text(&spec.initramfs));
    let mut parameters: Vec<String> = KERNEL_ARGS.map(String::from).to_vec();
    if let Some(mhz) = lane.map(|_| deterministic::TSC_MHZ).or(spec.tsc_mhz) {
        parameters.push(format!("tsc_early_khz={mhz}000"));
    }
    if lane.is_some() {
        // The plugin knows the kernel's code by the addresses of its System.map.
        parameters.push("nokaslr".into());
    } else if spec.debugger.is_some() {
        // As a debugger does by those of vmlinux.
        parameters.push("nokaslr".into());
    }
    parameters.extend(spec.kernel_args.iter().cloned());
    option("-append", parameters.join(" "));
    if let Some(program) = &spec.program {
        option("-fw_cfg", format!("name={},file={}", imalab_wire::PROGRAM_ITEM, value(program)));
    }

    option("-chardev", chardev("console", &endpoints.console));
    option("-serial", "chardev:console".into());
    option("-chardev", chardev("qmp", &endpoints.qmp));
    option("-mon", "chardev=qmp,mode=control".into());
    // With an ioeventfd what the guest sends is taken by another thread than the one that runs it.
    let notified = if lane.is_some() { ",ioeventfd=off" } else { "" };
    option("-device", format!("virtio-serial-pci,max_ports=2{notified}"));
    option("-chardev", chardev("agent", &endpoints.agent));
    option("-device", format!("virtserialport,chardev=agent,name={}", imalab_wire::PORT));
    if let Some(tpm) = &endpoints.tpm {
        option("-chardev", chardev("tpm", tpm));
        option("-tpmdev", "emulator,id=tpm0,chardev=tpm".into());
        option("-device", "tpm-tis,tpmdev=tpm0".into());
    }
    if let Some(port) = spec.debugger {
        // Only for who is on this host: a debugger may do anything with the machine.
        option("-gdb", format!("tcp:127.0.0.1:{port}"));
        argv.push("-S".into());
    }
    argv.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from));
    argv.extend(["-display", "none"].map(String::from));
    argv
}

fn chardev(id: &str, endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Fd(fd) => format!("socket,id={id},fd={fd}"),
        Endpoint::Connect(path) => format!("socket,id={id},path={}", value(path)),
        Endpoint::Listen(path) => format!("socket,id={id},path={},server=on,wait=off", value(path)),
        Endpoint::File(path) => format!("file,id={id},path={}", value(path)),
        Endpoint::Stdio => format!("stdio,id={id}"),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A value inside an option: QEMU takes a doubled comma for one (QEMU `util/keyval.c`, `util/qemu-option.c`).
fn value(path: &Path) -> String {
    text(path).replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn spec() -> MachineSpec {
        MachineSpec {
            cpus: 2,
            memory_mib: 256,
            accel: Accel::Tcg,
            tsc_mhz: Some(2600),
            kernel: "/cache/kernels/7.3/bzImage".into(),
            initramfs: "/cache/images/initramfs.cpio".into(),
            kernel_args: vec!["ima_policy=tcb".into(), "ima_flush_htable".into()],
            program: Some("/out/run 1, again/program".into()),
            deterministic: None,
            debugger: None,
        }
    }

    fn lines(argv: &[String]) -> String {
        argv.join("\n")
    }

    #[test]
    fn a_run_inherits_its_channels() {
        let endpoints = Endpoints {
            qmp: Endpoint::Fd(5),
            agent: Endpoint::Fd(7),
            console: Endpoint::Fd(9),
            tpm: Some(Endpoint::Fd(11)),
        };
        assert_snapshot!("argv_of_a_run", lines(&argv(&spec(), &endpoints)));
    }

    #[test]
    fn a_machine_for_a_debugger_waits_for_it_on_this_host_alone() {
        let stdio = || Endpoint::Stdio;
        let endpoints = Endpoints { qmp: stdio(), agent: stdio(), console: stdio(), tpm: None };
        let words = argv(&MachineSpec { debugger: Some(1234), ..spec() }, &endpoints);
        let at = words.iter().position(|word| word == "-gdb").unwrap();
        assert_eq!(words[at + 1..at + 3], ["tcp:127.0.0.1:1234", "-S"]);
        assert!(
            words.iter().any(|word| word.ends_with("nokaslr ima_policy=tcb ima_flush_htable")),
            "{words:?}"
        );
    }

    #[test]
    fn kvm_without_tpm_and_program() {
        let endpoints = Endpoints {
            qmp: Endpoint::Listen("/run/a,b/qmp".into()),
            agent: Endpoint::File("/tmp/agent".into()),
            console: Endpoint::Stdio,
            tpm: None,
        };
        let spec = MachineSpec {
            cpus: 1,
            accel: Accel::Kvm,
            tsc_mhz: None,
            kernel_args: Vec::new(),
            program: None,
            ..spec()
        };
        assert_snapshot!("argv_with_kvm", lines(&argv(&spec, &endpoints)));
    }

    #[test]
    fn in_the_deterministic_lane_nothing_is_left_to_the_host() {
        let lane = Deterministic {
            seed: 7,
            plugin: "/target/libimalab_plugin.so".into(),
            folder: "/run/a,b".into(),
        };
        let endpoints = Endpoints {
            qmp: Endpoint::Fd(5),
            agent: Endpoint::File(lane.agent()),
            console: Endpoint::File(lane.console()),
            tpm: Some(Endpoint::Fd(11)),
        };
        let spec = MachineSpec { deterministic: Some(lane), ..spec() };
        assert_snapshot!("argv_in_the_deterministic_lane", lines(&argv(&spec, &endpoints)));
    }

    #[test]
    fn the_dry_run_is_a_script() {
        assert_snapshot!("script", script(&spec(), true));
    }

    #[test]
    fn the_dry_run_without_a_tpm() {
        let spec = MachineSpec { kernel: "/it's $HOME/bzImage".into(), ..spec() };
        assert_snapshot!("script_without_tpm", script(&spec, false));
    }
}

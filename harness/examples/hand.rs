use imalab::{check, machine::accel::Accel, report::run_dir::RunDir, run};
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let dir = RunDir::existing(Path::new(&a[1]));
    let plan = dir.read_plan().unwrap();
    let scratch = run::Scratch::new(Path::new("/tmp/kx/scratch")).unwrap();
    let interrupts = run::Interrupts::install().unwrap();
    let others: Vec<run::Kernel> = a[4..]
        .iter()
        .map(|t| {
            let (n, p) = t.split_once('=').unwrap();
            run::Kernel { name: n.into(), image: p.into() }
        })
        .collect();
    let site = run::Site {
        kernel: Path::new(&a[2]),
        initramfs: Path::new(&a[3]),
        kernels: &others,
        accel: Accel::Tcg,
        qemu: Path::new("qemu-system-x86_64"),
        swtpm: Path::new("swtpm"),
        scratch: &scratch,
        interrupts: &interrupts,
    };
    let ran = run::run(&plan, site).unwrap();
    std::fs::write(dir.path().join("console.log"), &ran.console).unwrap();
    imalab::report::trace::write(&dir.path().join("trace.jsonl"), &ran.trace).unwrap();
    let checks = check::all(&plan, &ran.trace);
    let j = check::judge::of(&plan, &ran.trace, &checks);
    println!("{:?} {} {:?}", j.outcome, j.reason, ran.wall);
    for c in &checks {
        println!("  {} {:?} {}", c.check, c.verdict, c.findings.join("\n      "));
    }
}

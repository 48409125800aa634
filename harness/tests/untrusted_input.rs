//! The `imalab` command against files that somebody else made: refused in bounded time and memory, and nothing of them
//! reaches the terminal raw. Needs no machine.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use rstest::rstest;
use serde_json::{Value, json};

/// Far more than any of it takes, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);
/// Address space of a call: what is refused is refused before it is in memory.
const MEMORY: u64 = 2 << 30;

struct Ended {
    code: Option<i32>,
    text: String,
}

/// Runs it with little memory; all that it prints is safe to show.
#[track_caller]
fn imalab(arguments: &[&Path]) -> Ended {
    let begin = Instant::now();
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={MEMORY}")).arg("--").arg(env!("CARGO_BIN_EXE_imalab")).args(arguments);
    command.stdin(Stdio::null()).env("TERM", "dumb").env("RUST_BACKTRACE", "0");
    let output = command.output().unwrap();
    assert!(begin.elapsed() < PATIENCE, "it took {:?}", begin.elapsed());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let acts = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
    assert_eq!(text.chars().find(acts), None, "{text:?}");
    Ended { code: output.status.code(), text }
}

impl Ended {
    #[track_caller]
    fn refuses(self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.text);
        assert!(self.text.len() < 16 * 1024, "{} bytes", self.text.len());
        for word in words {
            assert!(self.text.contains(word), "`{word}` is not in:\n{}", self.text);
        }
    }
}

const HEAD: &str = "summary: A bomb.\npromise: none\n";

/// Lists a folder with one scenario of this name.
#[track_caller]
fn list(name: &[u8], text: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(name)), text).unwrap();
    imalab(&["list".as_ref(), "--scenarios".as_ref(), folder.path()])
}

#[rstest]
#[case::matrix_times_steps(
    &format!("matrix:\n  a: [{}]\nsteps:\n{}", numbers(1000), "  - measure: 1\n".repeat(4000)),
    "the combinations of the matrix are too large together"
)]
#[case::many_nodes_of_little_text(
    &format!("matrix:\n  a: [{}]\nsteps:\n{}", numbers(1000), "  - measure: 1\n".repeat(150)),
    "the combinations of the matrix are too large together"
)]
#[case::text_put_in_again_and_again(
    &format!(
        "matrix:\n  a: ['{}']\n  b: [{}]\nsteps:\n  - measure: \"{}\"\n",
        "x".repeat(60_000), numbers(1000), "${a}".repeat(40_000)
    ),
    "the combinations of the matrix are too large together"
)]
#[case::one_long_name(&format!("steps:\n  - {}\n", "x".repeat(200_000)), "unknown verb")]
#[case::one_long_key(&format!("{}: 1\n", "y".repeat(200_000)), "yyy")]
#[case::many_parameters(&format!("matrix:\n  a: [{}]\n  b: [{}]\nsteps:\n  - stage\n", numbers(1000), numbers(1000)), "1024 combinations")]
fn a_bomb_is_refused(#[case] text: &str, #[case] why: &str) {
    list(b"bomb.yaml", &format!("{HEAD}{text}")).refuses(&["bomb.yaml", why]);
}

fn numbers(count: u32) -> String {
    (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

#[test]
fn of_many_errors_some_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..500 {
        fs::write(folder.path().join(format!("bad{number}.yaml")), "x: 1\n").unwrap();
    }
    imalab(&["list".as_ref(), "--scenarios".as_ref(), folder.path()]).refuses(&["and 480 more like these"]);
}

#[rstest]
#[case::file_name(b"\x1b[31mred.yaml", "summary: s\n", "\\u{1b}[31mred")]
#[case::not_utf8(b"\xff\x9b2J.yaml", "summary: s\n", "plain text")]
#[case::source_line(
    b"a.yaml",
    "summary: \u{1b}[31mred\npromise: none\nsteps:\n  - stage\n",
    "\\u{1b}[31mred"
)]
#[case::value(b"a.yaml", "summary: s\npromise: none\nsteps:\n  - \"\\e[2Jabc\"\n", "\\u{1b}[2Jabc")]
#[case::direction(b"a.yaml", "summary: s\npromise: none\nst\u{202e}eps:\n  - stage\n", "st\\u{202e}eps")]
#[case::c1(b"a.yaml", "summary: s\npromise: none\nsteps:\n  - \"\\x9b2J\"\n", "\\u{9b}2J")]
fn what_a_scenario_says_is_escaped(#[case] name: &[u8], #[case] text: &str, #[case] shown: &str) {
    list(name, text).refuses(&[shown]);
}

#[test]
fn what_is_listed_is_escaped() {
    let text = "summary: \"\\e[2J\\x9b\u{202e}s\"\npromise: none\nsteps:\n  - stage\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), text).unwrap();
    for more in [&[][..], &[Path::new("--json")]] {
        let call = [&["list".as_ref(), "--scenarios".as_ref(), folder.path()], more].concat();
        assert_eq!(imalab(&call).code, Some(0));
    }
}

#[test]
fn the_command_line_is_escaped() {
    imalab(&["list".as_ref(), "--\u{9b}\u{202e}".as_ref()]).refuses(&["\\u{202e}"]);
    imalab(&["recheck".as_ref(), "/\u{1b}[31m\u{9b}".as_ref()]).refuses(&["\\u{1b}[31m\\u{9b}"]);
    imalab(&["merge".as_ref(), "/\u{1b}[31m\u{9b}".as_ref()]).refuses(&["\\u{1b}[31m\\u{9b}"]);
}

#[rstest]
#[case::text(b"root:x:0:0")]
#[case::long(&[0x5a; 4096])]
#[case::nothing(b"")]
fn what_is_no_kernel_is_the_users_mistake(#[case] content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(&image, content).unwrap();
    let named = format!("--kernel-image=k={}", image.display());
    let scenarios = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"));
    for command in [
        &["test".as_ref(), "--scenarios".as_ref(), scenarios, "stage/once".as_ref()][..],
        &["shell".as_ref()],
    ] {
        let call =
            [command, &[named.as_ref(), "--initramfs".as_ref(), &image, "--cache".as_ref(), folder.path()]];
        imalab(&call.concat()).refuses(&["is not an x86 boot image"]);
    }
}

fn shard(index: u32, of: u32) -> Value {
    let shard = json!({ "by": "slice", "index": index, "of": of, "planned": 4, "suite": "s" });
    json!({ "schema": 2, "runs": [], "wall_ms": 1, "interrupted": false, "shard": shard })
}

#[test]
fn shards_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    for (document, why) in [
        (shard(1, u32::MAX).to_string(), "and 4294967284 more"),
        (shard(9, 2).to_string(), "part 9 of 2 cannot be"),
        (shard(1, 0).to_string(), "part 1 of 0 cannot be"),
        ("[".repeat(100_000), "not a result"),
        (format!("{{\"schema\": 1, \"runs\": \"{}\"}}", "\u{1b}\u{9b}".repeat(9)), "not a result"),
    ] {
        fs::write(&path, document).unwrap();
        imalab(&["merge".as_ref(), folder.path()]).refuses(&[why]);
    }
}

#[rstest]
#[case::merge("merge", "results.json", &[])]
#[case::recheck("recheck", "plan.json", &[])]
#[case::recheck_of_a_bundle("recheck", "bundle.json", &[])]
#[case::repro("repro", "bundle.json", &[])]
#[case::bench("bench", "results.json", &["suite", "--results"])]
fn what_is_no_regular_file_is_refused(#[case] verb: &str, #[case] name: &str, #[case] more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let target = if verb == "bench" { path.clone() } else { folder.path().to_owned() };
    let mut call: Vec<&Path> = vec![verb.as_ref()];
    call.extend(more.iter().map(Path::new));
    call.push(&target);
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    imalab(&call).refuses(&[name, "not a regular file"]);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    imalab(&call).refuses(&[name, "not a regular file"]);
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    imalab(&call).refuses(&[name, "at most"]);
}

/// A bundle of no run, with these sums.
fn bundle(folder: &Path, files: Value) {
    let file = json!({ "path": "/dev/zero", "bytes": 1, "sha256": "00" });
    let kernel = json!({ "name": "k", "release": null, "image": file, "config": null, "initramfs": file });
    let document = json!({
        "schema": 2, "imalab": "0", "scenario": "s", "parameters": {}, "seed": 1, "lane": "free", "kernel": kernel,
        "outcome": "failed", "reason": "", "files": files
    });
    fs::write(folder.join("bundle.json"), document.to_string()).unwrap();
}

/// SHA-256 of `{}`.
const EMPTY: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[rstest]
#[case::another_sum(json!({ "plan.json": EMPTY, "result.json": "00", "trace.jsonl": EMPTY }), "result.json has changed")]
#[case::not_named(json!({ "plan.json": EMPTY, "trace.jsonl": EMPTY }), "result.json")]
#[case::outside(json!({ "plan.json": EMPTY, "result.json": EMPTY, "trace.jsonl": EMPTY, "../x": EMPTY }), "../x")]
#[case::absolute(json!({ "plan.json": EMPTY, "result.json": EMPTY, "trace.jsonl": EMPTY, "/etc/passwd": EMPTY }), "/etc/passwd")]
#[case::a_link(json!({ "link": EMPTY, "plan.json": EMPTY, "result.json": EMPTY, "trace.jsonl": EMPTY }), "link has changed")]
#[case::a_fifo(json!({ "fifo": EMPTY, "plan.json": EMPTY, "result.json": EMPTY, "trace.jsonl": EMPTY }), "fifo has changed")]
#[case::all_there_and_no_plan(json!({ "plan.json": EMPTY, "result.json": EMPTY, "trace.jsonl": EMPTY }), "plan.json is not a result")]
fn sums_are_compared(#[case] files: Value, #[case] why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    fs::create_dir(&dir).unwrap();
    for name in ["plan.json", "result.json", "trace.jsonl", "../x"] {
        fs::write(dir.join(name), "{}").unwrap();
    }
    std::os::unix::fs::symlink("plan.json", dir.join("link")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRWXU).unwrap();
    bundle(&dir, files);
    for verb in ["recheck", "repro"] {
        imalab(&[verb.as_ref(), &dir]).refuses(&[why]);
    }
}

/// What names a file with the signature of a kernel's setup header, which no machine is ever started with.
fn looks_like_a_kernel(folder: &Path) -> String {
    let mut image = vec![0; 0x400];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    let path = folder.join("bzImage");
    fs::write(&path, image).unwrap();
    format!("k={}", path.display())
}

#[rstest]
#[case::repetitions(&["--repeat", "4294967295"], "more than the 100000 that one call takes")]
#[case::one_place(&["--json", "r", "--html", "./r"], "two reports would be written to r")]
#[case::one_stream(&["--json", "-", "--ktap", "/dev/stdout"], "two reports would be written to -")]
#[case::a_folder(&["--json", "/"], "directory")]
#[case::no_folder(&["--junit", "none/r"], "none/r")]
#[case::no_out(&["--out", "/dev/null/out"], "/dev/null/out")]
#[case::no_program(&["--swtpm", "./swtpm"], "there is no such file")]
#[case::a_kernel_twice(&["--kernel-image", "k=/bin/sh"], "kernel `k` is given twice")]
fn what_a_call_asks_for_is_told_before_the_first_machine(#[case] more: &[&str], #[case] why: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "summary: s\npromise: none\nsteps:\n  - stage\n").unwrap();
    let (cache, kernel) = (folder.path().join("cache"), looks_like_a_kernel(folder.path()));
    let mut call: Vec<&Path> =
        ["test", "--kernel-image", &kernel, "--initramfs", "/bin/sh", "--accel", "tcg"]
            .map(Path::new)
            .to_vec();
    // There is no such QEMU, should it come to that.
    call.extend(["--qemu".as_ref(), "no-such-qemu".as_ref(), "--scenarios".as_ref(), folder.path()]);
    call.extend(["--cache".as_ref(), cache.as_path()]);
    call.extend(more.iter().map(Path::new));
    imalab(&call).refuses(&[why]);
}

#[test]
fn where_all_is_skipped_or_nothing_could_run_the_results_are_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "summary: s\npromise: none\nsteps:\n  - stage\n").unwrap();
    let (cache, out) = (folder.path().join("cache"), folder.path().join("out"));
    let kernel = looks_like_a_kernel(folder.path());
    let mut call: Vec<&Path> =
        ["test", "--kernel-image", &kernel, "--initramfs", "/bin/sh", "--accel", "tcg"]
            .map(Path::new)
            .to_vec();
    call.extend(["--qemu".as_ref(), "no-such-qemu".as_ref(), "--scenarios".as_ref(), folder.path()]);
    call.extend(["--cache".as_ref(), cache.as_path(), "--out".as_ref(), out.as_path()]);
    let ended = imalab(&call);
    assert_eq!(ended.code, Some(96), "{}", ended.text);
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["results.json"]);
}

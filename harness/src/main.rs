//! The harness's own command.

fn main() -> std::process::ExitCode {
    imalab::cli::main()
}

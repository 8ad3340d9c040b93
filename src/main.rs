//! Hands the command line to the library and exits with what it returns.

fn main() -> std::process::ExitCode {
    limactl::run()
}

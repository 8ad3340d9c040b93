//! `socket_vmnet` for Linux: hands the command line to the library and exits with what it returns.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let words = std::env::args_os().skip(1).collect();
    limactl::vmnet::run(words, std::env::var_os("DEBUG").is_some()).into()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let text =
        "ERROR| this socket_vmnet is for Linux; on macOS install upstream's: brew install socket_vmnet\n";
    // Nobody to read it is no reason to fail.
    let _ = std::io::stderr().write_all(text.as_bytes());
    std::process::ExitCode::FAILURE
}

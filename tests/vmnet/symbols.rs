//! The daemon that runs as root is small: no async runtime, no name server and no framework for the command line are in it.

#[test]
fn nothing_of_tokio_hickory_or_clap_is_in_the_daemon() {
    // As the compiler writes names of crates into symbols, with their length before them.
    const CRATES: [&str; 3] = ["5tokio", "13hickory_proto", "12clap_builder"];
    let holds = |program: &str, name: &str| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    let (daemon, limactl) = (env!("CARGO_BIN_EXE_socket_vmnet"), env!("CARGO_BIN_EXE_limactl"));
    assert!(holds(daemon, "7limactl"), "{daemon} has its symbols");
    for name in CRATES {
        assert!(holds(limactl, name), "{name} would be found where it is");
        assert!(!holds(daemon, name), "{name}");
    }
}

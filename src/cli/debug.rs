//! `limactl debug`: parts of the program by themselves, for whoever looks for a fault.

use clap::{Args, Subcommand};

use super::Outcome;
use super::context::App;
use crate::dns::{Server, Settings, StaticHosts};

/// Tools for developers
#[derive(Debug, Args)]
#[command(override_usage = "limactl debug [command]")]
pub struct DebugArgs {
    #[command(subcommand)]
    pub action: Option<DebugAction>,
}

#[derive(Debug, Subcommand)]
pub enum DebugAction {
    Dns(DnsArgs),
}

/// Run the name server on 127.0.0.1 until it is killed
///
/// It answers as it does for guests, from this host's own names and nameservers, without the names of an instance.
#[derive(Debug, Args)]
#[command(override_usage = "limactl debug dns UDPPORT [TCPPORT] [flags]")]
pub struct DnsArgs {
    #[arg(value_name = "UDPPORT")]
    pub udp: String,
    /// 0, or nothing, takes a free one
    #[arg(value_name = "TCPPORT")]
    pub tcp: Option<String>,
    /// Answer questions for IPv6 addresses too
    #[arg(long, short = '6')]
    pub ipv6: bool,
}

pub fn run(args: DebugArgs, _app: &App) -> Outcome {
    match args.action {
        Some(DebugAction::Dns(args)) => dns(&args),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn dns(args: &DnsArgs) -> Outcome {
    let udp = port(&args.udp)?;
    let tcp = args.tcp.as_deref().map_or(Ok(0), port)?;
    let server = Server::bind_ports(udp, tcp)?;
    tracing::info!(
        "Answering DNS questions on 127.0.0.1 (UDP {}, TCP {})",
        server.udp_port(),
        server.tcp_port()
    );
    let _serving = server.start(Settings::new(StaticHosts::default(), args.ipv6))?;
    // A signal ends the process, and nothing has to be cleaned up.
    loop {
        std::thread::park();
    }
}

fn port(text: &str) -> Result<u16, anyhow::Error> {
    text.parse().map_err(|_| anyhow::anyhow!("invalid port `{text}`: it must be a number from 0 to 65535"))
}

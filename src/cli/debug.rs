//! `limactl debug`: parts of this program by themselves, for developers. Hidden.

use anyhow::Context;
use clap::{ArgAction, Args, Subcommand};

use super::Outcome;
use crate::dns::static_hosts::StaticHosts;
use crate::dns::{Server, Settings};

/// Tools for developers
#[derive(Debug, Args)]
#[command(override_usage = "limactl debug [command]")]
pub struct DebugArgs {
    #[command(subcommand)]
    pub tool: Option<Tool>,
}

/// The tools.
#[derive(Debug, Subcommand)]
pub enum Tool {
    Dns(DnsArgs),
}

/// Run the host resolver on 127.0.0.1 until it is interrupted
#[derive(Debug, Args)]
#[command(override_usage = "limactl debug dns UDPPORT [TCPPORT] [flags]")]
pub struct DnsArgs {
    /// 0 stands for any free one
    #[arg(value_name = "UDPPORT")]
    pub udp: String,
    /// 0 stands for any free one
    #[arg(value_name = "TCPPORT", default_value = "0")]
    pub tcp: String,
    /// Answer questions for IPv6 addresses as well
    #[arg(long, short = '6')]
    pub ipv6: bool,
    /// Answer this name with an address, or with what another name has; of equal names the last one counts
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub host: Vec<String>,
}

pub fn run(args: DebugArgs) -> Outcome {
    match args.tool {
        Some(Tool::Dns(args)) => dns(&args),
        // `words` shows help in this case.
        None => Ok(()),
    }
}

fn dns(args: &DnsArgs) -> Outcome {
    let hosts = static_hosts(&args.host)?;
    let server = Server::bind_ports(port(&args.udp)?, port(&args.tcp)?)?;
    let (udp, tcp) = (server.udp_port(), server.tcp_port());
    let _serving = server.start(Settings::new(hosts, args.ipv6))?;
    tracing::info!("The DNS server listens on 127.0.0.1, UDP port {udp} and TCP port {tcp}");
    loop {
        // An interrupt ends the program; a thread may be woken for no reason.
        std::thread::park();
    }
}

fn port(text: &str) -> Result<u16, anyhow::Error> {
    text.parse().map_err(|_| anyhow::anyhow!("invalid port `{text}`: must be a number from 0 to 65535"))
}

fn static_hosts(words: &[String]) -> Result<StaticHosts, anyhow::Error> {
    let mut pairs = Vec::new();
    for word in words {
        let pair = word.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
        pairs.push(pair.ok_or_else(|| {
            anyhow::anyhow!("invalid static name `{word}`: must be NAME=ADDRESS or NAME=OTHERNAME")
        })?);
    }
    StaticHosts::new(pairs).context("cannot serve the names that `--host` gives")
}

//! The nameservers that this machine's own network configuration names: asked for only for a guest that is to have them and not ours.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{HostFacts, HostOs};
use crate::process;

const PROFILER: &str = "/usr/sbin/system_profiler";
/// It takes about a second.
const DEADLINE: Duration = Duration::from_secs(30);

/// On macOS those of the first network service that has an IPv4 address. On Linux none: there is no one place that names servers which a
/// guest can reach (they are often on the loopback), and without any the guest asks QEMU's own, which asks the host's.
pub fn collect(host: &HostFacts) -> Vec<IpAddr> {
    if host.os != HostOs::MacOs {
        return Vec::new();
    }
    let words = ["SPNetworkDataType", "-json"];
    let said = process::run_checked(Command::new(PROFILER).args(words), b"", DEADLINE);
    let found = said.map_err(anyhow::Error::from).and_then(|said| Ok(of_first_service(&said.stdout)?));
    found.unwrap_or_else(|error| {
        tracing::warn!("cannot tell this machine's nameservers, so the guest asks QEMU's: {error:#}");
        Vec::new()
    })
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "SPNetworkDataType", default)]
    services: Vec<Service>,
}

/// What is read of a network service; everything may be missing.
#[derive(Deserialize)]
struct Service {
    #[serde(rename = "spnetwork_service_order")]
    order: Option<i64>,
    #[serde(rename = "IPv4", default)]
    ipv4: Ipv4,
    #[serde(rename = "DNS", default)]
    dns: Dns,
}

#[derive(Deserialize, Default)]
struct Ipv4 {
    #[serde(rename = "Addresses", default)]
    addresses: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Dns {
    #[serde(rename = "ServerAddresses", default)]
    servers: Vec<String>,
}

/// The nameservers in a report of `system_profiler`. What is no address (as one with a zone, which means nothing in a guest) is left out.
fn of_first_service(report: &[u8]) -> Result<Vec<IpAddr>, serde_json::Error> {
    let mut services = serde_json::from_slice::<Report>(report)?.services;
    // They are listed in that order already; the number is what says so.
    services.sort_by_key(|service| service.order.unwrap_or(i64::MAX));
    let first = services.into_iter().find(|service| !service.ipv4.addresses.is_empty());
    let servers = first.map(|service| service.dns.servers).unwrap_or_default();
    Ok(servers.iter().filter_map(|text| text.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::test_facts;

    /// As a machine with a VPN, an idle cable and a wireless network says it, with what is of no interest left out.
    const REPORT: &str = r#"{ "SPNetworkDataType" : [
        { "_name" : "Wi-Fi", "interface" : "en0", "spnetwork_service_order" : 2,
          "DNS" : { "DomainName" : "lan", "ServerAddresses" : [ "192.168.1.1" ] },
          "IPv4" : { "Addresses" : [ "192.168.1.20" ], "ConfigMethod" : "DHCP", "Router" : "192.168.1.1" } },
        { "_name" : "Ethernet", "interface" : "en5", "spnetwork_service_order" : 0,
          "DNS" : { "ServerAddresses" : [ "192.0.2.1" ] }, "IPv4" : { "ConfigMethod" : "DHCP" } },
        { "_name" : "VPN", "spnetwork_service_order" : 1, "Proxies" : { "ExceptionsList" : [] },
          "DNS" : { "ServerAddresses" : [ "10.0.0.53", "fe80::1%utun3", "2001:db8::53" ] },
          "IPv4" : { "Addresses" : [ "10.8.0.2" ] } } ] }"#;

    #[test]
    fn the_first_service_with_an_address_is_asked() {
        let expected: Vec<IpAddr> = vec!["10.0.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        assert_eq!(of_first_service(REPORT.as_bytes()).unwrap(), expected);
        // Its having no nameserver does not make another one the first.
        let silent = REPORT.replace("10.0.0.53", "").replace("2001:db8::53", "");
        assert_eq!(of_first_service(silent.as_bytes()).unwrap(), Vec::<IpAddr>::new());
        let unordered = REPORT.replace("spnetwork_service_order", "_");
        let expected: Vec<IpAddr> = vec!["192.168.1.1".parse().unwrap()];
        assert_eq!(of_first_service(unordered.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_machine_without_a_network_names_none() {
        for report in ["{}", r#"{"SPNetworkDataType": []}"#, r#"{"SPNetworkDataType": [{"_name": "Wi-Fi"}]}"#]
        {
            assert_eq!(of_first_service(report.as_bytes()).unwrap(), Vec::<IpAddr>::new(), "{report}");
        }
        assert!(of_first_service(b"").is_err());
    }

    #[test]
    fn linux_leaves_the_guest_to_qemu() {
        assert_eq!(collect(&test_facts()), Vec::<IpAddr>::new());
    }
}

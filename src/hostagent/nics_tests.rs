//! What QEMU says of connections, and what becomes of each entry of `networks`.

use super::*;
use crate::config::HostOs;
use crate::config::managed::test_defaults;

fn network(index: usize, attachment: Attachment) -> Network {
    let interface = format!("lima{index}");
    Network { index, attachment, interface, mac_address: format!("52:55:55:00:00:0{index}"), metric: 100 }
}

fn lima(name: &str) -> Attachment {
    Attachment::Lima(name.to_owned())
}

fn attached(networks: &[Network], managed: Option<&ManagedNetworks>) -> Result<Vec<Nic>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(attach(networks, managed, &mut Vec::new()))
}

#[test]
fn entries_keep_their_numbers_and_reach_their_daemons_by_the_stream_where_no_device_is_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "paths: {{varRun: {}}}\nnetworks: {{lab: {{mode: host, gateway: 10.9.0.1}}, bad: {{mode: own}}}}",
        folder.path().display()
    );
    let managed = ManagedNetworks::read(&text, &test_defaults(), HostOs::Linux).unwrap();
    let socket = Attachment::Socket("/run/own.sock".into());
    let nics = attached(&[network(1, lima("lab")), network(4, socket)], Some(&managed)).unwrap();
    let nic = |number, mac: &str, socket: PathBuf| Nic {
        number,
        mac: mac.to_owned(),
        backend: NicBackend::Stream { socket },
    };
    assert_eq!(
        nics,
        [
            nic(2, "52:55:55:00:00:01", folder.path().join("socket_vmnet.lab")),
            nic(5, "52:55:55:00:00:04", "/run/own.sock".into()),
        ]
    );
    let error = attached(&[network(0, lima("bad"))], Some(&managed)).unwrap_err().to_string();
    assert!(error.starts_with("network `bad` cannot be used: unknown mode `own`"), "{error}");
    let error = attached(&[network(0, lima("gone"))], Some(&managed)).unwrap_err().to_string();
    assert_eq!(error, "network `gone` cannot be used: it is not in networks.yaml");
}

#[test]
fn qemu_names_the_peer_of_a_connection_that_stands() {
    let text = "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:55:55:9b:ac:9f\r\n \\ net0: index=0,type=user,net=192.168.5.0,restrict=off\r\nvirtio-net-pci.1: index=0,type=nic,model=virtio-net-pci,macaddr=52:55:55:00:00:01\r\n \\ net1: index=0,type=stream,unix:/run/lima/socket_vmnet.shared\r\n \\ net2: index=0,type=stream,\r\n \\ net3: index=0,type=stream,connection error\r\n";
    assert_eq!(is_connected(text, 1), Some(true));
    assert_eq!(is_connected(text, 2), Some(false));
    assert_eq!(is_connected(text, 3), Some(false));
    assert_eq!(is_connected(text, 0), None);
    assert_eq!(is_connected(text, 7), None);
}

#[tokio::test]
async fn a_report_tells_the_way_of_each_nic() {
    let nics = Nics::new("/nonexistent".into());
    let networks = [network(0, lima("shared")), network(1, Attachment::Socket("/s".into()))];
    let backends = [NicBackend::Tap { place: 1 }, NicBackend::Stream { socket: "/s".into() }];
    let machine: Vec<Nic> = networks
        .iter()
        .zip(backends)
        .map(|(network, backend)| Nic { number: number(network), mac: network.mac_address.clone(), backend })
        .collect();
    nics.note(&networks, &machine, &[]);
    let json = serde_json::to_string(&nics.report().await).unwrap();
    assert_eq!(
        json,
        "[{\"interface\":\"lima0\",\"macAddress\":\"52:55:55:00:00:00\",\"network\":\"shared\",\"way\":\"tap\",\"connected\":true},\
         {\"interface\":\"lima1\",\"macAddress\":\"52:55:55:00:00:01\",\"socket\":\"/s\",\"way\":\"stream\"}]"
    );
    let read: Vec<NicReport> = serde_json::from_str(&json).unwrap();
    assert_eq!((read[0].way, read[1].connected), (Way::Tap, None));
}

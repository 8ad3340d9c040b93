//! Which names follow from leases and configurations, and that changes of either are seen.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::config::host::test_facts;

const NOW: u64 = 1_000_000;

fn lease(last: u8, address: u8, expires: u64) -> Lease {
    Lease { mac: format!("52:55:55:00:00:{last:02x}"), address: Ipv4Addr::new(10, 0, 0, address), expires }
}

fn station(instance: &str, network: &str, last: u8) -> Station {
    let mac = format!("52:55:55:00:00:{last:02x}");
    Station { instance: instance.to_owned(), network: network.to_owned(), mac }
}

fn table(leases: &[(&str, &[Lease])]) -> BTreeMap<String, Vec<Lease>> {
    leases.iter().map(|(network, leases)| ((*network).to_owned(), leases.to_vec())).collect()
}

fn pairs(names: &[(&str, &str)]) -> Vec<(String, String)> {
    names.iter().map(|(name, address)| ((*name).to_owned(), (*address).to_owned())).collect()
}

#[test]
fn an_instance_with_a_lease_has_two_names_and_others_have_none() {
    let leases = table(&[("n", &[lease(1, 7, NOW + 60), lease(2, 8, NOW), lease(9, 9, NOW + 5)])]);
    let stations = [
        station("a_b", "n", 1),
        station("expired", "n", 2),
        station("elsewhere", "m", 9),
        station("silent", "n", 3),
    ];
    let named = named(&["n"], &leases, &stations, NOW);
    assert_eq!(named.names, pairs(&[("lima-a-b.internal", "10.0.0.7"), ("lima-a-b", "10.0.0.7")]));
    assert_eq!(named.until, Some(NOW + 60));
}

#[test]
fn of_several_shared_networks_the_first_of_the_one_who_asks_counts() {
    let leases = table(&[("m", &[lease(1, 7, NOW + 60)]), ("n", &[lease(2, 8, NOW + 60)])]);
    let stations = [station("x", "m", 1), station("x", "n", 2)];
    let address = |order: &[&str]| named(order, &leases, &stations, NOW).names[0].1.clone();
    assert_eq!(address(&["m", "n"]), "10.0.0.7");
    assert_eq!(address(&["n", "m"]), "10.0.0.8");
    let only_second = table(&[("n", &[lease(2, 8, NOW + 60)])]);
    assert_eq!(named(&["m", "n"], &only_second, &stations, NOW).names[0].1, "10.0.0.8");
}

#[test]
fn a_file_of_leases_is_read_as_far_as_it_is_understood() {
    let text = r#"[{"mac":"52:55:55:AA:bb:01","ip":"10.0.0.2","hostname":"lima-x","expires":5},
        {"mac":"nonsense","ip":"10.0.0.3","hostname":"","expires":5},
        {"mac":"52:55:55:aa:bb:02","ip":"fd00::1","hostname":"","expires":5}, 7]"#;
    let expected = Lease { mac: "52:55:55:aa:bb:01".into(), address: [10, 0, 0, 2].into(), expires: 5 };
    assert_eq!(parse_leases(text), [expected]);
    for text in ["", "[]", "{\"leases\":[]}", "[{\"mac\":"] {
        assert_eq!(parse_leases(text), []);
    }
}

proptest! {
    #[test]
    fn any_file_is_read_without_harm(text in ".{0,200}|\\[(\\{\"mac\":\"[0-9a-f:]{0,20}\",\"ip\":\"[0-9.]{0,12}\",\"expires\":[0-9]{1,25}\\},?){0,3}\\]") {
        parse_leases(&text);
    }
}

/// A home with an instance `other` on the network `lab`, and the daemon's folder.
struct World {
    folder: tempfile::TempDir,
    home: Home,
    networks: Vec<Joined>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("lh"));
        home.prepare().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        let text =
            "networks: {lab: {mode: host, gateway: 10.0.0.1}, user-v2: {mode: user-v2, gateway: 10.1.0.1}}\n";
        std::fs::write(home.networks_yaml(), text).unwrap();
        let networks = vec![Joined { network: "lab".to_owned(), leases: run.join("lab_leases.json") }];
        World { folder, home, networks }
    }

    /// An instance whose VM runs as long as the lock is held that is returned.
    fn add(&self, instance: &str, mac: &str) -> lock::Lock {
        let dir = self.home.instance(instance);
        std::fs::create_dir(dir.path()).unwrap();
        let text =
            format!("images: [{{location: /a.img}}]\nnetworks: [{{lima: lab, macAddress: \"{mac}\"}}]\n");
        std::fs::write(dir.lima_yaml(), text).unwrap();
        std::fs::write(dir.agent_pid(), "1\n").unwrap();
        lock::Lock::try_acquire(&dir.vm_lock()).unwrap().unwrap()
    }

    fn lease(&self, mac: &str, address: &str) {
        let entry =
            serde_json::json!({ "mac": mac, "ip": address, "hostname": "", "expires": 99_999_999_999u64 });
        let text = format!("[{entry}]\n");
        let fresh = self.folder.path().join("run/fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, &self.networks[0].leases).unwrap();
    }
}

/// What was told, latest last; `until` waits for a condition with a deadline far beyond what is needed.
#[derive(Default)]
struct Told(RefCell<Vec<Vec<(String, String)>>>);

impl Told {
    async fn until(&self, expected: &[(&str, &str)]) {
        let expected = pairs(expected);
        let wait = async {
            while self.0.borrow().last() != Some(&expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "wanted {expected:?}, told {:?}", self.0.borrow());
    }
}

#[tokio::test]
async fn leases_and_instances_that_come_and_go_are_followed() {
    let world = World::new();
    let _own = world.add("own", "52:55:55:00:00:01");
    let mut vm = world.add("other", "52-55-55-00-00-02");
    let told = Told::default();
    let facts = test_facts();
    let following = follow(&world.home, &facts, "own", &world.networks, |names| {
        told.0.borrow_mut().push(names.to_vec());
    });
    let story = async {
        world.lease("52:55:55:00:00:02", "10.0.0.2");
        told.until(&[("lima-other.internal", "10.0.0.2"), ("lima-other", "10.0.0.2")]).await;
        world.lease("52:55:55:00:00:02", "10.0.0.3");
        told.until(&[("lima-other.internal", "10.0.0.3"), ("lima-other", "10.0.0.3")]).await;
        // Its own lease is no neighbour's.
        world.lease("52:55:55:00:00:01", "10.0.0.4");
        told.until(&[]).await;
        world.lease("52:55:55:00:00:02", "10.0.0.3");
        told.until(&[("lima-other.internal", "10.0.0.3"), ("lima-other", "10.0.0.3")]).await;
        // It is stopped: its agent is the last to go. Then it is started again.
        drop(vm);
        let pid_file = world.home.instance("other").agent_pid();
        std::fs::remove_file(&pid_file).unwrap();
        told.until(&[]).await;
        vm = lock::Lock::try_acquire(&world.home.instance("other").vm_lock()).unwrap().unwrap();
        world.lease("52:55:55:00:00:02", "10.0.0.5");
        told.until(&[("lima-other.internal", "10.0.0.5"), ("lima-other", "10.0.0.5")]).await;
        std::fs::remove_dir_all(world.home.instance("other").path()).unwrap();
        told.until(&[]).await;
        drop(vm);
    };
    tokio::select! {
        () = following => panic!("it ends with the instance only"),
        () = story => {}
    }
}

//! Addresses are stable, unique, and not to be exhausted from one port.

use proptest::prelude::*;

use super::*;

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([0x52, 0x55, a, b, c, d])
}

fn table(last: u8) -> Table {
    Table::new(Ipv4Addr::new(10, 0, 0, 2)..=Ipv4Addr::new(10, 0, 0, last))
}

fn take(table: &mut Table, number: u32, port: u32, now: u64) -> Result<Ipv4Addr, Refusal> {
    let address = table.offer(mac(number), None, Some(port), now)?;
    let lease = Lease {
        mac: mac(number),
        address,
        host_name: String::new(),
        expires: now + 3600,
        port: Some(port),
        offered: false,
    };
    table.bind(lease, now)?;
    Ok(address)
}

#[test]
fn a_station_gets_its_address_again_even_from_a_server_that_forgot_it() {
    let (mut first, mut second) = (table(254), table(254));
    let address = take(&mut first, 7, 1, 100).unwrap();
    assert_eq!(take(&mut second, 7, 9, 5_000), Ok(address));
    // After its lease is over, too.
    assert_eq!(take(&mut first, 7, 1, 1_000_000), Ok(address));
}

#[test]
fn an_offer_that_nobody_takes_is_free_after_a_while() {
    let mut table = table(2);
    let address = table.offer(mac(1), None, Some(1), 0).unwrap();
    assert_eq!(table.offer(mac(2), None, Some(2), 0), Err(Refusal::PoolEmpty));
    assert_eq!(table.offer(mac(2), None, Some(2), OFFER_SECONDS), Ok(address));
}

#[test]
fn one_port_cannot_empty_the_pool() {
    let mut table = table(254);
    for number in 0..1000 {
        let taken = take(&mut table, number, 1, 0);
        assert_eq!(taken.is_ok(), (number as usize) < MOST_PER_PORT, "{number}: {taken:?}");
    }
    assert!(take(&mut table, 5000, 2, 0).is_ok());
    // Offers count as well.
    let mut table = self::table(254);
    for number in 0..1000 {
        let _ = table.offer(mac(number), None, Some(1), 0);
    }
    assert_eq!(table.by_address.len(), MOST_PER_PORT);
}

#[test]
fn an_empty_pool_gives_what_is_expired_and_then_what_is_behind_a_port_that_is_gone() {
    let mut table = table(3);
    let first = take(&mut table, 1, 1, 0).unwrap();
    let second = take(&mut table, 2, 2, 100).unwrap();
    assert_eq!(take(&mut table, 3, 3, 200), Err(Refusal::PoolEmpty));
    table.port_closed(2);
    assert_eq!(take(&mut table, 3, 3, 200), Ok(second));
    assert_eq!(take(&mut table, 4, 4, 3600), Ok(first));
}

#[test]
fn what_somebody_found_in_use_is_left_alone_and_that_is_bounded() {
    let mut table = table(33);
    for number in 0..20 {
        let address = take(&mut table, number, number, 0).unwrap();
        assert!(table.decline(mac(number), address, Some(number), 0));
    }
    assert_eq!(table.declined.len(), 4);
    let free = (0..28).filter(|number| take(&mut table, 100 + number, 100 + number, 0).is_ok()).count();
    assert_eq!(free, 28);
    assert_eq!(take(&mut table, 200, 200, 0), Err(Refusal::PoolEmpty));
    assert!(take(&mut table, 200, 200, DECLINED_SECONDS).is_ok());
}

#[test]
fn nobody_gives_back_what_is_behind_another_port() {
    let mut table = table(254);
    let address = take(&mut table, 1, 1, 0).unwrap();
    assert!(!table.release(mac(1), address, Some(2), 1));
    assert!(!table.decline(mac(1), address, Some(2), 1));
    assert!(table.release(mac(1), address, Some(1), 1));
    assert!(table.held_by(mac(1), 1).is_none());
}

#[test]
fn a_wish_is_granted_where_the_address_is_free() {
    let mut table = table(254);
    let wish = Ipv4Addr::new(10, 0, 0, 77);
    assert_eq!(table.offer(mac(1), Some(wish), Some(1), 0), Ok(wish));
    assert_ne!(table.offer(mac(2), Some(wish), Some(2), 0), Ok(wish));
    let outside = Ipv4Addr::new(10, 0, 1, 1);
    assert_ne!(table.offer(mac(3), Some(outside), Some(3), 0), Ok(outside));
}

proptest! {
    /// Whatever is asked: no address has two stations, no station two addresses, none is outside of the pool, both indices agree.
    #[test]
    fn the_table_stays_consistent(steps in prop::collection::vec((0_u8..6, 0_u32..40, 0_u32..4, 0_u64..2000), 0..200)) {
        let mut table = table(20);
        let mut now = 0;
        for (what, number, port, wait) in steps {
            now += wait;
            match what {
                0 => { let _ = take(&mut table, number, port, now); }
                1 => { let _ = table.offer(mac(number), Some(Ipv4Addr::new(10, 0, 0, number as u8)), Some(port), now); }
                2 => { table.withdraw(mac(number)); }
                3 => { table.port_closed(port); }
                _ => {
                    let address = table.remembered(mac(number)).map(|lease| lease.address);
                    if let Some(address) = address {
                        if what == 4 { table.release(mac(number), address, Some(port), now); }
                        else { table.decline(mac(number), address, Some(port), now); }
                    }
                }
            }
            prop_assert_eq!(table.by_address.len(), table.by_mac.len());
            for (address, lease) in &table.by_address {
                prop_assert!(table.is_in_pool(*address));
                prop_assert_eq!(*address, u32::from(lease.address));
                prop_assert_eq!(table.by_mac.get(&lease.mac), Some(address));
            }
        }
    }
}

#[test]
fn nobody_speaks_for_a_station_that_is_behind_another_port() {
    let mut table = table(254);
    let address = take(&mut table, 1, 10, 0).unwrap();
    let renewed = |port, now: u64| Lease {
        mac: mac(1),
        address,
        host_name: String::new(),
        expires: now + 3600,
        port,
        offered: false,
    };
    // A station behind port 11, or behind one that the bridge does not know, uses the first one's name.
    for port in [Some(11), None] {
        assert_eq!(table.bind(renewed(port, 5), 5), Err(Refusal::OtherPort));
        assert!(!table.release(mac(1), address, port, 5));
        assert!(!table.decline(mac(1), address, port, 5));
    }
    assert_eq!(table.bind(renewed(Some(10), 6), 6), Ok(()));
    // Its machine was started anew, behind another port.
    table.port_closed(10);
    assert_eq!(table.bind(renewed(Some(12), 7), 7), Ok(()));
    assert!(table.release(mac(1), address, Some(12), 8));
}

#[test]
fn a_guest_that_is_ever_another_station_fills_no_memory() {
    let mut table = Table::new(Ipv4Addr::new(10, 0, 0, 2)..=Ipv4Addr::new(10, 0, 255, 254));
    for number in 0..3 * MOST_REMEMBERED as u32 {
        let now = u64::from(number);
        let address = take(&mut table, number, 1, now).unwrap();
        assert!(table.release(mac(number), address, Some(1), now));
    }
    assert_eq!((table.by_address.len(), table.by_mac.len()), (MOST_REMEMBERED, MOST_REMEMBERED));
}

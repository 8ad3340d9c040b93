//! MAC addresses of NICs: derived from the machine and the instance, so that a guest keeps its DHCP lease and nothing has to be stored.

use sha2::{Digest, Sha256};

/// `52:55:55:` and three bytes of SHA-256 over machine and `unique`: the instance directory for the first NIC, `FILE#INDEX` for the
/// entries of `networks`.
pub fn derive(machine_id: &str, unique: &str) -> String {
    let digest = Sha256::new().chain_update(machine_id).chain_update(unique).finalize();
    format!("52:55:55:{:02x}:{:02x}:{:02x}", digest[0], digest[1], digest[2])
}

/// The number of bytes of a MAC address (6, 8 or 20) in one of the forms `aa:bb:…`, `aa-bb-…`, `aabb.ccdd.…`; `None` for other texts.
pub fn length(text: &str) -> Option<usize> {
    let is_hex =
        |group: &str, digits: usize| group.len() == digits && group.bytes().all(|b| b.is_ascii_hexdigit());
    let bytes = if text.contains('.') {
        let groups: Vec<_> = text.split('.').collect();
        groups.iter().all(|group| is_hex(group, 4)).then_some(groups.len() * 2)?
    } else {
        let separator = text.chars().find(|c| matches!(c, ':' | '-'))?;
        let groups: Vec<_> = text.split(separator).collect();
        groups.iter().all(|group| is_hex(group, 2)).then_some(groups.len())?
    };
    matches!(bytes, 6 | 8 | 20).then_some(bytes)
}

/// The bytes of an address of 6; `None` for other texts.
pub fn bytes(text: &str) -> Option<[u8; 6]> {
    let canonical = canonical(text)?;
    let mut bytes = [0; 6];
    for (byte, digits) in bytes.iter_mut().zip(canonical.split(':')) {
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// The same address as `aa:bb:cc:dd:ee:ff`, which is how kernels print it; `None` for a text that is no address of 6 bytes.
pub fn canonical(text: &str) -> Option<String> {
    if length(text) != Some(6) {
        return None;
    }
    let digits: Vec<char> =
        text.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect();
    let bytes: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    Some(bytes.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_upstreams() {
        let machine = "0123456789abcdef0123456789abcdef";
        assert_eq!(derive(machine, "/home/me/.lima/default/lima.yaml#0"), "52:55:55:68:b2:4e");
        assert_eq!(derive(machine, "/home/me/.lima/default"), "52:55:55:d3:0a:b1");
    }

    #[test]
    fn every_way_of_writing_an_address_becomes_the_kernels() {
        for text in ["02:AB:cd:ef:00:01", "02-ab-CD-ef-00-01", "02ab.cdef.0001"] {
            assert_eq!(canonical(text).as_deref(), Some("02:ab:cd:ef:00:01"), "{text}");
        }
        assert_eq!(canonical("02:00:00:00:00:00:00:01"), None);
        assert_eq!(bytes("02-AB-cd-ef-00-01"), Some([2, 0xab, 0xcd, 0xef, 0, 1]));
    }

    #[test]
    fn three_ways_of_writing_an_address_are_known() {
        assert_eq!(length("02:AB:cd:ef:00:01"), Some(6));
        assert_eq!(length("02-ab-cd-ef-00-01"), Some(6));
        assert_eq!(length("02ab.cdef.0001"), Some(6));
        assert_eq!(length("02:00:00:00:00:00:00:01"), Some(8));
        for text in ["", "zz", "02:00:00:00:00", "02:00-00:00:00:00", "020000000001", "02:00:00:00:00:0g"] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}

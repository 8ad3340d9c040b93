//! The groups that this process is in: `getgroups(2)`, which nix does not offer on macOS.

/// The supplementary groups and the effective one, by number. macOS names the first sixteen.
pub fn own() -> Vec<u32> {
    // SAFETY: with no room for any group the call only counts them.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups: Vec<libc::gid_t> = vec![0; usize::try_from(count).unwrap_or_default()];
    // SAFETY: the list has room for as many groups as are announced.
    let count = unsafe { libc::getgroups(groups.len() as libc::c_int, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(count).unwrap_or_default());
    groups.push(nix::unistd::getegid().as_raw());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_group_is_among_them() {
        assert!(own().contains(&nix::unistd::getegid().as_raw()));
    }
}

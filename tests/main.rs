//! The promises that limactl makes to its users, one module each.

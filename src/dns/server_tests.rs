//! Tests of the DNS room (server).

//! Tests of the DNS room (upstream).

//! Tests of the DNS room (message).

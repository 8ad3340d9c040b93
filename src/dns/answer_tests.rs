//! Tests of the DNS room (answer).

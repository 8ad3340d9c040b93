//! Expressions, inputs and what comes out.

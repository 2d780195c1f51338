//! What runs inside a machine: init.

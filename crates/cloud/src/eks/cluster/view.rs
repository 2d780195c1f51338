//! As describe shows it.

//! Add-ons.

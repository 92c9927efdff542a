//! Nearest entries of a fixed set of unit rows.

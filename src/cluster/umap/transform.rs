//! Places for new rows in a layout that stays as it is.

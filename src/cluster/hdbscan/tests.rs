//! Laws and golden numbers of HDBSCAN\*.

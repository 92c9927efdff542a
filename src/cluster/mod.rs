//! Algorithms that turn `n × d` arrays into groups: nearest neighbours, UMAP, HDBSCAN\*.

pub mod agreement;
pub mod hdbscan;
pub mod knn;
pub mod umap;
pub mod watch;

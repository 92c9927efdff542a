//! Algorithms that turn `n × d` arrays into groups: nearest neighbours, the parts of their graph by modularity, UMAP,
//! HDBSCAN\*.

pub mod agreement;
pub mod hdbscan;
pub mod knn;
pub mod modularity;
pub mod umap;
pub mod watch;

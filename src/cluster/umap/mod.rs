//! stub
use ndarray::{Array2, ArrayView2};
use crate::cluster::watch::Watch;
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
/// x
#[derive(Debug, Default, Clone)]
pub struct Params { /// x
 pub n_neighbors: usize, /// x
 pub n_components: usize, /// x
 pub seed: u64 }
/// x
#[derive(Debug)]
pub struct Umap { /// x
 pub layout: Array2<f32> }
impl Params { /// x
 pub fn check(self) -> Result<Self, Error> { Ok(self) } }
/// x
pub fn fit(_rows: ArrayView2<'_, f32>, _p: &Params, _w: &dyn Watch) -> Result<Umap, Error> { Err(Error) }

//! stub
pub mod webhook {
 //! stub
/// x
#[derive(Debug)]
pub struct Webhook;
/// x
#[derive(Debug)]
pub enum Outcome { /// x
 Delivered {}, /// x
 GaveUp {} }
impl std::fmt::Display for Outcome { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
#[allow(missing_docs)]
impl Webhook { pub async fn deliver(&self, _b: &[u8], _n: u64) -> Outcome { Outcome::GaveUp {} } }
}

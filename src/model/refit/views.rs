//! What a refit sees of a document: its embedding, and its words beside it.
//!
//! Words tell apart what an encoder finds alike. Of a document's 15 nearest in newsgroups 64.1 % have its label, 66.3 %
//! with its words beside its embedding at half their weight; AMI on question titles rises from 0.68 to 0.74. At 0.8 papers gained and titles lost.

use ndarray::Array2;

use crate::kernel::unit::{Error, UnitRows};
use crate::keywords::latent::{self, DIRECTIONS};
use crate::model::refit::Checked;
use crate::model::refit::select::Member;

/// Each member's embedding of `dim` numbers and, beside it, the coordinates of its words times `refit.words`; together of
/// length 1. `n × (dim + 96)`, or `n × dim` where words don't count. O(words + n × dim).
pub(super) fn views(members: &[&Member], dim: usize, params: &Checked) -> Result<UnitRows, Error> {
    if params.words == 0.0 {
        return UnitRows::from_rows(dim, members.iter().map(|member| &*member.kept.embedding));
    }
    let bags: Vec<_> = members.iter().map(|member| &member.kept.words).collect();
    let words = latent::coordinates(&bags, params.seed);
    let mut views = Array2::zeros((members.len(), dim + DIRECTIONS));
    for ((mut view, member), words) in views.rows_mut().into_iter().zip(members).zip(words) {
        let beside = words.iter().map(|value| value * params.words);
        view.iter_mut()
            .zip(member.kept.embedding.iter().copied().chain(beside))
            .for_each(|(to, from)| *to = from);
    }
    UnitRows::normalise(views)
}

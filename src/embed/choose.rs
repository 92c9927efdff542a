//! Which provider a model runs on: the fastest that loads it and computes what fp32 computes.

use crate::kernel::{dot::dot, unit::UnitRows};

use super::{Error, Provider};

/// The least cosine between a provider's embeddings and those of ONNX Runtime's own fp32 kernels. bf16 keeps three
/// digits and reaches 0.9999; a wrong kernel shows long before 0.99.
const LEAST_COSINE: f32 = 0.999;

/// What was chosen.
pub(super) struct Chosen<E> {
    /// The loaded model.
    pub(super) encoder: E,
    /// What it runs on.
    pub(super) provider: Provider,
    /// The least cosine of its embeddings to fp32's on a few texts; `None` for what they are compared with.
    pub(super) agreement: Option<f32>,
    /// Why those before it were not taken.
    pub(super) notes: Vec<Note>,
}

/// Something that an operator may want to know.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Note {
    /// A faster provider refused the model, or is not in this build of ONNX Runtime; the next one was tried.
    #[error("{provider} is not available: {reason}")]
    ProviderRefused {
        /// Which.
        provider: Provider,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// A provider's embeddings are not those of fp32.
    #[error(
        "{provider} gives other embeddings than fp32 (cosine {cosine:.4}, at least {LEAST_COSINE} is good){}",
        if *kept { ", but it was asked for" } else { "; the next one is taken" }
    )]
    Disagrees {
        /// Which.
        provider: Provider,
        /// The least cosine over a few texts.
        cosine: f32,
        /// True if it is used all the same.
        kept: bool,
    },
    /// fp32 could not be asked.
    #[error("{provider} could not be compared with fp32: {reason}")]
    Unchecked {
        /// Which.
        provider: Provider,
        /// Why not.
        reason: String,
    },
}

/// The first of `candidates` that `open` can load and whose `probe` agrees with fp32's. With `free` unset, one that
/// disagrees is kept and noted.
pub(super) fn choose<E>(
    candidates: &[Provider],
    free: bool,
    open: impl Fn(Provider) -> Result<E, Error>,
    probe: impl Fn(&E) -> Result<UnitRows, Error>,
) -> Result<Chosen<E>, Error> {
    let mut notes = Vec::new();
    let mut refused = None;
    let mut exact = None;
    for &provider in candidates {
        let probed = open(provider).and_then(|encoder| match provider {
            Provider::Cpu => Ok((encoder, None)),
            _ => probe(&encoder).map(|rows| (encoder, Some(rows))),
        });
        let (encoder, rows) = match probed {
            Ok((encoder, None)) => return Ok(Chosen { encoder, provider, agreement: None, notes }),
            Ok((encoder, Some(rows))) => (encoder, rows),
            // The model itself is at fault, whoever runs it.
            Err(error @ Error::Model { .. }) => return Err(error),
            Err(error) => {
                notes.push(Note::ProviderRefused { provider, reason: error.in_full() });
                refused = Some(error);
                continue;
            }
        };
        let exact = exact.get_or_insert_with(|| open(Provider::Cpu).and_then(|encoder| probe(&encoder)));
        let agreement = match exact {
            Ok(exact) => Some(least_cosine(exact, &rows)),
            Err(error) => {
                notes.push(Note::Unchecked { provider, reason: error.in_full() });
                None
            }
        };
        match agreement {
            Some(cosine) if cosine.is_nan() || cosine < LEAST_COSINE => {
                notes.push(Note::Disagrees { provider, cosine, kept: !free });
                if !free {
                    return Ok(Chosen { encoder, provider, agreement, notes });
                }
            }
            _ => return Ok(Chosen { encoder, provider, agreement, notes }),
        }
    }
    Err(refused.unwrap_or(Error::NoProvider))
}

/// Cosine of each row of `one` to the row of `other`, the smallest; 1 for no rows.
pub(super) fn least_cosine(one: &UnitRows, other: &UnitRows) -> f32 {
    (0..one.n().min(other.n())).map(|row| dot(one.row(row), other.row(row))).fold(1.0, f32::min)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// A model that turns its rows by an angle on some providers, and that others refuse.
    fn chosen(candidates: &[Provider], free: bool) -> Result<Chosen<f32>, Error> {
        let open = |provider| match provider {
            Provider::Cuda => Err(Error::NoRuntime { place: "/no/gpu".into() }),
            Provider::OpenVinoBf16 => Ok(0.1_f32),
            Provider::OpenVinoFp32 => Ok(0.001),
            Provider::Cpu => Ok(0.0),
        };
        choose(candidates, free, open, |angle| Ok(UnitRows::normalise(array![[angle.cos(), angle.sin()]])?))
    }

    #[test]
    fn a_provider_that_computes_something_else_is_passed_over_and_told_of() {
        use Provider::{Cpu, Cuda, OpenVinoBf16, OpenVinoFp32};
        let chosen = chosen(&[Cuda, OpenVinoBf16, OpenVinoFp32, Cpu], true).unwrap();
        assert_eq!(chosen.provider, OpenVinoFp32);
        assert!(chosen.agreement.is_some_and(|cosine| cosine > 0.999));
        let notes: Vec<String> = chosen.notes.iter().map(ToString::to_string).collect();
        assert!(notes[0].starts_with("CUDA fp32 is not available: ") && notes[0].contains("/no/gpu"));
        assert_eq!(
            notes[1],
            "OpenVINO bf16 gives other embeddings than fp32 (cosine 0.9950, at least 0.999 is good); the next one is \
             taken"
        );
    }

    #[test]
    fn what_was_asked_for_is_kept_and_told_of() {
        let chosen = chosen(&[Provider::OpenVinoBf16, Provider::OpenVinoFp32], false).unwrap();
        assert_eq!(chosen.provider, Provider::OpenVinoBf16);
        assert!(chosen.notes[0].to_string().ends_with("but it was asked for"), "{:?}", chosen.notes);
    }

    #[test]
    fn where_nothing_loads_the_reason_is_told() {
        assert!(matches!(chosen(&[Provider::Cuda], true), Err(Error::NoRuntime { .. })));
    }

    #[test]
    fn the_reference_is_compared_with_nothing() {
        let chosen = chosen(&[Provider::Cpu], true).unwrap();
        assert_eq!((chosen.provider, chosen.agreement, chosen.notes.len()), (Provider::Cpu, None, 0));
    }
}

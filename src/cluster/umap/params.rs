//! What a caller can choose, and the proof that the choice makes sense.

use crate::cluster::knn::Metric;

/// The descent is compiled for up to so many dimensions.
const MOST_COMPONENTS: usize = 128;

/// The defaults are `BERTopic`'s: few dimensions and no minimum distance, for clustering rather than for looking at.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// How many nearest rows, the row itself among them, count as its neighbourhood: more sees coarser structure.
    pub n_neighbors: usize,
    /// Dimensions of the layout, at most 128.
    pub n_components: usize,
    /// How close neighbours may come in the layout.
    pub min_dist: f32,
    /// The scale of the layout, to which `min_dist` relates.
    pub spread: f32,
    /// How far rows are from each other.
    pub metric: Metric,
    /// Passes over the graph; by default 500 up to 10,000 rows and 200 beyond.
    pub n_epochs: Option<usize>,
    /// Random rows pushed away for each neighbour pulled near.
    pub negative_sample_rate: usize,
    /// Weight of pushing against pulling.
    pub repulsion_strength: f32,
    /// Length of the first steps; it falls to 0 over the epochs.
    pub learning_rate: f32,
    /// How far apart [`fit_supervised`](super::fit_supervised) keeps rows of different labels, from 0 to 1: at 0 a label
    /// weighs little against the rows, at 1 no edge joins two labels.
    pub target_weight: f32,
    /// The same seed gives the same bits, on any number of threads.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            n_neighbors: 15,
            n_components: 5,
            min_dist: 0.0,
            spread: 1.0,
            metric: Metric::Cosine,
            n_epochs: None,
            negative_sample_rate: 5,
            repulsion_strength: 1.0,
            learning_rate: 1.0,
            target_weight: 0.5,
            seed: 42,
        }
    }
}

/// A parameter that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// Too small a count.
    #[error("`{name}` is {value} but must be at least {least}")]
    TooSmall {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: usize,
        /// What it may be at least.
        least: usize,
    },
    /// Too large a count.
    #[error("`{name}` is {value} but must be at most {most}")]
    TooLarge {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: usize,
        /// What it may be at most.
        most: usize,
    },
    /// A number out of its range.
    #[error("`{name}` is {value} but must be {range}")]
    OutOfRange {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: f32,
        /// What it may be, in words.
        range: &'static str,
    },
}

/// Parameters that make sense together.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl Checked {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0
    }
}

impl Params {
    /// Refuses what no layout can be made with.
    pub fn check(self) -> Result<Checked, ParamsError> {
        let counts = [
            ("n_neighbors", self.n_neighbors, 2),
            ("n_components", self.n_components, 1),
            ("n_epochs", self.n_epochs.unwrap_or(1), 1),
        ];
        for (name, value, least) in counts {
            if value < least {
                return Err(ParamsError::TooSmall { name, value, least });
            }
        }
        if self.n_components > MOST_COMPONENTS {
            let (name, value, most) = ("n_components", self.n_components, MOST_COMPONENTS);
            return Err(ParamsError::TooLarge { name, value, most });
        }
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let not_negative = |x: f32| x >= 0.0 && x.is_finite();
        let numbers = [
            ("spread", self.spread, positive(self.spread), "above 0"),
            ("min_dist", self.min_dist, not_negative(self.min_dist), "0 or more"),
            ("min_dist", self.min_dist, self.min_dist <= self.spread, "at most `spread`"),
            (
                "repulsion_strength",
                self.repulsion_strength,
                not_negative(self.repulsion_strength),
                "0 or more",
            ),
            ("learning_rate", self.learning_rate, positive(self.learning_rate), "above 0"),
            (
                "target_weight",
                self.target_weight,
                (0.0..=1.0).contains(&self.target_weight),
                "between 0 and 1",
            ),
        ];
        for (name, value, fine, range) in numbers {
            if !fine {
                return Err(ParamsError::OutOfRange { name, value, range });
            }
        }
        Ok(Checked(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        assert!(Params::default().check().is_ok());
    }

    #[test]
    fn each_mistake_names_its_parameter() {
        let message = |params: Params| params.check().unwrap_err().to_string();
        let default = Params::default;
        assert_eq!(
            message(Params { n_neighbors: 1, ..default() }),
            "`n_neighbors` is 1 but must be at least 2"
        );
        assert_eq!(
            message(Params { n_components: 0, ..default() }),
            "`n_components` is 0 but must be at least 1"
        );
        assert_eq!(
            message(Params { n_epochs: Some(0), ..default() }),
            "`n_epochs` is 0 but must be at least 1"
        );
        assert_eq!(
            message(Params { min_dist: 2.0, ..default() }),
            "`min_dist` is 2 but must be at most `spread`"
        );
        assert_eq!(message(Params { spread: 0.0, ..default() }), "`spread` is 0 but must be above 0");
        assert_eq!(
            message(Params { learning_rate: f32::NAN, ..default() }),
            "`learning_rate` is NaN but must be above 0"
        );
        assert_eq!(
            message(Params { target_weight: 1.5, ..default() }),
            "`target_weight` is 1.5 but must be between 0 and 1"
        );
    }
}

//! What HDBSCAN\* is asked for, checked once.

/// Parameters of HDBSCAN\*, with the names and defaults of Python's `hdbscan`.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Smallest group of rows that counts as a cluster; at least 2.
    pub min_cluster_size: usize,
    /// Neighbours that make a row dense: its core distance is the distance to its `min_samples`-th nearest *other*
    /// row, as in `hdbscan` (whose documentation says that the row itself counts; its code does not count it).
    /// `None` takes `min_cluster_size`. Capped at `n − 1`.
    pub min_samples: Option<usize>,
    /// How flat clusters are taken from the condensed tree.
    pub cluster_selection_method: ClusterSelectionMethod,
    /// Clusters born below this distance are replaced by their ancestor born above it; 0 switches it off.
    pub cluster_selection_epsilon: f64,
    /// Larger clusters are not selected by [`ClusterSelectionMethod::Eom`] (epsilon may still override it).
    pub max_cluster_size: Option<usize>,
    /// Whether all rows may form one single cluster.
    pub allow_single_cluster: bool,
}

/// How flat clusters are taken from the condensed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterSelectionMethod {
    /// Excess of mass: the antichain with the largest sum of stabilities.
    Eom,
    /// The leaves: many small, homogeneous clusters.
    Leaf,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            min_cluster_size: 5,
            min_samples: None,
            cluster_selection_method: ClusterSelectionMethod::Eom,
            cluster_selection_epsilon: 0.0,
            max_cluster_size: None,
            allow_single_cluster: false,
        }
    }
}

impl Params {
    /// Refuses values that no input could be clustered with.
    pub fn check(&self) -> Result<Checked, ParamsError> {
        if self.min_cluster_size < 2 {
            return Err(ParamsError::MinClusterSize(self.min_cluster_size));
        }
        if self.min_samples == Some(0) {
            return Err(ParamsError::MinSamples);
        }
        let epsilon = self.cluster_selection_epsilon;
        if !epsilon.is_finite() || epsilon < 0.0 {
            return Err(ParamsError::ClusterSelectionEpsilon(epsilon));
        }
        if let Some(size) = self.max_cluster_size.filter(|&size| size < self.min_cluster_size) {
            return Err(ParamsError::MaxClusterSize { size, min_cluster_size: self.min_cluster_size });
        }
        Ok(Checked(self.clone()))
    }
}

/// Parameters that [`Params::check`] has accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl Checked {
    /// The accepted parameters.
    pub fn params(&self) -> &Params {
        &self.0
    }

    /// Neighbours that define the core distance among `n` rows.
    pub(super) fn min_samples(&self, n: usize) -> usize {
        self.0.min_samples.unwrap_or(self.0.min_cluster_size).min(n.saturating_sub(1))
    }
}

/// A parameter that no input could be clustered with.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// A cluster of one row has no density.
    #[error("`min_cluster_size` is {0} but must be at least 2; did you mean `min_samples`?")]
    MinClusterSize(usize),
    /// No neighbour means no density.
    #[error("`min_samples` is 0 but must be at least 1; leave it out to use `min_cluster_size`")]
    MinSamples,
    /// A distance.
    #[error("`cluster_selection_epsilon` is {0} but must be a finite distance; 0 switches it off")]
    ClusterSelectionEpsilon(f64),
    /// No cluster could ever be selected.
    #[error(
        "`max_cluster_size` is {size}, below `min_cluster_size` ({min_cluster_size}); \
         raise it or leave it out"
    )]
    MaxClusterSize {
        /// The refused bound.
        size: usize,
        /// The bound that it contradicts.
        min_cluster_size: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_no_input_can_meet() {
        let refused = |change: fn(&mut Params)| {
            let mut params = Params::default();
            change(&mut params);
            params.check().unwrap_err().to_string()
        };
        assert!(refused(|p| p.min_cluster_size = 1).contains("did you mean `min_samples`"));
        assert!(refused(|p| p.min_samples = Some(0)).contains("`min_samples`"));
        assert!(refused(|p| p.cluster_selection_epsilon = f64::NAN).contains("epsilon"));
        assert!(refused(|p| p.cluster_selection_epsilon = -1.0).contains("epsilon"));
        assert!(refused(|p| p.max_cluster_size = Some(4)).contains("below `min_cluster_size` (5)"));
        assert!(Params::default().check().is_ok());
    }

    #[test]
    fn min_samples_follows_min_cluster_size_and_never_exceeds_the_other_rows() {
        let checked = Params { min_cluster_size: 7, ..Params::default() }.check().unwrap();
        assert_eq!([100, 8, 7, 1, 0].map(|n| checked.min_samples(n)), [7, 7, 6, 0, 0]);
    }
}

//! The points of a layout, a copy for each thread.
//!
//! Where threads share the points, each of a thread's writes makes the others fetch the line anew, from across the chip
//! and in random order. Here every thread reads a copy in its own cache, and writes into it what all threads found; what
//! it fetches is their lists of steps, in order. So the descent of 44,949 × 5 on two cores takes 2.8 s instead of 3.4,
//! though both cores do all the writing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

/// Copies at most; with more threads some share one.
const MOST: usize = 8;

/// Equal copies of some points in `D` dimensions. Memory `min(threads, 8) · n · D` floats.
pub(super) struct Copies<const D: usize>(Vec<RwLock<Vec<[f32; D]>>>);

impl<const D: usize> Copies<D> {
    /// For the threads of the current pool.
    pub(super) fn new(points: Vec<[f32; D]>) -> Self {
        let threads = rayon::current_num_threads().min(MOST);
        Self((0..threads).map(|_| RwLock::new(points.clone())).collect())
    }

    /// Hands `look` this thread's copy.
    pub(super) fn read<R>(&self, look: impl FnOnce(&[[f32; D]]) -> R) -> R {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        look(&self.0[own].read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the same to every copy, each thread to its own first; a thread that is kept away has it done by others.
    pub(super) fn write(&self, change: impl Fn(&mut [[f32; D]]) + Sync) {
        let taken: Vec<AtomicBool> = self.0.iter().map(|_| AtomicBool::new(false)).collect();
        self.0.par_iter().for_each(|_| {
            let own = rayon::current_thread_index().unwrap_or(0);
            let mut from_own = (own..own + self.0.len()).map(|copy| copy % self.0.len());
            let next = from_own.find(|copy| !taken[*copy].swap(true, Ordering::Relaxed));
            if let Some(copy) = next {
                change(&mut self.0[copy].write().unwrap_or_else(PoisonError::into_inner));
            }
        });
    }
}

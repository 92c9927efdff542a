//! The only unsafe code: instruction sets that the build cannot take for granted.
//!
//! Each type here can only be made on a CPU that has the instructions; holding one is the proof that calling is sound.
#![allow(unsafe_code)]

use super::wide::Task;

/// This CPU has AVX-512 F, BW, DQ and VL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl"))
        .then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
        fn inner<T: Task>(task: T) -> T::Output {
            task.run()
        }
        let Self(()) = self;
        // SAFETY: `self` was made by `new`, which saw these features.
        unsafe { inner(task) }
    }
}

/// This CPU has AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(super) fn new() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2")]
        fn inner<T: Task>(task: T) -> T::Output {
            task.run()
        }
        let Self(()) = self;
        // SAFETY: `self` was made by `new`, which saw the feature.
        unsafe { inner(task) }
    }
}

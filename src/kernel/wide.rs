//! Runs a piece of plain arithmetic with the widest registers this CPU has.

/// Arithmetic that the compiler vectorises: its `run` is compiled once per instruction set.
///
/// Mark `run` and everything hot below it `#[inline(always)]`, or it keeps the narrow registers. Products and sums
/// are never fused, so every instruction set gives the same bits.
pub trait Task {
    /// What the task computes.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs `task` with AVX-512 or AVX2 where the CPU has them.
#[inline]
pub fn run<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(wide) = super::x86_64::Avx512::new() {
            return wide.run(task);
        }
        if let Some(wide) = super::x86_64::Avx2::new() {
            return wide.run(task);
        }
    }
    task.run()
}

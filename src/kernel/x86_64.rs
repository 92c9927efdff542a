//! The only unsafe code: instruction sets that the build cannot take for granted.
//!
//! Each type here can only be made on a CPU that has the instructions; holding one is the proof that calling is sound.
#![allow(unsafe_code)]

use std::arch::{
    asm,
    x86_64::{
        __cpuid_count, __m128, __m128i, __m256i, _mm_add_epi32, _mm_cvtepi32_ps, _mm_mul_ps, _mm_set1_ps,
        _mm_storeu_ps, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_hadd_epi32,
        _mm256_load_si256, _mm256_madd_epi16, _mm256_setzero_si256,
    },
};

use super::{fixed::Values, wide::Task};

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

/// Columns of fixed-point rows multiplied at once; with two rows their eight sums fill half of the registers.
const COLUMNS: usize = 4;
/// Bytes of columns that stay in the first-level cache while all rows are multiplied with them.
const CACHED: usize = 16 << 10;

impl Avx2 {
    /// Dot products of the rows `left` of `values` (`steps` each) with the rows `right`, times `scale`, row-major into
    /// `out`.
    ///
    /// # Panics
    /// If a row is not there or `out` is too short.
    pub(super) fn fixed_products(
        self,
        (values, steps): (&[Values], usize),
        left: &[u32],
        right: &[u32],
        scale: f32,
        out: &mut [f32],
    ) {
        #[target_feature(enable = "avx2")]
        fn inner(
            (values, steps): (&[Values], usize),
            left: &[u32],
            right: &[u32],
            scale: f32,
            out: &mut [f32],
        ) {
            let width = (CACHED / (steps * size_of::<Values>())).next_multiple_of(COLUMNS).max(COLUMNS);
            for (group, columns) in right.chunks(width).enumerate() {
                for (pair, rows) in left.chunks(2).enumerate() {
                    for (quad, columns) in columns.chunks(COLUMNS).enumerate() {
                        let last = columns[columns.len() - 1];
                        let mut four = [row(values, steps, last); COLUMNS];
                        for (four, &place) in four.iter_mut().zip(columns) {
                            *four = row(values, steps, place);
                        }
                        let two = [rows[0], rows[rows.len() - 1]].map(|place| row(values, steps, place));
                        let sums = fixed_tile(two, four);
                        for (i, sums) in sums.iter().take(rows.len()).enumerate() {
                            let at = (2 * pair + i) * right.len() + group * width + quad * COLUMNS;
                            let scaled = _mm_mul_ps(_mm_cvtepi32_ps(*sums), _mm_set1_ps(scale));
                            store(scaled, &mut out[at..at + columns.len()]);
                        }
                    }
                }
            }
        }
        let Self(()) = self;
        // SAFETY: `self` was made by `new`, which saw the feature.
        unsafe { inner((values, steps), left, right, scale, out) }
    }
}

/// The sums of products of two rows with four, all of one length.
#[allow(clippy::needless_range_loop, reason = "the lanes of several arrays go side by side")]
#[target_feature(enable = "avx2")]
#[inline]
fn fixed_tile(left: [&[Values]; 2], right: [&[Values]; COLUMNS]) -> [__m128i; 2] {
    let mut sums = [[_mm256_setzero_si256(); COLUMNS]; 2];
    // Zipped all the way: six indices would be six checks a step.
    let rows = left[0].iter().zip(left[1]);
    let columns = right[0].iter().zip(right[1]).zip(right[2].iter().zip(right[3]));
    for ((first, second), ((a, b), (c, d))) in rows.zip(columns) {
        let pair = [load(first), load(second)];
        let columns = [load(a), load(b), load(c), load(d)];
        for column in 0..COLUMNS {
            for row in 0..2 {
                let products = _mm256_madd_epi16(pair[row], columns[column]);
                sums[row][column] = _mm256_add_epi32(sums[row][column], products);
            }
        }
    }
    [across(sums[0]), across(sums[1])]
}

/// The sum of each register's eight lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn across(sums: [__m256i; COLUMNS]) -> __m128i {
    let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// Row `place` of rows of `steps`.
#[inline]
fn row(values: &[Values], steps: usize, place: u32) -> &[Values] {
    &values[place as usize * steps..(place as usize + 1) * steps]
}

/// The first of four values, as many as `out` takes.
#[target_feature(enable = "avx2")]
#[inline]
fn store(values: __m128, out: &mut [f32]) {
    let mut whole = [0.0; COLUMNS];
    let to = if out.len() == COLUMNS { out.as_mut_ptr() } else { whole.as_mut_ptr() };
    // SAFETY: either is four values long.
    unsafe { _mm_storeu_ps(to, values) }
    if out.len() < COLUMNS {
        let n = out.len();
        out.copy_from_slice(&whole[..n]);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(values: &Values) -> __m256i {
    // SAFETY: reads the 32 bytes of `values`, which its type aligns to 32.
    unsafe { _mm256_load_si256(std::ptr::from_ref(values).cast()) }
}

/// Rows (or columns) of a tile register.
pub(super) const TILE: usize = 16;
/// Values of one row of a tile of `bf16`: the step along the dimensions.
pub(super) const STEP: usize = 32;
/// A row of a tile in a cache line of its own: tiles across two lines load at less than half the speed.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct TileRow(pub(super) [u16; STEP]);
/// Rows of one call to [`Amx::products`].
pub(super) const STRIP: usize = 2 * TILE;

/// This CPU has AMX with `bf16` tiles, and the kernel lets this process use them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amx(());

impl Amx {
    pub(super) fn new() -> Option<Self> {
        static USABLE: std::sync::LazyLock<bool> =
            std::sync::LazyLock::new(|| has_amx_bf16() && may_use_tiles());
        USABLE.then_some(Self(()))
    }

    /// Dot products of 32 rows with `m` columns, `32 × m` into `out`, row-major.
    ///
    /// `rows` are two panels of 16 rows; `columns` are `m / 16` panels, paired as `TDPBF16PS` wants its second operand.
    /// A panel is `steps` tiles of 16 × 32 `bf16`.
    ///
    /// # Panics
    /// If the lengths don't fit each other, or `m` is not a multiple of 32.
    pub(super) fn products(self, rows: &[TileRow], columns: &[TileRow], steps: usize, out: &mut [f32]) {
        let panel = steps * TILE;
        let width = columns.len() / panel * TILE;
        assert_eq!(rows.len(), 2 * panel);
        assert_eq!(columns.len(), width / TILE * panel);
        assert_eq!(width % STRIP, 0);
        assert_eq!(out.len(), STRIP * width);
        let Self(()) = self;
        // SAFETY: `self` was made by `new`, which saw the instructions and got the permission. The tiles are
        // configured, used and released here without any other code running between on this thread. The pointers
        // stay inside the slices by the four lengths checked above.
        unsafe {
            configure_tiles();
            for j in (0..width).step_by(STRIP) {
                let columns = columns.as_ptr().add(j / TILE * panel);
                multiply_tiles(rows.as_ptr(), columns, steps, out.as_mut_ptr().add(j), width);
            }
            asm!("tilerelease", options(nostack, nomem));
        }
    }
}

fn has_amx_bf16() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    is_x86_feature_detected!("avx512f")
        && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// Asks the kernel for the tile registers' state; granted once for all threads of the process.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let status: isize;
    // SAFETY: this system call changes nothing but which instructions are permitted; it touches no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => status,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    status == 0
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// Gives all eight tile registers 16 rows of 64 bytes.
///
/// # Safety
/// AMX must be there and permitted.
unsafe fn configure_tiles() {
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }
    static ALL_FULL: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: reads 64 bytes of a constant; the caller vouches for the instruction.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const ALL_FULL, options(nostack, readonly)) }
}

/// 32 × 32 dot products in four tile registers.
///
/// # Safety
/// Tiles are configured; `rows` and `columns` point at two panels of `steps` tiles each; `out` at 32 rows of 32 values,
/// `width` values apart.
unsafe fn multiply_tiles(
    rows: *const TileRow,
    columns: *const TileRow,
    steps: usize,
    out: *mut f32,
    width: usize,
) {
    const TILE_BYTES: usize = TILE * size_of::<TileRow>();
    // SAFETY: by the contract above each load reads 1,024 bytes of a panel and each store writes 16 × 64 bytes of `out`.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a} + {row}*1]",
            "tileloadd tmm6, [{b} + {row}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{d} + {row}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{c} + {row}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, {tile}", "add {b}, {tile}", "add {c}, {tile}", "add {d}, {tile}",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{out} + {stride}*1], tmm0",
            "tilestored [{out} + {stride}*1 + 64], tmm1",
            "tilestored [{below} + {stride}*1], tmm2",
            "tilestored [{below} + {stride}*1 + 64], tmm3",
            a = inout(reg) rows => _,
            c = inout(reg) rows.byte_add(steps * TILE_BYTES) => _,
            b = inout(reg) columns => _,
            d = inout(reg) columns.byte_add(steps * TILE_BYTES) => _,
            steps = inout(reg) steps => _,
            tile = const TILE_BYTES,
            row = in(reg) size_of::<TileRow>(),
            out = in(reg) out,
            below = in(reg) out.add(TILE * width),
            stride = in(reg) width * size_of::<f32>(),
            options(nostack),
        );
    }
}

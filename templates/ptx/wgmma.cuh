// wgmma: a warpgroup multiplies 64 x N x 16 tiles of 16-bit operands, B and usually A straight from shared memory (sm_90a).
// archs: sm_90a
//
// Called by all four warps of a warpgroup together, converged. Products are asynchronous and read shared memory through the async
// proxy. The order around a batch of them:
// - The operands are in shared memory: landed by TMA and waited for at its mbarrier, or written by threads that executed
//   fence_async_shared() (ptx/fence.cuh) and then met this warpgroup at a barrier.
// - warpgroup_fence(), because other instructions may have written the accumulators, or A in registers.
// - wgmma() for each 16 of K: products on the same accumulators follow each other without waiting.
// - warpgroup_commit().
// - warpgroup_wait<0>(): now the accumulators may be read and the operands overwritten.
//
// Traps. Between wgmma and the wait nothing may touch the accumulators or A's registers, not even a move: the compiler then
// serialises the products and says C7510 to C7515, which counts as a failure. So accumulators live in one array with constant
// indices, are never zeroed by hand (scale_d false starts a sum), and the last wait is unconditional. Compilers before CUDA 12.9
// also want scale_d to be a constant where nothing has written the accumulators yet: peel the first step of a loop over K.
//
// Layout of d: warp w of the warpgroup holds rows 16 w to 16 w + 15; with g = lane / 4 and t = lane % 4 the lane holds
// d[4 j .. 4 j + 1] = D[16 w + g][8 j + 2 t ..] and d[4 j + 2 .. 4 j + 3] = D[16 w + g + 8][8 j + 2 t ..].
#pragma once

#include "ptx/numeric.cuh"

namespace moe_tune::ptx {

// ---- Descriptors of operands in shared memory.

/// Along which dimension an operand is contiguous: k, or its other one (m of A, n of B).
enum class Major { k, mn };

/// How TMA permutes the 16-byte chunks of rows of 32, 64 or 128 bytes. `none`: 8x8 matrices, each of 128 contiguous bytes.
enum class SwizzleMode { none, b32, b64, b128 };

/// The descriptor of an operand at a shared address, which is aligned to the swizzle's pattern of 8 rows: 256 bytes (b32), 512
/// (b64), 1024 (b128), or to 16 (none). The other numbers are multiples of 16 below 2^18:
/// - Swizzled, Major::k: rows run along K. stride_bytes: from 8 of M or N to the next 8 (with b128: 1024). leading_bytes has no
///   meaning. The next 16 of K are 32 bytes further.
/// - Swizzled, Major::mn: rows run along M or N. stride_bytes: from 8 of K to the next 8 (with b128: 1024). leading_bytes: from
///   the elements of one row length of M or N (with b128: 64) to the next. The next 16 of K are 2 * stride_bytes further.
/// - Not swizzled: leading_bytes from 8 of K to the next 8, stride_bytes from 8 of M or N to the next 8.
template <SwizzleMode Swizzle>
MOE_DEVICE u64 matrix_descriptor(u32 shared_address, u32 leading_bytes, u32 stride_bytes) {
  constexpr u64 codes[] = {0, 3, 2, 1};  // of none, b32, b64, b128
  constexpr u64 swizzle = codes[static_cast<int>(Swizzle)];
  constexpr u32 field = 0x3fff;
  const u32 low = (shared_address >> 4 & field) | (leading_bytes >> 4 & field) << 16;
  return swizzle << 62 | static_cast<u64>(stride_bytes >> 4 & field) << 32 | low;
}

/// The descriptor of the same layout `bytes` further, a multiple of 16.
MOE_DEVICE u64 advance_descriptor(u64 descriptor, u32 bytes) {
  // Addresses stay below 2^18, so nothing is carried out of their 14 bits; a 32-bit addition is all it takes.
  return (descriptor & 0xffffffff00000000ull) | (static_cast<u32>(descriptor) + (bytes >> 4));
}

// ---- Order.

/// Orders accesses to the registers that wgmma uses: before the first product, and before one whose accumulators or A registers
/// were touched by other instructions since. Orders no shared memory.
MOE_DEVICE void warpgroup_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/// Closes the group of the products since the last commit.
MOE_DEVICE void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Waits until at most `Pending` (0 to 7) groups are unfinished.
template <int Pending>
MOE_DEVICE void warpgroup_wait() {
  static_assert(0 <= Pending && Pending < 8);
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/// No instruction: keeps the compiler from moving accesses to accumulators across this point. Right after warpgroup_wait(), for
/// the products that it did wait for.
template <int Count>
MOE_DEVICE void keep_registers(float (&d)[Count]) {
  MOE_UNROLL
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// ---- Products. One asm statement for each N, all from one macro. asm names operands by number and the accumulators come first,
// so the tables give, for each N, the numbers of the accumulators (four to a chunk) and of the operands that follow them.

// clang-format off
// X(four numbers) for each chunk of N / 2 accumulators but the first.
#define MOE_ACCUMULATORS_8(X)
#define MOE_ACCUMULATORS_16(X) MOE_ACCUMULATORS_8(X) X(4, 5, 6, 7)
#define MOE_ACCUMULATORS_24(X) MOE_ACCUMULATORS_16(X) X(8, 9, 10, 11)
#define MOE_ACCUMULATORS_32(X) MOE_ACCUMULATORS_24(X) X(12, 13, 14, 15)
#define MOE_ACCUMULATORS_40(X) MOE_ACCUMULATORS_32(X) X(16, 17, 18, 19)
#define MOE_ACCUMULATORS_48(X) MOE_ACCUMULATORS_40(X) X(20, 21, 22, 23)
#define MOE_ACCUMULATORS_56(X) MOE_ACCUMULATORS_48(X) X(24, 25, 26, 27)
#define MOE_ACCUMULATORS_64(X) MOE_ACCUMULATORS_56(X) X(28, 29, 30, 31)
#define MOE_ACCUMULATORS_72(X) MOE_ACCUMULATORS_64(X) X(32, 33, 34, 35)
#define MOE_ACCUMULATORS_80(X) MOE_ACCUMULATORS_72(X) X(36, 37, 38, 39)
#define MOE_ACCUMULATORS_88(X) MOE_ACCUMULATORS_80(X) X(40, 41, 42, 43)
#define MOE_ACCUMULATORS_96(X) MOE_ACCUMULATORS_88(X) X(44, 45, 46, 47)
#define MOE_ACCUMULATORS_104(X) MOE_ACCUMULATORS_96(X) X(48, 49, 50, 51)
#define MOE_ACCUMULATORS_112(X) MOE_ACCUMULATORS_104(X) X(52, 53, 54, 55)
#define MOE_ACCUMULATORS_120(X) MOE_ACCUMULATORS_112(X) X(56, 57, 58, 59)
#define MOE_ACCUMULATORS_128(X) MOE_ACCUMULATORS_120(X) X(60, 61, 62, 63)
#define MOE_ACCUMULATORS_136(X) MOE_ACCUMULATORS_128(X) X(64, 65, 66, 67)
#define MOE_ACCUMULATORS_144(X) MOE_ACCUMULATORS_136(X) X(68, 69, 70, 71)
#define MOE_ACCUMULATORS_152(X) MOE_ACCUMULATORS_144(X) X(72, 73, 74, 75)
#define MOE_ACCUMULATORS_160(X) MOE_ACCUMULATORS_152(X) X(76, 77, 78, 79)
#define MOE_ACCUMULATORS_168(X) MOE_ACCUMULATORS_160(X) X(80, 81, 82, 83)
#define MOE_ACCUMULATORS_176(X) MOE_ACCUMULATORS_168(X) X(84, 85, 86, 87)
#define MOE_ACCUMULATORS_184(X) MOE_ACCUMULATORS_176(X) X(88, 89, 90, 91)
#define MOE_ACCUMULATORS_192(X) MOE_ACCUMULATORS_184(X) X(92, 93, 94, 95)
#define MOE_ACCUMULATORS_200(X) MOE_ACCUMULATORS_192(X) X(96, 97, 98, 99)
#define MOE_ACCUMULATORS_208(X) MOE_ACCUMULATORS_200(X) X(100, 101, 102, 103)
#define MOE_ACCUMULATORS_216(X) MOE_ACCUMULATORS_208(X) X(104, 105, 106, 107)
#define MOE_ACCUMULATORS_224(X) MOE_ACCUMULATORS_216(X) X(108, 109, 110, 111)
#define MOE_ACCUMULATORS_232(X) MOE_ACCUMULATORS_224(X) X(112, 113, 114, 115)
#define MOE_ACCUMULATORS_240(X) MOE_ACCUMULATORS_232(X) X(116, 117, 118, 119)
#define MOE_ACCUMULATORS_248(X) MOE_ACCUMULATORS_240(X) X(120, 121, 122, 123)
#define MOE_ACCUMULATORS_256(X) MOE_ACCUMULATORS_248(X) X(124, 125, 126, 127)

// X(N, the numbers of nine operands that follow N / 2 accumulators).
#define MOE_WGMMA_SIZES(X) \
  X(8, 4, 5, 6, 7, 8, 9, 10, 11, 12) \
  X(16, 8, 9, 10, 11, 12, 13, 14, 15, 16) \
  X(24, 12, 13, 14, 15, 16, 17, 18, 19, 20) \
  X(32, 16, 17, 18, 19, 20, 21, 22, 23, 24) \
  X(40, 20, 21, 22, 23, 24, 25, 26, 27, 28) \
  X(48, 24, 25, 26, 27, 28, 29, 30, 31, 32) \
  X(56, 28, 29, 30, 31, 32, 33, 34, 35, 36) \
  X(64, 32, 33, 34, 35, 36, 37, 38, 39, 40) \
  X(72, 36, 37, 38, 39, 40, 41, 42, 43, 44) \
  X(80, 40, 41, 42, 43, 44, 45, 46, 47, 48) \
  X(88, 44, 45, 46, 47, 48, 49, 50, 51, 52) \
  X(96, 48, 49, 50, 51, 52, 53, 54, 55, 56) \
  X(104, 52, 53, 54, 55, 56, 57, 58, 59, 60) \
  X(112, 56, 57, 58, 59, 60, 61, 62, 63, 64) \
  X(120, 60, 61, 62, 63, 64, 65, 66, 67, 68) \
  X(128, 64, 65, 66, 67, 68, 69, 70, 71, 72) \
  X(136, 68, 69, 70, 71, 72, 73, 74, 75, 76) \
  X(144, 72, 73, 74, 75, 76, 77, 78, 79, 80) \
  X(152, 76, 77, 78, 79, 80, 81, 82, 83, 84) \
  X(160, 80, 81, 82, 83, 84, 85, 86, 87, 88) \
  X(168, 84, 85, 86, 87, 88, 89, 90, 91, 92) \
  X(176, 88, 89, 90, 91, 92, 93, 94, 95, 96) \
  X(184, 92, 93, 94, 95, 96, 97, 98, 99, 100) \
  X(192, 96, 97, 98, 99, 100, 101, 102, 103, 104) \
  X(200, 100, 101, 102, 103, 104, 105, 106, 107, 108) \
  X(208, 104, 105, 106, 107, 108, 109, 110, 111, 112) \
  X(216, 108, 109, 110, 111, 112, 113, 114, 115, 116) \
  X(224, 112, 113, 114, 115, 116, 117, 118, 119, 120) \
  X(232, 116, 117, 118, 119, 120, 121, 122, 123, 124) \
  X(240, 120, 121, 122, 123, 124, 125, 126, 127, 128) \
  X(248, 124, 125, 126, 127, 128, 129, 130, 131, 132) \
  X(256, 128, 129, 130, 131, 132, 133, 134, 135, 136)

#define MOE_NAMES(i, j, k, l) ", %" #i ", %" #j ", %" #k ", %" #l
#define MOE_IN_OUT(i, j, k, l) , "+f"(d[i]), "+f"(d[j]), "+f"(d[k]), "+f"(d[l])

// `text` is what follows the accumulators in the instruction, the variable arguments are the operands that it names.
#define MOE_WGMMA_STATEMENT(N, type, scale_d, text, ...)                                  \
  asm volatile(                                                                           \
      "{\n"                                                                               \
      ".reg .pred p;\n"                                                                   \
      "setp.ne.b32 p, %" #scale_d ", 0;\n"                                                \
      "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " "                 \
      "{%0, %1, %2, %3" MOE_ACCUMULATORS_##N(MOE_NAMES) "}, " text ";\n"                  \
      "}\n"                                                                               \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) MOE_ACCUMULATORS_##N(MOE_IN_OUT)   \
      : __VA_ARGS__                                                                       \
      : "memory");
#define MOE_WGMMA(size, ...)                                                                            \
  if constexpr (N == size && Type == DType::bf16) MOE_WGMMA_STATEMENT(size, "bf16", __VA_ARGS__)        \
  if constexpr (N == size && Type == DType::fp16) MOE_WGMMA_STATEMENT(size, "f16", __VA_ARGS__)
#define MOE_WGMMA_SHARED_A(size, a, b, scale_d, scale_a, scale_b, major_a, major_b, ...)                             \
  MOE_WGMMA(size, scale_d, "%" #a ", %" #b ", p, %" #scale_a ", %" #scale_b ", %" #major_a ", %" #major_b,           \
            "l"(a_descriptor), "l"(b_descriptor), "r"(accumulate),                                                   \
            "n"(ScaleA), "n"(ScaleB), "n"(AMajor == Major::mn), "n"(BMajor == Major::mn))
#define MOE_WGMMA_REGISTERS_A(size, a0, a1, a2, a3, b, scale_d, scale_a, scale_b, major_b)                           \
  MOE_WGMMA(size, scale_d,                                                                                           \
            "{%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b ", p, %" #scale_a ", %" #scale_b ", %" #major_b,        \
            "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b_descriptor), "r"(accumulate),                          \
            "n"(ScaleA), "n"(ScaleB), "n"(BMajor == Major::mn))
// clang-format on

/// D = A . B + D, or with scale_d false D = A . B, whatever d held. D: 64 x N float32, A: 64 x 16, B: 16 x N; A and B by
/// descriptor. ScaleA and ScaleB, 1 or -1, negate an operand.
template <DType Type, int N, Major AMajor = Major::k, Major BMajor = Major::k, int ScaleA = 1, int ScaleB = 1>
MOE_DEVICE void wgmma(float (&d)[N / 2], u64 a_descriptor, u64 b_descriptor, bool scale_d) {
  static_assert(N % 8 == 0 && 8 <= N && N <= 256);
  static_assert((ScaleA == 1 || ScaleA == -1) && (ScaleB == 1 || ScaleB == -1));
  const int accumulate = scale_d;
  MOE_WGMMA_SIZES(MOE_WGMMA_SHARED_A)
}

/// The same with A in registers, in the layout of mma.sync: warp w holds rows 16 w to 16 w + 15, a lane two elements of K per
/// word: a[0] = A[g][2 t ..], a[1] = A[g + 8][2 t ..], a[2] = A[g][2 t + 8 ..], a[3] = A[g + 8][2 t + 8 ..].
template <DType Type, int N, Major BMajor = Major::k, int ScaleA = 1, int ScaleB = 1>
MOE_DEVICE void wgmma_registers_a(float (&d)[N / 2], const u32 (&a)[4], u64 b_descriptor, bool scale_d) {
  static_assert(N % 8 == 0 && 8 <= N && N <= 256);
  static_assert((ScaleA == 1 || ScaleA == -1) && (ScaleB == 1 || ScaleB == -1));
  const int accumulate = scale_d;
  MOE_WGMMA_SIZES(MOE_WGMMA_REGISTERS_A)
}

#undef MOE_WGMMA_REGISTERS_A
#undef MOE_WGMMA_SHARED_A
#undef MOE_WGMMA
#undef MOE_WGMMA_STATEMENT
#undef MOE_IN_OUT
#undef MOE_NAMES
#undef MOE_WGMMA_SIZES

}  // namespace moe_tune::ptx

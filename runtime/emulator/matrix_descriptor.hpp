// The shared-memory operands of wgmma: from the 64 bits of a descriptor to the address of every element (PTX ISA, "Asynchronous
// Warpgroup Level Matrix Shared Memory Layout").
//
// Elements have 16 bits and an operand is `rows` x 16: rows of A (M) or columns of B (N), by the depth k of one instruction. With
// S the bytes of the swizzle, an element is at the descriptor's address plus
//
//   K-major, S         (row % 8) * S  + (row / 8) * stride                     + k * 2             leading is not used
//   K-major, none      (row % 8) * 16 + (row / 8) * stride                     + (k % 8) * 2       + (k / 8) * leading
//   MN-major, S        (row % (S/2)) * 2 + (row / (S/2)) * leading             + (k % 8) * S       + (k / 8) * stride
//   MN-major, none     (row % 8) * 2     + (row / 8) * stride                  + (k % 8) * 16      + (k / 8) * leading
//
// and then swizzled by the bits of the sum.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/emulator/matrix_math.hpp"
#include "runtime/emulator/swizzle.hpp"
#include "runtime/reference/half.hpp"

namespace moe_tune::emulator {

/// Which direction is contiguous in shared memory: k, or the rows (the instruction's transpose flag).
enum class Major { k, mn };

/// In bytes.
struct MatrixDescriptor {
  std::uint32_t address = 0;
  std::uint32_t leading = 0;
  std::uint32_t stride = 0;
  Swizzle swizzle = Swizzle::none;
};

/// The fields of a descriptor; bits that descriptor_problem() complains of are dropped.
MatrixDescriptor decode_matrix_descriptor(std::uint64_t bits);

/// Why the operand is not what a kernel can have meant, or is beyond what is emulated; empty where nothing is wrong: bits that
/// must be zero, a base offset, a swizzled operand that does not begin where its pattern does.
std::string descriptor_problem(std::uint64_t bits, Major major);

/// The shared-memory address of element (row, k).
constexpr std::uint32_t element_address(const MatrixDescriptor& d, Major major, std::uint32_t row, std::uint32_t k) {
  const std::uint32_t span = static_cast<std::uint32_t>(span_bytes(d.swizzle));
  std::uint32_t address = d.address;
  if (major == Major::k) {
    address += row % 8 * span + row / 8 * d.stride;
    address += d.swizzle == Swizzle::none ? k % 8 * 2 + k / 8 * d.leading : k * 2;
  } else {
    const bool plain = d.swizzle == Swizzle::none;
    const std::uint32_t atom_rows = span / 2;
    address += row % atom_rows * 2 + row / atom_rows * (plain ? d.stride : d.leading);
    address += k % 8 * span + k / 8 * (plain ? d.leading : d.stride);
  }
  return swizzled(address, d.swizzle);
}

/// Reads an operand as float32 for wgmma_m64k16(): element (row, k) goes to operand[k * rows + row]. `read(address)` returns a
/// pointer to the eight 16-bit elements at a shared-memory address, a multiple of 16; it is called once for each such chunk of
/// the operand.
template <DType Type, class Read>
void read_operand(const MatrixDescriptor& descriptor, Major major, int rows, Read&& read, float* operand) {
  const int chunk_rows = major == Major::k ? 1 : 8;
  const int chunk_k = major == Major::k ? 8 : 1;
  const int step = major == Major::k ? rows : 1;
  for (int row = 0; row < rows; row += chunk_rows) {
    for (int k = 0; k < mma_k; k += chunk_k) {
      const std::uint16_t* elements =
          read(element_address(descriptor, major, static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(k)));
      float* target = operand + k * rows + row;
      for (int i = 0; i < 8; ++i)
        target[i * step] = Type == DType::bf16 ? bf16_to_float(elements[i]) : fp16_to_float(elements[i]);
    }
  }
}

}  // namespace moe_tune::emulator

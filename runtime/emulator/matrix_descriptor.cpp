#include "runtime/emulator/matrix_descriptor.hpp"

#include <fmt/format.h>

namespace moe_tune::emulator {

namespace {

// Bits 0-13 address, 16-29 leading, 32-45 stride, each in units of 16 bytes; 49-51 base offset; 62-63 swizzle.
constexpr std::uint64_t must_be_zero = 0x3ff1'c000'c000'c000;

std::uint32_t bytes_at(std::uint64_t bits, int first) { return static_cast<std::uint32_t>(bits >> first & 0x3fff) * 16; }

}  // namespace

MatrixDescriptor decode_matrix_descriptor(std::uint64_t bits) {
  constexpr Swizzle modes[] = {Swizzle::none, Swizzle::bytes128, Swizzle::bytes64, Swizzle::bytes32};
  return {bytes_at(bits, 0), bytes_at(bits, 16), bytes_at(bits, 32), modes[bits >> 62]};
}

std::string descriptor_problem(std::uint64_t bits, Major major) {
  if ((bits & must_be_zero) != 0)
    return fmt::format("bits {:#x} of the matrix descriptor {:#x} must be zero", bits & must_be_zero, bits);
  if (const unsigned base_offset = bits >> 49 & 7; base_offset != 0)
    return fmt::format(
        "matrix descriptor {:#x} has the base offset {}, which is not emulated: align operands to their swizzle pattern", bits,
        base_offset);

  const MatrixDescriptor d = decode_matrix_descriptor(bits);
  if (d.swizzle == Swizzle::none) return "";
  const std::uint32_t span = static_cast<std::uint32_t>(span_bytes(d.swizzle));
  const std::uint32_t in_span = d.address % span;
  // Along k a K-major operand advances within its span; all 16 k of an instruction lie in one.
  constexpr std::uint32_t k_bytes = mma_k * 2;
  if (major == Major::mn ? in_span != 0 : in_span % k_bytes != 0)
    return fmt::format("a {}-major operand begins at shared address {:#x}, in the middle of a span of the {}-byte swizzle",
                       major == Major::mn ? "MN" : "K", d.address, span);
  if ((d.address - in_span) % (8 * span) != 0)
    return fmt::format(
        "an operand begins at shared address {:#x}, which is not in the first {} bytes of a {}-byte pattern of the {}-byte "
        "swizzle",
        d.address, span, 8 * span, span);
  return "";
}

}  // namespace moe_tune::emulator

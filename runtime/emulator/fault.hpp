// What an emulated kernel did wrong.
#pragma once

#include <stdexcept>
#include <string>

namespace moe_tune::emulator {

/// The message names the block, warp and lane, the instruction, and what it touched or waited for. The launch that throws it is
/// over; device memory keeps what had been written.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace moe_tune::emulator

// What an emulated kernel did wrong.
#pragma once

#include <stdexcept>
#include <string>

namespace moe_tune::emulator {

/// The message names the block, warp and lane (of a fault that shows when asynchronous work ends: the mbarrier), the instruction,
/// and what it touched or waited for. The launch that throws it is
/// over; device memory keeps what had been written.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// No thread can go on, or the kernel runs for longer than Launch::most_steps. The message says what every thread waits for.
class KernelHang : public KernelFault {
 public:
  using KernelFault::KernelFault;
};

}  // namespace moe_tune::emulator

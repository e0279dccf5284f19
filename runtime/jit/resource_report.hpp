// What a compiled kernel needs, read from the log of ptxas -v.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moe_tune {

struct ResourceReport {
  int registers = 0;                  ///< per thread
  int spill_store_bytes = 0;          ///< per thread
  int spill_load_bytes = 0;           ///< per thread
  int stack_bytes = 0;                ///< per thread; spills live here, and so do accumulators that did not stay in registers
  int static_smem_bytes = 0;          ///< per block; dynamic shared memory is the launcher's and not in the log
  std::vector<std::string> warnings;  ///< lines that carry a C75xx code: wgmma serialised and the like

  bool operator==(const ResourceReport&) const = default;
};

/// Reads the log of a source with one kernel; with several, each number is the largest. A number that the log does not give is 0.
ResourceReport parse_resource_report(std::string_view log);

}  // namespace moe_tune

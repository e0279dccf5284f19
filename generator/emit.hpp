// From a problem and a config to one self-contained CUDA source.
#pragma once

#include <array>
#include <string>

#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// The name of the entry point of every emitted kernel of an op.
const char* kernel_name(Op op);

/// The name of the second entry point of a kernel that dispatches() is true of.
inline constexpr const char* dispatch_kernel_name = "moe_tune_dispatch";

/// Whether the source has a kernel that copies rows to expert order, to be launched before the other.
bool dispatches(const Problem& problem, const KernelConfig& config);

/// Dynamic shared memory of a block of that kernel: prefix sums of rows and tiles.
int dispatch_shared_bytes(const Problem& problem);

/// Whether rows are copied to expert order, into workspace: by that kernel, or by the other itself.
bool copies_rows(const Problem& problem, const KernelConfig& config);

/// How the rows of one expert's weight lie: the kernel's inner loop has no address arithmetic when the distance is known. For
/// kernels of sm90 the tensor map carries it: they serve both.
enum class WeightLayout {
  contiguous,  ///< K elements apart
  strided,     ///< args.w_row_bytes apart
};

/// CUDA source of the kernel that runs `problem` with `config`: the template files it needs, inlined, and one instantiation.
/// It includes nothing, compiles with NVRTC and nvcc as it is, and is the same bytes for the same arguments. Throws UsageError
/// with the reason when the config cannot serve the problem on any device (generator/constraints.hpp).
std::string emit_kernel(const Problem& problem, const KernelConfig& config, WeightLayout layout = WeightLayout::contiguous);

/// Version of the generator: changes when emission does, so that database entries of another one are known to be stale.
std::string_view generator_version();

/// Hash of the templates that a family's kernels of an operation are made of: the other half of an entry's staleness.
std::string source_hash(Family family, Op op);
std::array<std::string, family_count> source_hashes(Op op);  ///< by family

}  // namespace moe_tune

// The argument of a kernel of token rows (forward, dX) of the sm90 family. One description of its tensor maps, for the GPU and
// for the emulated device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"
#include "runtime/launch/tensor_map.hpp"
#include "templates/abi/rows_sm90.cuh"

namespace moe_tune {

/// Device memory that a launch needs beside its tensors. No two launches that may run at the same time share any of it.
struct LaunchResources {
  void* workspace = nullptr;  ///< 16-byte aligned, as many bytes as the kernel says
  unsigned* queue = nullptr;  ///< a counter that is 0 and is 0 again when the kernel has run; of use with TileSource::queue
};

/// What the maps of abi::RowsSm90Args describe; none where the kernel does without.
struct RowsMaps {
  std::optional<TensorMapDescription> x;
  std::optional<TensorMapDescription> w;
  std::optional<TensorMapDescription> y;
  std::optional<TensorMapDescription> gate;
  std::optional<TensorMapDescription> up;
};

/// Bytes of LaunchResources::workspace that a call with M rows needs: the rows in expert order, where they are copied to it, and
/// then copied_words().
std::size_t workspace_bytes(const Problem& problem, const KernelConfig& config, std::int64_t M);

/// Words of abi::RowsSm90Args::copied, which are set to 0 before a launch; none without Gather::copy_ahead.
std::size_t copied_words(const Problem& problem, const KernelConfig& config, std::int64_t M);

/// At most the bytes of copied_words().
constexpr std::int64_t most_copied_bytes(std::int64_t M) {
  return static_cast<std::int64_t>(sizeof(unsigned)) * (M / abi::copied_piece_rows + 2);
}

/// `config` is of sm90 and args.M above 0.
RowsMaps rows_maps(const Problem& problem, const KernelConfig& config, const abi::GroupedGemmArgs& args,
                   const LaunchResources& resources);

/// encode_tensor_map() for a GPU, emulator::encode_emulated() for the emulated device.
using TensorMapEncoder = abi::TensorMap (*)(const TensorMapDescription&);

/// The argument with its maps encoded. Throws what the encoder throws.
abi::RowsSm90Args rows_sm90_args(const Problem& problem, const KernelConfig& config, const abi::GroupedGemmArgs& args,
                                 const LaunchResources& resources, TensorMapEncoder encode);

}  // namespace moe_tune

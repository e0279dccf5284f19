#include "runtime/ops/c_api_config.hpp"

#include <fmt/format.h>

#include <cstddef>

#include "runtime/ops/c_api_tensor.hpp"

namespace moe_tune {

namespace {

// The size of the struct as first published: what a caller must give at least, also once fields have been added.
constexpr std::size_t first_config_size = 36;
static_assert(offsetof(moe_tune_config_forward, family) == first_config_size);

template <class Enum>
Enum enum_of(const char* config, const char* name, int value, Enum last) {
  if (value < 0 || value > static_cast<int>(last)) {
    throw UsageError(fmt::format("{}->{} = {} is out of range", config, name, value));
  }
  return static_cast<Enum>(value);
}

}  // namespace

KernelConfig kernel_config(const char* name, const moe_tune_config_forward& given) {
  if (given.struct_size < first_config_size) {
    throw UsageError(fmt::format("{}->struct_size is {}, less than {}: set it to sizeof(moe_tune_config_forward)", name,
                                 given.struct_size, first_config_size));
  }
  const auto c = widened(given);
  KernelConfig config;
  config.family = enum_of(name, "family", c.family, Family::sm90);
  config.BLOCK_M = c.BLOCK_M;
  config.BLOCK_N = c.BLOCK_N;
  config.BLOCK_K = c.BLOCK_K;
  config.warps = c.warps;
  config.warps_m = c.warps_m;
  if (c.warps_m == 0) config.warps_m = config.family == Family::sm80 ? default_warps_m(c.BLOCK_M, c.BLOCK_N, c.warps) : 1;
  config.stages = c.stages;
  config.ctas_per_sm = c.ctas_per_sm;
  config.tile_order = c.n_fastest != 0 ? TileOrder::n_fastest : TileOrder::m_fastest;
  config.mma_m = enum_of(name, "weights_m", c.weights_m, MmaM::weights);
  config.schedule = enum_of(name, "ping_pong", c.ping_pong, Schedule::ping_pong);
  config.cluster = c.cluster == 0 ? 1 : c.cluster;
  config.tile_source = enum_of(name, "queue", c.queue, TileSource::queue);
  config.gather = enum_of(name, "gather", c.gather, Gather::copy_ahead);
  return config;
}

}  // namespace moe_tune

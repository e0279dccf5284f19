// How a kernel is built for a problem: a closed struct of integers and enums that can be compared, hashed and printed.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "moe_tune/export.hpp"

namespace moe_tune {

/// The kernel family: which instructions the mainloop is made of.
enum class Family {
  sm80,  ///< mma.sync + ldmatrix + multistage cp.async: every GPU from sm_80 on
  sm90,  ///< wgmma + TMA, warp-specialised: Hopper (compute capability 9.0)
};
inline constexpr std::size_t family_count = 2;

/// The order in which the tiles of one expert are handed to the persistent blocks.
enum class TileOrder {
  m_fastest,  ///< neighbouring blocks share a weight tile
  n_fastest,  ///< neighbouring blocks share token rows
};

/// Which operand is the M side of the MMA: it is tiled by 64, the other by 16.
enum class MmaM {
  tokens,   ///< the rows; sm80 knows no other
  weights,  ///< the output columns: partly filled row tiles cost little
};

/// How the consumer warpgroups of an sm90 block share the work.
enum class Schedule {
  cooperative,  ///< all on one tile, split along the MMA's M side
  ping_pong,    ///< two on different tiles: one multiplies while the other stores
};

/// Where blocks get their tiles from.
enum class TileSource {
  static_order,  ///< dealt out in turn
  queue,         ///< an atomic counter: a block that is done early takes more
};

/// How an sm90 kernel gets rows that it gathers: of X with permute_x, of dX those of dY with permute_y. dW dispatches.
enum class Gather {
  dispatch,    ///< a kernel before it copies them to expert order, into workspace
  in_kernel,   ///< producer warps load them where they lie
  copy_ahead,  ///< a warp of every block copies those of coming tiles to expert order, into workspace
};

/// Configuration of a grouped GEMM's kernel. What the blocks tile:
///            BLOCK_M          BLOCK_N        BLOCK_K (the reduction)
///   forward  rows             columns of Y   columns of X
///   dX       rows             columns of dX  columns of dY
///   dW       rows of dW (N)   columns (K)    rows of an expert
/// The permutations and fusions are the Problem's, so a config can be moved between problems and compared.
struct KernelConfig {
  Family family = Family::sm80;
  int BLOCK_M = 128;
  int BLOCK_N = 128;
  int BLOCK_K = 64;
  int warps = 4;        ///< warps per block; sm90: a producer warpgroup of 4 and one or two consumer warpgroups
  int warps_m = 2;      ///< sm80: how many of them split BLOCK_M; warps / warps_m split BLOCK_N. sm90: 1
  int stages = 3;       ///< shared-memory stages of the pipeline
  int ctas_per_sm = 1;  ///< resident blocks per SM that registers and shared memory are held to; the grid is SMs times this
  TileOrder tile_order = TileOrder::m_fastest;
  // Of sm90; sm80 has the first value of each.
  MmaM mma_m = MmaM::tokens;
  Schedule schedule = Schedule::cooperative;
  int cluster = 1;  ///< blocks that share the token rows of a tile, each with its own columns, by multicast
  TileSource tile_source = TileSource::static_order;
  Gather gather = Gather::dispatch;

  auto operator<=>(const KernelConfig&) const = default;
};

using KernelConfigForward = KernelConfig;
using KernelConfigBackward_dX = KernelConfig;
using KernelConfigBackward_dW = KernelConfig;

/// One field of a config, for everything that reads or prints one: database, override files, CLI. What a field may be depends
/// on the family.
struct ConfigField {
  std::string_view name;                                  ///< the spelling that is written
  std::span<const std::string_view> aliases;              ///< other spellings that are read
  std::array<std::span<const int>, family_count> values;  ///< every value of the config space, by family; enums by their number
  std::span<const std::string_view> spelling;             ///< for an enum: the names of its values, indexed by them; else empty
  std::string_view help;
  bool required;  ///< an override file must give it
  int (*get)(const KernelConfig&);
  void (*set)(KernelConfig&, int);

  /// The values in `family`, ascending: one where the family leaves no choice. None for a number that is no family.
  std::span<const int> allowed(Family family) const {
    const auto index = static_cast<std::size_t>(family);
    return index < values.size() ? values[index] : std::span<const int>();
  }
  bool allows(Family family, int value) const {
    const auto all = allowed(family);
    return std::find(all.begin(), all.end(), value) != all.end();
  }
};

/// Every field of KernelConfig, in the order in which it is printed.
MOE_TUNE_API std::span<const ConfigField> config_fields();

/// The families' names, indexed by Family.
MOE_TUNE_API std::span<const std::string_view> family_names();

/// The config of `family` that has the first value of every field: where to start when fields are set one by one.
MOE_TUNE_API KernelConfig first_config(Family family);

/// The value of a field as text: an enum's name or a decimal number.
MOE_TUNE_API std::string field_text(const ConfigField& field, const KernelConfig& config);

/// The values of a field in a family as text, separated by commas.
MOE_TUNE_API std::string allowed_text(const ConfigField& field, Family family);

/// What is wrong with the first field whose value is not in the family's config space; nothing when all are.
MOE_TUNE_API std::optional<std::string> reject_field_values(const KernelConfig& config);

/// A short unique name, e.g. "sm80_128x128x64_w4m2_s3_c2_mfast" or
/// "sm90_192x128x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_dispatch".
MOE_TUNE_API std::string to_string(const KernelConfig& config);

/// The config whose name to_string prints. Throws UsageError for any other text, and for a value outside the config space.
MOE_TUNE_API KernelConfig parse_config(std::string_view name);

/// The default split of warps along BLOCK_M when an sm80 config does not say: of those that leave each warp whole groups of 16
/// rows and 32 columns, the one with the squarest warp tile; 1 when there is none.
MOE_TUNE_API int default_warps_m(int BLOCK_M, int BLOCK_N, int warps);

struct MOE_TUNE_API ConfigHash {
  std::size_t operator()(const KernelConfig& config) const;
};

}  // namespace moe_tune

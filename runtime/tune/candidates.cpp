#include "runtime/tune/candidates.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "generator/constraints.hpp"
#include "generator/heuristics.hpp"

namespace moe_tune {
namespace {

/// The model's first choices are always tried: they tell how good it is.
constexpr std::size_t always_tried = 5;
/// Configs of one tile shape differ little; without a limit they would be all that the model's best consist of.
constexpr int max_of_one_tile = 4;
/// A space of at most this many times TuneOptions::predicted_best is compiled whole.
constexpr std::size_t whole_space_factor = 4;

/// Of each family's ways to get token rows so many tile shapes are tried, wherever the model ranks them: what moving rows costs
/// beside products is what it knows least about.
constexpr std::size_t shapes_of_each_way = 3;

using TileShape = std::tuple<Family, int, int, int, int, MmaM, Schedule>;

TileShape tile_shape(const KernelConfig& c) { return {c.family, c.BLOCK_M, c.BLOCK_N, c.warps, c.warps_m, c.mma_m, c.schedule}; }

/// Keeps the order in which configs were added, each once, and only those of the space that did not fail before.
class Selection {
 public:
  Selection(const Problem& problem, std::span<const KernelConfig> space, const History& history)
      : problem_(problem), allowed_(space.begin(), space.end()), history_(history) {}

  bool add(const KernelConfig& config) {
    if (!allowed_.contains(config) || history_.failure(problem_, config) != nullptr || !taken_.insert(config).second)
      return false;
    configs_.push_back(config);
    return true;
  }
  std::vector<KernelConfig> take() { return std::move(configs_); }

 private:
  const Problem& problem_;
  std::set<KernelConfig> allowed_;
  const History& history_;
  std::set<KernelConfig> taken_;
  std::vector<KernelConfig> configs_;
};

void add_best(Selection& selection, const std::vector<RankedConfig>& ranking, int count) {
  std::map<TileShape, int> of_shape;
  std::map<std::pair<Family, Gather>, std::set<TileShape>> of_way;
  int added = 0;
  const auto add = [&](const KernelConfig& config) {
    if (added == count || !selection.add(config)) return;
    ++added;
    ++of_shape[tile_shape(config)];
    of_way[{config.family, config.gather}].insert(tile_shape(config));
  };
  for (std::size_t i = 0; i < std::min(always_tried, ranking.size()); ++i) add(ranking[i].config);
  for (const auto& [config, prediction] : ranking) {
    const std::set<TileShape>& shapes = of_way[{config.family, config.gather}];
    if (shapes.size() < shapes_of_each_way && !shapes.contains(tile_shape(config))) add(config);
  }
  for (const auto& [config, prediction] : ranking) {
    if (of_shape[tile_shape(config)] < max_of_one_tile) add(config);
  }
}

void add_random(Selection& selection, std::span<const KernelConfig> space, int count, std::uint64_t seed) {
  std::vector<KernelConfig> shuffled(space.begin(), space.end());
  std::mt19937_64 random(seed);
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  int added = 0;
  for (std::size_t i = 0; i < shuffled.size() && added < count; ++i) added += selection.add(shuffled[i]) ? 1 : 0;
}

}  // namespace

Candidates choose_candidates(const TuneOptions& options, const Problem& problem, int tokens, std::span<const int> m_sizes,
                             std::span<const KernelConfig> space, std::span<const KernelConfig> neighbours,
                             const History& history) {
  Candidates candidates;
  candidates.ranking = rank(problem, space, m_sizes, options.target.device);
  candidates.default_config = default_config(problem, tokens, options.target.device);
  const int best = options.target.live ? options.model_best : options.predicted_best;
  const bool whole = options.strategy == Strategy::exhaustive ||
                     (!options.target.live && space.size() <= whole_space_factor * static_cast<std::size_t>(best));
  const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(tokens);

  Selection selection(problem, space, history);
  selection.add(candidates.default_config);
  for (const KernelConfig& config : neighbours) selection.add(config);
  for (const KernelConfig& config : history.seeds(problem)) selection.add(config);
  if (whole) {
    for (const RankedConfig& ranked : candidates.ranking) selection.add(ranked.config);
  } else if (options.strategy == Strategy::random) {
    add_random(selection, space, best + options.random, seed);
  } else {
    add_best(selection, candidates.ranking, best);
    // Blind ones are worth a measurement, not a prediction: the model has ranked them already.
    if (options.target.live) add_random(selection, space, options.random, seed);
  }
  candidates.configs = selection.take();
  return candidates;
}

int resident_blocks(const KernelConfig& config, const Resources& resources, const DeviceDescription& device) {
  constexpr int register_unit = 256;
  constexpr int max_blocks = 32;
  const int registers_per_warp = (resources.regs * 32 + register_unit - 1) / register_unit * register_unit;
  int blocks = std::min(max_blocks, device.threads_per_sm / threads_per_block(config));
  if (registers_per_warp > 0) blocks = std::min(blocks, device.registers_per_sm / (registers_per_warp * config.warps));
  const auto shared = resources.smem + device.shared_reserved_per_block;
  return static_cast<int>(std::min<std::int64_t>(blocks, device.shared_per_sm / shared));
}

}  // namespace moe_tune

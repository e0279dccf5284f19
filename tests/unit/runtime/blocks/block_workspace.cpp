#include "runtime/blocks/block_workspace.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "moe_tune/error.hpp"

using namespace moe_tune;

namespace {

BlockShape shape_of(int shared_expert_I = 0) {
  BlockShape shape;
  shape.model = {"test", 12, 3, 64, 40, RouterKind::softmax, shared_expert_I};
  shape.experts = {4, 8};
  return shape;
}

/// What is cut from a piece at `base`: where, and how many bytes it needs at least.
std::vector<std::pair<std::uintptr_t, std::size_t>> parts(const BlockWorkspace& w, std::size_t tokens, std::size_t shared_I) {
  const auto at = [](void* address) { return reinterpret_cast<std::uintptr_t>(address); };
  std::vector<std::pair<std::uintptr_t, std::size_t>> all = {{at(w.router_logits), tokens * 12 * 2},
                                                             {at(w.selected_experts), tokens * 3 * 4},
                                                             {at(w.topk_weights), tokens * 3 * 2},
                                                             {at(w.m_sizes), 8 * 4},
                                                             {at(w.gather_indices), tokens * 3 * 4},
                                                             {at(w.slot_rows), tokens * 3 * 4},
                                                             {at(w.token_count), 4},
                                                             {at(w.router), w.needs.router},
                                                             {at(w.activation), tokens * 3 * 40 * 2},
                                                             {at(w.rows), w.rows_bytes}};
  if (shared_I > 0) all.emplace_back(at(w.shared_activation), tokens * shared_I * 2);
  return all;
}

}  // namespace

TEST_CASE("The parts of a block's workspace are aligned, large enough and apart") {
  for (const int shared_I : {0, 48}) {
    for (const std::size_t tokens : {1u, 7u, 1000u}) {
      for (const std::size_t gate_up : {0u, 10'000'000u}) {
        const BlockShape shape = shape_of(shared_I);
        const OperationNeeds needs{1234, gate_up};
        const std::size_t bytes = BlockWorkspace(shape, static_cast<std::int64_t>(tokens), needs, nullptr).bytes;
        constexpr std::uintptr_t base = 0x10000;
        const BlockWorkspace w(shape, static_cast<std::int64_t>(tokens), needs, reinterpret_cast<void*>(base));
        CHECK(w.bytes == bytes);
        CHECK(w.rows_bytes == std::max<std::size_t>(tokens * 3 * 64 * 2, gate_up));
        auto all = parts(w, tokens, static_cast<std::size_t>(shared_I));
        std::sort(all.begin(), all.end());
        for (std::size_t i = 0; i < all.size(); ++i) {
          CHECK(all[i].first % 256 == 0);
          const std::uintptr_t end = i + 1 < all.size() ? all[i + 1].first : base + bytes;
          CHECK(all[i].first + all[i].second <= end);
        }
        CHECK(all.front().first == base);
      }
    }
  }
}

TEST_CASE("A workspace whose size does not fit 64 bits is an error") {
  CHECK_THROWS_AS(BlockWorkspace(shape_of(), INT64_MAX / 4, {}, nullptr), UsageError);
}

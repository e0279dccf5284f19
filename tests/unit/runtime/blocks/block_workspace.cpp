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

/// A part of a piece: where it begins, and how many bytes it needs at least.
using Part = std::pair<std::uintptr_t, std::size_t>;

std::uintptr_t at(void* address) { return reinterpret_cast<std::uintptr_t>(address); }

std::vector<Part> parts_of(const BlockRouting& r, std::size_t tokens) {
  return {{at(r.router_logits), tokens * 12 * 2}, {at(r.selected_experts), tokens * 3 * 4}, {at(r.topk_weights), tokens * 3 * 2},
          {at(r.m_sizes), 8 * 4},                 {at(r.gather_indices), tokens * 3 * 4},   {at(r.slot_rows), tokens * 3 * 4},
          {at(r.token_count), 4}};
}

constexpr std::uintptr_t base = 0x10000;
void* const piece = reinterpret_cast<void*>(base);

/// The first begins at the base, and all are aligned, large enough and apart in the piece.
void check_parts(std::vector<Part> parts, std::size_t bytes) {
  std::sort(parts.begin(), parts.end());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i].first % 256 == 0);
    const std::uintptr_t end = i + 1 < parts.size() ? parts[i + 1].first : base + bytes;
    CHECK(parts[i].first + parts[i].second <= end);
  }
  CHECK(parts.front().first == base);
}

}  // namespace

TEST_CASE("The parts of a forward's workspace are aligned, large enough and apart") {
  for (const int shared_I : {0, 48}) {
    for (const std::size_t tokens : {1u, 7u, 1000u}) {
      for (const std::size_t gate_up : {0u, 10'000'000u}) {
        const BlockShape shape = shape_of(shared_I);
        const OperationNeeds needs{1234, gate_up};
        const auto count = static_cast<std::int64_t>(tokens);
        const ForwardWorkspace w(shape, count, needs, piece);
        CHECK(w.bytes == ForwardWorkspace(shape, count, needs, nullptr).bytes);
        CHECK(w.rows_bytes == std::max<std::size_t>(tokens * 3 * 64 * 2, gate_up));
        std::vector<Part> parts = parts_of(w.routing, tokens);
        parts.insert(parts.end(), {{at(w.router), 1234}, {at(w.activation), tokens * 3 * 40 * 2}, {at(w.rows), w.rows_bytes}});
        if (shared_I > 0) parts.emplace_back(at(w.shared_activation), tokens * 48 * 2);
        check_parts(parts, w.bytes);
      }
    }
  }
}

TEST_CASE("What a forward keeps is the routing and the pre-activations") {
  for (const int shared_I : {0, 48}) {
    const BlockShape shape = shape_of(shared_I);
    const SavedForward saved(shape, 7, piece);
    std::vector<Part> parts = parts_of(saved.routing, 7);
    parts.emplace_back(at(saved.pre_activation), 7 * 3 * 2 * 40 * 2);
    if (shared_I > 0) parts.emplace_back(at(saved.shared_pre_activation), 7 * 2 * 48 * 2);
    check_parts(parts, saved.bytes);
    std::size_t needed = 0;
    for (const auto& [begin, bytes] : parts) needed += (bytes + 255) / 256 * 256;
    CHECK(saved.bytes == needed);
    CHECK(saved.bytes == SavedForward(shape, 7, nullptr).bytes);
  }
}

TEST_CASE("The parts of a backward's workspace are aligned, large enough and apart") {
  // A shared expert that is wider than all routed rows of a token, or not.
  for (const int shared_I : {0, 48, 400}) {
    const BlockShape shape = shape_of(shared_I);
    const BackwardWorkspace w(shape, 7, 1234, piece);
    const std::size_t widest = std::max<std::size_t>(3 * 40, static_cast<std::size_t>(shared_I));
    check_parts({{at(w.d_topk_weights), 7 * 3 * 4},
                 {at(w.router), 1234},
                 {at(w.activation), 7 * widest * 2},
                 {at(w.rows), 7 * 3 * 64 * 2}},
                w.bytes);
    CHECK(w.router_bytes == 1234);
    CHECK(w.bytes == BackwardWorkspace(shape, 7, 1234, nullptr).bytes);
  }
}

TEST_CASE("Memory whose size does not fit 64 bits is an error") {
  CHECK_THROWS_AS(ForwardWorkspace(shape_of(), INT64_MAX / 4, {}, nullptr), UsageError);
  CHECK_THROWS_AS(SavedForward(shape_of(), INT64_MAX / 4, nullptr), UsageError);
  CHECK_THROWS_AS(BackwardWorkspace(shape_of(), INT64_MAX / 4, 0, nullptr), UsageError);
}

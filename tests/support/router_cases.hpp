// Calls of a router with their tensors between guards, on whatever device runs the kernels, against the CPU reference. Selection
// and order are compared exactly, with what the reference makes of the kernels' own logits.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "runtime/launch/router_plan.hpp"
#include "runtime/reference/comparison.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"
#include "runtime/reference/router.hpp"
#include "tests/support/guarded_buffer.hpp"

namespace moe_tune::test {

/// Runs routers.
class RouterDevice : public virtual TestDevice {
 public:
  /// As a GPU with `sm_count` SMs would; has ended when it returns.
  virtual void launch(const RouterProblem& problem, const abi::RouterArgs& args, int sm_count) = 0;
};

/// What the hidden states and the weight are.
enum class RouterData {
  random,
  ties,       ///< small integers: many logits are equal
  zeros,      ///< fp16: products that round to 0 and -0; bf16: zeros
  nan_rows,   ///< every third token has a NaN
  bad_logits  ///< experts with rows of NaN, and of infinities, which make logits of both signs and NaN
};

struct RouterCall {
  RouterProblem problem;
  int tokens = 0;
  int sm_count = 2;  ///< decides between small tiles of logits and large ones
  RouterData data = RouterData::random;
  bool inject = false;
  bool bad_ids = false;  ///< among the injected ones
  std::optional<int> token_count = std::nullopt;
  bool routed_tokens = true;
  std::uint32_t seed = 1;

  std::string describe() const {
    return fmt::format("{} T={} SMs {} data {} inject {} bad {} count {} seed {}", moe_tune::describe(problem), tokens, sm_count,
                       static_cast<int>(data), inject, bad_ids, token_count ? std::to_string(*token_count) : "none", seed);
  }
};

/// Experts for every slot, distinct within a token and in an order of their own. With `bad_ids` some are no expert's.
inline std::vector<std::int32_t> given_selection(const RouterProblem& p, int tokens, std::uint32_t seed, bool bad_ids) {
  std::vector<std::int32_t> ids;
  for (int token = 0; token < tokens; ++token) {
    const auto first = static_cast<int>(random_bits(seed, static_cast<std::uint64_t>(token)) % static_cast<unsigned>(p.E));
    for (int c = 0; c < p.top_k; ++c) ids.push_back((first + (p.top_k - c)) % p.E);
    if (!bad_ids) continue;
    const std::int32_t bad[] = {-1, p.E, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    if (token % 2 == 0) ids[ids.size() - 1 - static_cast<std::size_t>(token / 2 % p.top_k)] = bad[token / 2 % 4];
    if (token % 5 == 4) std::fill(ids.end() - p.top_k, ids.end(), -3);
  }
  return ids;
}

class RouterCase {
 public:
  RouterCase(RouterDevice& device, const RouterCall& call) : device_(device), call_(call) {
    const RouterProblem& p = call.problem;
    args_.tokens = host_.tokens = call.tokens;
    args_.inject = host_.inject = call.inject;
    place(&abi::RouterArgs::hidden_states, buffer("hidden_states", hidden_states(), false));
    place(&abi::RouterArgs::weight, buffer("weight", weight(), false));
    logits_ = &buffer("router_logits", poisoned<std::uint16_t>(size_of(call.tokens, p.E)), true);
    selected_ = &buffer("selected_experts",
                        call.inject ? given_selection(p, call.tokens, call.seed, call.bad_ids) : poisoned<std::int32_t>(M()),
                        !call.inject);
    weights_ = &buffer("topk_weights", poisoned<std::uint16_t>(M()), true);
    m_sizes_ = &buffer("m_sizes", poisoned<std::int32_t>(size_of(1, local_experts(p))), true);
    gather_indices_ = &buffer("gather_indices", poisoned<std::int32_t>(M()), true);
    slot_rows_ = &buffer("slot_rows", poisoned<std::int32_t>(M()), true);
    routed_tokens_ = &buffer("routed_tokens", poisoned<std::int32_t>(1), true);
    workspace_ = &buffer("workspace", poisoned<std::byte>(router_workspace_bytes(p, call.tokens)), true);
    status_ = &buffer("status", std::vector<unsigned>{0}, true);
    place(&abi::RouterArgs::selected_experts, *selected_);
    args_.router_logits = logits_->address();
    args_.topk_weights = weights_->address();
    args_.m_sizes = static_cast<int*>(m_sizes_->address());
    args_.gather_indices = static_cast<int*>(gather_indices_->address());
    args_.slot_rows = static_cast<int*>(slot_rows_->address());
    args_.histograms = static_cast<int*>(workspace_->address());
    args_.status = static_cast<unsigned*>(status_->address());
    if (call.routed_tokens) args_.routed_tokens = static_cast<int*>(routed_tokens_->address());
    if (call.token_count) {
      GuardedBuffer& count = buffer("token_count", std::vector<int>{*call.token_count}, false);
      place(&abi::RouterArgs::token_count, count);
    }
  }

  /// Launches on memory as it was at first; what is wrong with it afterwards, or nothing.
  std::string run() {
    restore();
    device_.launch(call_.problem, args_, call_.sm_count);
    return check();
  }
  void restore() {
    for (GuardedBuffer& buffer : buffers_) buffer.restore();
  }
  /// The same after a launch by someone else.
  std::string check() {
    const std::string complaint = judge();
    return complaint.empty() ? "" : call_.describe() + ": " + complaint;
  }

  /// All that the device has: two runs must give the same.
  std::vector<std::vector<std::byte>> memory() const {
    std::vector<std::vector<std::byte>> all;
    for (const GuardedBuffer& buffer : buffers_) all.push_back(buffer.download());
    return all;
  }
  const abi::RouterArgs& args() const { return args_; }

 private:
  static std::size_t size_of(int rows, int columns) { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns); }
  std::size_t M() const { return size_of(call_.tokens, call_.problem.top_k); }

  template <class T>
  static std::vector<T> poisoned(std::size_t count) {
    std::vector<T> values(count);
    std::memset(values.data(), 0xff, count * sizeof(T));
    return values;
  }
  template <class T>
  GuardedBuffer& buffer(const char* name, const std::vector<T>& content, bool written) {
    return buffers_.emplace_back(device_, name, std::as_bytes(std::span(content)), written);
  }
  template <class Pointer>
  void place(Pointer abi::RouterArgs::*member, GuardedBuffer& buffer) {
    args_.*member = static_cast<Pointer>(buffer.address());
    host_.*member = static_cast<Pointer>(buffer.host());
  }

  /// Elements of rows of H, each by `element(row, column)`.
  template <class Element>
  std::vector<std::uint16_t> rows(int count, const Element& element) const {
    std::vector<std::uint16_t> values;
    for (int row = 0; row < count; ++row) {
      for (int column = 0; column < call_.problem.H; ++column)
        values.push_back(from_float(static_cast<float>(element(row, column)), call_.problem.dtype));
    }
    return values;
  }
  float normal(int salt, int row, int column) const {
    return random_normal(
        call_.seed * 2 + static_cast<std::uint32_t>(salt),
        static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>(call_.problem.H) + static_cast<std::uint64_t>(column));
  }
  int digit(int salt, int row, int column) const { return static_cast<int>(std::lround(normal(salt, row, column))) % 2; }

  std::vector<std::uint16_t> hidden_states() const {
    return rows(call_.tokens, [&](int token, int column) -> double {
      if (call_.data == RouterData::ties) return column < 16 ? digit(0, token, column) : 0;
      if (call_.data == RouterData::zeros) return column == 3 ? 0x1p-14 : 0;
      if (call_.data == RouterData::nan_rows && token % 3 == 1 && column == 5) return std::nan("");
      if (call_.data == RouterData::bad_logits && token % 4 == 3) return std::abs(normal(0, token, column)) + 0.1;
      return normal(0, token, column);
    });
  }
  std::vector<std::uint16_t> weight() const {
    const double scale = 2 / std::sqrt(static_cast<double>(call_.problem.H));
    return rows(call_.problem.E, [&](int expert, int column) -> double {
      if (call_.data == RouterData::ties) return digit(1, expert, column);
      if (call_.data == RouterData::zeros) return expert % 3 == 1 ? -0x1p-14 : expert % 3 == 2 ? 0x1p-14 : 0;
      if (call_.data == RouterData::bad_logits && expert % 7 == 2 && column == 1) {
        return expert % 2 == 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
      }
      if (call_.data == RouterData::bad_logits && expert % 11 == 5 && column == 0 && call_.seed % 2 == 0) return std::nan("");
      return normal(1, expert, column) * scale;
    });
  }
  std::string judge() {
    const std::vector<std::byte> logits = logits_->download();
    const std::vector<std::byte> selected = selected_->download();
    // The reference goes on from the kernels' logits.
    std::vector<std::uint16_t> own(size_of(call_.tokens, call_.problem.E));
    if (!own.empty()) std::memcpy(own.data(), GuardedBuffer::at<std::uint16_t>(logits, 0), own.size() * 2);
    host_.router_logits = own.data();
    const RouterReference reference = reference_route(call_.problem, host_);
    const std::size_t slots = size_of(reference.tokens, call_.problem.top_k);

    const std::string wrong_logits = judge_logits(logits, reference.tokens);
    if (!wrong_logits.empty()) return wrong_logits;
    if (!call_.inject) {
      const std::string wrong = judge_integers("selected_experts", *selected_, reference.selected_experts, slots);
      if (!wrong.empty()) return wrong;
    } else if (!selected_->untouched<std::int32_t>(selected, [](std::size_t) { return false; })) {
      return "selected_experts were written";
    }
    for (const std::string& wrong :
         {judge_weights(reference, slots), judge_integers("m_sizes", *m_sizes_, reference.m_sizes, reference.m_sizes.size()),
          judge_integers("gather_indices", *gather_indices_, reference.gather_indices, reference.gather_indices.size()),
          judge_integers("slot_rows", *slot_rows_, reference.slot_rows, reference.slot_rows.size()),
          judge_integers("routed_tokens", *routed_tokens_, {reference.tokens}, call_.routed_tokens ? 1 : 0)}) {
      if (!wrong.empty()) return wrong;
    }
    if (!workspace_->untouched<std::byte>(workspace_->download(), [](std::size_t) { return true; }))
      return "the workspace's guard";
    const unsigned status = *GuardedBuffer::at<unsigned>(status_->download(), 0);
    return status == reference.status ? "" : fmt::format("status {}, where {} was expected", status, reference.status);
  }

  std::string judge_logits(const std::vector<std::byte>& now, int tokens) const {
    const auto E = static_cast<std::size_t>(call_.problem.E);
    const std::vector<float> reference = reference_router_logits(call_.problem, host_);
    for (std::size_t i = 0; i < static_cast<std::size_t>(tokens) * E; ++i) {
      const double expected = reference[i];
      const double found = to_float(*GuardedBuffer::at<std::uint16_t>(now, i), call_.problem.dtype);
      // The magnitudes of H products of about 1 / sqrt(H) sum to 2 sqrt(H) at most; float32 loses a few units of that, which
      // matters where the sum is close to 0.
      const double order_of_additions = 4 * 0x1p-24 * 2 * std::sqrt(static_cast<double>(call_.problem.H));
      const double bound = row_tolerance(call_.problem.dtype) * std::abs(expected) + order_of_additions +
                           rounding_of_subnormals(call_.problem.dtype);
      const bool same = std::isfinite(expected) ? std::abs(found - expected) <= bound
                        : std::isnan(expected)  ? std::isnan(found)
                                                : found == expected;
      if (!same) return fmt::format("logit {} of token {} is {}, not {}", i % E, i / E, found, expected);
    }
    const bool untouched =
        logits_->untouched<std::uint16_t>(now, [&](std::size_t i) { return i < static_cast<std::size_t>(tokens) * E; });
    return untouched ? "" : "router_logits: something else was written";
  }

  std::string judge_weights(const RouterReference& reference, std::size_t slots) const {
    const std::vector<std::byte> now = weights_->download();
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const double expected = reference.topk_weights[slot];
      const double found = to_float(*GuardedBuffer::at<std::uint16_t>(now, slot), call_.problem.dtype);
      // What is no normal float32 counts as 0.
      const double bound = row_tolerance(call_.problem.dtype) * expected + rounding_of_subnormals(call_.problem.dtype) + 0x1p-125;
      if (std::isnan(expected) ? !std::isnan(found) : !(std::abs(found - expected) <= bound))
        return fmt::format("topk_weights: slot {} has {}, not {}", slot, found, expected);
    }
    const bool untouched = weights_->untouched<std::uint16_t>(now, [&](std::size_t slot) { return slot < slots; });
    return untouched ? "" : "topk_weights: something else was written";
  }

  static std::string judge_integers(const char* name, const GuardedBuffer& buffer, const std::vector<std::int32_t>& expected,
                                    std::size_t defined) {
    const std::vector<std::byte> now = buffer.download();
    for (std::size_t i = 0; i < defined; ++i) {
      const std::int32_t found = *GuardedBuffer::at<std::int32_t>(now, i);
      if (found != expected[i]) return fmt::format("{}: element {} is {}, not {}", name, i, found, expected[i]);
    }
    const bool untouched = buffer.untouched<std::int32_t>(now, [&](std::size_t i) { return i < defined; });
    return untouched ? "" : fmt::format("{}: something else was written", name);
  }

  RouterDevice& device_;
  RouterCall call_;
  abi::RouterArgs args_ = {};
  abi::RouterArgs host_ = {};
  std::deque<GuardedBuffer> buffers_;
  GuardedBuffer* logits_ = nullptr;
  GuardedBuffer* selected_ = nullptr;
  GuardedBuffer* weights_ = nullptr;
  GuardedBuffer* m_sizes_ = nullptr;
  GuardedBuffer* gather_indices_ = nullptr;
  GuardedBuffer* slot_rows_ = nullptr;
  GuardedBuffer* routed_tokens_ = nullptr;
  GuardedBuffer* workspace_ = nullptr;
  GuardedBuffer* status_ = nullptr;
};

/// Problems of every kind: one expert; as many choices as experts; experts that fill no tile, one, and several; local ranges; few
/// columns, and more than are in flight at once.
inline std::vector<RouterProblem> router_problems() {
  using enum RouterKind;
  return {
      {.kind = softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 136, .top_k = 8},
      {.kind = softmax, .dtype = DType::fp16, .E = 60, .H = 72, .top_k = 4},
      {.kind = sigmoid, .dtype = DType::bf16, .E = 16, .H = 264, .top_k = 1},
      {.kind = softmax_norm_topk, .dtype = DType::fp16, .E = 8, .H = 8, .top_k = 8},
      {.kind = softmax, .dtype = DType::bf16, .E = 1, .H = 64, .top_k = 1},
      {.kind = sigmoid, .dtype = DType::fp16, .E = 160, .H = 200, .top_k = 16},
      {.kind = softmax_norm_topk, .dtype = DType::bf16, .E = 512, .H = 64, .top_k = 10},
      {.kind = softmax_norm_topk, .dtype = DType::fp16, .E = 128, .H = 2056, .top_k = 6, .first_expert = 32, .local_experts = 64},
      {.kind = softmax, .dtype = DType::bf16, .E = 45, .H = 40, .top_k = 3, .first_expert = 44},
  };
}

/// Calls check(call) for every problem with numbers of tokens on both sides of each border, and the rest of the call varied.
template <class Check>
void for_each_route(Check check) {
  for (const RouterProblem& problem : router_problems()) {
    std::uint32_t seed = 1;
    for (const int tokens : {0, 1, 3, 17, 64, 65, 128, 129, 300}) {
      // Small tiles, or large ones.
      for (const int sm_count : {1000, 0}) {
        RouterCall call{.problem = problem, .tokens = tokens, .sm_count = sm_count, .seed = seed++};
        call.data = static_cast<RouterData>(seed % 5);
        check(call);
        call.data = static_cast<RouterData>((seed + 2) % 5);
        call.inject = true;
        call.bad_ids = seed % 3 == 0 && tokens > 0;
        call.routed_tokens = seed % 2 == 0;
        check(call);
        call.inject = seed % 4 == 0;
        call.bad_ids = false;
        const int counts[] = {0, tokens / 2, tokens, -1, tokens + 1};
        call.token_count = counts[seed % 5];
        check(call);
      }
    }
  }
}

}  // namespace moe_tune::test

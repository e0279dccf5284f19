// Calls of a router's gradient with their tensors between guards, on whatever device runs the kernels, against the CPU reference.
// Its outputs are compared row by row with what the reference makes of the kernels' own d_logits.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "generator/support/integer.hpp"
#include "runtime/launch/router_gradient_plan.hpp"
#include "runtime/reference/router_gradient.hpp"
#include "runtime/reference/router_scores.hpp"
#include "runtime/reference/unpack_row.hpp"
#include "tests/support/router_cases.hpp"

namespace moe_tune::test {

/// Runs gradients of routers.
class RouterGradientDevice : public virtual TestDevice {
 public:
  /// Has ended when it returns.
  virtual void launch(const RouterProblem& problem, const abi::RouterGradientArgs& args) = 0;
};

/// What the logits are.
enum class GradientData {
  random,
  large,      ///< a few experts have nearly all of the weight
  nan_tokens  ///< every third token has a NaN, in its hidden states as well
};

struct RouterGradientCall {
  RouterProblem problem;
  int tokens = 0;
  GradientData data = GradientData::random;
  bool given = false;  ///< the selection is any one, not that of the largest logits
  bool bad_ids = false;
  bool d_router_logits = false;
  bool d_hidden_states = true;
  bool d_weight = true;
  bool float32 = false;
  bool accumulate = false;
  std::optional<int> token_count = std::nullopt;
  std::uint32_t seed = 1;

  std::string describe() const {
    return fmt::format(
        "gradient of {} T={} data {} given {} bad {} d_router_logits {} hidden {} weight {} float32 {} accumulate {} "
        "count {} seed {}",
        moe_tune::describe(problem), tokens, static_cast<int>(data), given, bad_ids, d_router_logits, d_hidden_states, d_weight,
        float32, accumulate, token_count ? std::to_string(*token_count) : "none", seed);
  }
};

class RouterGradientCase {
 public:
  RouterGradientCase(RouterGradientDevice& device, const RouterGradientCall& call)
      : device_(device), call_(call), T_(size(call.tokens)), E_(size(call.problem.E)), H_(size(call.problem.H)) {
    const RouterProblem& p = call.problem;
    args_.tokens = call.tokens;
    args_.accumulate = call.accumulate;
    args_.d_weight_float32 = call.float32;
    const RouterGradientWorkspace layout(p, call.tokens);
    GuardedBuffer& workspace = buffer("workspace", std::vector(layout.bytes(), GuardedBuffer::poison), true);
    layout.place(args_, workspace.address());
    host_ = args_;
    workspace_ = &workspace;

    const std::vector<std::uint16_t> logits = router_logits();
    place(&abi::RouterGradientArgs::hidden_states, buffer("hidden_states", hidden_states(), false));
    place(&abi::RouterGradientArgs::weight, buffer("weight", normal(2, E_ * H_, 2 / std::sqrt(double(p.H))), false));
    place(&abi::RouterGradientArgs::router_logits, buffer("router_logits", logits, false));
    const std::vector<std::int32_t> selected = selection(logits);
    place(&abi::RouterGradientArgs::selected_experts, buffer("selected_experts", selected, false));
    place(&abi::RouterGradientArgs::d_topk_weights, buffer("d_topk_weights", d_topk_weights(selected), false));
    if (call.d_router_logits)
      place(&abi::RouterGradientArgs::d_router_logits, buffer("d_router_logits", normal(3, T_ * E_, 0.05), false));
    d_hidden_states_ = &buffer("d_hidden_states", std::vector(T_ * H_ * 2, GuardedBuffer::poison), true);
    d_weight_ = &(call.float32 ? buffer("d_weight", d_weight_before<float>(), true)
                               : buffer("d_weight", d_weight_before<std::uint16_t>(), true));
    if (call.d_hidden_states) place(&abi::RouterGradientArgs::d_hidden_states, *d_hidden_states_);
    if (call.d_weight) place(&abi::RouterGradientArgs::d_weight, *d_weight_);
    status_ = &buffer("status", std::vector<unsigned>{0}, true);
    args_.status = static_cast<unsigned*>(status_->address());
    if (call.token_count)
      place(&abi::RouterGradientArgs::token_count, buffer("token_count", std::vector<int>{*call.token_count}, false));
  }

  /// Launches on memory as it was at first; what is wrong with it afterwards, or nothing.
  std::string run() {
    restore();
    device_.launch(call_.problem, args_);
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
  const RouterGradientCall& call() const { return call_; }
  const abi::RouterGradientArgs& args() const { return args_; }
  void* workspace() const { return workspace_->address(); }

 private:
  static std::size_t size(int count) { return static_cast<std::size_t>(count); }

  template <class T>
  GuardedBuffer& buffer(const char* name, const std::vector<T>& content, bool written) {
    return buffers_.emplace_back(device_, name, std::as_bytes(std::span(content)), written);
  }
  template <class Pointer>
  void place(Pointer abi::RouterGradientArgs::*member, GuardedBuffer& buffer) {
    args_.*member = static_cast<Pointer>(buffer.address());
    host_.*member = static_cast<Pointer>(buffer.host());
  }

  float normal(std::uint32_t salt, std::size_t i) const { return random_normal(call_.seed * 8 + salt, i); }
  std::vector<std::uint16_t> normal(std::uint32_t salt, std::size_t count, double scale) const {
    std::vector<std::uint16_t> values(count);
    fill_random(values, call_.problem.dtype, static_cast<float>(scale), call_.seed * 8 + salt);
    return values;
  }
  /// Its first column, where the data say so.
  void spoil_tokens(std::vector<std::uint16_t>& rows, std::size_t columns) const {
    if (call_.data != GradientData::nan_tokens) return;
    for (std::size_t token = 1; token < T_; token += 3) rows[token * columns] = from_float(std::nanf(""), call_.problem.dtype);
  }

  std::vector<std::uint16_t> hidden_states() const {
    std::vector<std::uint16_t> rows = normal(0, T_ * H_, 1);
    spoil_tokens(rows, H_);
    return rows;
  }
  std::vector<std::uint16_t> router_logits() const {
    std::vector<std::uint16_t> rows = normal(1, T_ * E_, call_.data == GradientData::large ? 25 : 1.5);
    spoil_tokens(rows, E_);
    return rows;
  }
  std::vector<std::int32_t> selection(const std::vector<std::uint16_t>& logits) const {
    const RouterProblem& p = call_.problem;
    if (call_.given || call_.bad_ids) return given_selection(p, call_.tokens, call_.seed, call_.bad_ids);
    std::vector<std::int32_t> ids;
    for (int token = 0; token < call_.tokens; ++token) {
      const auto chosen =
          select_experts(p.kind, unpack_row<double>(logits.data(), token, std::int64_t{p.E} * 2, p.E, p.dtype), p.top_k);
      ids.insert(ids.end(), chosen.begin(), chosen.end());
    }
    return ids;
  }
  /// NaN where nobody may look: where the expert is not local.
  std::vector<float> d_topk_weights(const std::vector<std::int32_t>& selected) const {
    const RouterProblem& p = call_.problem;
    std::vector<float> values;
    for (std::size_t slot = 0; slot < selected.size(); ++slot) {
      const std::int64_t local = std::int64_t{selected[slot]} - p.first_expert;
      values.push_back(local >= 0 && local < local_experts(p) ? normal(4, slot) : std::nanf(""));
    }
    return values;
  }
  /// Numbers where they are added to; else poison.
  template <class T>
  std::vector<T> d_weight_before() const {
    std::vector<T> values(E_ * H_);
    std::memset(values.data(), 0xff, values.size() * sizeof(T));
    if (!call_.accumulate) return values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      // Some zeros with a sign, which no sum would keep.
      const float value = i % 7 == 3 ? -0.0f : normal(5, i);
      if constexpr (sizeof(T) == 4) {
        values[i] = value;
      } else {
        values[i] = from_float(value, call_.problem.dtype);
      }
    }
    return values;
  }

  std::string judge() {
    const RouterGradientReference reference = reference_router_gradient(call_.problem, host_);
    const std::vector<std::byte> workspace = workspace_->download();
    if (!workspace_->untouched<std::byte>(workspace, [](std::size_t) { return true; })) return "the workspace's guard";
    const std::size_t tokens = size(reference.tokens);
    std::vector<double> own;
    if (std::string wrong = judge_logits(reference, workspace, own); !wrong.empty()) return wrong;
    if (std::string wrong = judge_hidden_states(tokens, own); !wrong.empty()) return wrong;
    if (std::string wrong = judge_weight(tokens, own); !wrong.empty()) return wrong;
    const unsigned status = *GuardedBuffer::at<unsigned>(status_->download(), 0);
    const unsigned expected = launches_anything() ? reference.status : 0;
    return status == expected ? "" : fmt::format("status {}, where {} was expected", status, expected);
  }

  bool launches_anything() const { return !RouterGradientPlan(call_.problem, args_).launches().empty(); }

  /// `own`: what the kernels made.
  std::string judge_logits(const RouterGradientReference& reference, const std::vector<std::byte>& workspace,
                           std::vector<double>& own) const {
    const DType dtype = call_.problem.dtype;
    const std::size_t columns = size(round_up(call_.problem.E, 8));
    for (std::size_t t = 0; t < size(reference.tokens); ++t) {
      for (std::size_t e = 0; e < columns; ++e) {
        const std::uint16_t bits = *GuardedBuffer::at<std::uint16_t>(workspace, t * columns + e);
        if (e >= E_) {
          if (bits != 0) return fmt::format("d_logits: column {} of token {}, past the experts, is not 0", e, t);
          continue;
        }
        const double found = to_float(bits, dtype);
        own.push_back(found);
        const double expected = reference.d_logits[t * E_ + e];
        // Exponentials of differences of up to about 100 are right to 2^-17; what is no normal float32 counts as 0.
        const double bound = row_tolerance(dtype) * std::abs(expected) + 0x1p-17 * reference.magnitudes[t * E_ + e] +
                             rounding_of_subnormals(dtype) + 0x1p-120;
        if (std::isnan(expected) ? !std::isnan(found) : !(std::abs(found - expected) <= bound))
          return fmt::format("d_logits: expert {} of token {} has {}, not {}", e, t, found, expected);
      }
    }
    for (std::size_t i = size(reference.tokens) * columns; i < T_ * columns; ++i) {
      if (*GuardedBuffer::at<std::uint16_t>(workspace, i) != 0xffff)
        return fmt::format("d_logits: token {}, which is not there, has some", i / columns);
    }
    return "";
  }

  std::string judge_hidden_states(std::size_t tokens, const std::vector<double>& own) const {
    const std::vector<std::byte> now = d_hidden_states_->download();
    const std::size_t written = call_.d_hidden_states ? tokens : 0;
    if (written > 0) {
      const std::vector<float> reference = reference_d_hidden_states(call_.problem, host_, own);
      const std::string wrong = judge_rows("d_hidden_states", now, reference, false);
      if (!wrong.empty()) return wrong;
    }
    const bool untouched = d_hidden_states_->untouched<std::uint16_t>(now, [&](std::size_t i) { return i < written * H_; });
    return untouched ? "" : "d_hidden_states: something else was written";
  }

  std::string judge_weight(std::size_t tokens, const std::vector<double>& own) const {
    const std::vector<std::byte> now = d_weight_->download();
    // Sums of nothing are not added.
    const bool written = call_.d_weight && !(call_.accumulate && tokens == 0);
    if (written) {
      const std::string wrong = judge_rows("d_weight", now, reference_d_weight(call_.problem, host_, own), call_.float32);
      if (!wrong.empty()) return wrong;
    }
    const bool untouched = d_weight_->untouched<std::uint16_t>(now, [&](std::size_t) { return written; });
    return untouched ? "" : "d_weight: something else was written";
  }

  /// Rows of H. Where one is NaN anywhere, by element: NaN where the reference is.
  std::string judge_rows(const char* name, const std::vector<std::byte>& now, const std::vector<float>& reference,
                         bool float32) const {
    for (std::size_t row = 0; row < reference.size() / H_; ++row) {
      const std::vector<double> expected(reference.begin() + static_cast<std::ptrdiff_t>(row * H_),
                                         reference.begin() + static_cast<std::ptrdiff_t>((row + 1) * H_));
      std::vector<double> expected_numbers;
      std::vector<double> found_numbers;
      for (std::size_t i = 0; i < H_; ++i) {
        const double found = float32 ? *GuardedBuffer::at<float>(now, row * H_ + i)
                                     : to_float(*GuardedBuffer::at<std::uint16_t>(now, row * H_ + i), call_.problem.dtype);
        if (std::isnan(found) != std::isnan(expected[i]))
          return fmt::format("{}: column {} of row {} is {}, not {}", name, i, row, found, expected[i]);
        if (std::isnan(found)) continue;
        const double subnormal = float32 ? 0 : rounding_of_subnormals(call_.problem.dtype);
        expected_numbers.push_back(expected[i]);
        found_numbers.push_back(std::abs(found - expected[i]) <= subnormal ? expected[i] : found);
      }
      const double tolerance = float32 ? 0x1p-12 : row_tolerance(call_.problem.dtype);
      const double error = row_error(std::span<const double>(found_numbers), std::span<const double>(expected_numbers));
      if (error > tolerance) return fmt::format("{}: row {} has an error of {}", name, row, error);
    }
    return "";
  }

  RouterGradientDevice& device_;
  RouterGradientCall call_;
  std::size_t T_;
  std::size_t E_;
  std::size_t H_;
  abi::RouterGradientArgs args_ = {};
  abi::RouterGradientArgs host_ = {};
  std::deque<GuardedBuffer> buffers_;
  GuardedBuffer* workspace_ = nullptr;
  GuardedBuffer* d_hidden_states_ = nullptr;
  GuardedBuffer* d_weight_ = nullptr;
  GuardedBuffer* status_ = nullptr;
};

/// Calls check(call) for every problem of router_problems() with numbers of tokens on both sides of each border, and the rest of
/// the call varied.
template <class Check>
void for_each_router_gradient(Check check) {
  std::uint32_t seed = 1;
  for (const RouterProblem& problem : router_problems()) {
    for (const int tokens : {0, 1, 9, 129, 300}) {
      RouterGradientCall call{.problem = problem, .tokens = tokens, .seed = seed++};
      call.data = static_cast<GradientData>(seed % 3);
      call.d_router_logits = seed % 2 == 0;
      call.float32 = seed / 2 % 2 == 0;
      call.accumulate = seed / 4 % 2 == 0;
      check(call);
      call.given = seed % 3 != 0;
      call.bad_ids = seed % 5 == 0;
      const int counts[] = {0, tokens / 2, tokens, -1, tokens + 1};
      call.token_count = counts[seed % 5];
      call.float32 = !call.float32;
      (seed % 2 == 0 ? call.d_hidden_states : call.d_weight) = seed / 2 % 3 == 0;
      check(call);
    }
  }
}

}  // namespace moe_tune::test

// The kernels of one operation: for every token count the one that the lookup chose, loaded when it is used first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "generator/emit.hpp"
#include "tuning_db/lookup.hpp"

namespace moe_tune {

/// What a KernelTable does not do itself. load() and tune() may take long.
template <class Kernel>
struct KernelTableSources {
  /// By the entries as they are now.
  std::function<Ladder()> look_up;
  /// Told that a choice begins to serve `tokens`.
  std::function<void(const Choice&, std::int64_t tokens)> on_first_use;
  std::function<std::unique_ptr<Kernel>(const KernelConfig&, WeightLayout)> load;
  /// Has `tokens` measured if missing() still says so when its turn comes, so that look_up() knows it; that it failed is no
  /// exception. Empty: nothing is ever measured on demand.
  std::function<void(std::int64_t tokens, const std::function<bool()>& missing)> tune;
};

/// Thread-safe. Ladders are replaced when tuning changed what the lookup says. Old ones, and every kernel that was loaded, live
/// as long as the table: threads that are launching need no lock.
template <class Kernel>
class KernelTable {
 public:
  explicit KernelTable(KernelTableSources<Kernel> sources) : sources_(std::move(sources)) {
    install(std::make_unique<const Rungs>(sources_.look_up()));
  }
  KernelTable(const KernelTable&) = delete;
  KernelTable& operator=(const KernelTable&) = delete;

  /// The kernel for `tokens` if it is loaded; null: load() has it. No lock, no allocation.
  const Kernel* find(std::int64_t tokens, WeightLayout layout) const noexcept {
    const Rungs& rungs = current();
    return slot(rungs, rungs.ladder.find(tokens), layout).load(std::memory_order_acquire);
  }

  /// Loads the kernel for `tokens`, after having it measured if it is to be. Where `may_tune` is false (a stream is captured) the
  /// default serves this call only, so that a later one still tunes.
  const Kernel& load(std::int64_t tokens, WeightLayout layout, bool may_tune) {
    const std::lock_guard lock(loading_);
    if (const Kernel* ready = find(tokens, layout)) return *ready;
    const bool wanted = sources_.tune && !is_settled(choice(tokens));
    if (wanted && may_tune) {
      sources_.tune(tokens, [&] {
        update();
        return !is_settled(choice(tokens));
      });
      update();
    }
    const bool serves_from_now_on = may_tune || !wanted;
    const Rungs& rungs = current();
    const int index = rungs.ladder.find(tokens);
    const Choice& chosen = rungs.ladder.choice(index);
    std::unique_ptr<const Kernel>& kernel = kernels_[{chosen.config, layout}];
    if (serves_from_now_on || !kernel) sources_.on_first_use(chosen, tokens);
    if (!kernel) kernel = sources_.load(chosen.config, layout);
    if (serves_from_now_on) slot(rungs, index, layout).store(kernel.get(), std::memory_order_release);
    return *kernel;
  }

  /// What the lookup says now; lives as long as the table.
  const Choice& choice(std::int64_t tokens) const noexcept {
    const Rungs& rungs = current();
    return rungs.ladder.choice(rungs.ladder.find(tokens));
  }

 private:
  using Slot = std::atomic<const Kernel*>;

  /// A ladder, and of each of its rungs the kernel for contiguous weights and that for strided ones.
  struct Rungs {
    explicit Rungs(Ladder of) : ladder(std::move(of)), slots(static_cast<std::size_t>(ladder.size())) {}
    const Ladder ladder;
    mutable std::vector<std::array<Slot, 2>> slots;
  };

  /// Chosen by a person or a measurement: nothing that tuning would change.
  static bool is_settled(const Choice& choice) { return choice.grade < Grade::predicted; }

  const Rungs& current() const noexcept { return *current_.load(std::memory_order_acquire); }

  static Slot& slot(const Rungs& rungs, int index, WeightLayout layout) noexcept {
    return rungs.slots[static_cast<std::size_t>(index)][static_cast<std::size_t>(layout)];
  }

  void install(std::unique_ptr<const Rungs> rungs) {
    rungs_.push_back(std::move(rungs));
    current_.store(rungs_.back().get(), std::memory_order_release);
  }

  /// Where the lookup says what it said before, kernels stay ready.
  void update() {
    Ladder ladder = sources_.look_up();
    const Rungs& before = current();
    if (ladder == before.ladder) return;
    auto now = std::make_unique<const Rungs>(std::move(ladder));
    for (int i = 0; i < now->ladder.size(); ++i) {
      const int old = before.ladder.find(now->ladder.last_tokens(i));
      if (!before.ladder.choice(old).decides_like(now->ladder.choice(i))) continue;
      for (const auto layout : {WeightLayout::contiguous, WeightLayout::strided}) {
        slot(*now, i, layout).store(slot(before, old, layout).load(std::memory_order_relaxed), std::memory_order_relaxed);
      }
    }
    install(std::move(now));
  }

  const KernelTableSources<Kernel> sources_;
  std::mutex loading_;
  std::atomic<const Rungs*> current_{nullptr};
  std::vector<std::unique_ptr<const Rungs>> rungs_;  ///< the current ones last
  std::map<std::pair<KernelConfig, WeightLayout>, std::unique_ptr<const Kernel>> kernels_;
};

}  // namespace moe_tune

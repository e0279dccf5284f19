// Vector clocks: what a thread can know to have happened.
//
// An agent is whatever does things in an order of its own: a thread, the cp.async copies of a thread, its bulk copies, the wgmmas
// of a warpgroup, the phases of an mbarrier. The epochs of an agent count what others can wait for: a barrier that the thread
// arrives at, a committed group, a completed phase. An access is stamped with its agent and epoch; another access is ordered
// after it when its thread knows that epoch of that agent. Knowledge moves through barriers, waits, and release and acquire
// alone, so an access that is ordered only by luck is found in every schedule, not just in the unlucky one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace moe_tune::emulator {

using Agent = std::uint32_t;
using Epoch = std::uint32_t;
using Epochs = std::vector<Epoch>;

/// What is known: for each agent the last epoch. A copy costs nothing; threads that left the same barrier share one table.
class Knowledge {
 public:
  bool includes(Agent agent, Epoch epoch) const { return epoch == 0 || (epochs_ && (*epochs_)[agent] >= epoch); }
  bool same(const Knowledge& other) const { return epochs_ == other.epochs_; }

  void join(const Knowledge& other);

 private:
  friend class Gathering;
  std::shared_ptr<const Epochs> epochs_;
};

/// Agents that are one thread's own: only the thread itself moves their epochs.
inline constexpr int own_agents = 4;
enum class Own {
  generic,      // the thread's own accesses
  copies,       // its cp.async
  bulk_reads,   // what its bulk stores read
  bulk_writes,  // what they write
};

/// A thread's knowledge, with the epochs of its own agents beside the shared table.
class ThreadKnowledge {
 public:
  ThreadKnowledge() = default;
  explicit ThreadKnowledge(Agent first_own) : first_own_(first_own) {}

  bool includes(Agent agent, Epoch epoch) const {
    const Agent own = agent - first_own_;
    // Of the thread's own copies it may also learn from others, who waited at the mbarrier where they arrived.
    return (own < own_agents && own_[own] >= epoch && epoch > born_[own]) || shared_.includes(agent, epoch);
  }
  const Knowledge& shared() const { return shared_; }
  Agent agent(Own own) const { return first_own_ + static_cast<Agent>(own); }
  Epoch own(Own own) const { return own_[static_cast<int>(own)]; }
  void set_own(Own own, Epoch epoch) { own_[static_cast<int>(own)] = epoch; }

  void acquire(const Knowledge& other) { shared_.join(other); }

  /// Of a new thread that takes over these agents: it knows nothing, and its epochs begin after all of these.
  ThreadKnowledge successor() const;

 private:
  friend class Gathering;
  Agent first_own_ = 0;
  std::array<Epoch, own_agents> own_ = {};
  std::array<Epoch, own_agents> born_ = {};  // epochs up to these were another thread's
  Knowledge shared_;
};

/// What arrivals at a barrier bring together.
class Gathering {
 public:
  explicit Gathering(std::size_t agents = 0) : agents_(agents) {}

  void add(const ThreadKnowledge& thread);
  void add(const Knowledge& knowledge);
  void add(Agent agent, Epoch epoch);
  /// All that was added so far; further additions do not change it.
  Knowledge knowledge() const;

 private:
  Epochs& table();

  std::size_t agents_;
  std::shared_ptr<Epochs> table_;
  mutable bool given_away_ = false;
  std::shared_ptr<const Epochs> last_;  // table of the last addition: threads of a block mostly share one
};

}  // namespace moe_tune::emulator

// The threads of a running grid and what they share: plain data that grid_run.hpp works on.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "runtime/emulator/clock.hpp"
#include "runtime/emulator/ptx/machine.cuh"
#include "runtime/emulator/shadow.hpp"

namespace moe_tune::emulator {

/// The shared address of the first byte of dynamic shared memory, as on the hardware after its reserved part.
inline constexpr std::uint32_t shared_window = 1024;

struct Block;
struct Cluster;
struct Thread;
struct Warp;
struct Warpgroup;

/// State spaces that a proxy fence may be limited to.
inline constexpr std::size_t fence_spaces = 2;
static_assert(static_cast<std::size_t>(Space::all) == fence_spaces);

/// What one thread can take over from others: what is ordered before it, and, for each space, what of that proxy fences have made
/// visible to asynchronous accesses.
struct Learned {
  Knowledge seen;
  Knowledge fenced[fence_spaces];

  void join(const Learned& other);
};

/// Where arrivals bring together what waiters take.
struct Meeting {
  explicit Meeting(std::size_t agents = 0) : seen(agents), fenced{Gathering(agents), Gathering(agents)} {}
  Gathering seen;
  Gathering fenced[fence_spaces];

  void add(const Learned& learned);
  Learned learned() const { return {seen.knowledge(), {fenced[0].knowledge(), fenced[1].knowledge()}}; }
};

struct NamedBarrier {
  unsigned expected = 0;  // threads; 0: no phase is open
  unsigned arrived = 0;
  std::uint64_t phase = 0;
  Meeting meeting;
  Learned learned;  // in the last complete phase
  std::vector<Thread*> waiting;
};

struct Mbarrier {
  Block* block = nullptr;
  std::uint32_t address = 0;
  Agent agent = 0;
  unsigned count = 0;      // arrivals of a phase
  unsigned pending = 0;    // arrivals that the phase still waits for
  unsigned copies = 0;     // under way that will tell it of their bytes
  std::int64_t bytes = 0;  // that it still waits for; may be negative for a while
  Epoch phase = 0;         // complete phases, over all barriers that had this agent
  unsigned parity = 0;     // of the phase that is open
  Meeting meeting;
  Learned learned;  // in all complete phases
  std::vector<Thread*> waiting;
};

/// A sequence of groups of asynchronous operations, waited for oldest first.
struct Groups {
  Epoch open = 1;                   // epoch of operations issued now
  std::vector<Epoch> ends;          // the last epoch of every committed group
  std::map<Epoch, int> unfinished;  // operations by epoch
  Epoch needed = 0;                 // somebody waits for all epochs up to this

  bool finished(Epoch epoch) const { return unfinished.empty() || unfinished.begin()->first > epoch; }
  /// The epoch up to which waiting for all but `pending` groups waits; 0: for nothing.
  Epoch target(unsigned pending) const { return ends.size() > pending ? ends[ends.size() - 1 - pending] : 0; }
  void commit() { ends.push_back(open++); }
  void finish_one(Epoch epoch) {
    const auto found = unfinished.find(epoch);
    if (--found->second == 0) unfinished.erase(found);
  }
};

/// Work that the hardware does by itself, at a time of its own.
struct AsyncWork {
  Thread* issuer = nullptr;
  Groups* groups = nullptr;               // that it belongs to; null for work that an mbarrier tells of
  Epoch epoch = 0;                        // in groups
  Groups* read_groups = nullptr;          // the same for what it reads
  std::vector<Mbarrier*> mbarriers = {};  // that it tells, one in each target
  std::uint64_t copy = 0;                 // number of a cp.async among its thread's
  bool after_copies = false;              // only after the issuer's cp.async with numbers up to `copy`
  std::function<void()> read;             // takes its source; empty once done
  std::function<void()> finish;           // delivers
};

enum class WaitsFor { nothing, lanes, barrier, mbarrier, copies, bulk, bulk_reads, warpgroup, registers, cluster };

struct Thread {
  Position position;
  Warp* warp = nullptr;
  Block* block = nullptr;
  unsigned lane = 0;
  bool done = false;
  bool ready = false;
  WaitsFor waits_for = WaitsFor::nothing;
  unsigned wait_detail[2] = {};  // barrier id, or mbarrier address and parity
  boost::context::fiber fiber;
  boost::context::fiber scheduler;

  ThreadKnowledge seen;
  ThreadKnowledge fenced[fence_spaces];
  Learned at_fence;  // the last thread fence: relaxed stores after it release this
  Learned found;     // by relaxed loads: the next fence acquires it

  Groups copies;
  Groups bulk_reads;
  Groups bulk_writes;
  std::uint64_t copies_issued = 0;
  std::uint64_t needed_copy = 0;  // somebody waits for an arrival after this one
  std::set<std::uint64_t> copies_in_flight;
  std::uint64_t cluster_arrivals = 0;
  std::uint64_t cluster_waits = 0;
  Learned handed;  // by the barrier that woke it
  Epoch last_bulk_store = 0;
};

/// What the lanes of a warp bring to an instruction that all of them execute together.
struct Collective {
  const char* name = nullptr;  // null: none is open
  unsigned arrived = 0;        // lanes
  std::uint64_t phase = 0;
  const void* argument[32] = {};
  Meeting meeting;
  Learned learned;  // at the last __syncwarp
};

struct Warp {
  Block* block = nullptr;
  Warpgroup* warpgroup = nullptr;
  unsigned index = 0;  // in its block
  std::vector<Thread*> threads;
  unsigned ready_lanes = 0;
  unsigned polled_lanes = 0;  // that looked at something in vain: the other ready ones go first
  bool queued = false;
  Collective collective;
  unsigned exited = 0;  // lanes
};

struct Warpgroup {
  Agent agent = 0;
  Block* block = nullptr;
  unsigned index = 0;
  unsigned arrived = 0;  // warps at the open instruction
  const char* name = nullptr;
  std::uint64_t phase = 0;
  const WarpgroupMma* argument[128] = {};
  std::vector<Thread*> threads;
  Groups groups;
  std::deque<AsyncWork*> in_order;             // its multiplications, executed in this order
  std::map<const float*, Epoch> accumulators;  // of its first thread: the last product on them that is not waited for
  bool fenced = false;                         // since accumulators could last be touched
  std::vector<Thread*> waiting;
  Epoch known_epoch = 0;  // that the last wait was for
  Knowledge known;        // of whoever has waited for it
};

struct Block {
  unsigned index = 0;
  Cluster* cluster = nullptr;
  unsigned slot = 0;
  std::vector<std::byte> shared;
  Shadow shadow;
  std::map<std::uint32_t, Mbarrier> mbarriers;
  unsigned mbarriers_made = 0;
  NamedBarrier barriers[16];
  std::vector<std::unique_ptr<Thread>> threads;
  std::vector<std::unique_ptr<Warp>> warps;
  std::vector<std::unique_ptr<Warpgroup>> warpgroups;
  unsigned live_threads = 0;
  int free_registers = 0;
  std::vector<unsigned> warp_registers;
  std::vector<Thread*> waiting_for_registers;
};

struct Cluster {
  std::vector<std::unique_ptr<Block>> blocks;
  unsigned live_threads = 0;
  NamedBarrier barrier;
};

}  // namespace moe_tune::emulator

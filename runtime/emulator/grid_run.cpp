#include "runtime/emulator/grid_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "moe_tune/error.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::size_t most_shared_bytes = 232448;
constexpr int registers_per_sm = 65536;

}  // namespace

GridRun::GridRun(GlobalMemory& memory, const Launch& launch, std::function<void()> kernel)
    : memory_(memory), launch_(launch), kernel_(std::move(kernel)), random_(launch.seed) {
  const auto refuse = [](const std::string& why) { throw UsageError("no device takes this launch: " + why); };
  if (launch.threads == 0 || launch.threads > 1024 || launch.threads % 32 != 0) {
    refuse(fmt::format("{} threads per block; a multiple of 32 up to 1024 is needed", launch.threads));
  }
  if (launch.shared_bytes > most_shared_bytes) {
    refuse(fmt::format("{} bytes of shared memory; at most {}", launch.shared_bytes, most_shared_bytes));
  }
  if (launch.cluster == 0 || launch.cluster > 16 || launch.blocks % launch.cluster != 0) {
    refuse(fmt::format("{} blocks in clusters of {}", launch.blocks, launch.cluster));
  }
  const std::uint64_t mode = launch.seed % 4;
  random_order_ = mode >= 2;
  reverse_order_ = mode == 1;
  eager_ = mode == 1;
  preempt_probability_ = mode == 2 ? 0.1 : mode == 3 ? 0.02 : 0;
  work_probability_ = mode == 2 ? 0.2 : 0;

  const unsigned fitting = std::max(launch.most_resident_threads / launch.threads / launch.cluster, 1u) * launch.cluster;
  slots_ = std::min(fitting, launch.blocks);
  warpgroups_per_block_ = (launch.threads + 127) / 128;
  first_warpgroup_agent_ = slots_ * launch.threads * own_agents;
  first_mbarrier_agent_ = first_warpgroup_agent_ + slots_ * warpgroups_per_block_;
  agents_ = first_mbarrier_agent_ + slots_ * most_mbarriers;
  if (agents_ >= 1u << 24) refuse("more threads at a time than the emulator tells apart");
  mbarrier_phases_.resize(slots_ * most_mbarriers);
  warpgroup_epochs_.assign(slots_ * warpgroups_per_block_, 1);
  for (Agent thread = 0; thread < slots_ * launch.threads; ++thread) {
    slot_knowledge_.emplace_back(thread * own_agents).set_own(Own::generic, 1);
  }
  for (unsigned block = 0; block < launch.blocks; block += launch.cluster) waiting_clusters_.push_back(block);
  std::reverse(waiting_clusters_.begin(), waiting_clusters_.end());
  clusters_.resize(slots_ / launch.cluster);
}

GridRun::~GridRun() {
  // Fibers unwind through kernel code: they go before what it stands on.
  for (auto& cluster : clusters_) {
    if (!cluster) continue;
    for (auto& block : cluster->blocks) {
      for (auto& thread : block->threads) thread->fiber = {};
    }
  }
}

void GridRun::run() {
  memory_.start_launch();
  start_clusters();
  while (blocks_running_ > 0) {
    if (work_probability_ > 0 && !work_.empty() && chance(work_probability_)) step(random_below(work_.size()), false);
    if (Thread* thread = next_thread()) {
      if (++steps_ > launch_.most_steps) deadlock(fmt::format("still running after {} steps", launch_.most_steps).c_str());
      resume(*thread);
      if (failure_) std::rethrow_exception(failure_);
      start_clusters();
    } else if (!step_some_work(true) && !step_some_work(false)) {
      deadlock("no thread can go on");
    }
  }
}

void GridRun::start_clusters() {
  for (unsigned slot = 0; slot < clusters_.size() && !waiting_clusters_.empty(); ++slot) {
    if (clusters_[slot]) continue;
    start_cluster(waiting_clusters_.back(), slot);
    waiting_clusters_.pop_back();
  }
}

void GridRun::start_cluster(unsigned first_block, unsigned slot) {
  auto cluster = std::make_unique<Cluster>();
  cluster->barrier.meeting = Meeting(agents_);
  for (unsigned rank = 0; rank < launch_.cluster; ++rank) {
    auto block = std::make_unique<Block>();
    block->index = first_block + rank;
    block->cluster = cluster.get();
    block->slot = slot * launch_.cluster + rank;
    block->shared.assign(launch_.shared_bytes, std::byte{0xff});
    block->shadow = Shadow(launch_.shared_bytes);
    for (NamedBarrier& barrier : block->barriers) barrier.meeting = Meeting(agents_);
    for (unsigned i = 0; i < warpgroups_per_block_; ++i) {
      auto& warpgroup = *block->warpgroups.emplace_back(std::make_unique<Warpgroup>());
      warpgroup.block = block.get();
      warpgroup.index = i;
      const unsigned index = block->slot * warpgroups_per_block_ + i;
      warpgroup.agent = first_warpgroup_agent_ + index;
      warpgroup.groups.open = warpgroup_epochs_[index];
    }
    const unsigned entry_registers = std::min(registers_per_sm / launch_.threads / 8 * 8, 256u);
    for (unsigned i = 0; i < launch_.threads / 32; ++i) {
      auto& warp = *block->warps.emplace_back(std::make_unique<Warp>());
      warp.block = block.get();
      warp.index = i;
      warp.warpgroup = block->warpgroups[i / 4].get();
      warp.collective.meeting = Meeting(agents_);
      block->warp_registers.push_back(entry_registers);
    }
    for (unsigned i = 0; i < launch_.threads; ++i) {
      auto& thread = *block->threads.emplace_back(std::make_unique<Thread>());
      thread.position = {i, block->index, launch_.blocks, rank, launch_.cluster};
      thread.warp = block->warps[i / 32].get();
      thread.block = block.get();
      thread.lane = i % 32;
      thread.seen = slot_knowledge_[block->slot * launch_.threads + i].successor();
      for (ThreadKnowledge& fenced : thread.fenced) {
        fenced = thread.seen;
        fenced.set_own(Own::generic, thread.seen.own(Own::generic) - 1);
      }
      for (auto [groups, own] : {std::pair(&thread.copies, Own::copies),
                                 {&thread.bulk_reads, Own::bulk_reads},
                                 {&thread.bulk_writes, Own::bulk_writes}}) {
        groups->open = thread.seen.own(own) + 1;
      }
      thread.warp->threads.push_back(&thread);
      thread.warp->warpgroup->threads.push_back(&thread);
      thread.fiber = boost::context::fiber(std::allocator_arg, Stacks(), [this, &thread](boost::context::fiber&& scheduler) {
        thread.scheduler = std::move(scheduler);
        try {
          kernel_();
          finish_thread(thread);
        } catch (const boost::context::detail::forced_unwind&) {
          throw;
        } catch (...) {
          failure_ = std::current_exception();
        }
        return std::move(thread.scheduler);
      });
      make_ready(thread);
    }
    block->live_threads = launch_.threads;
    cluster->live_threads += launch_.threads;
    cluster->blocks.push_back(std::move(block));
    ++blocks_running_;
  }
  clusters_[slot] = std::move(cluster);
}

void GridRun::finish_thread(Thread& thread) {
  if (thread.last_bulk_store > thread.seen.own(Own::bulk_reads)) {
    fault("ends while a bulk store that it issued may still read shared memory: wait for its group first");
  }
  if (!thread.warp->warpgroup->accumulators.empty()) {
    fault("ends while a wgmma that its warpgroup issued may still write its registers: wait for its group first");
  }
  thread.done = true;
  thread.warp->exited |= 1u << thread.lane;
  const Collective& open = thread.warp->collective;
  if (open.name != nullptr) {
    fault(fmt::format("ends while other lanes of its warp wait for it in {}", open.name));
  }
  --thread.block->live_threads;
  --thread.block->cluster->live_threads;
  thread.ready = false;
}

void GridRun::finish_cluster(Cluster& cluster) {
  for (auto& block : cluster.blocks) {
    for (bool any = true; any;) {
      any = false;
      for (std::size_t i = work_.size(); i > 0; --i) {
        const AsyncWork& work = *work_[i - 1];
        if (work.issuer->block != block.get() || !can_finish(work)) continue;
        if (!work.mbarriers.empty() && !work.after_copies) {
          fault(*work.issuer, "its block ends while a copy into shared memory that it issued is under way");
        }
        finish(i - 1);
        any = true;
      }
    }
    for (unsigned i = 0; i < block->threads.size(); ++i) {
      Thread& thread = *block->threads[i];
      ThreadKnowledge& kept = slot_knowledge_[block->slot * launch_.threads + i];
      kept = thread.seen;
      kept.set_own(Own::copies, thread.copies.open);
      kept.set_own(Own::bulk_reads, thread.bulk_reads.open);
      kept.set_own(Own::bulk_writes, thread.bulk_writes.open);
    }
    for (const auto& warpgroup : block->warpgroups) {
      warpgroup_epochs_[warpgroup->agent - first_warpgroup_agent_] = warpgroup->groups.open;
    }
    for (const auto& [address, barrier] : block->mbarriers)
      mbarrier_phases_[barrier.agent - first_mbarrier_agent_] = barrier.phase;
  }
}

Thread* GridRun::next_thread() {
  if (queue_.empty()) return nullptr;
  auto chosen = queue_.begin();
  if (random_order_ && chance(0.5)) std::advance(chosen, random_below(static_cast<std::uint32_t>(queue_.size())));
  if (reverse_order_) chosen = std::prev(queue_.end());
  Warp& warp = **chosen;
  if ((warp.ready_lanes & ~warp.polled_lanes) == 0) warp.polled_lanes = 0;
  unsigned lanes = warp.ready_lanes & ~warp.polled_lanes;
  if (random_order_) {
    for (std::uint32_t skip = random_below(static_cast<std::uint32_t>(std::popcount(lanes))); skip > 0; --skip)
      lanes &= lanes - 1;
  }
  const int lane = reverse_order_ ? std::bit_width(lanes) - 1 : std::countr_zero(lanes);
  return warp.threads[static_cast<std::size_t>(lane)];
}

void GridRun::resume(Thread& thread) {
  current_ = &thread;
  calls_in_a_row_ = 0;
  position = &thread.position;
  thread.fiber = std::move(thread.fiber).resume();
  current_ = nullptr;
  Warp& warp = *thread.warp;
  if (!thread.ready) {
    warp.ready_lanes &= ~(1u << thread.lane);
    if (warp.ready_lanes == 0) {
      queue_.remove(&warp);
      warp.queued = false;
    }
  }
  Cluster& cluster = *thread.block->cluster;
  if (thread.done && cluster.live_threads == 0) {
    blocks_running_ -= static_cast<unsigned>(cluster.blocks.size());
    finish_cluster(cluster);
    clusters_[thread.block->slot / launch_.cluster].reset();
  }
}

void GridRun::make_ready(Thread& thread) {
  if (thread.ready || thread.done) return;
  thread.ready = true;
  thread.waits_for = WaitsFor::nothing;
  Warp& warp = *thread.warp;
  warp.ready_lanes |= 1u << thread.lane;
  if (!warp.queued) queue_.push_back(&warp);
  warp.queued = true;
}

void GridRun::wake(std::vector<Thread*>& waiting) {
  for (Thread* thread : waiting) make_ready(*thread);
  waiting.clear();
}

void GridRun::preempt() { current_->scheduler = std::move(current_->scheduler).resume(); }

void GridRun::maybe_preempt() {
  // A thread that neither waits nor ends would otherwise keep the others from running where nothing preempts it.
  constexpr unsigned most_calls = 10'000;
  if (++calls_in_a_row_ > most_calls) {
    steps_ += most_calls;
    step_back();
  } else if (preempt_probability_ > 0 && chance(preempt_probability_)) {
    // Another warp goes on.
    queue_.remove(current_->warp);
    queue_.push_back(current_->warp);
    preempt();
  }
}

void GridRun::step_back() {
  current_->warp->polled_lanes |= 1u << current_->lane;
  queue_.remove(current_->warp);
  if (reverse_order_) {
    queue_.push_front(current_->warp);
  } else {
    queue_.push_back(current_->warp);
  }
  preempt();
}

void GridRun::poll() {
  // What many poll for may be asynchronous work.
  constexpr std::uint64_t vain_polls = 256;  // of each warp
  if (++polls_ > vain_polls * (queue_.size() + 1)) {
    Thread* const polling = std::exchange(current_, nullptr);  // what the work finds is not its fault
    step_some_work(false);
    current_ = polling;
  }
  step_back();
}

void GridRun::park(WaitsFor what, unsigned detail0, unsigned detail1) {
  Thread& thread = *current_;
  thread.ready = false;
  thread.waits_for = what;
  thread.wait_detail[0] = detail0;
  thread.wait_detail[1] = detail1;
  preempt();
}

void GridRun::collect(const char* name, const void* argument, const std::function<void(Warp&)>& act) {
  Thread& thread = *current_;
  Warp& warp = *thread.warp;
  Collective& open = warp.collective;
  if (warp.exited != 0) fault(fmt::format("{} needs all 32 lanes of the warp, and lanes {:#010x} have ended", name, warp.exited));
  if (open.name == nullptr) open.name = name;
  if (open.name != name && std::string_view(open.name) != name) {
    fault(fmt::format("is at {} while other lanes of its warp are at {}: all 32 must come to the same instruction", name,
                      open.name));
  }
  open.argument[thread.lane] = argument;
  if (++open.arrived < 32) {
    const std::uint64_t phase = open.phase;
    while (open.phase == phase) park(WaitsFor::lanes);
    return;
  }
  open.arrived = 0;
  open.name = nullptr;
  ++open.phase;
  act(warp);
  for (Thread* other : warp.threads) make_ready(*other);
}

bool GridRun::chance(double probability) { return static_cast<double>(random_() >> 11) < probability * 0x1p53; }

std::uint32_t GridRun::random_below(std::uint32_t limit) { return static_cast<std::uint32_t>((random_() >> 32) * limit >> 32); }

}  // namespace moe_tune::emulator

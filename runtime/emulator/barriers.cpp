// Barriers of a block, of a warp and of a cluster, and registers that warps hand to each other.
#include <fmt/format.h>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void GridRun::arrive_at(NamedBarrier& barrier, unsigned expected, bool releases) {
  barrier.expected = expected;
  if (releases) {
    release(barrier.meeting);
  } else {
    barrier.meeting.add(current_->at_fence);
  }
  if (++barrier.arrived < expected) return;
  barrier.arrived = 0;
  barrier.expected = 0;
  ++barrier.phase;
  barrier.learned = barrier.meeting.learned();
  // They may run when the next phase is over, too: what they learn is this one's.
  for (Thread* thread : barrier.waiting) thread->handed = barrier.learned;
  wake(barrier.waiting);
}

void GridRun::wait_at(NamedBarrier& barrier, std::uint64_t phase, WaitsFor what, unsigned id) {
  if (barrier.phase != phase) return acquire(barrier.learned);
  barrier.waiting.push_back(current_);
  park(what, id);
  acquire(current_->handed);
}

void GridRun::barrier(unsigned id, unsigned threads, bool wait) {
  maybe_preempt();
  collect(wait ? "barrier.sync.aligned" : "barrier.arrive.aligned", nullptr, [](Warp&) {});
  NamedBarrier& barrier = current_->block->barriers[id];
  const unsigned expected = threads == 0 ? launch_.threads : threads;
  if (expected > launch_.threads) {
    fault(fmt::format("barrier {} of {} threads in a block of {}", id, expected, launch_.threads));
  }
  if (barrier.expected != 0 && barrier.expected != expected) {
    fault(fmt::format("barrier {} of {} threads, while others wait there for {} threads", id, expected, barrier.expected));
  }
  const std::uint64_t phase = barrier.phase;
  arrive_at(barrier, expected, true);
  if (wait) wait_at(barrier, phase, WaitsFor::barrier, id);
}

void GridRun::warp_barrier() {
  Collective& collective = current_->warp->collective;
  release(collective.meeting);
  // The last lane runs on to the next instruction before the others wake: what they learn is of this one.
  collect("__syncwarp", nullptr, [](Warp& warp) { warp.collective.learned = warp.collective.meeting.learned(); });
  acquire(collective.learned);
}

void GridRun::cluster_arrive(bool releases) {
  maybe_preempt();
  collect("barrier.cluster.arrive.aligned", nullptr, [](Warp&) {});
  if (current_->cluster_arrivals > current_->cluster_waits) fault("barrier.cluster.arrive twice without a wait between");
  arrive_at(current_->block->cluster->barrier, launch_.cluster * launch_.threads, releases);
  ++current_->cluster_arrivals;
}

void GridRun::cluster_wait() {
  NamedBarrier& barrier = current_->block->cluster->barrier;
  if (current_->cluster_arrivals == current_->cluster_waits) fault("barrier.cluster.wait without an arrive before it");
  // A thread arrives once in each phase, so that the phase it waits for is numbered like its waits.
  wait_at(barrier, current_->cluster_waits++, WaitsFor::cluster, 0);
}

void GridRun::set_registers(unsigned count, bool increase) {
  const char* name = increase ? "setmaxnreg.inc" : "setmaxnreg.dec";
  if (count % 8 != 0 || count < 24 || count > 256)
    fault(fmt::format("{} to {} registers: multiples of 8 from 24 to 256", name, count));
  Thread& thread = *current_;
  Block& block = *thread.block;
  unsigned& held = block.warp_registers[thread.warp->index];
  collect(name, nullptr, [&](Warp&) {
    if (increase ? count < held : count > held)
      fault(fmt::format("{} to {} registers, and the warp holds {}", name, count, held));
    if (increase) return;
    block.free_registers += static_cast<int>((held - count) * 32);
    held = count;
    wake(block.waiting_for_registers);
  });
  if (!increase) return;
  while (held < count && block.free_registers < static_cast<int>((count - held) * 32)) {
    block.waiting_for_registers.push_back(&thread);
    park(WaitsFor::registers, count);
  }
  if (held == count) return;  // another lane has taken them for the warp
  block.free_registers -= static_cast<int>((count - held) * 32);
  held = count;
}

}  // namespace moe_tune::emulator

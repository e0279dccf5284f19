// mbarriers: phases, arrivals and transaction bytes.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

namespace {

constexpr unsigned most_arrivals = (1u << 20) - 1;
constexpr std::int64_t most_bytes = (1 << 20) - 1;

}  // namespace

Mbarrier& GridRun::mbarrier_at(const SharedPlace& place, const char* name) {
  const std::uint32_t address = shared_window + place.offset;
  const auto found = place.block->mbarriers.find(address);
  if (found == place.block->mbarriers.end()) {
    fault(fmt::format("{}: there is no initialised mbarrier at {}", name, describe_shared(place)));
  }
  // Its initialisation must be ordered before every use, like any store.
  touch_shared(place, 8, false, own_access(Touch::mbarrier, Space::shared));
  return found->second;
}

Mbarrier& GridRun::find_mbarrier(std::uint32_t address, const char* name) {
  return mbarrier_at(shared_place(address, 8, 8, name), name);
}

void GridRun::mbarrier_init(unsigned address, unsigned count) {
  maybe_preempt();
  const SharedPlace place = shared_place(address, 8, 8, "mbarrier.init");
  if (count == 0 || count > most_arrivals) fault(fmt::format("mbarrier.init with a count of {}", count));
  Block& block = *place.block;
  const std::uint32_t local = shared_window + place.offset;
  if (block.mbarriers.contains(local)) fault(fmt::format("mbarrier.init of the live mbarrier at {}", describe_shared(place)));
  touch_shared(place, 8, true, own_access(Touch::mbarrier, Space::shared));
  const auto index = static_cast<Agent>(block.mbarriers_made++);
  if (index >= most_mbarriers) fault(fmt::format("more than {} mbarriers in a block", most_mbarriers));
  Mbarrier& barrier = block.mbarriers[local];
  barrier.block = &block;
  barrier.address = local;
  barrier.agent = first_mbarrier_agent_ + block.slot * most_mbarriers + index;
  barrier.count = barrier.pending = count;
  barrier.phase = mbarrier_phases_[barrier.agent - first_mbarrier_agent_];
  barrier.meeting = Meeting(agents_);
}

void GridRun::mbarrier_invalidate(unsigned address) {
  maybe_preempt();
  const Mbarrier& barrier = find_mbarrier(address, "mbarrier.inval");
  const auto tells_it = [&](const auto& work) {
    return std::find(work->mbarriers.begin(), work->mbarriers.end(), &barrier) != work->mbarriers.end();
  };
  if (!barrier.waiting.empty() || std::any_of(work_.begin(), work_.end(), tells_it)) {
    fault("mbarrier.inval while threads wait there, or copies that will tell it are under way");
  }
  mbarrier_phases_[barrier.agent - first_mbarrier_agent_] = barrier.phase;
  Block& block = *barrier.block;
  const std::uint32_t local = barrier.address;
  block.mbarriers.erase(local);
  touch_shared({&block, local - shared_window}, 8, true, own_access(Touch::mbarrier, Space::shared));
}

void GridRun::arrive(Mbarrier& barrier, unsigned arrivals, std::int64_t expected_bytes, const char* name) {
  barrier.bytes += expected_bytes;
  if (barrier.bytes > most_bytes)
    fault(fmt::format("{}: {} bytes expected by one phase; at most {}", name, barrier.bytes, most_bytes));
  if (arrivals > barrier.pending) {
    fault(fmt::format("{}: phase {} of the mbarrier at {:#x} of block {} has all its {} arrivals already", name, barrier.parity,
                      barrier.address, barrier.block->index, barrier.count));
  }
  barrier.pending -= arrivals;
  complete_phase_if_done(barrier);
}

void GridRun::complete_bytes(Mbarrier& barrier, std::int64_t bytes) {
  --barrier.copies;
  barrier.bytes -= bytes;
  complete_phase_if_done(barrier);
}

void GridRun::complete_phase_if_done(Mbarrier& barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  if (barrier.copies > 0) {
    fault(
        fmt::format("phase {} of the mbarrier at {:#x} of block {} ends, and does not wait for {} copies under way that will "
                    "tell it: announce their bytes",
                    barrier.parity, barrier.address, barrier.block->index, barrier.copies));
  }
  ++barrier.phase;
  barrier.parity ^= 1;
  barrier.pending = barrier.count;
  barrier.meeting.seen.add(barrier.agent, barrier.phase);
  barrier.learned = barrier.meeting.learned();
  wake(barrier.waiting);
}

void GridRun::mbarrier_arrive(unsigned address, unsigned expected_bytes) {
  maybe_preempt();
  const char* name = expected_bytes > 0 ? "mbarrier.arrive.expect_tx" : "mbarrier.arrive";
  Mbarrier& barrier = find_mbarrier(address, name);
  release(barrier.meeting);
  arrive(barrier, 1, expected_bytes, name);
}

void GridRun::mbarrier_expect(unsigned address, unsigned bytes) {
  maybe_preempt();
  arrive(find_mbarrier(address, "mbarrier.expect_tx"), 0, bytes, "mbarrier.expect_tx");
}

bool GridRun::mbarrier_test(unsigned address, unsigned parity) {
  poll();
  const Mbarrier& barrier = find_mbarrier(address, "mbarrier.test_wait");
  if (barrier.parity == parity) return false;
  acquire(barrier.learned);
  return true;
}

void GridRun::mbarrier_wait(unsigned address, unsigned parity) {
  maybe_preempt();
  Mbarrier* barrier = &find_mbarrier(address, "mbarrier.try_wait");
  while (barrier->parity == parity) {
    barrier->waiting.push_back(current_);
    park(WaitsFor::mbarrier, barrier->address, parity);
    barrier = &find_mbarrier(address, "mbarrier.try_wait");  // it may be gone
  }
  acquire(barrier->learned);
}

void GridRun::fence_mbarrier_init() {
  fence_async(Space::shared);
  // What makes a relaxed arrival after it enough. The hardware releases initialisations alone.
  Meeting meeting(agents_);
  release(meeting);
  current_->at_fence = meeting.learned();
}

}  // namespace moe_tune::emulator

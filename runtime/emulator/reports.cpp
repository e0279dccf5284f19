// What a kernel's author reads when something is wrong: who, where, what.
#include <fmt/format.h>

#include <map>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void GridRun::fault(const std::string& what) const {
  if (current_ == nullptr) throw KernelFault(what);
  fault(*current_, what);
}

void GridRun::fault(const Thread& thread, const std::string& what) const {
  throw KernelFault(fmt::format("{} {}", describe(thread), what));
}

std::string GridRun::describe(const Thread& thread) const {
  return fmt::format("block {} warp {} lane {}", thread.block->index, thread.warp->index, thread.lane);
}

std::string GridRun::describe_agent(Agent agent) const {
  if (agent < first_warpgroup_agent_) {
    const unsigned thread = agent / own_agents % launch_.threads;
    const unsigned slot = agent / own_agents / launch_.threads;
    const auto& cluster = clusters_[slot / launch_.cluster];
    const unsigned block = cluster ? cluster->blocks[slot % launch_.cluster]->index : slot;
    return fmt::format("block {} warp {} lane {}", block, thread / 32, thread % 32);
  }
  if (agent < first_mbarrier_agent_) {
    const unsigned index = agent - first_warpgroup_agent_;
    return fmt::format("warpgroup {} of block slot {}", index % warpgroups_per_block_, index / warpgroups_per_block_);
  }
  for (const auto& cluster : clusters_) {
    if (!cluster) continue;
    for (const auto& block : cluster->blocks) {
      for (const auto& [address, barrier] : block->mbarriers) {
        if (barrier.agent == agent)
          return fmt::format("a copy that the mbarrier at {:#x} of block {} tells of", address, block->index);
      }
    }
  }
  return "a copy";
}

std::string GridRun::describe_shared(const SharedPlace& place) const {
  const bool own = current_ != nullptr && current_->block == place.block;
  return fmt::format("shared memory at {:#x}{}", shared_window + place.offset,
                     own ? "" : fmt::format(" of block {}", place.block->index));
}

std::string GridRun::describe_wait(const Thread& thread) const {
  const unsigned detail = thread.wait_detail[0];
  switch (thread.waits_for) {
    case WaitsFor::nothing:
      return "is ready";
    case WaitsFor::lanes:
      return fmt::format("waits in {} for the other lanes of its warp or warpgroup",
                         thread.warp->collective.name != nullptr   ? thread.warp->collective.name
                         : thread.warp->warpgroup->name != nullptr ? thread.warp->warpgroup->name
                                                                   : "a collective instruction");
    case WaitsFor::barrier: {
      const NamedBarrier& barrier = thread.block->barriers[detail];
      return fmt::format("waits at barrier {}: {} of {} threads have arrived", detail, barrier.arrived, barrier.expected);
    }
    case WaitsFor::mbarrier: {
      const auto found = thread.block->mbarriers.find(detail);
      if (found == thread.block->mbarriers.end()) return fmt::format("waits for the mbarrier at {:#x}, which is gone", detail);
      const Mbarrier& barrier = found->second;
      return fmt::format(
          "waits for phase {} of the mbarrier at {:#x}: {} of {} arrivals seen, {} bytes missing; its phase {} is open",
          thread.wait_detail[1], detail, barrier.count - barrier.pending, barrier.count, barrier.bytes, barrier.parity);
    }
    case WaitsFor::copies:
      return fmt::format("waits for its cp.async groups but {}", detail);
    case WaitsFor::bulk:
      return fmt::format("waits for its bulk groups but {}", detail);
    case WaitsFor::bulk_reads:
      return fmt::format("waits for the reads of its bulk groups but {}", detail);
    case WaitsFor::warpgroup:
      return fmt::format("waits for its wgmma groups but {}", detail);
    case WaitsFor::registers:
      return fmt::format("waits for {} registers per thread: {} are free in its block", detail, thread.block->free_registers);
    case WaitsFor::cluster: {
      const NamedBarrier& barrier = thread.block->cluster->barrier;
      return fmt::format("waits at the cluster barrier: {} of {} threads have arrived", barrier.arrived, barrier.expected);
    }
  }
  return "";
}

void GridRun::deadlock(const char* why) const {
  std::string report = why;
  constexpr int most_lines = 40;
  int lines = 0;
  for (const auto& cluster : clusters_) {
    if (!cluster) continue;
    for (const auto& block : cluster->blocks) {
      for (const auto& warp : block->warps) {
        // Lanes that wait for the same thing share a line.
        std::map<std::string, unsigned> waits;
        for (const Thread* thread : warp->threads) {
          if (!thread->done) waits[describe_wait(*thread)] |= 1u << thread->lane;
        }
        for (const auto& [wait, lanes] : waits) {
          if (++lines > most_lines) continue;
          report += fmt::format("\n  block {} warp {}{} {}", block->index, warp->index,
                                lanes == ~0u ? "" : fmt::format(" lanes {:#010x}", lanes), wait);
        }
      }
    }
  }
  if (lines > most_lines) report += fmt::format("\n  and {} more", lines - most_lines);
  throw KernelHang(report);
}

}  // namespace moe_tune::emulator

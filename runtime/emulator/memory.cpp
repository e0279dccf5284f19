// Loads, stores, atomics and fences: bounds, alignment, ownership and order of every access.
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::uint32_t rank_shift = 24;

/// As red.add.f32 makes it: subnormal values and sums count as zero. The reducing bulk copies keep them.
float flushed_sum(float a, float b) {
  const auto flushed = [](float value) { return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value; };
  return flushed(flushed(a) + flushed(b));
}

std::string place_in(const Allocation& allocation, std::uint64_t address, std::size_t bytes) {
  const std::uint64_t offset = address - allocation.address;
  const std::uint64_t end = offset + bytes;
  return fmt::format("{} + {}, {} bytes past its end ({} has {} bytes)", allocation.name, offset, end - allocation.bytes,
                     allocation.name, allocation.bytes);
}

}  // namespace

GridRun::SharedPlace GridRun::data_place(std::uint32_t address, std::size_t bytes, std::size_t alignment,
                                         const char* name) const {
  const SharedPlace place = shared_place(address, bytes, alignment, name);
  const std::uint32_t local = shared_window + place.offset;
  const auto next = place.block->mbarriers.lower_bound(local < 7 ? 0 : local - 7);
  if (next != place.block->mbarriers.end() && next->first < local + bytes) {
    fault(fmt::format("{} of {} bytes at {}, where an mbarrier lives", name, bytes, describe_shared(place)));
  }
  return place;
}

GridRun::SharedPlace GridRun::shared_place(std::uint32_t address, std::size_t bytes, std::size_t alignment,
                                           const char* name) const {
  Block* block = current_->block;
  const std::uint32_t rank = address >> rank_shift;
  const std::uint32_t local = address & ((1u << rank_shift) - 1);
  if (rank > 0) {
    if (rank > block->cluster->blocks.size()) {
      fault(fmt::format("{}: {:#x} is no shared memory address of a cluster of {} blocks", name, address,
                        block->cluster->blocks.size()));
    }
    block = block->cluster->blocks[rank - 1].get();
    if (block->live_threads == 0) fault(fmt::format("{}: block {}, whose shared memory it names, has ended", name, block->index));
  }
  if (local < shared_window || local - shared_window + bytes > block->shared.size()) {
    fault(fmt::format("{} of {} bytes at shared address {:#x}: outside the {} bytes from {:#x} of its block's shared memory",
                      name, bytes, local, block->shared.size(), shared_window));
  }
  if (local % alignment != 0) {
    fault(fmt::format("{} at shared address {:#x}, which is not a multiple of {}", name, local, alignment));
  }
  return {block, local - shared_window};
}

GridRun::GlobalPlace GridRun::global_place(std::uint64_t address, std::size_t bytes, std::size_t alignment, bool write,
                                           const char* name) const {
  Allocation* allocation = memory_.find(address);
  if (allocation == nullptr) fault(fmt::format("{} of {} bytes at {:#x}, which is in no allocation", name, bytes, address));
  const std::size_t offset = address - allocation->address;
  if (offset + bytes > allocation->bytes) {
    fault(fmt::format("{} of {} bytes at {}", name, bytes, place_in(*allocation, address, bytes)));
  }
  if (address % alignment != 0) {
    fault(fmt::format("{} at {} + {}, which is not a multiple of {}", name, allocation->name, offset, alignment));
  }
  if (write && allocation->use == Use::read_only) {
    fault(fmt::format("{} of {} bytes at {} + {}, which is read only", name, bytes, allocation->name, offset));
  }
  return {allocation, offset};
}

Access GridRun::access_by(Touch touch, Agent agent, Epoch epoch, Space space) const {
  return {touch, agent, epoch, &current_->seen, &current_->fenced[static_cast<std::size_t>(space)]};
}

Access GridRun::own_access(Touch touch, Space space) const {
  return access_by(touch, current_->seen.agent(Own::generic), current_->seen.own(Own::generic), space);
}

void GridRun::touch_shared(const SharedPlace& place, std::size_t bytes, bool write, const Access& access) {
  Shadow& shadow = place.block->shadow;
  const auto conflict = write ? shadow.write(place.offset, bytes, access) : shadow.read(place.offset, bytes, access);
  if (!conflict) return;
  const SharedPlace word{place.block, static_cast<std::uint32_t>(conflict->offset)};
  fault(fmt::format("{}: {} {} after a {} by {}{}", to_string(access.touch), write ? "writes" : "reads", describe_shared(word),
                    to_string(conflict->touch), describe_agent(conflict->agent),
                    conflict->only_unfenced ? " with no proxy fence between them" : " with nothing that orders the two"));
}

void GridRun::touch_global(const GlobalPlace& place, std::size_t bytes, bool write, Access access) {
  if (place.allocation->use == Use::read_only) return;
  access.block_begin = current_->block->slot * launch_.threads * own_agents;
  access.block_end = access.block_begin + launch_.threads * own_agents;
  Shadow& shadow = place.allocation->shadow;
  const auto conflict = write ? shadow.write(place.offset, bytes, access) : shadow.read(place.offset, bytes, access);
  if (!conflict) return;
  fault(fmt::format("{}: {} {} + {} after a {} by {}{}", to_string(access.touch), write ? "writes" : "reads",
                    place.allocation->name, conflict->offset, to_string(conflict->touch), describe_agent(conflict->agent),
                    conflict->only_unfenced ? " with no proxy fence between them" : " with nothing that orders the two"));
}

void GridRun::release(Meeting& meeting) {
  meeting.seen.add(current_->seen);
  for (std::size_t space = 0; space < fence_spaces; ++space) meeting.fenced[space].add(current_->fenced[space]);
  current_->seen.set_own(Own::generic, current_->seen.own(Own::generic) + 1);
}

void GridRun::acquire(const Learned& learned) {
  current_->seen.acquire(learned.seen);
  for (std::size_t space = 0; space < fence_spaces; ++space) current_->fenced[space].acquire(learned.fenced[space]);
}

void GridRun::load_global(const void* address, void* value, unsigned bytes, const char* name) {
  maybe_preempt();
  const GlobalPlace place = global_place(reinterpret_cast<std::uint64_t>(address), bytes, bytes, false, name);
  touch_global(place, bytes, false, own_access(Touch::load, Space::global));
  std::memcpy(value, place.data(), bytes);
}

void GridRun::store_global(void* address, const void* value, unsigned bytes, const char* name) {
  maybe_preempt();
  const GlobalPlace place = global_place(reinterpret_cast<std::uint64_t>(address), bytes, bytes, true, name);
  // Neighbouring bytes and halves of a word may belong to different threads: races are looked for in whole words.
  if (bytes >= 4) touch_global(place, bytes, true, own_access(Touch::store, Space::global));
  std::memcpy(place.data(), value, bytes);
}

unsigned GridRun::atomic_global(Atomic operation, void* address, unsigned operand, unsigned compare, Order order) {
  if (operation == Atomic::load) {
    poll();
  } else {
    maybe_preempt();
  }
  const bool writes = operation != Atomic::load;
  const auto word = reinterpret_cast<std::uint64_t>(address);
  const GlobalPlace place = global_place(word, 4, 4, writes, writes ? "an atomic" : "a scoped load");
  touch_global(place, 4, writes, own_access(Touch::atomic, Space::global));

  unsigned old;
  std::memcpy(&old, place.data(), 4);
  unsigned value = old;
  switch (operation) {
    case Atomic::load:
      break;
    case Atomic::store:
    case Atomic::exchange:
      value = operand;
      break;
    case Atomic::add:
      value = old + operand;
      break;
    case Atomic::max:
      value = std::max(old, operand);
      break;
    case Atomic::bit_or:
      value = old | operand;
      break;
    case Atomic::compare_exchange:
      value = old == compare ? operand : old;
      break;
    case Atomic::add_f32:
      value = std::bit_cast<unsigned>(flushed_sum(std::bit_cast<float>(old), std::bit_cast<float>(operand)));
      break;
  }
  std::memcpy(place.data(), &value, 4);

  Meeting& flag = flags_.try_emplace(word, agents_).first->second;
  if (operation != Atomic::store) {
    if (order == Order::acquire || order == Order::acq_rel) {
      acquire(flag.learned());
    } else {
      current_->found.join(flag.learned());
    }
  }
  if (writes) {
    if (operation == Atomic::store) flag = Meeting(agents_);  // it ends the release sequence of what was there
    if (order == Order::release || order == Order::acq_rel) {
      release(flag);
    } else {
      flag.add(current_->at_fence);
    }
  }
  return old;
}

void GridRun::check_aligned(const void* address, unsigned alignment, const char* name) {
  const auto value = reinterpret_cast<std::uint64_t>(address);
  if (value % alignment != 0) fault(fmt::format("{} at {:#x}, which is not a multiple of {}", name, value, alignment));
}

void GridRun::thread_fence() {
  acquire(current_->found);
  Meeting meeting(agents_);
  release(meeting);
  current_->at_fence = meeting.learned();
}

void GridRun::fence_async(Space space) {
  Thread& thread = *current_;
  for (std::size_t i = 0; i < fence_spaces; ++i) {
    if (space == Space::all || static_cast<std::size_t>(space) == i) thread.fenced[i] = thread.seen;
  }
  thread.seen.set_own(Own::generic, thread.seen.own(Own::generic) + 1);
}

unsigned GridRun::shared_base() { return shared_window; }

void GridRun::load_shared(unsigned address, void* value, unsigned bytes) {
  maybe_preempt();
  const SharedPlace place = data_place(address, bytes, bytes, "ld.shared");
  touch_shared(place, bytes, false, own_access(Touch::load, Space::shared));
  std::memcpy(value, place.data(), bytes);
}

void GridRun::store_shared(unsigned address, const void* value, unsigned bytes) {
  maybe_preempt();
  const SharedPlace place = data_place(address, bytes, bytes, "st.shared");
  touch_shared(place, bytes, true, own_access(Touch::store, Space::shared));
  std::memcpy(place.data(), value, bytes);
}

unsigned GridRun::map_to_rank(unsigned address, unsigned rank) {
  if (rank >= launch_.cluster) fault(fmt::format("mapa to rank {} in a cluster of {} blocks", rank, launch_.cluster));
  return (address & ((1u << rank_shift) - 1)) | (rank + 1) << rank_shift;
}

}  // namespace moe_tune::emulator

#include "runtime/emulator/shadow.hpp"

#include <algorithm>
#include <array>

namespace moe_tune::emulator {

namespace {

constexpr std::array<const char*, 16> names = {"nothing",
                                               "load",
                                               "store",
                                               "atomic",
                                               "ldmatrix",
                                               "stmatrix",
                                               "cp.async",
                                               "cp.async.bulk load",
                                               "cp.async.bulk store",
                                               "tensor load",
                                               "tensor store",
                                               "reducing cp.async.bulk",
                                               "reducing tensor store",
                                               "wgmma",
                                               "st.async",
                                               "mbarrier operation"};

/// Whether an access sees an earlier write only through a proxy fence.
bool needs_fence(const Access& access, Touch write, Agent writer) {
  return is_async(access.touch) && (!is_async(write) || writer < access.block_begin || writer >= access.block_end);
}

}  // namespace

const char* to_string(Touch touch) { return names[static_cast<std::size_t>(touch)]; }

bool is_atomic(Touch touch) { return touch == Touch::atomic || touch == Touch::bulk_reduce || touch == Touch::tensor_reduce; }

bool is_async(Touch touch) {
  switch (touch) {
    case Touch::bulk_load:
    case Touch::bulk_store:
    case Touch::tensor_load:
    case Touch::tensor_store:
    case Touch::bulk_reduce:
    case Touch::tensor_reduce:
    case Touch::warpgroup_mma:
      return true;
    default:
      return false;
  }
}

std::optional<Conflict> Shadow::conflict_with_write(std::size_t cell, const Access& access) const {
  const Mark& write = cells_[cell].write;
  if (write.epoch == 0 || (is_atomic(write.touch) && is_atomic(access.touch))) return std::nullopt;
  const bool ordered = access.seen->includes(write.agent, write.epoch);
  const bool fenced = !needs_fence(access, write.touch, write.agent) || access.fenced->includes(write.agent, write.epoch);
  if (ordered && fenced) return std::nullopt;
  return Conflict{cell * 4, write.touch, write.agent, ordered};
}

std::optional<Conflict> Shadow::read(std::size_t offset, std::size_t bytes, const Access& access) {
  std::optional<Conflict> conflict;
  for (std::size_t i = offset / 4; i < (offset + bytes + 3) / 4; ++i) {
    Cell& cell = cells_[i];
    if (!conflict) conflict = conflict_with_write(i, access);
    // A read that this one is ordered after adds nothing: whoever is ordered after this one is ordered after both. Where four
    // unordered readers are not enough, one is forgotten, another one in every word.
    Mark* free = nullptr;
    for (Mark& mark : cell.reads) {
      if (mark.epoch == 0 || mark.agent == access.agent || access.seen->includes(mark.agent, mark.epoch)) {
        free = &mark;
        break;
      }
    }
    if (free == nullptr) free = &cell.reads[replaced_++ % most_readers];
    *free = {access.epoch, access.agent, access.touch};
  }
  return conflict;
}

std::optional<Conflict> Shadow::write(std::size_t offset, std::size_t bytes, const Access& access) {
  std::optional<Conflict> conflict;
  for (std::size_t i = offset / 4; i < (offset + bytes + 3) / 4; ++i) {
    Cell& cell = cells_[i];
    if (!conflict) conflict = conflict_with_write(i, access);
    for (const Mark& read : cell.reads) {
      if (conflict || read.epoch == 0) break;
      const bool both_atomic = is_atomic(read.touch) && is_atomic(access.touch);
      if (!both_atomic && !access.seen->includes(read.agent, read.epoch)) {
        conflict = Conflict{i * 4, read.touch, read.agent, false};
      }
    }
    cell = Cell{};
    cell.write = {access.epoch, access.agent, access.touch};
  }
  return conflict;
}

void Shadow::clear(std::size_t offset, std::size_t bytes) {
  std::fill(cells_.begin() + static_cast<std::ptrdiff_t>(offset / 4),
            cells_.begin() + static_cast<std::ptrdiff_t>((offset + bytes + 3) / 4), Cell{});
}

}  // namespace moe_tune::emulator

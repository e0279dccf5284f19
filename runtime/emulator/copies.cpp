// cp.async and the bulk copies without a tensor map.
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void GridRun::copy_async(unsigned shared_address, unsigned long long global_address, bool valid) {
  maybe_preempt();
  Thread& thread = *current_;
  const SharedPlace target = data_place(shared_address, 16, 16, "cp.async to shared memory");
  const Epoch epoch = thread.copies.open;
  touch_shared(target, 16, true, access_by(Touch::copy_async, thread.seen.agent(Own::copies), epoch, Space::shared));
  auto data = std::make_shared<std::array<std::byte, 16>>();
  auto work = std::make_unique<AsyncWork>();
  if (valid) {
    const GlobalPlace source = global_place(global_address, 16, 16, false, "cp.async from global memory");
    touch_global(source, 16, false, access_by(Touch::copy_async, thread.seen.agent(Own::copies), epoch, Space::global));
    work->read = [source, data] { std::memcpy(data->data(), source.data(), 16); };
  }
  work->issuer = &thread;
  work->groups = &thread.copies;
  work->epoch = epoch;
  work->copy = ++thread.copies_issued;
  work->finish = [target, data] { std::memcpy(target.data(), data->data(), 16); };
  thread.copies_in_flight.insert(work->copy);
  start(std::move(work));
}

void GridRun::copy_async_commit() { current_->copies.commit(); }

void GridRun::copy_async_wait(unsigned pending) {
  maybe_preempt();
  Thread& thread = *current_;
  const Epoch target = thread.copies.target(pending);
  wait_for(thread.copies, target, WaitsFor::copies, pending);
  if (target > thread.seen.own(Own::copies)) thread.seen.set_own(Own::copies, target);
}

void GridRun::copy_async_arrive(unsigned mbarrier) {
  maybe_preempt();
  Thread& thread = *current_;
  Mbarrier& barrier = find_mbarrier(mbarrier, "cp.async.mbarrier.arrive");
  auto work = std::make_unique<AsyncWork>();
  work->issuer = &thread;
  work->mbarriers = {&barrier};
  work->copy = thread.copies_issued;
  work->after_copies = true;
  // It tells of the thread's copies so far, not of what the thread does besides.
  const Agent agent = thread.seen.agent(Own::copies);
  const Epoch epoch = thread.copies.open++;
  work->finish = [this, &barrier, agent, epoch] {
    barrier.meeting.seen.add(agent, epoch);
    arrive(barrier, 1, 0, "cp.async.mbarrier.arrive");
  };
  start(std::move(work));
}

std::vector<Block*> GridRun::multicast_targets(bool multicast, std::uint16_t cta_mask) const {
  if (!multicast) return {current_->block};
  std::vector<Block*> blocks;
  const auto& cluster = current_->block->cluster->blocks;
  for (unsigned rank = 0; rank < 16; ++rank) {
    if ((cta_mask >> rank & 1) == 0) continue;
    if (rank >= cluster.size()) fault(fmt::format("a multicast to rank {} in a cluster of {} blocks", rank, cluster.size()));
    if (cluster[rank]->live_threads == 0) fault(fmt::format("a multicast to block {}, which has ended", cluster[rank]->index));
    blocks.push_back(cluster[rank].get());
  }
  if (blocks.empty()) fault("a multicast to no block");
  return blocks;
}

void GridRun::load_to_shared(std::uint32_t mbarrier, bool multicast, std::uint16_t cta_mask, Touch touch, Load load) {
  const std::vector<Block*> blocks = multicast_targets(multicast, cta_mask);
  Thread& thread = *current_;
  struct Target {
    Block* block;
    Mbarrier* barrier;
  };
  std::vector<Target> targets;
  const SharedPlace own_barrier = shared_place(mbarrier, 8, 8, to_string(touch));
  for (Block* block : blocks) {
    // The barrier that is told lies at the same offset in every target.
    const SharedPlace place{blocks.size() == 1 && !multicast ? own_barrier.block : block, own_barrier.offset};
    Mbarrier& barrier = mbarrier_at(place, to_string(touch));
    const Access access = access_by(touch, barrier.agent, barrier.phase + 1, Space::shared);
    touch_shared(place, 8, false, access);
    for (const std::uint32_t offset : load.offsets) touch_shared({block, offset}, load.piece_bytes, true, access);
    if (targets.empty()) load.touch_source(access_by(touch, barrier.agent, barrier.phase + 1, Space::global));
    targets.push_back({block, &barrier});
    ++barrier.copies;
  }
  const std::size_t bytes = load.offsets.size() * load.piece_bytes;
  auto data = std::make_shared<std::vector<std::byte>>(bytes);
  auto work = std::make_unique<AsyncWork>();
  work->issuer = &thread;
  for (const Target& target : targets) work->mbarriers.push_back(target.barrier);
  work->read = [read = std::move(load.read), data] { read(data->data()); };
  work->finish = [this, targets, data, offsets = std::move(load.offsets), piece = load.piece_bytes, bytes] {
    for (const Target& target : targets) {
      for (std::size_t i = 0; i < offsets.size(); ++i) {
        std::memcpy(target.block->shared.data() + offsets[i], data->data() + i * piece, piece);
      }
      complete_bytes(*target.barrier, static_cast<std::int64_t>(bytes));
    }
  };
  start(std::move(work));
}

void GridRun::bulk_load(unsigned shared_address, const void* source, unsigned bytes, unsigned mbarrier, bool multicast,
                        unsigned short cta_mask) {
  maybe_preempt();
  constexpr const char* name = "cp.async.bulk to shared memory";
  if (bytes == 0 || bytes % 16 != 0) fault(fmt::format("{} of {} bytes: a multiple of 16 is needed", name, bytes));
  const SharedPlace target = data_place(shared_address, bytes, 16, name);
  const GlobalPlace from = global_place(reinterpret_cast<std::uint64_t>(source), bytes, 16, false, name);
  load_to_shared(mbarrier, multicast, cta_mask, Touch::bulk_load,
                 {{target.offset},
                  bytes,
                  [&](const Access& access) { touch_global(from, bytes, false, access); },
                  [from, bytes](std::byte* data) { std::memcpy(data, from.data(), bytes); }});
}

void GridRun::start_bulk_store(std::function<void()> read, std::function<void()> finish) {
  Thread& thread = *current_;
  auto work = std::make_unique<AsyncWork>();
  work->issuer = &thread;
  work->groups = &thread.bulk_writes;
  work->read_groups = &thread.bulk_reads;
  work->epoch = thread.last_bulk_store = thread.bulk_writes.open;
  work->read = std::move(read);
  work->finish = std::move(finish);
  start(std::move(work));
}

Access GridRun::bulk_access(Touch touch, Own own) const {
  const Thread& thread = *current_;
  return access_by(touch, thread.seen.agent(own), thread.bulk_writes.open,
                   own == Own::bulk_reads ? Space::shared : Space::global);
}

void GridRun::bulk_store(void* target, unsigned shared_address, unsigned bytes, bool add_f32) {
  maybe_preempt();
  constexpr const char* name = "cp.async.bulk to global memory";
  if (bytes == 0 || bytes % 16 != 0) fault(fmt::format("{} of {} bytes: a multiple of 16 is needed", name, bytes));
  const SharedPlace source = data_place(shared_address, bytes, 16, name);
  const GlobalPlace to = global_place(reinterpret_cast<std::uint64_t>(target), bytes, 16, true, name);
  touch_shared(source, bytes, false, bulk_access(Touch::bulk_store, Own::bulk_reads));
  touch_global(to, bytes, true, bulk_access(add_f32 ? Touch::bulk_reduce : Touch::bulk_store, Own::bulk_writes));
  auto data = std::make_shared<std::vector<std::byte>>(bytes);
  start_bulk_store([source, data] { std::memcpy(data->data(), source.data(), data->size()); },
                   [to, data, add_f32] {
                     if (!add_f32) {
                       std::memcpy(to.data(), data->data(), data->size());
                       return;
                     }
                     for (std::size_t i = 0; i < data->size(); i += sizeof(float)) {
                       float sum, value;
                       std::memcpy(&sum, to.data() + i, sizeof(float));
                       std::memcpy(&value, data->data() + i, sizeof(float));
                       sum += value;
                       std::memcpy(to.data() + i, &sum, sizeof(float));
                     }
                   });
}

void GridRun::bulk_copy_to_cluster(unsigned target, unsigned source, unsigned bytes, unsigned mbarrier) {
  maybe_preempt();
  constexpr const char* name = "cp.async.bulk to another block of the cluster";
  if (bytes == 0 || bytes % 16 != 0) fault(fmt::format("{} of {} bytes: a multiple of 16 is needed", name, bytes));
  const SharedPlace from = data_place(source, bytes, 16, name);
  const SharedPlace to = data_place(target, bytes, 16, name);
  Mbarrier& barrier = find_mbarrier(mbarrier, name);
  if (barrier.block != to.block) fault(fmt::format("{}: the mbarrier is not in the block that the data goes to", name));
  const Access access = access_by(Touch::bulk_load, barrier.agent, barrier.phase + 1, Space::shared);
  touch_shared(from, bytes, false, access);
  touch_shared(to, bytes, true, access);
  auto data = std::make_shared<std::vector<std::byte>>(bytes);
  auto work = std::make_unique<AsyncWork>();
  work->issuer = current_;
  work->mbarriers = {&barrier};
  ++barrier.copies;
  work->read = [from, data] { std::memcpy(data->data(), from.data(), data->size()); };
  work->finish = [this, to, data, &barrier] {
    std::memcpy(to.data(), data->data(), data->size());
    complete_bytes(barrier, static_cast<std::int64_t>(data->size()));
  };
  start(std::move(work));
}

void GridRun::store_async(unsigned address, const unsigned* words, unsigned count, unsigned mbarrier) {
  maybe_preempt();
  constexpr const char* name = "st.async";
  const std::size_t bytes = count * sizeof(unsigned);
  const SharedPlace to = data_place(address, bytes, bytes, name);
  Mbarrier& barrier = find_mbarrier(mbarrier, name);
  if (barrier.block != to.block) fault(fmt::format("{}: the mbarrier is not in the block that the data goes to", name));
  touch_shared(to, bytes, true, access_by(Touch::store_async, barrier.agent, barrier.phase + 1, Space::shared));
  auto work = std::make_unique<AsyncWork>();
  work->issuer = current_;
  work->mbarriers = {&barrier};
  ++barrier.copies;
  work->finish = [this, to, &barrier, data = std::vector<unsigned>(words, words + count)] {
    std::memcpy(to.data(), data.data(), data.size() * sizeof(unsigned));
    complete_bytes(barrier, static_cast<std::int64_t>(data.size() * sizeof(unsigned)));
  };
  start(std::move(work));
}

void GridRun::bulk_commit() {
  current_->bulk_reads.commit();
  current_->bulk_writes.commit();
}

void GridRun::bulk_wait(unsigned pending, bool read_only) {
  maybe_preempt();
  Thread& thread = *current_;
  Groups& groups = read_only ? thread.bulk_reads : thread.bulk_writes;
  const Epoch target = groups.target(pending);
  wait_for(groups, target, read_only ? WaitsFor::bulk_reads : WaitsFor::bulk, pending);
  // What is written has been read.
  if (target > thread.seen.own(Own::bulk_reads)) thread.seen.set_own(Own::bulk_reads, target);
  if (!read_only && target > thread.seen.own(Own::bulk_writes)) thread.seen.set_own(Own::bulk_writes, target);
}

}  // namespace moe_tune::emulator

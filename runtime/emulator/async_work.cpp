// Asynchronous work: when it takes its source, when it delivers, and who is told.
#include <algorithm>
#include <random>
#include <utility>

#include "runtime/emulator/grid_run.hpp"

namespace moe_tune::emulator {

void GridRun::start(std::unique_ptr<AsyncWork> work) {
  if (work->groups != nullptr) ++work->groups->unfinished[work->epoch];
  if (work->read_groups != nullptr) ++work->read_groups->unfinished[work->epoch];
  work_.push_back(std::move(work));
  if (eager_) step(work_.size() - 1, true);
}

bool GridRun::can_finish(const AsyncWork& work) const {
  if (work.after_copies) {
    const auto& in_flight = work.issuer->copies_in_flight;
    return in_flight.empty() || *in_flight.begin() > work.copy;
  }
  const auto& in_order = work.issuer->warp->warpgroup->in_order;
  return work.groups != &work.issuer->warp->warpgroup->groups || in_order.front() == &work;
}

bool GridRun::is_needed(const AsyncWork& work) const {
  const auto awaited = [](const Mbarrier* barrier) { return !barrier->waiting.empty(); };
  if (std::any_of(work.mbarriers.begin(), work.mbarriers.end(), awaited)) return true;
  if (work.groups != nullptr && work.groups->needed >= work.epoch) return true;
  if (work.read_groups != nullptr && work.read && work.read_groups->needed >= work.epoch) return true;
  // A copy that an arrival waits for is needed when the arrival is.
  return work.copy != 0 && work.issuer->needed_copy >= work.copy;
}

void GridRun::step(std::size_t index, bool whole) {
  if (!can_finish(*work_[index])) return;
  const bool reads = static_cast<bool>(work_[index]->read);
  if (reads) take_source(*work_[index]);
  if (whole || !reads) finish(index);
}

void GridRun::take_source(AsyncWork& work) {
  std::exchange(work.read, nullptr)();
  if (work.read_groups == nullptr) return;
  work.read_groups->finish_one(work.epoch);
  if (work.issuer->waits_for == WaitsFor::bulk_reads) make_ready(*work.issuer);
}

void GridRun::finish(std::size_t index) {
  if (work_[index]->read) take_source(*work_[index]);
  const std::unique_ptr<AsyncWork> work = std::move(work_[index]);
  work_[index] = std::move(work_.back());
  work_.pop_back();
  work->finish();
  if (work->copy != 0 && !work->after_copies) work->issuer->copies_in_flight.erase(work->copy);
  if (work->groups == nullptr) return;
  work->groups->finish_one(work->epoch);
  Warpgroup& warpgroup = *work->issuer->warp->warpgroup;
  if (work->groups == &warpgroup.groups) {
    warpgroup.in_order.pop_front();
    wake(warpgroup.waiting);
  } else if (work->issuer->waits_for == WaitsFor::copies || work->issuer->waits_for == WaitsFor::bulk) {
    make_ready(*work->issuer);
  }
}

bool GridRun::step_some_work(bool only_needed) {
  polls_ = 0;
  for (const auto& work : work_) {
    if (work->after_copies && !work->mbarriers.front()->waiting.empty()) {
      work->issuer->needed_copy = std::max(work->issuer->needed_copy, work->copy);
    }
  }
  if (random_order_) std::shuffle(work_.begin(), work_.end(), random_);
  // From the last to the first: what takes the place of a finished piece has had its turn.
  bool any = false;
  for (std::size_t i = work_.size(); i > 0; --i) {
    const AsyncWork& work = *work_[i - 1];
    if (!can_finish(work) || (only_needed && !is_needed(work))) continue;
    any = true;
    const bool only_source_needed = only_needed && work.read_groups != nullptr && work.groups->needed < work.epoch;
    step(i - 1, !random_order_ && !only_source_needed);
  }
  return any;
}

void GridRun::wait_for(Groups& groups, Epoch epoch, WaitsFor what, unsigned pending) {
  groups.needed = std::max(groups.needed, epoch);
  while (!groups.finished(epoch)) park(what, pending);
}

}  // namespace moe_tune::emulator

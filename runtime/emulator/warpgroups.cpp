// wgmma: instructions that the four warps of a warpgroup issue together and that execute by themselves, in order.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/emulator/grid_run.hpp"
#include "runtime/emulator/matrix_descriptor.hpp"
#include "runtime/emulator/matrix_math.hpp"

namespace moe_tune::emulator {

namespace {

constexpr const char* wgmma_name = "wgmma.mma_async";

struct Operand {
  MatrixDescriptor descriptor;
  Major major;
  int rows;
  std::byte* shared;  // of the block
};

void read_operand_as(Half type, const Operand& operand, float* values) {
  const auto read = [&](std::uint32_t address) {
    return reinterpret_cast<const std::uint16_t*>(operand.shared + (address - shared_window));
  };
  if (type == Half::bf16) {
    read_operand<DType::bf16>(operand.descriptor, operand.major, operand.rows, read, values);
  } else {
    read_operand<DType::fp16>(operand.descriptor, operand.major, operand.rows, read, values);
  }
}

}  // namespace

void GridRun::collect_warpgroup(const char* name, const WarpgroupMma* argument, const std::function<void(Warpgroup&)>& act) {
  Thread& thread = *current_;
  Warpgroup& warpgroup = *thread.warp->warpgroup;
  if (warpgroup.threads.size() != 128) fault(fmt::format("{} needs a warpgroup of four warps", name));
  if (warpgroup.name == nullptr) warpgroup.name = name;
  if (std::string_view(warpgroup.name) != name) {
    fault(fmt::format("is at {} while other threads of its warpgroup are at {}: all 128 must come to the same instruction", name,
                      warpgroup.name));
  }
  warpgroup.argument[thread.position.thread % 128] = argument;
  if (++warpgroup.arrived < 128) {
    const std::uint64_t phase = warpgroup.phase;
    while (warpgroup.phase == phase) park(WaitsFor::lanes);
    return;
  }
  warpgroup.arrived = 0;
  warpgroup.name = nullptr;
  ++warpgroup.phase;
  act(warpgroup);
  for (Thread* other : warpgroup.threads) make_ready(*other);
}

void GridRun::warpgroup_fence() {
  maybe_preempt();
  collect_warpgroup("wgmma.fence", nullptr, [](Warpgroup& warpgroup) { warpgroup.fenced = true; });
}

void GridRun::warpgroup_mma(const WarpgroupMma& mma) {
  maybe_preempt();
  collect_warpgroup(wgmma_name, &mma, [this](Warpgroup& warpgroup) { issue(warpgroup); });
}

void GridRun::check_operand(const Warpgroup& warpgroup, std::uint64_t bits, bool mn_major, int rows, const char* operand) {
  const Major major = mn_major ? Major::mn : Major::k;
  if (const std::string problem = descriptor_problem(bits, major); !problem.empty()) {
    fault(fmt::format("{}: the descriptor of {}: {}", wgmma_name, operand, problem));
  }
  // All threads of the warpgroup must know that the operand is there. Most know the same: one that shares its knowledge with its
  // neighbour, and the neighbour, stand for all of them.
  constexpr auto shared = static_cast<std::size_t>(Space::shared);
  std::vector<Thread*> witnesses;
  for (Thread* thread : warpgroup.threads) {
    const auto same = std::count_if(witnesses.begin(), witnesses.end(), [&](const Thread* other) {
      return other->seen.shared().same(thread->seen.shared()) &&
             other->fenced[shared].shared().same(thread->fenced[shared].shared());
    });
    if (same < 2) witnesses.push_back(thread);
  }
  const MatrixDescriptor descriptor = decode_matrix_descriptor(bits);
  Thread* const acting = current_;
  for (Thread* thread : witnesses) {
    current_ = thread;
    const Access access = access_by(Touch::warpgroup_mma, warpgroup.agent, warpgroup.groups.open, Space::shared);
    for (int row = 0; row < rows; row += mn_major ? 8 : 1) {
      for (int k = 0; k < mma_k; k += mn_major ? 1 : 8) {
        const std::uint32_t address =
            element_address(descriptor, major, static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(k));
        touch_shared(data_place(address, 16, 16, wgmma_name), 16, false, access);
      }
    }
  }
  current_ = acting;
}

void GridRun::issue(Warpgroup& warpgroup) {
  const WarpgroupMma& first = *warpgroup.argument[0];
  const auto same_instruction = [&first](const WarpgroupMma* other) {
    return other->type == first.type && other->n == first.n && other->a_mn_major == first.a_mn_major &&
           other->b_mn_major == first.b_mn_major && other->scale_a == first.scale_a && other->scale_b == first.scale_b &&
           (other->a == nullptr) == (first.a == nullptr) && other->a_descriptor == first.a_descriptor &&
           other->b_descriptor == first.b_descriptor && other->scale_d == first.scale_d;
  };
  if (!std::all_of(warpgroup.argument, warpgroup.argument + 128, same_instruction)) {
    fault(fmt::format("{}: the threads of warpgroup {} give different instructions, descriptors or scale-d", wgmma_name,
                      warpgroup.index));
  }
  // Registers that the threads may have touched since need a fence; a chain on the same accumulators needs none between its
  // links.
  const auto last = warpgroup.accumulators.find(first.d);
  const bool chained = last != warpgroup.accumulators.end() && last->second > warpgroup.groups.needed;
  if (!warpgroup.fenced && (!chained || first.a != nullptr)) {
    fault(fmt::format("{}: no wgmma.fence since the registers it uses could last be touched", wgmma_name));
  }
  std::byte* const shared = warpgroup.block->shared.data();
  const int n = static_cast<int>(first.n);
  check_operand(warpgroup, first.b_descriptor, first.b_mn_major, n, "B");
  const Operand b{decode_matrix_descriptor(first.b_descriptor), first.b_mn_major ? Major::mn : Major::k, n, shared};
  Operand a{};
  if (first.a == nullptr) {
    check_operand(warpgroup, first.a_descriptor, first.a_mn_major, wgmma_rows, "A");
    a = {decode_matrix_descriptor(first.a_descriptor), first.a_mn_major ? Major::mn : Major::k, wgmma_rows, shared};
  }
  struct Registers {
    const unsigned* a[128];
    float* d[128];
  };
  auto registers = std::make_shared<Registers>();
  for (std::size_t i = 0; i < 128; ++i) {
    registers->a[i] = warpgroup.argument[i]->a;
    registers->d[i] = warpgroup.argument[i]->d;
  }
  auto work = std::make_unique<AsyncWork>();
  work->issuer = warpgroup.threads[0];
  work->groups = &warpgroup.groups;
  work->epoch = warpgroup.groups.open;
  work->finish = [&warpgroup, a, b, n, registers, type = first.type, sign = static_cast<float>(first.scale_a * first.scale_b),
                  keep_d = first.scale_d] {
    float a_values[wgmma_rows * mma_k];
    std::vector<float> b_values(static_cast<std::size_t>(n * mma_k));
    if (registers->a[0] == nullptr) {
      read_operand_as(type, a, a_values);
    } else {
      WgmmaA fragments;
      for (int i = 0; i < warpgroup_lanes; ++i) std::memcpy(fragments[i], registers->a[i], sizeof(fragments[i]));
      unpack_wgmma_a(type == Half::bf16 ? DType::bf16 : DType::fp16, fragments, a_values);
    }
    read_operand_as(type, b, b_values.data());
    wgmma_m64k16(n, a_values, b_values.data(), sign, keep_d, registers->d);
  };
  warpgroup.accumulators[first.d] = work->epoch;
  warpgroup.in_order.push_back(work.get());
  start(std::move(work));
}

void GridRun::warpgroup_commit() {
  maybe_preempt();
  collect_warpgroup("wgmma.commit_group", nullptr, [](Warpgroup& warpgroup) { warpgroup.groups.commit(); });
}

void GridRun::warpgroup_wait(unsigned pending) {
  maybe_preempt();
  Warpgroup& warpgroup = *current_->warp->warpgroup;
  const Epoch target = warpgroup.groups.target(pending);
  collect_warpgroup("wgmma.wait_group", nullptr, [target](Warpgroup& all) {
    // What is complete may be touched from here on, so that the next multiplication needs a fence.
    if (target > all.groups.needed) all.fenced = false;
    all.groups.needed = std::max(all.groups.needed, target);
    std::erase_if(all.accumulators, [target](const auto& last) { return last.second <= target; });
  });
  while (!warpgroup.groups.finished(target)) {
    warpgroup.waiting.push_back(current_);
    park(WaitsFor::warpgroup, pending);
  }
  if (warpgroup.known_epoch != target) {
    Gathering known(agents_);
    known.add(warpgroup.agent, target);
    warpgroup.known = known.knowledge();
    warpgroup.known_epoch = target;
  }
  current_->seen.acquire(warpgroup.known);
}

}  // namespace moe_tune::emulator

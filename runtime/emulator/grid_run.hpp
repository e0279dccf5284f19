// One launch on the emulated device: the machine that its threads call, and the scheduler that runs them.
//
// Threads are fibers of one host thread; one runs until it waits or is preempted. Everything that the hardware leaves open - who
// runs next, when a copy reads its source, when it delivers, in which order - is decided by the seed:
//
//     seed % 4   threads                     asynchronous work
//     0          longest ready warp first    as late as possible: when somebody waits for it and nobody can run,
//                                            or polls have long been in vain
//     1          last ready warp first       as early as possible: at once
//     2          at random, preempted often  at random, reading and delivering apart
//     3          at random, preempted        as late as possible
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/emulator/fault.hpp"
#include "runtime/emulator/global_memory.hpp"
#include "runtime/emulator/grid.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/emulator/stacks.hpp"
#include "runtime/launch/tensor_map.hpp"

namespace moe_tune::emulator {

/// mbarriers that a block may initialise in its life.
inline constexpr unsigned most_mbarriers = 64;

class GridRun final : public Machine {
 public:
  /// `kernel` runs the kernel as the thread that calls it.
  GridRun(GlobalMemory& memory, const Launch& launch, std::function<void()> kernel);
  ~GridRun();

  /// Runs all blocks. Throws KernelFault for the first thing that a thread does wrong, and when no thread can go on.
  void run();

  void load_global(const void* address, void* value, unsigned bytes, const char* name) override;
  void store_global(void* address, const void* value, unsigned bytes, const char* name) override;
  unsigned atomic_global(Atomic operation, void* address, unsigned operand, unsigned compare, Order order) override;
  void check_aligned(const void* address, unsigned alignment, const char* name) override;
  void thread_fence() override;

  unsigned shared_base() override;
  void load_shared(unsigned address, void* value, unsigned bytes) override;
  void store_shared(unsigned address, const void* value, unsigned bytes) override;

  void barrier(unsigned id, unsigned threads, bool wait) override;
  void warp_barrier() override;
  unsigned shuffle(Shuffle kind, unsigned value, unsigned operand) override;
  unsigned ballot(bool predicate) override;
  bool elect() override;
  void load_matrices(unsigned* fragment, unsigned count, bool transposed, unsigned address) override;
  void store_matrices(const unsigned* fragment, unsigned count, bool transposed, unsigned address) override;
  void mma_m16n8k16(Half type, float* d, const unsigned* a, unsigned b0, unsigned b1) override;
  unsigned pack(Half type, float low, float high) override;
  float unpack(Half type, unsigned short bits) override;

  void copy_async(unsigned shared_address, unsigned long long global_address, bool valid) override;
  void copy_async_commit() override;
  void copy_async_wait(unsigned pending) override;
  void copy_async_arrive(unsigned mbarrier) override;

  void mbarrier_init(unsigned address, unsigned count) override;
  void mbarrier_invalidate(unsigned address) override;
  void mbarrier_arrive(unsigned address, unsigned expected_bytes) override;
  void mbarrier_expect(unsigned address, unsigned bytes) override;
  bool mbarrier_test(unsigned address, unsigned parity) override;
  void mbarrier_wait(unsigned address, unsigned parity) override;
  void fence_mbarrier_init() override;
  void fence_async(Space space) override;

  void tensor_prefetch(const void* map) override;
  void tensor_load(const TensorCopy& copy) override;
  void tensor_store(const TensorCopy& copy) override;
  void bulk_load(unsigned shared_address, const void* source, unsigned bytes, unsigned mbarrier, bool multicast,
                 unsigned short cta_mask) override;
  void bulk_store(void* target, unsigned shared_address, unsigned bytes, bool add_f32) override;
  void bulk_copy_to_cluster(unsigned target, unsigned source, unsigned bytes, unsigned mbarrier) override;
  void bulk_commit() override;
  void bulk_wait(unsigned pending, bool read_only) override;

  void warpgroup_fence() override;
  void warpgroup_mma(const WarpgroupMma& mma) override;
  void warpgroup_commit() override;
  void warpgroup_wait(unsigned pending) override;
  void set_registers(unsigned count, bool increase) override;

  void cluster_arrive(bool release) override;
  void cluster_wait() override;
  unsigned map_to_rank(unsigned address, unsigned rank) override;
  void store_async(unsigned address, const unsigned* words, unsigned count, unsigned mbarrier) override;

  void launch_dependents() override {}
  void wait_for_dependencies() override {}

 private:
  /// A piece of shared memory: its block and the offset in it.
  struct SharedPlace {
    Block* block;
    std::uint32_t offset;
    std::byte* data() const { return block->shared.data() + offset; }
  };
  /// A piece of global memory.
  struct GlobalPlace {
    Allocation* allocation;
    std::size_t offset;
    std::byte* data() const { return allocation->data + offset; }
  };

  // grid_run.cpp: blocks and scheduling.
  void start_clusters();
  void start_cluster(unsigned first_block, unsigned slot);
  void finish_thread(Thread& thread);
  void finish_cluster(Cluster& cluster);
  Thread* next_thread();
  void resume(Thread& thread);
  void make_ready(Thread& thread);
  void wake(std::vector<Thread*>& waiting);
  /// Lets others run; the thread stays ready.
  void preempt();
  void maybe_preempt();
  /// The same, and everybody else goes first.
  void step_back();
  /// The same for a thread that polls.
  void poll();
  /// Waits until woken.
  void park(WaitsFor what, unsigned detail0 = 0, unsigned detail1 = 0);
  /// Waits until all lanes have come with their `argument`; the last one runs `act` on the arguments.
  void collect(const char* name, const void* argument, const std::function<void(Warp&)>& act);
  bool chance(double probability);
  std::uint32_t random_below(std::uint32_t limit);

  // async_work.cpp
  void start(std::unique_ptr<AsyncWork> work);
  bool can_finish(const AsyncWork& work) const;
  bool is_needed(const AsyncWork& work) const;
  /// Takes the source of a piece of work, or delivers it where that is done; both when `whole`.
  void step(std::size_t index, bool whole);
  void take_source(AsyncWork& work);
  void finish(std::size_t index);
  bool step_some_work(bool only_needed);
  void wait_for(Groups& groups, Epoch epoch, WaitsFor what, unsigned pending);

  // reports.cpp
  [[noreturn]] void fault(const std::string& what) const;
  [[noreturn]] void fault(const Thread& thread, const std::string& what) const;
  [[noreturn]] void deadlock(const char* why) const;
  std::string describe(const Thread& thread) const;
  std::string describe_wait(const Thread& thread) const;
  std::string describe_agent(Agent agent) const;
  std::string describe_shared(const SharedPlace& place) const;

  // memory.cpp
  SharedPlace shared_place(std::uint32_t address, std::size_t bytes, std::size_t alignment, const char* name) const;
  /// The same for data: no mbarrier may live there.
  SharedPlace data_place(std::uint32_t address, std::size_t bytes, std::size_t alignment, const char* name) const;
  GlobalPlace global_place(std::uint64_t address, std::size_t bytes, std::size_t alignment, bool write, const char* name) const;
  /// An access that the running thread makes itself, or issues on behalf of another agent.
  Access own_access(Touch touch, Space space) const;
  Access access_by(Touch touch, Agent agent, Epoch epoch, Space space) const;
  void touch_shared(const SharedPlace& place, std::size_t bytes, bool write, const Access& access);
  void touch_global(const GlobalPlace& place, std::size_t bytes, bool write, Access access);
  void release(Meeting& meeting);
  void acquire(const Learned& learned);

  // mbarriers.cpp
  Mbarrier& find_mbarrier(std::uint32_t address, const char* name);
  Mbarrier& mbarrier_at(const SharedPlace& place, const char* name);
  void arrive(Mbarrier& barrier, unsigned arrivals, std::int64_t expected_bytes, const char* name);
  void complete_bytes(Mbarrier& barrier, std::int64_t bytes);
  void complete_phase_if_done(Mbarrier& barrier);

  // barriers.cpp
  void arrive_at(NamedBarrier& barrier, unsigned expected, bool release);
  void wait_at(NamedBarrier& barrier, std::uint64_t phase, WaitsFor what, unsigned id);

  // copies.cpp
  /// Where the data of a load goes and comes from.
  struct Load {
    std::vector<std::uint32_t> offsets;  // in shared memory, of pieces of equal size
    std::size_t piece_bytes;
    std::function<void(const Access&)> touch_source;
    std::function<void(std::byte* data)> read;
  };
  std::vector<Block*> multicast_targets(bool multicast, std::uint16_t cta_mask) const;
  void load_to_shared(std::uint32_t mbarrier, bool multicast, std::uint16_t cta_mask, Touch touch, Load load);
  Access bulk_access(Touch touch, Own own) const;
  void start_bulk_store(std::function<void()> read, std::function<void()> finish);

  // tensor_copies.cpp
  /// Sixteen bytes of a box; `bytes` from `begin` are inside the tensor.
  struct TensorChunk {
    SharedPlace shared;
    GlobalPlace global;
    std::size_t begin;
    std::size_t bytes;
  };
  TensorMapDescription tensor_map(const void* map) const;
  std::vector<TensorChunk> tensor_chunks(const TensorCopy& copy, const TensorMapDescription& map, bool write,
                                         const char* name) const;
  void touch_rows(const std::vector<TensorChunk>& chunks, bool write, const Access& access);

  // warpgroups.cpp
  void collect_warpgroup(const char* name, const WarpgroupMma* argument, const std::function<void(Warpgroup&)>& act);
  void check_operand(const Warpgroup& warpgroup, std::uint64_t descriptor, bool mn_major, int rows, const char* operand);
  void issue(Warpgroup& warpgroup);

  GlobalMemory& memory_;
  const Launch launch_;
  const std::function<void()> kernel_;
  std::mt19937_64 random_;
  double preempt_probability_ = 0;
  double work_probability_ = 0;  // per turn
  bool random_order_ = false;
  bool reverse_order_ = false;
  bool eager_ = false;

  std::size_t agents_ = 0;
  unsigned slots_ = 0;  // blocks that are resident at once
  unsigned warpgroups_per_block_ = 0;
  Agent first_warpgroup_agent_ = 0;
  Agent first_mbarrier_agent_ = 0;
  std::vector<ThreadKnowledge> slot_knowledge_;  // of the thread that had the slot before: its epochs go on
  std::vector<Epoch> mbarrier_phases_;           // the same for mbarriers
  std::vector<Epoch> warpgroup_epochs_;
  std::vector<unsigned> waiting_clusters_;          // first blocks, next one last
  std::vector<std::unique_ptr<Cluster>> clusters_;  // by slot; null when free
  unsigned blocks_running_ = 0;

  std::list<Warp*> queue_;  // warps with ready lanes
  Thread* current_ = nullptr;
  std::vector<std::unique_ptr<AsyncWork>> work_;
  std::map<std::uint64_t, Meeting> flags_;  // what was released to a word of global memory
  std::uint64_t steps_ = 0;
  std::uint64_t polls_ = 0;      // since work was last stepped
  unsigned calls_in_a_row_ = 0;  // without a look at who else could run
  std::exception_ptr failure_;
};

}  // namespace moe_tune::emulator

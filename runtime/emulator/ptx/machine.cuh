// The boundary between a kernel that the host compiler built and the emulated device that runs it: both sides compile this file.
// The twins of templates/ptx/ turn every instruction into one call; all state is on the other side.
#pragma once

namespace moe_tune::emulator {

/// Where the running thread stands.
struct Position {
  unsigned thread = 0;
  unsigned block = 0;
  unsigned grid = 0;  // blocks
  unsigned cluster_rank = 0;
  unsigned cluster_size = 1;
};

enum class Half { bf16, fp16 };
enum class Shuffle { up, index, exclusive_or };
enum class Atomic { load, store, add, max, bit_or, exchange, compare_exchange, add_f32 };
enum class Order { relaxed, acquire, release, acq_rel };
/// Which state space a proxy fence covers.
enum class Space { shared, global, all };

/// One warpgroup multiply-accumulate, as every one of its threads issues it.
struct WarpgroupMma {
  Half type;
  unsigned n;
  bool a_mn_major;
  bool b_mn_major;
  int scale_a;  // 1 or -1
  int scale_b;
  float* d;           // n / 2 accumulators of this thread; read and written until the group is waited for
  const unsigned* a;  // four registers of A, or null: A is in shared memory
  unsigned long long a_descriptor;
  unsigned long long b_descriptor;
  bool scale_d;  // false: D = A . B
};

/// A tensor-map copy.
struct TensorCopy {
  const void* map;
  unsigned shared_address;
  unsigned mbarrier;  // loads only
  unsigned rank;
  int coordinates[5];
  bool multicast;
  unsigned short cta_mask;
  bool add;  // stores only: reduce instead of replacing
};

/// What a thread of a kernel asks of its device. Every call is made by the running thread; calls that wait return when the wait
/// is over. A call that finds the kernel at fault does not return: it throws.
class Machine {
 public:
  const Position* position = nullptr;  // of the running thread

  // Global memory. `name` is the instruction, for reports.
  virtual void load_global(const void* address, void* value, unsigned bytes, const char* name) = 0;
  virtual void store_global(void* address, const void* value, unsigned bytes, const char* name) = 0;
  virtual unsigned atomic_global(Atomic operation, void* address, unsigned operand, unsigned compare, Order order) = 0;
  virtual void check_aligned(const void* address, unsigned alignment, const char* name) = 0;
  virtual void thread_fence() = 0;

  // Shared memory, of this block or (cluster addresses) of another of the cluster.
  virtual unsigned shared_base() = 0;
  virtual void load_shared(unsigned address, void* value, unsigned bytes) = 0;
  virtual void store_shared(unsigned address, const void* value, unsigned bytes) = 0;

  // Barriers of a block. `threads` 0: all.
  virtual void barrier(unsigned id, unsigned threads, bool wait) = 0;

  // Warps.
  virtual void warp_barrier() = 0;
  virtual unsigned shuffle(Shuffle kind, unsigned value, unsigned operand) = 0;
  virtual unsigned ballot(bool predicate) = 0;
  virtual bool elect() = 0;
  virtual void load_matrices(unsigned* fragment, unsigned count, bool transposed, unsigned address) = 0;
  virtual void store_matrices(const unsigned* fragment, unsigned count, bool transposed, unsigned address) = 0;
  virtual void mma_m16n8k16(Half type, float* d, const unsigned* a, unsigned b0, unsigned b1) = 0;

  // Values.
  virtual unsigned pack(Half type, float low, float high) = 0;
  virtual float unpack(Half type, unsigned short bits) = 0;

  // cp.async.
  virtual void copy_async(unsigned shared_address, unsigned long long global_address, bool valid) = 0;
  virtual void copy_async_commit() = 0;
  virtual void copy_async_wait(unsigned pending) = 0;
  virtual void copy_async_arrive(unsigned mbarrier) = 0;

  // mbarriers.
  virtual void mbarrier_init(unsigned address, unsigned count) = 0;
  virtual void mbarrier_invalidate(unsigned address) = 0;
  virtual void mbarrier_arrive(unsigned address, unsigned expected_bytes) = 0;
  virtual void mbarrier_expect(unsigned address, unsigned bytes) = 0;
  virtual bool mbarrier_test(unsigned address, unsigned parity) = 0;
  virtual void mbarrier_wait(unsigned address, unsigned parity) = 0;
  virtual void fence_mbarrier_init() = 0;
  virtual void fence_async(Space space) = 0;

  // Bulk copies.
  virtual void tensor_prefetch(const void* map) = 0;
  virtual void tensor_load(const TensorCopy& copy) = 0;
  virtual void tensor_store(const TensorCopy& copy) = 0;
  virtual void bulk_load(unsigned shared_address, const void* source, unsigned bytes, unsigned mbarrier, bool multicast,
                         unsigned short cta_mask) = 0;
  virtual void bulk_store(void* target, unsigned shared_address, unsigned bytes, bool add_f32) = 0;
  virtual void bulk_copy_to_cluster(unsigned target, unsigned source, unsigned bytes, unsigned mbarrier) = 0;
  virtual void bulk_commit() = 0;
  virtual void bulk_wait(unsigned pending, bool read_only) = 0;

  // Warpgroups.
  virtual void warpgroup_fence() = 0;
  virtual void warpgroup_mma(const WarpgroupMma& mma) = 0;
  virtual void warpgroup_commit() = 0;
  virtual void warpgroup_wait(unsigned pending) = 0;
  virtual void set_registers(unsigned count, bool increase) = 0;

  // Clusters.
  virtual void cluster_arrive(bool release) = 0;
  virtual void cluster_wait() = 0;
  virtual unsigned map_to_rank(unsigned address, unsigned rank) = 0;
  virtual void store_async(unsigned address, const unsigned* words, unsigned count, unsigned mbarrier) = 0;

  // Grids.
  virtual void launch_dependents() = 0;
  virtual void wait_for_dependencies() = 0;

 protected:
  ~Machine() = default;
};

}  // namespace moe_tune::emulator

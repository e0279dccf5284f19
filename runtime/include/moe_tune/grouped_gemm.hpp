// Grouped GEMM on the GPU with the tuned kernel: the C++ API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moe_tune/config.hpp"
#include "moe_tune/error.hpp"
#include "moe_tune/export.hpp"
#include "moe_tune/online_tuner.hpp"
#include "moe_tune/problem.hpp"

struct CUstream_st;

namespace moe_tune {

enum class IndexType { int32, int64 };
/// Of topk_weights: the problem's dtype, or float32.
enum class WeightType { storage, float32 };

/// Device memory of one call; nothing is owned or kept. What an operation reads and writes:
///   forward  x, w    y
///   dX       w, dy   dx
///   dW       x, dy   dw
/// Tensors, workspace and the row strides are multiples of 16 bytes, the other pointers of their element. Strides are in
/// elements, between the starts of rows, the gradients' as those of what they are gradients of; 0 means contiguous. M = tokens *
/// top_k.
struct GroupedGemmArgs {
  const void* x = nullptr;               ///< (tokens, K) with permute_x, else (M, K) in expert order
  const void* w = nullptr;               ///< (E, N, K)
  void* y = nullptr;                     ///< (M, N), with fuse_swiglu (M, N / 2); rows past sum(m_sizes) are not touched
  const void* dy = nullptr;              ///< (M, N), ordered as y
  void* dx = nullptr;                    ///< (M, K): in slot order with permute_x, else in expert order; rows as of y
  void* dw = nullptr;                    ///< (E, N, K), float32 with float32_dw; zeros for an expert without rows. With
                                         ///< accumulate added to, and not touched for an expert without rows
  void* pre_activation = nullptr;        ///< (M, N), indexed like y; needed with keep_pre_activation
  const void* m_sizes = nullptr;         ///< (E) rows of each expert; read on the device
  const void* gather_indices = nullptr;  ///< (M) slot at each sorted row; needed with permute_x or permute_y
  const void* topk_weights = nullptr;    ///< (M) by slot, that is (tokens, top_k); needed with fuse_mul_post and fuse_mul_pre
  IndexType m_sizes_type = IndexType::int32;
  IndexType gather_indices_type = IndexType::int32;
  WeightType topk_weights_type = WeightType::storage;
  std::int64_t tokens = 0;
  std::int64_t x_row_stride = 0;  ///< of x or dx
  std::int64_t w_row_stride = 0;  ///< of w or dw
  std::int64_t w_expert_stride = 0;
  std::int64_t y_row_stride = 0;  ///< of y or dy
  std::int64_t pre_activation_row_stride = 0;
  /// GroupedGemm::workspace_bytes(tokens) bytes that no other call uses at the same time; null: from a pool of the
  /// library.
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  int max_sms = 0;  ///< use at most this many SMs, one block on each, but never less than a cluster; 0: all
};

/// Bad device data that kernels met; bits stay until cleared. Bad rows are skipped, never written out of bounds.
struct DeviceStatus {
  /// Outside [0, M). A gathered row counts as zeros (forward: permute_x; dX: permute_y), a scattered one is not stored. To dW it
  /// adds nothing; but in the sm90 family it is a row of zeros, which beside a row of infinities is NaN.
  bool bad_gather_index = false;
  bool bad_m_sizes = false;          ///< negative, or a sum above M: cut so that rows stay inside [0, M)
  bool bad_selected_expert = false;  ///< an expert that was given to the router, outside [0, E): no row, weight 0
  bool bad_token_count = false;      ///< outside [0, tokens]: cut to it

  explicit operator bool() const { return bad_gather_index || bad_m_sizes || bad_selected_expert || bad_token_count; }
};

/// Where configs come from and how careful to be.
struct LibraryOptions {
  std::vector<std::filesystem::path> databases;        ///< earlier ones win; empty: none, configs are heuristic
  std::optional<std::filesystem::path> override_file;  ///< goes before every database
  bool check_each_call = false;  ///< wait after every call and throw on bad device data; not possible while capturing
  /// Tune on demand: what serves token counts without being measured is measured by `tuner` when it is used first, and published
  /// to the first database. That call, or prepare(), takes seconds then. A tuner that fails costs a warning.
  bool tune = false;
  std::shared_ptr<OnlineTuner> tuner;  ///< needed to tune

  /// MOE_TUNE_MODE=read (default: databases of MOE_TUNE_DB, else the user's), tune (the same databases; `tuner` is left to the
  /// caller) or off (none), MOE_TUNE_OVERRIDE, MOE_TUNE_CHECK=1.
  MOE_TUNE_API static LibraryOptions from_environment();
};

/// Options, the databases as they were when it was made or tuned last, and what is loaded on each device. Thread-safe. Must
/// outlive the operations made from it.
class MOE_TUNE_API Library {
 public:
  /// Throws UsageError for a damaged or hostile file, naming it, and for options that ask to tune without a tuner or a database.
  explicit Library(const LibraryOptions& options = LibraryOptions::from_environment());
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  /// The process's library, made from the environment by the first call.
  static Library& instance();

  /// The tuner of that library, for MOE_TUNE_MODE=tune; other modes leave it alone. Throws UsageError once the library is made.
  static void set_tuner(std::shared_ptr<OnlineTuner> tuner);

  /// What kernels reported on a device so far, without waiting for those still running; optionally clears it.
  DeviceStatus status(int device, bool clear = false);

 private:
  friend class GroupedGemm;
  friend class Router;
  friend class RouterGradient;
  friend class RowOperations;
  friend class FusedMoeBlock;
  struct State;
  std::unique_ptr<State> state_;
};

/// Which config serves a call, and why.
struct Selection {
  KernelConfig config;
  std::string reason;   ///< one line for people
  std::string warning;  ///< not empty when the entry is stale: what to do
};

/// Grouped GEMM for one problem on one device: forward, or a gradient (problem.hpp has the formulas). Configs are looked up once,
/// for every token count, and again after tuning on demand; run() then costs a binary search and a launch. Thread-safe: any
/// threads may run it, on any streams of the device.
class MOE_TUNE_API GroupedGemm {
 public:
  /// `device` is a CUDA ordinal; its primary context is used, the one of the CUDA runtime and torch. `config` fixes the kernel
  /// for all token counts; otherwise override file > measured > predicted > heuristic decide. Throws UsageError for a problem or
  /// config that cannot be, EnvironmentError without a GPU or NVRTC.
  GroupedGemm(Library& library, const Problem& problem, int device, const std::optional<KernelConfig>& config = std::nullopt);
  ~GroupedGemm();
  GroupedGemm(GroupedGemm&&) noexcept;
  GroupedGemm& operator=(GroupedGemm&&) noexcept;

  /// Enqueues the product on `stream` and returns, without synchronising with the device. Can be captured into a CUDA graph and
  /// replayed with other data, m_sizes and gather_indices, beside anything but itself and copies of it. The first call that uses
  /// a kernel compiles (or finds it in the cache) and loads it, after tuning if that is on; prepare() does that ahead of time,
  /// and must have before a capture. Nothing is tuned while the stream is captured.
  ///
  /// Most configs need no workspace, or get it in the arguments: then nothing is allocated on the device, but for a small counter
  /// for each 16384 streams and captured calls. Otherwise the call takes its workspace in stream order from a memory pool that
  /// keeps it when the call is done: it asks the system for memory only when the calls that run at the same time need more than
  /// ever before. Captured, such a call has an allocation and a release as nodes of the graph. Throws UsageError for bad
  /// arguments.
  void run(const GroupedGemmArgs& args, CUstream_st* stream);

  /// Bytes of GroupedGemmArgs::workspace that run() needs for `tokens`; 0: none. Tuning on demand may change it: then run() takes
  /// workspace from the pool instead of one that has become too small.
  std::size_t workspace_bytes(std::int64_t tokens) const;

  /// Compiles and loads the kernels for these token counts and this row stride of w, as in GroupedGemmArgs, and lets the
  /// library's pool have the workspace of one such call.
  void prepare(std::span<const std::int64_t> tokens, std::int64_t w_row_stride = 0);

  /// The config that run() uses for `tokens`.
  Selection selection(std::int64_t tokens) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe_tune

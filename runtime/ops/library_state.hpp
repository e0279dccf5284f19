// What a Library holds: files read once, and per device what every operation on it shares.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "generator/device.hpp"
#include "moe_tune/grouped_gemm.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/launch/queue_counters.hpp"
#include "runtime/launch/workspace_pool.hpp"
#include "runtime/ops/library_entries.hpp"
#include "tuning_db/override.hpp"

namespace moe_tune {

/// A device in use: its primary context, the status word that kernels write, and what launches need beside their tensors.
class DeviceState {
 public:
  explicit DeviceState(int ordinal);
  ~DeviceState();
  DeviceState(const DeviceState&) = delete;
  DeviceState& operator=(const DeviceState&) = delete;

  const DeviceInfo& info() const { return info_; }
  const DeviceDescription& description() const { return description_; }
  CUcontext context() const { return context_.get(); }
  /// The device address of the status word, which lies in host memory: reading it needs no synchronisation.
  unsigned* status_address() const { return status_device_; }
  unsigned read_status(bool clear);
  /// The debug mode: waits, unless the stream is captured, and turns what kernels reported into a UsageError about `operation`.
  void check_status(CUstream stream, const std::string& operation);

  QueueCounters& queue_counters() { return *queue_counters_; }
  const WorkspacePool& workspaces() const { return *workspaces_; }

 private:
  DeviceInfo info_;
  DeviceDescription description_;
  PrimaryContext context_;
  std::unique_ptr<QueueCounters> queue_counters_;
  std::unique_ptr<WorkspacePool> workspaces_;
  unsigned* status_host_ = nullptr;
  unsigned* status_device_ = nullptr;
};

struct Library::State {
  LibraryOptions options;
  std::optional<LibraryEntries> entries;  ///< always there once the library is made
  std::optional<Override> override_file;

  /// The device's state, made by the first call. Throws UsageError for an ordinal that does not exist.
  DeviceState& device(int ordinal);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<DeviceState>> devices_;
};

DeviceStatus decode_status(unsigned bits);

}  // namespace moe_tune

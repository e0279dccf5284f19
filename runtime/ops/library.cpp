#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "generator/support/log.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/gemm_kernel.hpp"
#include "runtime/launch/relaxed_capture.hpp"
#include "runtime/ops/library_state.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune {

namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

/// What Library::instance() will be made with, and whether it has been made.
struct InstanceTuner {
  std::mutex mutex;
  std::shared_ptr<OnlineTuner> tuner;
  bool taken = false;
};

InstanceTuner& instance_tuner() {
  static InstanceTuner& only = *new InstanceTuner();  // never destroyed, like the instance
  return only;
}

/// Nothing where the library does not tune on demand. Throws UsageError where it is to and cannot.
std::shared_ptr<OnlineTuner> tuner_of(const LibraryOptions& options) {
  if (!options.tune) return nullptr;
  if (!options.tuner) {
    throw UsageError(
        "tuning on demand (MOE_TUNE_MODE=tune) needs a tuner, which the library does not bring: plug one in "
        "(LibraryOptions::tuner, or Library::set_tuner() for Library::instance()), or tune beforehand with `moe-tune tune` and "
        "use MOE_TUNE_MODE=read");
  }
  if (options.databases.empty()) throw UsageError("tuning on demand needs a database to publish to: LibraryOptions::databases");
  return options.tuner;
}

}  // namespace

LibraryOptions LibraryOptions::from_environment() {
  LibraryOptions options;
  const std::string_view mode = environment("MOE_TUNE_MODE");
  if (mode.empty() || mode == "read" || mode == "tune") {
    options.databases = database_paths();
  } else if (mode != "off") {
    throw UsageError(fmt::format("MOE_TUNE_MODE={} is not one of: read, tune, off", mode));
  }
  options.tune = mode == "tune";
  if (const std::string_view file = environment("MOE_TUNE_OVERRIDE"); !file.empty()) options.override_file = file;
  const std::string_view check = environment("MOE_TUNE_CHECK");
  if (!check.empty() && check != "0" && check != "1")
    throw UsageError(fmt::format("MOE_TUNE_CHECK={} is neither 0 nor 1", check));
  options.check_each_call = check == "1";
  return options;
}

DeviceState::DeviceState(int ordinal) : info_(query_device(ordinal)), description_(describe_device(info_)), context_(ordinal) {
  const CurrentContext current(context_.get());
  void* host = nullptr;
  driver().cuMemHostAlloc(&host, sizeof(unsigned), CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
  status_host_ = static_cast<unsigned*>(host);
  *status_host_ = 0;
  CUdeviceptr device = 0;
  driver().cuMemHostGetDevicePointer(&device, host, 0);
  status_device_ = reinterpret_cast<unsigned*>(device);
  queue_counters_ = std::make_unique<QueueCounters>(allocate_queue_counters);
  workspaces_ = std::make_unique<WorkspacePool>(context_.device());
}

DeviceState::~DeviceState() {
  // Memory is freed in its context.
  const CurrentContext current(context_.get());
  queue_counters_.reset();
  workspaces_.reset();
  static_cast<void>(driver().cuMemFreeHost.result(status_host_));
}

unsigned DeviceState::read_status(bool clear) {
  const std::atomic_ref<unsigned> status(*status_host_);
  return clear ? status.exchange(0) : status.load();
}

void DeviceState::check_status(CUstream stream, const std::string& operation) {
  if (is_captured(stream)) return;
  driver().cuStreamSynchronize(stream);
  const DeviceStatus status = decode_status(read_status(true));
  if (status.bad_gather_index) throw UsageError(fmt::format("{}: gather_indices holds values outside [0, M)", operation));
  if (status.bad_m_sizes) throw UsageError(fmt::format("{}: m_sizes holds negative values or sums to more than M", operation));
  if (status.bad_selected_expert) throw UsageError(fmt::format("{}: selected_experts holds values outside [0, E)", operation));
  if (status.bad_token_count) throw UsageError(fmt::format("{}: token_count is outside [0, tokens]", operation));
}

DeviceState& Library::State::device(int ordinal) {
  const std::lock_guard lock(mutex_);
  const int count = device_count();
  if (ordinal < 0 || ordinal >= count) {
    throw UsageError(fmt::format("device {} does not exist: this machine has {} CUDA device(s)", ordinal, count));
  }
  devices_.resize(static_cast<std::size_t>(count));
  std::unique_ptr<DeviceState>& state = devices_[static_cast<std::size_t>(ordinal)];
  if (!state) state = std::make_unique<DeviceState>(ordinal);
  return *state;
}

DeviceStatus decode_status(unsigned bits) {
  return {(bits & abi::status_bad_gather_index) != 0, (bits & abi::status_bad_m_sizes) != 0,
          (bits & abi::status_bad_selected_expert) != 0, (bits & abi::status_bad_token_count) != 0};
}

Library::Library(const LibraryOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->entries.emplace(options.databases, tuner_of(options));
  if (options.override_file) {
    state_->override_file = read_override(*options.override_file);
    for (const std::string& note : state_->override_file->notes) log_line(LogLevel::warn, note);
  }
}

Library::~Library() = default;

Library& Library::instance() {
  // Never destroyed: kernels may still be in use when static objects go.
  static Library& library = *[] {
    InstanceTuner& plugged = instance_tuner();
    const std::lock_guard lock(plugged.mutex);
    LibraryOptions options = LibraryOptions::from_environment();
    options.tuner = plugged.tuner;
    auto* const made = new Library(options);
    plugged.taken = true;
    return made;
  }();
  return library;
}

void Library::set_tuner(std::shared_ptr<OnlineTuner> tuner) {
  InstanceTuner& plugged = instance_tuner();
  const std::lock_guard lock(plugged.mutex);
  if (plugged.taken) {
    throw UsageError("Library::set_tuner(): the process's library has been made already; plug the tuner in before its first use");
  }
  plugged.tuner = std::move(tuner);
}

DeviceStatus Library::status(int device, bool clear) { return decode_status(state_->device(device).read_status(clear)); }

}  // namespace moe_tune

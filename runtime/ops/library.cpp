#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "generator/support/log.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/gemm_kernel.hpp"
#include "runtime/ops/library_state.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune {

namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

LibraryOptions LibraryOptions::from_environment() {
  LibraryOptions options;
  const std::string_view mode = environment("MOE_TUNE_MODE");
  if (mode.empty() || mode == "read") {
    options.databases = database_paths();
  } else if (mode != "off") {
    throw UsageError(fmt::format("MOE_TUNE_MODE={} is neither \"read\" nor \"off\": tune beforehand with `moe-tune tune`", mode));
  }
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
  CUstreamCaptureStatus capture = CU_STREAM_CAPTURE_STATUS_NONE;
  driver().cuStreamIsCapturing(stream, &capture);
  if (capture != CU_STREAM_CAPTURE_STATUS_NONE) return;
  driver().cuStreamSynchronize(stream);
  const DeviceStatus status = decode_status(read_status(true));
  if (status.bad_gather_index) throw UsageError(fmt::format("{}: gather_indices holds values outside [0, M)", operation));
  if (status.bad_m_sizes) throw UsageError(fmt::format("{}: m_sizes holds negative values or sums to more than M", operation));
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
  return {(bits & abi::status_bad_gather_index) != 0, (bits & abi::status_bad_m_sizes) != 0};
}

Library::Library(const LibraryOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
  const Database database = read_databases(options.databases);
  for (const auto& damage : database.damage) log_line(LogLevel::warn, damage);
  state_->entries = database.entries;
  if (options.override_file) {
    state_->override_file = read_override(*options.override_file);
    for (const std::string& note : state_->override_file->notes) log_line(LogLevel::warn, note);
  }
}

Library::~Library() = default;

Library& Library::instance() {
  // Never destroyed: kernels may still be in use when static objects go.
  static Library& library = *new Library();
  return library;
}

DeviceStatus Library::status(int device, bool clear) { return decode_status(state_->device(device).read_status(clear)); }

}  // namespace moe_tune

// The messages between the tuner and its workers: one JSON object per line, docs/TUNING.md, "Workers". A worker is the same
// executable, but what it says is still checked: a kernel that goes wrong in it may do anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "generator/support/json.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/launch/utility_kernels.hpp"
#include "runtime/tune/bench.hpp"
#include "runtime/tune/workload.hpp"

namespace moe_tune {

// Requests. A request is {"verb": ..., and the members of its struct}.

struct CompileRequest {
  Problem problem;
  KernelConfig config;
  std::string arch;
};

struct SetUpRequest {
  Place place;
  Workload workload;
};

struct VerifyRequest {
  KernelConfig config;
};

struct TimeRequest {
  std::vector<KernelConfig> configs;
  int rounds = 0;
  std::uint64_t seed = 0;
};

Json nvrtc_request();
Json device_request(int ordinal);
Json to_json(const CompileRequest& request);
Json to_json(const SetUpRequest& request);
Json to_json(const VerifyRequest& request);
Json to_json(const TimeRequest& request);

// Reading; throws UsageError naming the place.
CompileRequest compile_request_from(const JsonView& view);
SetUpRequest set_up_request_from(const JsonView& view);
VerifyRequest verify_request_from(const JsonView& view);
TimeRequest time_request_from(const JsonView& view);

// Replies. A worker writes any number of {"running": index}, then {"reply": {...}} or {"error": "...", "kind": "..."}.

/// Why a worker could not do what it was asked, and so who is to blame.
enum class WorkerErrorKind {
  usage,        ///< the request: a config that cannot serve its problem, a source that the host's compiler refuses
  environment,  ///< the machine: another candidate would not fare better
  no_device,    ///< the machine: the emulated device does not run here, NoEmulatedDevice
  compile,      ///< the candidate: its source does not compile
  fault,        ///< the candidate: the emulated device stopped it
  hang,         ///< the candidate: on the emulated device no thread could go on
  other,        ///< the candidate, as far as one can tell: an error of the driver after a launch, any other exception
};

struct WorkerError {
  WorkerErrorKind kind = WorkerErrorKind::other;
  std::string message;
};

/// What a worker's GPU is, or why it has none.
struct DeviceReply {
  int devices = 0;
  std::string why_none;  ///< with devices = 0
  DeviceInfo info;       ///< of the ordinal asked for
  std::int64_t free_bytes = 0;
};

struct CompileReply {
  Resources resources;
  double seconds = 0;
};

struct VerifyReply {
  Verification verification;
  std::int64_t bad_rows = 0;
  int first_bad_row = -1;
  int worst_expert = -1;    ///< the one with the largest row error
  int resident_blocks = 0;  ///< 0 on the emulated device
  int schedule = -1;        ///< of the emulated device, under which the rows are bad; -1: none
};

Json to_json(const WorkerError& error);
Json to_json(const DeviceReply& reply);
Json to_json(const CompileReply& reply);
Json to_json(const VerifyReply& reply);
Json to_json(const TimedRounds& reply);

// Reading; throws UsageError naming the place.
WorkerError worker_error_from(const JsonView& message);
DeviceReply device_reply_from(const JsonView& view);
CompileReply compile_reply_from(const JsonView& view);
VerifyReply verify_reply_from(const JsonView& view);
/// Every round has `configs` positive samples.
TimedRounds timed_rounds_from(const JsonView& view, std::size_t configs);

/// The reply to a comparison on a GPU.
VerifyReply verify_reply(const Comparison& comparison, int resident_blocks);
/// The reply to a comparison on the emulated device.
VerifyReply emulated_verify_reply(const Comparison& comparison, int schedule);

}  // namespace moe_tune

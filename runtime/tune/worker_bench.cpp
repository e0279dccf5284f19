#include "runtime/tune/worker_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "moe_tune/error.hpp"
#include "runtime/tune/protocol.hpp"

namespace moe_tune {
namespace {

constexpr int query_limit_ms = 60'000;  // opening the driver and a context on a busy machine takes seconds

CompileOutcome compile_outcome(const WorkerAnswer& answer) {
  CompileOutcome outcome;
  outcome.message = answer.message;
  switch (answer.kind) {
    case WorkerAnswer::Kind::reply: {
      const CompileReply reply = compile_reply_from(answer.reply->root());
      outcome.resources = reply.resources;
      outcome.seconds = reply.seconds;
      if (reply.resources.spill_bytes > 0) {
        outcome.status = AttemptStatus::spilled;
        outcome.message = fmt::format("spills {} bytes per thread", reply.resources.spill_bytes);
      }
      break;
    }
    case WorkerAnswer::Kind::refused:
      if (answer.error == WorkerErrorKind::environment) throw EnvironmentError(answer.message);
      outcome.status = AttemptStatus::compile_error;
      break;
    case WorkerAnswer::Kind::died:
      outcome.status = AttemptStatus::crashed;
      break;
    case WorkerAnswer::Kind::hung:
      outcome.status = AttemptStatus::compile_timeout;
      break;
  }
  return outcome;
}

/// The reply to a question that every sound worker answers.
JsonDocument ask(WorkerProcess& worker, const Json& request, const WorkerBenchOptions& options) {
  WorkerAnswer answer = worker.request(request, {query_limit_ms, query_limit_ms}, options.cancel);
  if (answer.kind != WorkerAnswer::Kind::reply) throw EnvironmentError(answer.message);
  return *std::move(answer.reply);
}

}  // namespace

WorkerBench::WorkerBench(WorkerBenchOptions options) : options_(std::move(options)), runner_({options_.command, 0}) {
  for (int i = 0; i < std::max(options_.jobs, 1); ++i) {
    compilers_.push_back(std::make_unique<WorkerProcess>(WorkerCommand{options_.command, options_.compile_memory}));
  }
}

std::vector<CompileOutcome> WorkerBench::compile(const Problem& problem, std::span<const KernelConfig> configs,
                                                 const DeviceDescription& device, const OnCompiled& on_compiled) {
  std::vector<CompileOutcome> outcomes(configs.size());
  std::vector<WorkerProcess*> workers;
  for (const auto& worker : compilers_) workers.push_back(worker.get());
  std::vector<std::size_t> task(workers.size());
  const WorkerLimits limits{options_.compile_limit_ms, options_.compile_limit_ms};
  std::size_t next = 0;
  std::size_t done = 0;
  while (done < configs.size()) {
    for (std::size_t i = 0; i < workers.size() && next < configs.size(); ++i) {
      if (workers[i]->busy()) continue;
      task[i] = next++;
      const KernelConfig& config = configs[task[i]];
      workers[i]->send(to_json(CompileRequest{problem, config, arch_for(config.family, device)}), limits);
    }
    wait_for_workers(workers, options_.cancel);
    for (std::size_t i = 0; i < workers.size(); ++i) {
      const auto answer = workers[i]->take_answer();
      if (!answer) continue;
      try {
        outcomes[task[i]] = compile_outcome(*answer);
      } catch (const EnvironmentError&) {
        for (WorkerProcess* worker : workers) worker->kill();  // nobody will ask for what they are busy with
        throw;
      }
      ++done;
      if (on_compiled) on_compiled(task[i], outcomes[task[i]]);
    }
  }
  return outcomes;
}

void WorkerBench::set_up(const Workload& workload) {
  workload_ = workload;
  refill_later();
  ensure_set_up();
}

void WorkerBench::ensure_set_up() {
  if (!workload_) throw UsageError("no workload is set up: call set_up first");
  if (runner_.pid() >= 0 && set_up_in_start_ == runner_.starts()) return;
  const int limit = options_.set_up_limit_ms;
  const WorkerAnswer answer = runner_.request(to_json(SetUpRequest{options_.place, *workload_}), {limit, limit}, options_.cancel);
  if (answer.kind != WorkerAnswer::Kind::reply) {
    runner_.kill();
    if (answer.error == WorkerErrorKind::no_device) throw NoEmulatedDevice(answer.message);
    throw EnvironmentError(
        fmt::format("cannot set up {} for {} tokens: {}", describe(workload_->problem), workload_->tokens, answer.message));
  }
  set_up_in_start_ = runner_.starts();
}

WorkerAnswer WorkerBench::launch(const Json& request) {
  ensure_set_up();
  // Until the kernel is loaded it may have to be built: on a GPU again, where the cubin cache cannot keep anything.
  const WorkerLimits limits{options_.compile_limit_ms, emulated() ? options_.emulated_launch_limit_ms : options_.launch_limit_ms};
  return runner_.request(request, limits, options_.cancel);
}

/// What the candidate did that the worker ended or gave up on. Throws EnvironmentError when it was not the candidate.
AttemptStatus WorkerBench::failure(const WorkerAnswer& answer) {
  if (answer.kind == WorkerAnswer::Kind::hung) return AttemptStatus::hung;
  if (answer.kind == WorkerAnswer::Kind::died) return AttemptStatus::crashed;
  switch (answer.error) {
    case WorkerErrorKind::usage:
    case WorkerErrorKind::compile:
      return AttemptStatus::compile_error;
    case WorkerErrorKind::fault:
      return AttemptStatus::fault;
    case WorkerErrorKind::hang:
      return AttemptStatus::hung;
    case WorkerErrorKind::environment:
    case WorkerErrorKind::no_device:
      runner_.kill();
      throw EnvironmentError(answer.message);
    case WorkerErrorKind::other:
      break;
  }
  runner_.kill();  // its context may be unusable
  return AttemptStatus::crashed;
}

VerifyOutcome WorkerBench::verify(const KernelConfig& config) {
  const WorkerAnswer answer = launch(to_json(VerifyRequest{config}));
  VerifyOutcome outcome;
  if (answer.kind != WorkerAnswer::Kind::reply) {
    outcome.status = failure(answer);
    outcome.verification.device = options_.place.device;
    outcome.message =
        emulated() && answer.running >= 0 ? fmt::format("schedule {}: {}", answer.running, answer.message) : answer.message;
    return outcome;
  }
  const VerifyReply reply = verify_reply_from(answer.reply->root());
  outcome.verification = reply.verification;
  outcome.resident_blocks = reply.resident_blocks;
  if (reply.verification.status != VerifyStatus::pass) {
    outcome.status = AttemptStatus::wrong;
    outcome.message =
        fmt::format("{} rows differ from the float32 reference (first: row {}; worst expert: {}; relative error {:.3g}{})",
                    reply.bad_rows, reply.first_bad_row, reply.worst_expert, reply.verification.max_rel_err,
                    reply.schedule < 0 ? "" : fmt::format("; schedule {}", reply.schedule));
    // What writes wrong values may also have written where it must not; the emulated device would have said so.
    if (!emulated()) refill_later();
  }
  return outcome;
}

TimeOutcome WorkerBench::time(std::span<const KernelConfig> configs, int rounds) {
  const TimeRequest request{{configs.begin(), configs.end()}, rounds, options_.seed + ++time_calls_};
  const WorkerAnswer answer = launch(to_json(request));
  TimeOutcome outcome;
  if (answer.kind == WorkerAnswer::Kind::reply) {
    outcome.timed = timed_rounds_from(answer.reply->root(), configs.size());
    return outcome;
  }
  outcome.status = failure(answer);
  if (answer.running < 0 || static_cast<std::size_t>(answer.running) >= configs.size()) {
    throw EnvironmentError(fmt::format("the worker failed before it launched anything: {}", answer.message));
  }
  outcome.culprit = answer.running;
  outcome.message = answer.message;
  return outcome;
}

std::optional<Target> query_target(const WorkerBenchOptions& options, std::string* why) {
  WorkerProcess worker({options.command, 0});
  const JsonDocument answer = ask(worker, device_request(options.place.ordinal), options);
  const DeviceReply reply = device_reply_from(answer.root());
  if (reply.devices == 0) {
    if (why != nullptr) *why = reply.why_none;
    return std::nullopt;
  }
  return live_target(reply.info, ask(worker, nvrtc_request(), options).root().at("version").string(), reply.free_bytes);
}

std::string query_nvrtc(const WorkerBenchOptions& options) {
  WorkerProcess worker({options.command, 0});
  return ask(worker, nvrtc_request(), options).root().at("version").string();
}

}  // namespace moe_tune

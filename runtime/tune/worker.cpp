#include "runtime/tune/worker.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <string_view>

#include "generator/constraints.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/jit/nvrtc.hpp"
#include "runtime/tune/emulated_workbench.hpp"
#include "runtime/tune/line_buffer.hpp"
#include "runtime/tune/measure.hpp"
#include "runtime/tune/protocol.hpp"

namespace moe_tune {
namespace {

/// Errors of the driver that say nothing of the kernel that ran last.
bool is_of_the_machine(CUresult result) {
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_OPERATING_SYSTEM:
    case CUDA_ERROR_SYSTEM_NOT_READY:
      return true;
    default:
      return false;
  }
}

/// Called in a handler.
WorkerErrorKind kind_of_current_exception() {
  try {
    throw;
  } catch (const CompileError&) {
    return WorkerErrorKind::compile;
  } catch (const CudaError& error) {
    return is_of_the_machine(error.result()) ? WorkerErrorKind::environment : WorkerErrorKind::other;
  } catch (const NoEmulatedDevice&) {
    return WorkerErrorKind::no_device;
  } catch (const EnvironmentError&) {
    return WorkerErrorKind::environment;
  } catch (const UsageError&) {
    return WorkerErrorKind::usage;
  } catch (const emulator::KernelHang&) {
    return WorkerErrorKind::hang;
  } catch (const emulator::KernelFault&) {
    return WorkerErrorKind::fault;
  } catch (...) {
    return WorkerErrorKind::other;
  }
}

class Worker {
 public:
  Worker(int fd, EmitFunction emit) : fd_(fd), emit_(std::move(emit)) {}

  /// Until the parent closes the socket.
  int serve() {
    LineBuffer lines;
    char bytes[65536];
    while (true) {
      while (const auto line = lines.next()) {
        if (!answer(*line)) return 0;
      }
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == ENOTSOCK || errno == EBADF)) return 2;
      if (got <= 0) return 0;
      lines.append({bytes, static_cast<std::size_t>(got)});
    }
  }

 private:
  /// False when nobody listens any more.
  bool answer(const std::string& line) {
    try {
      const JsonDocument document = parse_json(line, "request");
      return write({{"reply", dispatch(document.root())}});
    } catch (const std::bad_alloc&) {
      return write(to_json(WorkerError{WorkerErrorKind::environment, "the worker needs more host memory than there is"}));
    } catch (const std::exception& error) {
      return write(to_json(WorkerError{kind_of_current_exception(), error.what()}));
    }
  }

  bool write(const Json& message) const {
    const std::string text = json_text(message) + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t n = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  void announce(int index) const { write({{"running", index}}); }

  Json dispatch(const JsonView& request) {
    const std::string verb = request.at("verb").string();
    if (verb == "nvrtc") return {{"version", to_string(nvrtc().version())}};
    if (verb == "device") return to_json(device(request.at("ordinal").integer<int>(0)));
    if (verb == "compile") return to_json(compile_candidate(compile_request_from(request)));
    if (verb == "set_up") return set_up(set_up_request_from(request));
    if (verb == "verify") return to_json(verify(verify_request_from(request)));
    if (verb == "time") return to_json(time(time_request_from(request)));
    request.at("verb").fail("not a verb of the worker");
  }

  static DeviceReply device(int ordinal) {
    DeviceReply reply;
    if (try_driver(&reply.why_none) == nullptr) return reply;
    reply.devices = device_count();
    if (reply.devices == 0) {
      reply.why_none = "the driver finds no GPU";
      return reply;
    }
    reply.info = query_device(ordinal);
    const PrimaryContext context(ordinal);
    const CurrentContext current(context.get());
    std::size_t free = 0;
    std::size_t total = 0;
    driver().cuMemGetInfo(&free, &total);
    reply.free_bytes = static_cast<std::int64_t>(free);
    return reply;
  }

  /// From here on NVRTC and the cache are known to work, so that what goes wrong is of the source: a compiler that runs out of
  /// the memory that a worker may have, for one.
  static CompiledKernel compiled(const std::string& source, const std::string& arch, const std::string& name) {
    CubinCache& cache = cubin_cache();
    if (!nvrtc().supports(arch)) return cache.get_or_compile(source, arch, name);
    try {
      return cache.get_or_compile(source, arch, name);
    } catch (const CompileError&) {
      throw;
    } catch (const EnvironmentError& error) {
      throw CompileError(name, arch, error.what());
    } catch (const std::bad_alloc&) {
      throw CompileError(name, arch, "compiling it needs more memory than a worker may have");
    }
  }

  CompileReply compile_candidate(const CompileRequest& request) const {
    const auto start = std::chrono::steady_clock::now();
    const CompiledKernel kernel = compiled(emit_(request.problem, request.config), request.arch, to_string(request.config));
    const ResourceReport& used = kernel.resources;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    CompileReply reply;
    reply.resources.regs = used.registers;
    reply.resources.smem = used.static_smem_bytes + shared_memory_bytes(request.problem, request.config);
    reply.resources.spill_bytes = used.spill_store_bytes + used.spill_load_bytes;
    reply.resources.stack_bytes = used.stack_bytes;
    reply.seconds = elapsed.count();
    return reply;
  }

  Json set_up(const SetUpRequest& request) {
    const Place& place = request.place;
    if (place.device == DeviceKind::emulator) {
      bench_.reset();
      if (!emulated_bench_) emulated_bench_ = std::make_unique<EmulatedWorkbench>(emit_);
      emulated_bench_->set_up(request.workload, place);
      return Json::object();
    }
    emulated_bench_.reset();
    if (!bench_ || bench_->device().ordinal != place.ordinal) {
      bench_.reset();
      bench_ = std::make_unique<Workbench>(place.ordinal, cubin_cache(), emit_);
    }
    bench_->set_up(request.workload);
    return {{"free_bytes", bench_->free_bytes()}};
  }

  VerifyReply verify(const VerifyRequest& request) {
    if (emulated_bench_) {
      return emulated_bench_->verify(request.config, [this](int schedule) { announce(schedule); });
    }
    const Comparison comparison = bench().verify(request.config, [this](int index) { announce(index); });
    return verify_reply(comparison, bench().resident_blocks(request.config));
  }

  TimedRounds time(const TimeRequest& request) {
    return bench().time(request.configs, request.rounds, request.seed, [this](int index) { announce(index); });
  }

  Workbench& bench() {
    if (!bench_) throw UsageError("no workload is set up on a GPU");
    return *bench_;
  }

  int fd_;
  EmitFunction emit_;
  // One of the two at most: what the workload is set up on.
  std::unique_ptr<Workbench> bench_;
  std::unique_ptr<EmulatedWorkbench> emulated_bench_;
};

}  // namespace

int run_worker(int fd, const WorkerHooks& hooks) { return Worker(fd, emit_or_default(hooks.emit)).serve(); }

}  // namespace moe_tune

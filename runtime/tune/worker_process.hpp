// The parent's side of one worker process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generator/support/descriptor.hpp"
#include "generator/support/json.hpp"
#include "runtime/tune/line_buffer.hpp"
#include "runtime/tune/protocol.hpp"

namespace moe_tune {

/// How to start a worker.
struct WorkerCommand {
  std::vector<std::string> argv;         ///< argv[0] is a path, e.g. {"/proc/self/exe", "worker"}
  std::int64_t address_space_bytes = 0;  ///< limit (RLIMIT_AS) for workers that only compile; 0: none
};

/// Milliseconds that a worker may be silent.
struct WorkerLimits {
  int first_ms = 60'000;  ///< until its first message after a request
  int next_ms = 60'000;   ///< between messages after that
};

struct WorkerAnswer {
  enum class Kind {
    reply,    ///< `reply` has it
    refused,  ///< the worker answered that it cannot: `message`
    died,     ///< the process ended, or wrote something that is no message
    hung,     ///< silent for longer than the limit, and killed
  };
  Kind kind = Kind::died;
  std::optional<JsonDocument> reply;
  int running = -1;                                ///< what the worker announced last: the index of a candidate; -1: nothing
  std::string message;                             ///< what happened; when the worker ended, with the end of what it printed
  WorkerErrorKind error = WorkerErrorKind::other;  ///< of a refusal
};

/// A child process that answers one request at a time. It is started by the first request, and again by the next one after it
/// ended. It gets SIGKILL when it is silent for too long, when this object goes, and when the parent's thread that started it
/// ends. Ctrl-C does not reach it, and what it prints is kept from the terminal. Not thread-safe.
class WorkerProcess {
 public:
  explicit WorkerProcess(WorkerCommand command) : command_(std::move(command)) {}
  ~WorkerProcess() { kill(); }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// Sends and waits. Throws EnvironmentError when no process can be started, Cancelled when `*cancel` gets set (the worker is
  /// killed).
  WorkerAnswer request(const Json& request, const WorkerLimits& limits, const std::atomic<bool>* cancel = nullptr);

  /// The halves of request(), for several workers at once: send() to idle ones, then wait_for_workers(), then take_answer() from
  /// each.
  void send(const Json& request, const WorkerLimits& limits);
  bool busy() const { return busy_; }
  std::optional<WorkerAnswer> take_answer();

  pid_t pid() const { return pid_; }      ///< -1: not started, or ended
  int starts() const { return starts_; }  ///< how often it was started
  void kill();

 private:
  friend void wait_for_workers(std::span<WorkerProcess* const>, const std::atomic<bool>*);
  using Clock = std::chrono::steady_clock;

  void start();
  bool idle_and_sound() const;
  void on_writable();
  void on_readable();
  void on_output();
  void on_line(const std::string& line);
  void on_time();
  void finish(WorkerAnswer answer);
  void end(WorkerAnswer::Kind kind, const std::string& what);

  WorkerCommand command_;
  pid_t pid_ = -1;
  int starts_ = 0;
  Descriptor socket_;
  Descriptor output_;   ///< the worker's stdout and stderr
  std::string outbox_;  ///< of the request, not yet sent
  LineBuffer inbox_;
  std::string tail_;  ///< the last that the worker printed
  bool busy_ = false;
  int messages_ = 0;  ///< of the running request
  int running_ = -1;
  WorkerLimits limits_;
  int silence_ms_ = 0;  ///< the limit that holds now
  Clock::time_point deadline_;
  std::optional<WorkerAnswer> answer_;
};

/// Waits until at least one busy worker of `workers` has an answer (returns at once when none is busy); kills those that are
/// silent for too long. Throws Cancelled when `*cancel` gets set, after killing the busy ones.
void wait_for_workers(std::span<WorkerProcess* const> workers, const std::atomic<bool>* cancel);

}  // namespace moe_tune

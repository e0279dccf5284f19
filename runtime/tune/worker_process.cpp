#include "runtime/tune/worker_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "moe_tune/error.hpp"
#include "runtime/tune/bench.hpp"
#include "runtime/tune/worker.hpp"

namespace moe_tune {
namespace {

constexpr std::size_t max_tail_bytes = 2048;
constexpr int max_messages_per_request = 1'000'000;
constexpr int cancel_poll_ms = 100;

[[noreturn]] void throw_start_error(const std::string& program, const char* call) {
  throw EnvironmentError(fmt::format("cannot start the worker {}: {}: {}", program, call, std::strerror(errno)));
}

/// Descriptors of the child that must not be among those it is given (0 to worker_fd).
Descriptor move_up(Descriptor fd) { return Descriptor(fcntl(fd.get(), F_DUPFD_CLOEXEC, worker_fd + 1)); }

/// Between fork and exec: only what is safe after a fork of a process with threads.
[[noreturn]] void become_worker(char* const* argv, std::int64_t address_space_bytes, pid_t parent, int socket, int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before the line above
  signal(SIGINT, SIG_IGN);              // Ctrl-C goes to the whole process group; the parent decides what it means
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (address_space_bytes > 0) {
    const auto limit = static_cast<rlim_t>(address_space_bytes);
    const rlimit memory{limit, limit};
    setrlimit(RLIMIT_AS, &memory);
  }
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  dup2(socket, worker_fd);
  execv(argv[0], argv);
  const char message[] = "exec failed\n";
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
  _exit(127);
}

std::string describe_end(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with exit code {}", WEXITSTATUS(status));
  return fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

}  // namespace

void WorkerProcess::start() {
  const std::string& program = command_.argv.at(0);
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) throw_start_error(program, "socketpair");
  Descriptor ours(sockets[0]);
  const Descriptor theirs = move_up(Descriptor(sockets[1]));
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) throw_start_error(program, "pipe2");
  Descriptor output(pipes[0]);
  const Descriptor their_output = move_up(Descriptor(pipes[1]));
  if (!theirs || !their_output) throw_start_error(program, "fcntl");
  if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0 || fcntl(output.get(), F_SETFL, O_NONBLOCK) != 0) {
    throw_start_error(program, "fcntl");
  }
  std::vector<char*> argv;
  for (std::string& argument : command_.argv) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw_start_error(program, "fork");
  if (child == 0) become_worker(argv.data(), command_.address_space_bytes, parent, theirs.get(), their_output.get());
  pid_ = child;
  ++starts_;
  socket_ = std::move(ours);
  output_ = std::move(output);
  inbox_.clear();
  tail_.clear();
}

void WorkerProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  socket_ = Descriptor();
  output_ = Descriptor();
  busy_ = false;
}

bool WorkerProcess::idle_and_sound() const {
  // An idle worker has nothing to say: anything readable is its end, or garbage.
  char byte;
  const ssize_t got = recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return inbox_.empty() && got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void WorkerProcess::send(const Json& request, const WorkerLimits& limits) {
  if (pid_ >= 0 && !idle_and_sound()) kill();
  if (pid_ < 0) start();
  outbox_ = json_text(request) + "\n";
  limits_ = limits;
  silence_ms_ = limits.first_ms;
  deadline_ = Clock::now() + std::chrono::milliseconds(silence_ms_);
  busy_ = true;
  messages_ = 0;
  running_ = -1;
  answer_.reset();
  on_writable();
}

std::optional<WorkerAnswer> WorkerProcess::take_answer() { return std::exchange(answer_, std::nullopt); }

WorkerAnswer WorkerProcess::request(const Json& message, const WorkerLimits& limits, const std::atomic<bool>* cancel) {
  send(message, limits);
  WorkerProcess* const self = this;
  wait_for_workers({&self, 1}, cancel);
  return *take_answer();
}

void WorkerProcess::on_writable() {
  while (!outbox_.empty()) {
    const ssize_t sent = ::send(socket_.get(), outbox_.data(), outbox_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (sent < 0) {
      outbox_.clear();  // it ended; on_readable will see that and say so
      return;
    }
    outbox_.erase(0, static_cast<std::size_t>(sent));
  }
}

void WorkerProcess::on_readable() {
  char bytes[65536];
  const ssize_t got = recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (got <= 0) return end(WorkerAnswer::Kind::died, "the worker");
  inbox_.append({bytes, static_cast<std::size_t>(got)});
  while (busy_) {
    const auto line = inbox_.next();
    if (!line) break;
    on_line(*line);
  }
  if (busy_ && inbox_.overflown()) end(WorkerAnswer::Kind::died, "the worker wrote a line without end; it");
}

void WorkerProcess::on_line(const std::string& line) {
  if (++messages_ > max_messages_per_request) {
    return end(WorkerAnswer::Kind::died, "the worker announces without end; it");
  }
  try {
    const JsonDocument document = parse_json(line, "worker");
    const JsonView message = document.root();
    if (const auto running = message.find("running")) {
      running_ = running->integer<int>(0);
      silence_ms_ = limits_.next_ms;
      deadline_ = Clock::now() + std::chrono::milliseconds(silence_ms_);
      return;
    }
    if (message.find("error")) {
      const WorkerError error = worker_error_from(message);
      return finish({WorkerAnswer::Kind::refused, std::nullopt, running_, error.message, error.kind});
    }
    finish({WorkerAnswer::Kind::reply, JsonDocument(message.at("reply").raw(), "worker"), running_, ""});
  } catch (const UsageError& error) {
    end(WorkerAnswer::Kind::died, fmt::format("the worker wrote what is no message ({}); it", error.what()));
  }
}

void WorkerProcess::on_output() {
  char bytes[65536];
  const ssize_t got = read(output_.get(), bytes, sizeof bytes);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    output_ = Descriptor();
    return;
  }
  tail_.append(bytes, static_cast<std::size_t>(got));
  if (tail_.size() > max_tail_bytes) tail_.erase(0, tail_.size() - max_tail_bytes);
}

void WorkerProcess::on_time() {
  if (busy_ && Clock::now() >= deadline_) {
    end(WorkerAnswer::Kind::hung, fmt::format("the worker was silent for {} ms and", silence_ms_));
  }
}

void WorkerProcess::finish(WorkerAnswer answer) {
  busy_ = false;
  answer_ = std::move(answer);
}

void WorkerProcess::end(WorkerAnswer::Kind kind, const std::string& what) {
  // What it printed last often says why; one read more than was already there.
  if (output_) on_output();
  int status = 0;
  // After its end has been seen on the socket the process itself may need a moment; it gets no second one.
  pid_t reaped = 0;
  if (kind == WorkerAnswer::Kind::died) {
    for (int i = 0; i < 20 && reaped == 0; ++i) {
      reaped = waitpid(pid_, &status, WNOHANG);
      if (reaped == 0) poll(nullptr, 0, 10);
    }
  }
  if (reaped == 0) {
    ::kill(pid_, SIGKILL);
    while ((reaped = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
  if (output_) on_output();
  std::string message = fmt::format("{} {}", what, describe_end(status));
  if (!tail_.empty()) message += fmt::format("; it printed last:\n{}", tail_);
  socket_ = Descriptor();
  output_ = Descriptor();
  finish({kind, std::nullopt, running_, std::move(message)});
}

void wait_for_workers(std::span<WorkerProcess* const> workers, const std::atomic<bool>* cancel) {
  const auto busy = [](const WorkerProcess* worker) { return worker->busy_; };
  const auto answered = [](const WorkerProcess* worker) { return worker->answer_.has_value(); };
  while (std::any_of(workers.begin(), workers.end(), busy) && std::none_of(workers.begin(), workers.end(), answered)) {
    if (cancel != nullptr && cancel->load()) {
      for (WorkerProcess* worker : workers) {
        if (worker->busy_) worker->kill();
      }
      throw Cancelled();
    }
    std::vector<pollfd> polled;
    auto next = WorkerProcess::Clock::now() + std::chrono::milliseconds(cancel_poll_ms);
    for (const WorkerProcess* worker : workers) {
      if (!worker->busy_) continue;
      const short events = worker->outbox_.empty() ? POLLIN : POLLIN | POLLOUT;
      polled.push_back({worker->socket_.get(), events, 0});
      polled.push_back({worker->output_.get(), POLLIN, 0});  // poll skips a negative descriptor
      next = std::min(next, worker->deadline_);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - WorkerProcess::Clock::now()).count();
    if (poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) < 0 && errno != EINTR) {
      throw EnvironmentError(fmt::format("cannot wait for workers: poll: {}", std::strerror(errno)));
    }
    std::size_t i = 0;
    for (WorkerProcess* worker : workers) {
      if (!worker->busy_) continue;
      const short on_socket = polled[i++].revents;
      const short on_output = polled[i++].revents;
      if (on_output != 0) worker->on_output();
      if ((on_socket & POLLOUT) != 0) worker->on_writable();
      if ((on_socket & (POLLIN | POLLHUP | POLLERR)) != 0) worker->on_readable();
      worker->on_time();
    }
  }
}

}  // namespace moe_tune

// Child processes for fault tests.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace moe_tune::test {

/// Whether the tests run at their full size.
inline bool long_run() {
  const char* scale = std::getenv("MOE_TUNE_FAULT_SCALE");
  return scale != nullptr && std::string_view(scale) == "long";
}

/// The size of a test: the first by default, the second in the long run.
inline int scaled(int usual, int full) { return long_run() ? full : usual; }

/// A forked process that runs `work`. Killed if it still runs when this goes out of scope.
class Child {
 public:
  explicit Child(const std::function<void()>& work) : pid_(fork()) {
    if (pid_ != 0) return;
    try {
      work();
      _exit(0);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "child: %s\n", e.what());
      _exit(1);
    }
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~Child() { kill(); }

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

  /// Kills it; whether it was still running.
  bool stop() {
    const bool running = waitpid(pid_, nullptr, WNOHANG) == 0;
    if (running) kill();
    pid_ = -1;
    return running;
  }

  /// Waits for the end; whether `work` returned.
  bool wait() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_;
};

/// Runs `count` children at once, child i doing work(i); how many of them failed.
inline int failed_children(int count, const std::function<void(int)>& work) {
  std::vector<Child> children;
  for (int i = 0; i < count; ++i) children.emplace_back([&, i] { work(i); });
  int failed = 0;
  for (Child& child : children) failed += child.wait() ? 0 : 1;
  return failed;
}

}  // namespace moe_tune::test

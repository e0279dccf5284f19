#include "runtime/tune/worker_process.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "moe_tune/error.hpp"
#include "runtime/tune/bench.hpp"
#include "tests/support/child_process.hpp"

using namespace moe_tune;
using Kind = WorkerAnswer::Kind;

namespace {

WorkerCommand fake(const char* mode) { return {{MOE_TUNE_FAKE_WORKER, mode}, 0}; }

const WorkerLimits patient{20'000, 20'000};
const WorkerLimits hasty{300, 300};

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Whether the process is gone, given a moment.
bool is_gone(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    if (::kill(pid, 0) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("a sound worker answers many requests in one process") {
  WorkerProcess worker(fake("echo"));
  CHECK(worker.pid() == -1);
  for (int i = 0; i < 100; ++i) {
    const WorkerAnswer answer = worker.request({{"number", i}}, patient);
    REQUIRE(answer.kind == Kind::reply);
    CHECK(answer.reply->root().at("number").integer<int>() == i);
  }
  CHECK(worker.starts() == 1);
}

TEST_CASE("a request longer than any pipe arrives whole") {
  WorkerProcess worker(fake("echo"));
  const std::string text(1 << 20, 'q');
  const WorkerAnswer answer = worker.request({{"text", text}}, patient);
  REQUIRE(answer.kind == Kind::reply);
  CHECK(answer.reply->root().at("text").string() == text);
}

TEST_CASE("a refusal is an answer, and the worker lives on") {
  WorkerProcess worker(fake("refuse"));
  for (int i = 0; i < 2; ++i) {
    const WorkerAnswer answer = worker.request({{"a", 1}}, patient);
    CHECK(answer.kind == Kind::refused);
    CHECK(answer.message == "I would rather not");
    CHECK(answer.error == WorkerErrorKind::environment);
  }
  CHECK(worker.starts() == 1);
}

TEST_CASE("a silent worker is killed at its limit and names what was running") {
  WorkerProcess worker(fake("announce_then_hang"));
  WorkerAnswer answer;
  CHECK(seconds([&] { answer = worker.request({{"a", 1}}, {20'000, 300}); }) < 10);
  CHECK(answer.kind == Kind::hung);
  CHECK(answer.running == 5);
  CHECK(worker.pid() == -1);
}

TEST_CASE("a worker that does not even read is killed, however long the request") {
  WorkerProcess worker(fake("deaf"));
  CHECK(worker.request({{"text", std::string(3 << 20, 'q')}}, hasty).kind == Kind::hung);
}

TEST_CASE("the limit is of silence, not of work") {
  WorkerProcess worker(fake("announce_slowly"));
  const WorkerAnswer answer = worker.request({{"a", 1}}, {5000, 400});
  CHECK(answer.kind == Kind::reply);
  CHECK(answer.running == 4);
}

TEST_CASE("a worker that ends is reported with how and with its last words") {
  WorkerProcess exits(fake("exit"));
  WorkerAnswer answer = exits.request({{"a", 1}}, patient);
  CHECK(answer.kind == Kind::died);
  CHECK_THAT(answer.message, Catch::Contains("exit code 42") && Catch::Contains("the last words"));

  WorkerProcess crashes(fake("segfault"));
  answer = crashes.request({{"a", 1}}, patient);
  CHECK(answer.kind == Kind::died);
  CHECK(answer.running == 7);
  CHECK_THAT(answer.message, Catch::Contains("signal 11"));
}

TEST_CASE("what is no message ends the worker") {
  for (const char* mode : {"garbage", "wrong_type", "half_a_line", "endless_line", "endless_announcements"}) {
    CAPTURE(mode);
    WorkerProcess worker(fake(mode));
    const WorkerAnswer answer = worker.request({{"a", 1}}, patient);
    CHECK(answer.kind == Kind::died);
    CHECK_FALSE(answer.message.empty());
    CHECK(worker.pid() == -1);
  }
}

TEST_CASE("a worker that prints without measure still answers") {
  WorkerProcess worker(fake("flood_stdout"));
  CHECK(worker.request({{"a", 1}}, patient).kind == Kind::reply);
}

TEST_CASE("an ended worker is started again by the next request") {
  WorkerProcess worker(fake("segfault"));
  for (int i = 1; i <= 3; ++i) {
    CHECK(worker.request({{"a", 1}}, patient).kind == Kind::died);
    CHECK(worker.starts() == i);
  }
}

TEST_CASE("a worker that died or talked between requests is replaced") {
  for (const char* mode : {"dies_when_idle", "talks_when_idle"}) {
    CAPTURE(mode);
    WorkerProcess worker(fake(mode));
    const WorkerAnswer first = worker.request({{"a", 1}}, patient);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const WorkerAnswer second = worker.request({{"a", 1}}, patient);
    REQUIRE(first.kind == Kind::reply);
    REQUIRE(second.kind == Kind::reply);
    CHECK(second.reply->root().at("pid").integer<int>() > 0);
    CHECK(second.reply->root().at("pid").integer<int>() != first.reply->root().at("pid").integer<int>());
  }
}

TEST_CASE("a worker with a memory limit cannot eat the machine") {
  WorkerCommand command = fake("eat_memory");
  command.address_space_bytes = std::int64_t{512} << 20;
  WorkerProcess worker(command);
  const WorkerAnswer answer = worker.request({{"a", 1}}, patient);
  CHECK(answer.kind == Kind::died);
  CHECK_THAT(answer.message, Catch::Contains("bad_alloc"));
}

TEST_CASE("a program that does not exist is a clear failure") {
  WorkerProcess worker({{"/nonexistent/worker"}, 0});
  const WorkerAnswer answer = worker.request({{"a", 1}}, patient);
  CHECK(answer.kind == Kind::died);
  CHECK_THAT(answer.message, Catch::Contains("exec failed"));
}

TEST_CASE("a set cancel flag kills the busy worker and throws") {
  WorkerProcess worker(fake("announce_then_hang"));
  std::atomic<bool> cancel{false};
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel = true;
  });
  CHECK(seconds([&] { CHECK_THROWS_AS(worker.request({{"a", 1}}, patient, &cancel), Cancelled); }) < 5);
  later.join();
  CHECK(worker.pid() == -1);
}

TEST_CASE("many workers answer in parallel, each its own request") {
  std::vector<std::unique_ptr<WorkerProcess>> owned;
  std::vector<WorkerProcess*> workers;
  for (int i = 0; i < 8; ++i) {
    // One of them hangs; the others do not wait for it.
    owned.push_back(std::make_unique<WorkerProcess>(fake(i == 3 ? "announce_then_hang" : "echo")));
    workers.push_back(owned.back().get());
    workers.back()->send({{"i", i}}, i == 3 ? hasty : patient);
  }
  int answered = 0;
  while (answered < 8) {
    wait_for_workers(workers, nullptr);
    for (int i = 0; i < 8; ++i) {
      const auto answer = workers[static_cast<std::size_t>(i)]->take_answer();
      if (!answer) continue;
      ++answered;
      if (i == 3) {
        CHECK(answer->kind == Kind::hung);
      } else {
        CHECK(answer->reply->root().at("i").integer<int>() == i);
      }
    }
  }
}

TEST_CASE("workers do not outlive their parent, however it ends") {
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  test::ChildProcess parent([&] {
    WorkerProcess worker(fake("deaf"));
    worker.send({{"a", 1}}, patient);
    const pid_t pid = worker.pid();
    if (write(pipes[1], &pid, sizeof pid) != sizeof pid) return 1;
    while (true) pause();
  });
  pid_t worker = 0;
  REQUIRE(read(pipes[0], &worker, sizeof worker) == sizeof worker);
  REQUIRE(::kill(worker, 0) == 0);
  parent.kill(SIGKILL);
  parent.wait();
  CHECK(is_gone(worker));
  close(pipes[0]);
  close(pipes[1]);
}

TEST_CASE("Ctrl-C ends the parent's business, not the worker's") {
  WorkerProcess worker(fake("echo"));
  REQUIRE(worker.request({{"a", 1}}, patient).kind == Kind::reply);
  ::kill(worker.pid(), SIGINT);
  CHECK(worker.request({{"a", 2}}, patient).kind == Kind::reply);
  CHECK(worker.starts() == 1);
}

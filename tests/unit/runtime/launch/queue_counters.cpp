#include "runtime/launch/queue_counters.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using namespace moe_tune;

namespace {

/// Pieces of three counters on the host.
struct HostMemory {
  int pieces = 0;
  QueueCounters counters{[this] {
    ++pieces;
    const auto words = std::make_shared<std::vector<unsigned>>(3);
    return QueueCounters::Piece{words, *words};
  }};
};

}  // namespace

TEST_CASE("queue counters: a stream keeps its own, in every thread that has it") {
  HostMemory memory;
  unsigned* first = memory.counters.of_stream(1);
  CHECK(*first == 0);
  CHECK(memory.counters.of_stream(2) != first);
  CHECK(memory.counters.of_stream(1) == first);
  unsigned* from_thread = nullptr;
  std::thread([&] { from_thread = memory.counters.of_stream(1); }).join();
  CHECK(from_thread == first);
}

TEST_CASE("queue counters: a stream of every thread's own has one for each") {
  HostMemory memory;
  unsigned* here = memory.counters.of_stream(2, thread_serial());
  CHECK(memory.counters.of_stream(2, thread_serial()) == here);
  unsigned* there = nullptr;
  std::thread([&] { there = memory.counters.of_stream(2, thread_serial()); }).join();
  CHECK(there != here);
  CHECK(memory.counters.of_stream(2) != here);
}

TEST_CASE("queue counters: no thread has the serial number of one that has ended") {
  std::set<std::uint64_t> serials{0, thread_serial()};
  for (int i = 0; i < 20; ++i) {
    std::uint64_t serial = 0;
    std::thread([&] { serial = thread_serial(); }).join();
    CHECK(serials.insert(serial).second);
  }
}

TEST_CASE("queue counters: fresh ones are nobody else's, whatever is asked for at once") {
  HostMemory memory;
  CHECK(memory.pieces == 1);
  std::vector<std::vector<unsigned*>> got(4);
  std::vector<std::thread> threads;
  for (std::vector<unsigned*>& mine : got) {
    threads.emplace_back([&memory, &mine] {
      for (int i = 0; i < 50; ++i) mine.push_back(memory.counters.fresh());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<unsigned*> all{memory.counters.of_stream(7)};
  for (const std::vector<unsigned*>& mine : got) {
    for (unsigned* counter : mine) {
      CHECK(*counter == 0);
      CHECK(all.insert(counter).second);
    }
  }
  CHECK(memory.pieces == 67);  // of three: 201 counters
}

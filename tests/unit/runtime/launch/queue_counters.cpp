#include "runtime/launch/queue_counters.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>
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
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id there;
  std::thread([&] { there = std::this_thread::get_id(); }).join();
  CHECK(memory.counters.of_stream(2, here) == memory.counters.of_stream(2, here));
  CHECK(memory.counters.of_stream(2, here) != memory.counters.of_stream(2, there));
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

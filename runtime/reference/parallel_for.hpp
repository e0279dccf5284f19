// Independent pieces of work on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace moe_tune {

/// Calls work(i) for every i in [0, count) on several threads. `work` does not throw.
template <class Work>
void parallel_for(int count, int threads, const Work& work) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<int> next = 0;
  const auto worker = [&] {
    for (int i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < std::min(threads, count); ++i) others.emplace_back(worker);
  worker();
}

}  // namespace moe_tune

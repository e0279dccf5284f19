// A CUDA graph captured from a stream. The library itself never captures, so the driver's graph functions are bound here.
#pragma once

#include <cuda.h>

#include <functional>

namespace moe_tune::test {

class CapturedGraph {
 public:
  /// Captures what `work` enqueues on `stream`. Throws EnvironmentError when the capture fails: something in `work` was not
  /// allowed in one.
  CapturedGraph(CUstream stream, const std::function<void()>& work);
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  void launch(CUstream stream) const;

 private:
  CUgraph graph_ = nullptr;
  CUgraphExec executable_ = nullptr;
};

}  // namespace moe_tune::test

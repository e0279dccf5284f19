#include "tests/gpu/support/graph.hpp"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "runtime/jit/driver.hpp"

namespace moe_tune::test {

namespace {

template <class Signature>
DriverFunction<Signature> find(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  void* address = library ? dlsym(library, name) : nullptr;
  if (!address) throw std::runtime_error(std::string("the driver has no ") + name);
  DriverFunction<Signature> function(name);
  function.bind(address);
  return function;
}

// Expands cuda.h's macros first: cuStreamBeginCapture is exported as cuStreamBeginCapture_v2.
#define MOE_TUNE_FIND(function) MOE_TUNE_FIND_EXPANDED(function)
#define MOE_TUNE_FIND_EXPANDED(function) find<decltype(::function)>(#function)

}  // namespace

CapturedGraph::CapturedGraph(CUstream stream, const std::function<void()>& work) {
  MOE_TUNE_FIND(cuStreamBeginCapture)(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  work();
  MOE_TUNE_FIND(cuStreamEndCapture)(stream, &graph_);
  MOE_TUNE_FIND(cuGraphInstantiate)(&executable_, graph_, 0);
}

CapturedGraph::~CapturedGraph() {
  MOE_TUNE_FIND(cuGraphExecDestroy).result(executable_);
  MOE_TUNE_FIND(cuGraphDestroy).result(graph_);
}

void CapturedGraph::launch(CUstream stream) const { MOE_TUNE_FIND(cuGraphLaunch)(executable_, stream); }

}  // namespace moe_tune::test

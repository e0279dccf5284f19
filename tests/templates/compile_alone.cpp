// template_compile_alone ARCH: compiles every template that claims ARCH alone with NVRTC, and emitted kernels, without a warning.
// Exit code 0: all compile; 1: some do not, and their logs are printed; 77: the loaded NVRTC does not know ARCH, so
// nothing was tried.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "generator/emit.hpp"
#include "generator/emit_router.hpp"
#include "generator/emit_router_gradient.hpp"
#include "generator/templates.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/jit/nvrtc.hpp"
#include "tests/support/compiler_warnings.hpp"
#include "tests/templates/claimed_archs.hpp"

namespace moe_tune {
namespace {

bool compiles(const std::string& source, const std::string& arch, const std::string& name) {
  try {
    const CompiledKernel kernel = compile(source, arch, name);
    if (!test::has_warnings(kernel)) return true;
    fmt::print("{} for {}: warnings\n{}\n", name, arch, kernel.log);
  } catch (const CompileError& error) {
    fmt::print("{}\n", error.what());
  }
  return false;
}

int run(const std::string& arch) {
  if (!nvrtc().supports(arch)) {
    fmt::print("NVRTC {} does not know {}: not tried\n", to_string(nvrtc().version()), arch);
    return 77;
  }
  if (!test::sees_warnings(arch)) {
    fmt::print("the warning of the control source was not seen\n");
    return 1;
  }
  int tried = 0;
  int failed = 0;
  for (const TemplateFile& file : embedded_templates()) {
    if (!claimed_archs(file).contains(arch)) continue;
    ++tried;
    failed += !compiles(inline_template(file.path), arch, std::string(file.path));
  }

  Problem gather;
  gather.E = 60;
  gather.N = 2816;
  gather.K = 1000;
  gather.top_k = 4;
  gather.permute_x = true;
  Problem scatter = gather;
  scatter.gemm = Gemm::down;
  scatter.dtype = DType::fp16;
  scatter.permute_x = false;
  scatter.permute_y = true;
  for (Problem problem : {gather, scatter}) {
    for (const Op op : {Op::forward, Op::dX, Op::dW}) {
      problem.op = op;
      problem.fuse_mul_post = op == Op::forward && problem.permute_y;
      ++tried;
      failed += !compiles(emit_kernel(problem, {}), arch, describe(problem));
      if (op != Op::dW) continue;
      Problem accumulated = problem;
      accumulated.accumulate = true;
      accumulated.float32_dw = problem.permute_y;
      ++tried;
      failed += !compiles(emit_kernel(accumulated, {}), arch, describe(accumulated));
    }
  }
  // Routers of each kind: experts that fill no tile, one, and several.
  for (const RouterProblem& router :
       {RouterProblem{.kind = RouterKind::softmax, .dtype = DType::fp16, .E = 45, .H = 1000, .top_k = 5},
        RouterProblem{.kind = RouterKind::softmax_norm_topk, .E = 128, .H = 2048, .top_k = 8, .first_expert = 96},
        RouterProblem{.kind = RouterKind::sigmoid, .E = 512, .H = 5120, .top_k = 16}}) {
    tried += 2;
    failed += !compiles(emit_router(router), arch, describe(router));
    failed += !compiles(emit_router_gradient(router), arch, "gradient of " + describe(router));
  }
  fmt::print("{}: {} sources tried, {} failed\n", arch, tried, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace moe_tune

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s ARCH\n", argv[0]);
    return 2;
  }
  try {
    return moe_tune::run(argv[1]);
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
}

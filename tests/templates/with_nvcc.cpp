// One emitted kernel, written to a file as a user would do it, compiles unchanged with nvcc. Exit code 77: there is no nvcc on
// PATH.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "generator/emit.hpp"
#include "generator/support/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;

namespace {

std::filesystem::path find_nvcc() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const auto file = std::filesystem::path(folder) / "nvcc"; access(file.c_str(), X_OK) == 0) return file;
  return {};
}

int run_program(const std::vector<std::string>& arguments) {
  std::vector<char*> raw;
  for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execv(raw[0], raw.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

int main() {
  const std::filesystem::path nvcc = find_nvcc();
  if (nvcc.empty()) {
    fmt::print("there is no nvcc on PATH: not tried\n");
    return 77;
  }
  Problem problem;
  problem.E = 128;
  problem.N = 1536;
  problem.K = 2048;
  problem.top_k = 8;
  problem.permute_x = true;
  const test::TemporaryFolder folder;
  const std::filesystem::path source = folder / "kernel.cu";
  write_file_atomic(source, emit_kernel(problem, {}));
  const std::filesystem::path cubin = folder / "kernel.cubin";
  const int code =
      run_program({nvcc.string(), "-arch=sm_80", "-cubin", "-Werror=all-warnings", "-o", cubin.string(), source.string()});
  fmt::print("nvcc returned {}\n", code);
  return code == 0 && std::filesystem::file_size(cubin) > 0 ? 0 : 1;
}

#include "runtime/emulator/kernel.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <vector>

#include "generator/support/file.hpp"
#include "generator/templates.hpp"
#include "moe_tune/error.hpp"
#include "runtime/emulator/ptx/machine.cuh"
#include "runtime/emulator/twins.hpp"

extern char** environ;

namespace moe_tune::emulator {

namespace {

constexpr std::size_t most_message_bytes = 1 << 20;
constexpr std::size_t most_shown_bytes = 4000;

/// A folder of this process alone, gone with the object.
class BuildFolder {
 public:
  BuildFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "moe-tune-emulator-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw_errno("cannot make the folder", name, "Is there room in the temporary folder?");
    path_ = name;
  }
  ~BuildFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  BuildFolder(const BuildFolder&) = delete;
  BuildFolder& operator=(const BuildFolder&) = delete;

  std::string operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

bool is_program(const std::filesystem::path& path) {
  return std::filesystem::is_regular_file(path) && access(path.c_str(), X_OK) == 0;
}

/// Runs a program with both outputs in the file `log`; its exit status, or -1 when a signal ended it.
int run_program(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw EnvironmentError(fmt::format("cannot start {}: {}", command[0], std::strerror(error)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw EnvironmentError(fmt::format("cannot wait for {}: {}", command[0], std::strerror(errno)));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// The path of the section that a line begins; empty for other lines.
std::string_view section_path(std::string_view line) {
  if (!line.starts_with(section_begin) || !line.ends_with(section_end)) return {};
  return line.substr(section_begin.size(), line.size() - section_begin.size() - section_end.size());
}

}  // namespace

std::string find_host_compiler() {
  std::vector<std::string> names;
  const char* wanted = std::getenv("MOE_TUNE_HOST_CXX");
  const bool is_named = wanted != nullptr && *wanted != '\0';
  if (is_named) names.emplace_back(wanted);
  if (const char* usual = std::getenv("CXX"); !is_named && usual != nullptr && *usual != '\0') names.emplace_back(usual);
  for (const char* name : {"c++", "g++", "clang++"}) {
    if (!is_named) names.emplace_back(name);
  }
  const char* path_variable = std::getenv("PATH");
  const std::string_view path = path_variable != nullptr ? path_variable : "";
  for (const std::string& name : names) {
    if (name.find('/') != std::string::npos) {
      if (is_program(name)) return name;
      continue;
    }
    for (std::size_t begin = 0; begin <= path.size();) {
      const std::size_t end = std::min(path.find(':', begin), path.size());
      const std::filesystem::path candidate = std::filesystem::path(path.substr(begin, end - begin)) / name;
      if (candidate.is_absolute() && is_program(candidate)) return candidate;
      begin = end + 1;
    }
  }
  throw EnvironmentError(
      fmt::format("the emulator builds kernels with a C++20 compiler of this machine, and there is none (tried {}). Install g++ "
                  "or clang++, or "
                  "name one in MOE_TUNE_HOST_CXX",
                  fmt::join(names, ", ")));
}

std::string host_source(std::string_view cuda_source) {
  std::string out;
  std::set<std::string_view> seen;
  bool skipping = false;
  bool twins = false;
  for (std::size_t begin = 0; begin < cuda_source.size();) {
    const std::size_t end = std::min(cuda_source.find('\n', begin), cuda_source.size());
    const std::string_view line = cuda_source.substr(begin, end - begin);
    begin = end + 1;
    if (const std::string_view path = section_path(line); !path.empty()) {
      skipping = path.starts_with("ptx/");
      twins = twins || skipping;
      if (skipping) out += inline_template(path, embedded_twins(), seen);
      seen.insert(path);  // twins include other sections too, which are above them as they are
    }
    if (!skipping) fmt::format_to(std::back_inserter(out), "{}\n", line);
  }
  if (!twins) {
    throw UsageError("this source has no section of templates/ptx/: the emulator runs what moe-tune emits, sections marked");
  }
  return out;
}

Kernel::Kernel(std::string_view cuda_source) {
  const std::string compiler = find_host_compiler();
  const BuildFolder folder;
  const std::string source = folder / "kernel.cpp", library = folder / "kernel.so", log = folder / "log";
  write_file_atomic(source, host_source(cuda_source));
  // Variables without a value get a pattern that no kernel can take for one. Contraction is what the GPU's compiler does too, but
  // where it does it is not the same: results are compared with a tolerance either way.
  const int status = run_program({compiler, "-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-fno-strict-aliasing",
                                  "-ftrivial-auto-var-init=pattern", "-o", library, source},
                                 log);
  if (status < 0) throw EnvironmentError(fmt::format("{} was killed while it built a kernel: is there memory enough?", compiler));
  if (status != 0) {
    throw UsageError(fmt::format("{} refuses the kernel (exit status {}):\n{}", compiler, status,
                                 read_file(log, most_message_bytes).substr(0, most_shown_bytes)));
  }
  library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) throw EnvironmentError(fmt::format("cannot load the built kernel: {}", dlerror()));
}

Kernel::~Kernel() { dlclose(library_); }

void* Kernel::function(const char* name) const {
  void* found = dlsym(library_, name);
  if (found == nullptr) throw UsageError(fmt::format("the kernel has no entry point {}", name));
  return found;
}

Kernel::Running::Running(const Kernel& kernel, Machine& machine) : kernel_(kernel), lock_(kernel.running_) {
  *static_cast<Machine**>(kernel_.function("moe_tune_machine")) = &machine;
}

Kernel::Running::~Running() { *static_cast<Machine**>(kernel_.function("moe_tune_machine")) = nullptr; }

}  // namespace moe_tune::emulator

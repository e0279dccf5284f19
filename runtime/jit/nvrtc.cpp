#include "runtime/jit/nvrtc.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <nvrtc.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace fs = std::filesystem;

struct Nvrtc::Functions {
  decltype(&::nvrtcGetErrorString) get_error_string;
  decltype(&::nvrtcVersion) version;
  decltype(&::nvrtcGetNumSupportedArchs) get_num_supported_archs;
  decltype(&::nvrtcGetSupportedArchs) get_supported_archs;
  decltype(&::nvrtcCreateProgram) create_program;
  decltype(&::nvrtcDestroyProgram) destroy_program;
  decltype(&::nvrtcCompileProgram) compile_program;
  decltype(&::nvrtcGetCUBINSize) get_cubin_size;
  decltype(&::nvrtcGetCUBIN) get_cubin;
  decltype(&::nvrtcGetProgramLogSize) get_log_size;
  decltype(&::nvrtcGetProgramLog) get_log;

  void check(nvrtcResult result, const char* call) const {
    if (result != NVRTC_SUCCESS) throw EnvironmentError(fmt::format("{} failed: {}", call, get_error_string(result)));
  }
};

namespace {

template <class Function>
void bind(Function& function, void* library, const char* name) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw EnvironmentError(fmt::format("it has no function {}", name));
}

// The dynamic loader's answer, because a bare name such as libnvrtc.so.13 says nothing about the file.
fs::path file_of(void* function, const fs::path& fallback) {
  Dl_info info{};
  if (!dladdr(function, &info) || !info.dli_fname) return fallback;
  std::error_code error;
  const fs::path real = fs::canonical(info.dli_fname, error);
  return error ? fs::path(info.dli_fname) : real;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Orders libnvrtc.so.9 before libnvrtc.so.13, which text order does not.
std::vector<int> version_numbers(const fs::path& library) {
  std::vector<int> numbers;
  const std::string name = library.filename().string();
  const char* at = name.data();
  const char* end = at + name.size();
  while (at < end) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error == std::errc()) numbers.push_back(number);
    at = error == std::errc() ? next : at + 1;
  }
  return numbers;
}

void add_libraries_in(const fs::path& folder, std::vector<fs::path>& found) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename().string().starts_with("libnvrtc.so.")) found.push_back(entry->path());
}

// Libraries in `folders`, newest first.
void append_newest_first(const std::vector<fs::path>& folders, std::vector<fs::path>& candidates) {
  std::vector<fs::path> found;
  for (const fs::path& folder : folders) add_libraries_in(folder, found);
  std::sort(found.begin(), found.end());
  std::stable_sort(found.begin(), found.end(),
                   [](const fs::path& a, const fs::path& b) { return version_numbers(a) > version_numbers(b); });
  candidates.insert(candidates.end(), found.begin(), found.end());
}

// "lib folder" of each folder in `parent` whose name starts with `prefix`.
std::vector<fs::path> library_folders(const fs::path& parent, std::string_view prefix, std::string_view library_folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename().string().starts_with(prefix)) folders.push_back(entry->path() / library_folder);
  return folders;
}

struct OpenedNvrtc {
  std::optional<Nvrtc> nvrtc;
  std::string why;  ///< why there is none
};

OpenedNvrtc open_first() {
  std::string tried;
  for (const fs::path& candidate : nvrtc_candidates()) {
    try {
      return {Nvrtc(candidate), ""};
    } catch (const EnvironmentError& error) {
      tried += fmt::format("\n  {}", error.what());
    }
  }
  return {std::nullopt,
          fmt::format(
              "no usable NVRTC, CUDA's run-time compiler ({} or later). Run ./moe-tune once (it fetches one), install the CUDA "
              "toolkit, or set MOE_TUNE_NVRTC to a libnvrtc.so. Tried:{}",
              to_string(oldest_nvrtc), tried)};
}

const OpenedNvrtc& opened_nvrtc() {
  static const OpenedNvrtc opened = open_first();
  return opened;
}

}  // namespace

std::string to_string(NvrtcVersion version) { return fmt::format("{}.{}", version.major, version.minor); }

Nvrtc::Nvrtc(const fs::path& library) {
  // Never closed: NVRTC keeps threads and state of its own.
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw EnvironmentError(fmt::format("{}: {}", library.string(), dlerror()));
  try {
    auto functions = std::make_unique<Functions>();
    bind(functions->get_error_string, handle, "nvrtcGetErrorString");
    bind(functions->version, handle, "nvrtcVersion");
    bind(functions->get_num_supported_archs, handle, "nvrtcGetNumSupportedArchs");
    bind(functions->get_supported_archs, handle, "nvrtcGetSupportedArchs");
    bind(functions->create_program, handle, "nvrtcCreateProgram");
    bind(functions->destroy_program, handle, "nvrtcDestroyProgram");
    bind(functions->compile_program, handle, "nvrtcCompileProgram");
    bind(functions->get_cubin_size, handle, "nvrtcGetCUBINSize");
    bind(functions->get_cubin, handle, "nvrtcGetCUBIN");
    bind(functions->get_log_size, handle, "nvrtcGetProgramLogSize");
    bind(functions->get_log, handle, "nvrtcGetProgramLog");
    path_ = file_of(reinterpret_cast<void*>(functions->version), library);
    functions->check(functions->version(&version_.major, &version_.minor), "nvrtcVersion");
    if (version_ < oldest_nvrtc)
      throw EnvironmentError(fmt::format("it is version {}, older than {}", to_string(version_), to_string(oldest_nvrtc)));
    int count = 0;
    functions->check(functions->get_num_supported_archs(&count), "nvrtcGetNumSupportedArchs");
    archs_.resize(static_cast<size_t>(count));
    functions->check(functions->get_supported_archs(archs_.data()), "nvrtcGetSupportedArchs");
    std::sort(archs_.begin(), archs_.end());
    functions_ = std::move(functions);
  } catch (const EnvironmentError& error) {
    throw EnvironmentError(fmt::format("{}: {}", library.string(), error.what()));
  }
}

bool Nvrtc::supports(std::string_view arch) const {
  constexpr std::string_view prefix = "sm_";
  if (!arch.starts_with(prefix)) return false;
  arch.remove_prefix(prefix.size());
  int number = 0;
  const auto [end, error] = std::from_chars(arch.data(), arch.data() + arch.size(), number);
  const std::string_view feature(end, static_cast<size_t>(arch.data() + arch.size() - end));
  if (error != std::errc() || !std::binary_search(archs_.begin(), archs_.end(), number)) return false;
  return feature.empty() || (feature == "a" && number >= 90);
}

Nvrtc::Output Nvrtc::compile(const std::string& source, const std::string& name, std::span<const std::string> options) const {
  const Functions& nvrtc = *functions_;
  nvrtcProgram program = nullptr;
  nvrtc.check(nvrtc.create_program(&program, source.c_str(), name.c_str(), 0, nullptr, nullptr), "nvrtcCreateProgram");
  const auto destroy = [&nvrtc](nvrtcProgram* p) { nvrtc.destroy_program(p); };
  const std::unique_ptr<nvrtcProgram, decltype(destroy)> owner(&program, destroy);

  std::vector<const char*> arguments;
  for (const std::string& option : options) arguments.push_back(option.c_str());
  const nvrtcResult result = nvrtc.compile_program(program, static_cast<int>(arguments.size()), arguments.data());
  if (result != NVRTC_ERROR_COMPILATION) nvrtc.check(result, "nvrtcCompileProgram");

  Output output;
  output.ok = result == NVRTC_SUCCESS;
  size_t log_size = 0;  // includes the terminating zero
  nvrtc.check(nvrtc.get_log_size(program, &log_size), "nvrtcGetProgramLogSize");
  output.log.resize(log_size);
  nvrtc.check(nvrtc.get_log(program, output.log.data()), "nvrtcGetProgramLog");
  while (!output.log.empty() && output.log.back() == '\0') output.log.pop_back();
  if (output.ok) {
    size_t cubin_size = 0;
    nvrtc.check(nvrtc.get_cubin_size(program, &cubin_size), "nvrtcGetCUBINSize");
    output.cubin.resize(cubin_size);
    nvrtc.check(nvrtc.get_cubin(program, output.cubin.data()), "nvrtcGetCUBIN");
  }
  return output;
}

std::vector<fs::path> nvrtc_candidates() {
  if (const std::string exact = environment("MOE_TUNE_NVRTC"); !exact.empty()) return {exact};
  std::vector<fs::path> candidates;
  if (const std::string deps = environment("MOE_TUNE_DEPS"); !deps.empty())
    append_newest_first(library_folders(fs::path(deps) / "nvidia", "", "lib"), candidates);
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = environment(variable); !home.empty())
      append_newest_first({fs::path(home) / "lib64"}, candidates);
  candidates.push_back("libnvrtc.so.13");
  candidates.push_back("libnvrtc.so.12");
  append_newest_first(library_folders("/usr/local", "cuda", "lib64"), candidates);
  return candidates;
}

const Nvrtc* try_nvrtc(std::string* why) {
  const OpenedNvrtc& opened = opened_nvrtc();
  if (!opened.nvrtc && why) *why = opened.why;
  return opened.nvrtc ? &*opened.nvrtc : nullptr;
}

const Nvrtc& nvrtc() {
  std::string why;
  if (const Nvrtc* opened = try_nvrtc(&why)) return *opened;
  throw EnvironmentError(why);
}

}  // namespace moe_tune

// moe-tune doctor: what of this machine works, what does not, and what to do about it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "generator/emit.hpp"
#include "generator/models.hpp"
#include "generator/support/folder.hpp"
#include "moe_tune/error.hpp"
#include "runtime/emulator/gemm_kernel.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/jit/nvrtc.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/options.hpp"
#include "tools/units.hpp"
#include "tuning_db/override.hpp"
#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Every line is ok, a note (works, but read on) or a problem (with the remedy). Exits with 0 when nothing is a problem: "
    "tuning\n"
    "works, by measuring where there is a GPU and by prediction where there is none.\n"
    "\n"
    "Example:\n"
    "  moe-tune doctor --format json";

struct DoctorOptions {
  DatabaseOptions database;
  OutputOptions output;
};

enum class State { ok, note, problem };

/// What was found, one row per finding.
class Findings {
 public:
  void add(std::string check, State state, std::string found, std::string remedy = "") {
    problems_ += state == State::problem ? 1 : 0;
    const char* name = state == State::ok ? "ok" : state == State::note ? "note" : "problem";
    table_.add_row({std::move(check), std::string(name), std::move(found), std::move(remedy)});
  }
  const Table& table() const { return table_; }
  bool healthy() const { return problems_ == 0; }

 private:
  Table table_{{{"check"}, {"state"}, {"found"}, {"remedy"}}};
  int problems_ = 0;
};

std::vector<DeviceInfo> check_gpus(Findings& findings) {
  std::string why;
  if (try_driver(&why) == nullptr) {
    findings.add("driver", State::note, why, "without a GPU, tune by prediction: moe-tune tune --device h200 ...");
    return {};
  }
  std::vector<DeviceInfo> devices;
  for (int ordinal = 0; ordinal < device_count(); ++ordinal) devices.push_back(query_device(ordinal));
  if (devices.empty()) {
    findings.add("driver", State::note, "the driver works and shows no GPU", "check CUDA_VISIBLE_DEVICES and nvidia-smi");
    return {};
  }
  findings.add("driver", State::ok, fmt::format("version {}, CUDA {}", devices.front().driver, devices.front().cuda));
  for (const DeviceInfo& gpu : devices) {
    const bool supported = gpu.cc_major >= 8;
    findings.add(fmt::format("GPU {}", gpu.ordinal), supported ? State::ok : State::note,
                 fmt::format("{}{}{}, compute capability {}.{}, {} SMs, {}", gpu.name, gpu.mig.empty() ? "" : " MIG ", gpu.mig,
                             gpu.cc_major, gpu.cc_minor, gpu.sm_count, bytes_text(gpu.total_bytes)),
                 supported ? "" : "kernels need compute capability 8.0 or newer: use another GPU (CUDA_VISIBLE_DEVICES)");
  }
  return devices;
}

// The real thing: a kernel that a user would get.
void check_compilation(Findings& findings, const std::string& arch) {
  const Problem problem = gemm_problem(preset_models().front(), Gemm::gate_up, DType::bf16);
  const CompiledKernel kernel = compile(emit_kernel(problem, {}), arch, "doctor.cu");
  findings.add("compilation", State::ok,
               fmt::format("a kernel for {}: {} registers, {} cubin", arch, kernel.resources.registers,
                           bytes_text(static_cast<std::int64_t>(kernel.cubin.size()))));
}

void check_nvrtc(Findings& findings, const std::vector<DeviceInfo>& devices) {
  std::string why;
  const Nvrtc* compiler = try_nvrtc(&why);
  if (compiler == nullptr) {
    findings.add("NVRTC", State::problem, first_line(why), "run ./moe-tune once, or set MOE_TUNE_NVRTC to a libnvrtc.so");
    return;
  }
  findings.add("NVRTC", State::ok, fmt::format("version {}, {}", to_string(compiler->version()), compiler->path().string()));
  const std::string arch = devices.empty() ? "sm_90" : arch_of(devices.front());
  if (!compiler->supports(arch)) {
    findings.add("compilation", State::problem, fmt::format("this NVRTC does not know {}", arch),
                 "install a newer CUDA toolkit, or set MOE_TUNE_NVRTC");
    return;
  }
  const int driver_major = devices.empty() ? compiler->version().major : std::atoi(devices.front().cuda.c_str());
  if (compiler->version().major > driver_major) {
    findings.add(
        "versions", State::problem,
        fmt::format("NVRTC {} is of a newer CUDA generation than the driver (CUDA {}), which may refuse its kernels",
                    to_string(compiler->version()), devices.front().cuda),
        fmt::format("update the driver, or set MOE_TUNE_NVRTC to the libnvrtc.so.{} of CUDA {}", driver_major, driver_major));
  }
  check_compilation(findings, arch);
}

// The real thing again: what an emulated verification starts with.
void check_host_compiler(Findings& findings) {
  std::string compiler;
  try {
    compiler = emulator::find_host_compiler();
  } catch (const EnvironmentError& error) {
    findings.add("host compiler", State::note, first_line(error.what()), "predictions stay unverified until one is there");
    return;
  }
  const Problem problem = gemm_problem(preset_models().front(), Gemm::gate_up, DType::bf16);
  const emulator::GemmKernel kernel(problem, {});
  findings.add("host compiler", State::ok, fmt::format("{}: builds kernels for the emulated device", compiler));
}

void check_cache(Findings& findings) {
  const std::filesystem::path folder = user_cache_folder();
  ensure_private_folder(folder);
  const CubinCache& cache = cubin_cache();
  const CacheUsage usage = cache.usage();
  findings.add("cache", State::ok,
               fmt::format("{}: {} kernels, {} of at most {}", folder.string(), usage.entries, bytes_text(usage.bytes),
                           bytes_text(static_cast<std::int64_t>(cache.max_bytes()))));
}

void check_databases(Findings& findings, const std::vector<std::filesystem::path>& paths) {
  for (const std::filesystem::path& path : paths) {
    if (!std::filesystem::exists(path)) {
      findings.add("database", State::note, fmt::format("{}: not there yet", path.string()), "moe-tune tune makes it");
      continue;
    }
    const Database database = Store(path).read();
    const auto measured = std::count_if(database.entries.begin(), database.entries.end(), is_measured);
    const std::string found =
        fmt::format("{}: {} entries, {} of them measured", path.string(), database.entries.size(), measured);
    if (database.damage.empty()) {
      findings.add("database", State::ok, found);
    } else {
      findings.add("database", State::problem,
                   fmt::format("{}; {} damaged records, the first: {}", found, database.damage.size(), database.damage.front()),
                   "tune again what is missing: the next run sets the damaged file aside and keeps the rest");
    }
  }
}

void check_variables(Findings& findings) {
  constexpr std::array names = {
      "MOE_TUNE_DB",    "MOE_TUNE_CACHE_DIR", "MOE_TUNE_CACHE_LIMIT", "MOE_TUNE_OVERRIDE", "MOE_TUNE_MODE",
      "MOE_TUNE_CHECK", "MOE_TUNE_LOG",       "MOE_TUNE_NVRTC",       "MOE_TUNE_DEPS",     "MOE_TUNE_HOST_CXX",
      "CUDA_HOME",      "CUDA_PATH",          "CUDA_VISIBLE_DEVICES"};
  for (const char* name : names) {
    if (const char* value = std::getenv(name)) findings.add("variable", State::ok, fmt::format("{}={}", name, value));
  }
  if (const char* log = std::getenv("MOE_TUNE_LOG");
      log != nullptr && !std::set<std::string_view>{"", "error", "warn", "info", "debug"}.contains(log)) {
    findings.add("variable", State::note, fmt::format("MOE_TUNE_LOG=\"{}\" is no level; warn is used", log),
                 "set it to error, warn, info or debug");
  }
  if (const char* file = std::getenv("MOE_TUNE_OVERRIDE"); file != nullptr && *file != '\0') {
    const Override parsed = read_override(file);
    findings.add("override", State::ok, fmt::format("{}: read", parsed.source));
    for (const std::string& note : parsed.notes) findings.add("override", State::note, note);
  }
}

/// An exception in a check is its finding: the other checks still run.
void guarded(Findings& findings, const char* check, const std::string& remedy, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    findings.add(check, State::problem, first_line(error.what()), remedy);
  }
}

int doctor(const DoctorOptions& options) {
  Findings findings;
  std::vector<DeviceInfo> devices;
  guarded(findings, "driver", "check nvidia-smi", [&] { devices = check_gpus(findings); });
  guarded(findings, "compilation", "set MOE_TUNE_NVRTC to another libnvrtc.so", [&] { check_nvrtc(findings, devices); });
  guarded(findings, "host compiler", "set MOE_TUNE_HOST_CXX to a C++20 compiler, such as a newer g++ or clang++",
          [&] { check_host_compiler(findings); });
  guarded(findings, "cache", "mend the folder, or set MOE_TUNE_CACHE_DIR to another", [&] { check_cache(findings); });
  guarded(findings, "database", "mend or move the file; MOE_TUNE_DB or --db names another",
          [&] { check_databases(findings, options.database.paths()); });
  guarded(findings, "override", "mend the file that MOE_TUNE_OVERRIDE names, or unset it", [&] { check_variables(findings); });
  print(findings.table(), options.output);
  return findings.healthy() ? exit_ok : exit_environment;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto [verb, options] = add_verb<DoctorOptions>(app, action, "doctor", "check this machine", examples, doctor);
  add_database_options(*verb, options->database);
  add_output_options(*verb, options->output);
}

}  // namespace moe_tune::cli

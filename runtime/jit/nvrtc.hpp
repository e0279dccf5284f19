// NVRTC, CUDA's run-time compiler, opened at run time; version 12.4 or later.
#pragma once

#include <compare>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moe_tune {

struct NvrtcVersion {
  int major = 0;
  int minor = 0;
  auto operator<=>(const NvrtcVersion&) const = default;
};

/// "12.4"
std::string to_string(NvrtcVersion version);

inline constexpr NvrtcVersion oldest_nvrtc{12, 4};

/// One NVRTC library. Thread-safe, and threads do compile at the same time: eight forward kernels took 5.5 to 6.9 s on one thread
/// and 3.0 to 3.7 s on two (two cores, NVRTC 12.4, 12.9, 13.0 and 13.5), so there is no need for a process per compilation.
class Nvrtc {
 public:
  /// Opens `library`: a path, or a name that the loader resolves. Throws EnvironmentError when it cannot be opened, lacks a
  /// function, or is older than oldest_nvrtc.
  explicit Nvrtc(const std::filesystem::path& library);

  NvrtcVersion version() const { return version_; }
  /// The file that the loader opened.
  const std::filesystem::path& path() const { return path_; }
  /// Compute capabilities as NVRTC numbers them, e.g. 80, 90, 120; ascending.
  const std::vector<int>& supported_archs() const { return archs_; }
  /// `arch` as in "sm_80" or "sm_90a".
  bool supports(std::string_view arch) const;

  struct Output {
    bool ok = false;
    std::string cubin;  ///< empty unless ok
    std::string log;    ///< warnings, errors, and what ptxas prints
  };

  /// Compiles one self-contained source for one real arch. `name` stands for the file in messages. A source that does not compile
  /// is an Output with ok = false; EnvironmentError is for a compiler that fails on its own account.
  Output compile(const std::string& source, const std::string& name, std::span<const std::string> options) const;

 private:
  struct Functions;

  std::shared_ptr<const Functions> functions_;
  std::filesystem::path path_;
  NvrtcVersion version_;
  std::vector<int> archs_;
};

/// Where NVRTC is looked for, in order. MOE_TUNE_NVRTC, when set, is the only one; else the wheels under MOE_TUNE_DEPS
/// (nvidia/*/lib), CUDA_HOME and CUDA_PATH, the loader's own search, and /usr/local/cuda*. Newest version first in each folder.
std::vector<std::filesystem::path> nvrtc_candidates();

/// The first candidate that opens; opened once per process. Throws EnvironmentError listing each candidate and what is wrong with
/// it.
const Nvrtc& nvrtc();

/// The same, or nullptr; then `*why` (unless null) holds what nvrtc() would throw.
const Nvrtc* try_nvrtc(std::string* why = nullptr);

}  // namespace moe_tune

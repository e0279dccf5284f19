// What the tuning database remembers, as plain values. docs/FORMATS.md shows the JSON that they become.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// What must be equal for a measurement to count on another machine.
struct DeviceKey {
  std::string name;  ///< as the driver says it: "NVIDIA H200"
  int cc_major = 0;
  int cc_minor = 0;
  int sm_count = 0;
  std::string mig;  ///< MIG profile, e.g. "1g.18gb"; empty: not partitioned

  auto operator<=>(const DeviceKey&) const = default;
};

/// The device and what ran on it. Only `key` takes part in matching; `nvrtc` decides whether an entry is stale.
struct Environment {
  DeviceKey key;
  int smem_optin = 0;  ///< bytes of shared memory that one block may opt in to
  std::string uuid;    ///< of the measured card; empty in predictions
  std::string driver;  ///< driver version, e.g. "580.95"; empty in predictions
  std::string cuda;    ///< CUDA version that the driver supports, e.g. "13.0"; empty in predictions
  std::string nvrtc;   ///< compiler version, e.g. "13.0"

  bool operator==(const Environment&) const = default;
};

/// What wrote the kernel. Two entries with equal ids ran the same code for the same config.
struct GeneratorId {
  std::string version;             ///< of moe-tune
  std::string source_hash;         ///< over the templates that the kernel is made of
  std::vector<std::string> flags;  ///< compiler flags that change the code

  bool operator==(const GeneratorId&) const = default;
};

/// The token counts an entry speaks for.
struct TokenRange {
  int64_t measured = 1;  ///< where it was measured or predicted
  int64_t lo = 1;        ///< first token count of the range
  int64_t hi = 1;        ///< last token count of the range, inclusive

  bool holds(int64_t tokens) const { return lo <= tokens && tokens <= hi; }
  bool operator==(const TokenRange&) const = default;
};

enum class RoutingKind { uniform, zipf, dirichlet, trace };

/// How rows were spread over the experts while measuring.
struct Routing {
  RoutingKind kind = RoutingKind::uniform;
  std::optional<double> alpha;   ///< parameter of zipf or dirichlet
  double effective_experts = 0;  ///< exp of the entropy of the row histogram
  double max_share = 0;          ///< share of all rows on the busiest expert, 0 to 1

  bool operator==(const Routing&) const = default;
};

/// A timing, in microseconds.
struct Timing {
  double median = 0;
  std::array<double, 2> ci95{};  ///< 95% confidence interval of the median
  int n = 0;                     ///< samples kept; 0 in predictions
  std::string cache = "cold";    ///< state of L2: "cold" or "warm"
  int sm_mhz = 0;                ///< median SM clock while measuring
  int discarded = 0;             ///< samples dropped as thermal, slowed down or contended

  bool operator==(const Timing&) const = default;
};

/// The default config at the same point, for the gain.
struct Baseline {
  KernelConfig config;
  double median = 0;                     ///< microseconds
  double speedup = 1;                    ///< baseline median / entry median
  std::array<double, 2> speedup_ci95{};  ///< 95% confidence interval

  bool operator==(const Baseline&) const = default;
};

/// A runner-up, worth measuring again when the entry grows stale.
struct Alternative {
  KernelConfig config;
  double median = 0;  ///< microseconds

  bool operator==(const Alternative&) const = default;
};

/// What the compiler said the kernel needs.
struct Resources {
  int regs = 0;             ///< per thread
  int64_t smem = 0;         ///< bytes per block, static and dynamic
  int64_t spill_bytes = 0;  ///< spill stores and loads per thread
  int64_t stack_bytes = 0;  ///< stack frame per thread
  int ctas_per_sm = 0;      ///< resident blocks per SM

  bool operator==(const Resources&) const = default;
};

enum class VerifyStatus { not_run, pass, fail };

/// What kernels run on.
enum class DeviceKind {
  gpu,
  emulator,  ///< the emulated device of runtime/emulator: right or wrong, but no time
};

/// The comparison with a reference.
struct Verification {
  VerifyStatus status = VerifyStatus::not_run;
  std::string reference;                ///< e.g. "fp32"
  double max_rel_err = 0;               ///< largest relative error of a row; NaN and infinity are stored as infinity
  DeviceKind device = DeviceKind::gpu;  ///< where it ran; on the emulator with few tokens

  bool operator==(const Verification&) const = default;
};

/// How the winner was found.
struct SearchSummary {
  int space = 0;     ///< configs in the space
  int pruned = 0;    ///< left out by the model
  int compiled = 0;  ///< compiled
  int failed = 0;    ///< failed to compile, spilled, crashed, hung or were wrong
  std::string stop;  ///< why the search ended, e.g. "separated"

  bool operator==(const SearchSummary&) const = default;
};

/// Where an entry comes from, in ascending rank: an entry never gives way to one of lower rank.
enum class Source {
  predicted,  ///< by the analytic model
  imported,   ///< from another tool's file: a seed to measure again
  tuned,      ///< measured here
  manual,     ///< written by a person
};

/// One decision: the config for a workload on a device over a range of token counts, and why.
struct Entry {
  Problem problem;
  Environment env;
  GeneratorId gen;
  TokenRange tokens;
  Routing routing;
  KernelConfig config;
  Timing time;
  std::optional<Baseline> baseline;
  std::vector<Alternative> alternatives;
  Resources resources;
  Verification verify;
  SearchSummary search;
  Source source = Source::predicted;
  std::string date;  ///< utc_now() of the decision; the later entry wins among equals

  /// JSON object of fields that this version does not know, written back as they were; empty: none.
  std::string unknown_fields;

  bool operator==(const Entry&) const = default;
};

std::string_view to_string(RoutingKind kind);
std::string_view to_string(VerifyStatus status);
std::string_view to_string(DeviceKind kind);
std::string_view to_string(Source source);

/// Whether the entry rests on a measurement on its device.
inline bool is_measured(const Entry& entry) { return entry.source >= Source::tuned; }

/// Names in the file: a prefix and a hash over the fields that matching compares.
std::string workload_id(const Problem& problem);   ///< "w:..."
std::string environment_id(const DeviceKey& key);  ///< "e:..."
std::string generator_id(const GeneratorId& id);   ///< "g:..."

}  // namespace moe_tune

// Flags that several verbs share, and what they mean.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "generator/routing.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/problem.hpp"
#include "tools/table.hpp"

namespace moe_tune::cli {

/// --format, --quiet.
struct OutputOptions {
  std::string format_name = "table";
  bool quiet = false;

  Format format() const;
};
void add_output_options(CLI::App& verb, OutputOptions& options);
/// Prints to stdout. Throws EnvironmentError when that fails, e.g. on a full disk.
void print(const Table& table, const OutputOptions& options);

/// --model, --gemm, --op, --dtype, --fuse, --block, --unpermuted.
struct ModelOptions {
  std::string model;
  std::string gemm;  ///< empty: both
  std::vector<std::string> ops = {"forward"};
  std::string dtype = "bf16";
  std::vector<std::string> fusions;  ///< their names; each goes to the forward GEMM that can have it
  /// The GEMMs as a fused block runs them, the shared expert's included: qwen3, llama4, or empty for whichever the model is.
  std::optional<std::string> block;
  std::vector<std::string> unpermuted;  ///< permutations that the block leaves to other kernels: permute_x, permute_y

  /// The model. Throws UsageError when it is not of the kind that --block names.
  ModelShape shape() const;
  /// The GEMMs that the flags name: of each operation one or both. Throws UsageError.
  std::vector<Problem> problems() const;
};
enum class GemmFlag { optional, required };
void add_model_options(CLI::App& verb, ModelOptions& options, GemmFlag gemm);

/// --routing, --seed.
struct RoutingOptions {
  std::string routing = "uniform";
  std::uint64_t seed = 1;

  RoutingSpec spec() const;
};
void add_routing_options(CLI::App& verb, RoutingOptions& options);

/// --db: one database file, instead of those that the environment names.
struct DatabaseOptions {
  std::string path;

  std::vector<std::filesystem::path> paths() const;
};
void add_database_options(CLI::App& verb, DatabaseOptions& options);

/// --device: a live GPU (none given) or a described one.
void add_device_option(CLI::App& verb, std::string& device);

}  // namespace moe_tune::cli

#include "tests/mutation/support/pipeline_case.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <numeric>
#include <set>
#include <span>

#include "generator/templates.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/random.hpp"

namespace moe_tune {

/// The files of tests/mutation/pipelines/, embedded at build time.
std::span<const TemplateFile> embedded_pipelines();

namespace test {

namespace {

constexpr std::byte poison{0xff};
constexpr int block_k = 64;
constexpr unsigned row_bytes = block_k * 2;
constexpr unsigned barrier_bytes = 8;

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<std::byte> poisoned(std::size_t bytes) { return std::vector<std::byte>(bytes, poison); }

/// Integers from -3 to 3 as bf16.
std::vector<std::uint16_t> small_integers(int count, std::uint32_t seed) {
  std::vector<std::uint16_t> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = float_to_bf16(static_cast<float>(static_cast<int>(random_bits(seed, i) % 7) - 3));
  return values;
}

/// A . B^T, rounded once. Row r of A is row rows[r] of `a`; -1 stands for zeros.
std::vector<std::uint16_t> product(const std::vector<std::uint16_t>& a, const std::vector<int>& rows,
                                   const std::vector<std::uint16_t>& b, int N, int K) {
  std::vector<std::uint16_t> y;
  for (const int row : rows) {
    for (int column = 0; column < N; ++column) {
      float sum = 0;
      for (int k = 0; k < K && row >= 0; ++k)
        sum +=
            bf16_to_float(a[static_cast<std::size_t>(row * K + k)]) * bf16_to_float(b[static_cast<std::size_t>(column * K + k)]);
      y.push_back(float_to_bf16(sum));
    }
  }
  return y;
}

/// A map of a row-major bf16 matrix whose boxes are box_rows x 64, with the 128-byte swizzle.
TensorMapDescription matrix_map(int rows, int columns, int box_rows) {
  TensorMapDescription map;
  map.rank = 2;
  map.dims = {static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows)};
  map.strides = {static_cast<std::uint64_t>(columns) * 2};
  map.box = {block_k, static_cast<std::uint32_t>(box_rows)};
  map.swizzle = Swizzle::bytes128;
  return map;
}

unsigned ring_bytes(unsigned stages, unsigned rows) { return stages * (rows * row_bytes + 2 * barrier_bytes); }

/// Shapes that are no multiples of the tiles, and a K that goes round the ring about three times per tile.
PipelineCase matrix_case(std::string name, int M, int N, int K, int a_box_rows, int b_box_rows) {
  PipelineCase result;
  result.name = std::move(name);
  result.M = M;
  result.N = N;
  result.K = K;
  const std::vector<std::uint16_t> a = small_integers(M * K, 1), b = small_integers(N * K, 2);
  std::vector<int> rows(static_cast<std::size_t>(M));
  std::iota(rows.begin(), rows.end(), 0);
  result.a = {"a", bytes_of(a), {}};
  result.b = {"b", bytes_of(b), {}};
  result.y = {"y", {}, bytes_of(product(a, rows, b, N, K))};
  result.y.data = poisoned(result.y.expected.size());
  result.a_map = matrix_map(M, K, a_box_rows);
  result.b_map = matrix_map(N, K, b_box_rows);
  return result;
}

}  // namespace

std::string PipelineCase::source() const {
  std::vector<TemplateFile> files(embedded_templates().begin(), embedded_templates().end());
  files.insert(files.end(), embedded_pipelines().begin(), embedded_pipelines().end());
  std::set<std::string_view> seen;
  return inline_template(name + ".cuh", files, seen);
}

study::PipelineArgs PipelineCase::args(const std::function<void*(const Tensor&)>& address,
                                       const std::function<abi::TensorMap(const TensorMapDescription&)>& encode) const {
  const auto map_of = [&](std::optional<TensorMapDescription> map, const Tensor& tensor) {
    if (!map) return abi::TensorMap{};
    map->address = reinterpret_cast<std::uint64_t>(address(tensor));
    return encode(*map);
  };
  return {.a = map_of(a_map, a),
          .b = map_of(b_map, b),
          .y_map = map_of(y_map, y),
          .x = address(x),
          .indices = static_cast<const int*>(address(indices)),
          .y = address(y),
          .workspace = address(workspace),
          .counters = static_cast<unsigned*>(address(counters)),
          .M = M,
          .N = N,
          .K = K,
          .tokens = tokens};
}

std::string PipelineCase::difference(const Tensor& tensor, const std::byte* result) {
  for (std::size_t i = 0; i < tensor.expected.size(); ++i) {
    if (result[i] == tensor.expected[i]) continue;
    return fmt::format("{}, byte {} of {}: {:#04x} instead of {:#04x}", tensor.name, i, tensor.expected.size(),
                       std::to_integer<int>(result[i]), std::to_integer<int>(tensor.expected[i]));
  }
  return "";
}

PipelineCase ring_case() {
  PipelineCase result = matrix_case("ring", 200, 104, 456, 128, 64);
  result.blocks = 2;
  result.threads = 384;
  result.shared_bytes = ring_bytes(3, 128 + 64);
  return result;
}

PipelineCase store_case() {
  PipelineCase result = matrix_case("store", 210, 72, 200, 64, 64);
  result.y_map = matrix_map(210, 72, 64);
  result.blocks = 2;
  result.threads = 160;
  result.shared_bytes = 2 * 64 * row_bytes + ring_bytes(4, 64 + 64);
  return result;
}

PipelineCase cluster_case() {
  PipelineCase result = matrix_case("cluster", 230, 104, 456, 64, 32);
  result.blocks = 4;
  result.threads = 160;
  result.shared_bytes = ring_bytes(4, 64 + 64);
  result.cluster = 2;
  return result;
}

PipelineCase gather_case() {
  constexpr int tokens = 37;
  PipelineCase result = matrix_case("gather", 100, 104, 456, 64, 64);
  result.tokens = tokens;
  const std::vector<std::uint16_t> x = small_integers(tokens * result.K, 3), b = small_integers(result.N * result.K, 2);
  std::vector<int> indices, rows;
  for (int row = 0; row < result.M; ++row) {
    // Two bad ones, one of them the first that is too large.
    const int index = row == 17 ? tokens : row == 70 ? -1 : row * 29 % tokens;
    indices.push_back(index);
    rows.push_back(index >= 0 && index < tokens ? index : -1);
  }
  result.a = {};
  result.a_map.reset();
  result.x = {"x", bytes_of(x), {}};
  result.indices = {"indices", bytes_of(indices), {}};
  result.y.expected = bytes_of(product(x, rows, b, result.N, result.K));
  result.blocks = 2;
  result.threads = 256;
  result.shared_bytes = ring_bytes(4, 64 + 64);
  return result;
}

PipelineCase queue_case() {
  PipelineCase result;
  result.name = "queue";
  result.blocks = 3;
  result.threads = 160;
  result.shared_bytes = 4 * (2 * barrier_bytes + 4);
  result.M = 37 * 128 - 20;
  std::vector<std::uint32_t> x, y;
  for (int i = 0; i < result.M; ++i) {
    x.push_back(static_cast<std::uint32_t>(random_bits(4, static_cast<std::uint64_t>(i))));
    y.push_back(x.back() * 3 + 1);
  }
  result.x = {"x", bytes_of(x), {}};
  result.y = {"y", poisoned(y.size() * 4), bytes_of(y)};
  const std::vector<std::uint32_t> zeros(2);
  result.counters = {"counters", bytes_of(zeros), bytes_of(zeros)};
  return result;
}

PipelineCase copier_case() {
  constexpr int piece_rows = 8;
  constexpr std::size_t words = 64;  // of a row
  PipelineCase result;
  result.name = "copier";
  result.blocks = 4;
  result.threads = 64;
  result.shared_bytes = (piece_rows + 4) * words * 4 + 5 * barrier_bytes;
  result.M = 2 * 4 * piece_rows;
  result.tokens = 23;
  std::vector<std::uint32_t> x, y;
  for (std::size_t i = 0; i < static_cast<std::size_t>(result.tokens) * words; ++i)
    x.push_back(static_cast<std::uint32_t>(random_bits(5, i)));
  std::vector<int> indices;
  for (int row = 0; row < result.M; ++row) {
    indices.push_back(row * 11 % result.tokens);
    const auto first = x.begin() + indices.back() * static_cast<std::ptrdiff_t>(words);
    y.insert(y.end(), first, first + static_cast<std::ptrdiff_t>(words));
  }
  result.x = {"x", bytes_of(x), {}};
  result.indices = {"indices", bytes_of(indices), {}};
  result.y = {"y", poisoned(y.size() * 4), bytes_of(y)};
  result.workspace = {"workspace", poisoned(y.size() * 4), bytes_of(y)};
  const auto pieces = static_cast<std::size_t>(result.M / piece_rows);
  result.counters = {"flags", bytes_of(std::vector<std::uint32_t>(pieces)),
                     bytes_of(std::vector<std::uint32_t>(pieces, piece_rows))};
  return result;
}

PipelineCase ping_pong_case() {
  PipelineCase result = matrix_case("ping_pong", 210, 136, 328, 64, 64);
  result.y_map = matrix_map(210, 136, 64);
  result.blocks = 2;
  result.threads = 384;
  result.shared_bytes = 64 * row_bytes + ring_bytes(4, 64 + 64) + 4 * barrier_bytes;
  return result;
}

std::vector<PipelineCase> all_pipeline_cases() {
  return {ring_case(), store_case(), cluster_case(), gather_case(), queue_case(), copier_case(), ping_pong_case()};
}

}  // namespace test
}  // namespace moe_tune

#include "runtime/io/moe_weights.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "moe_tune/error.hpp"
#include "runtime/reference/half.hpp"
#include "tests/support/safetensors_files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

constexpr int E = 3, H = 72, I = 8, S = 8;  // H is more than one tile of a transposition, and no multiple of it

// Numbers that say what they are, exact in float32.
enum Role { gate_role, up_role, down_role, router_role, shared_gate_role, shared_up_role, shared_down_role };
float number(Role role, int expert, int row, int column) {
  return static_cast<float>(1 + ((role * 4 + expert) * 128 + row) * 128 + column);
}

struct Matrix {
  int rows;
  int columns;
  bool transposed = false;
};

/// Matrices of the experts [0, count), one behind the other.
std::vector<float> numbers(std::initializer_list<Role> roles, int count, Matrix matrix) {
  std::vector<float> values;
  for (int expert = 0; expert < count; ++expert) {
    std::vector<float> plain;
    for (const Role role : roles) {
      for (int row = 0; row < matrix.rows; ++row) {
        for (int column = 0; column < matrix.columns; ++column) plain.push_back(number(role, expert, row, column));
      }
    }
    const int rows = matrix.rows * static_cast<int>(roles.size());
    for (int i = 0; i < rows * matrix.columns; ++i) {
      const int row = matrix.transposed ? i % rows : i / matrix.columns;
      const int column = matrix.transposed ? i / rows : i % matrix.columns;
      values.push_back(plain[static_cast<std::size_t>(row * matrix.columns + column)]);
    }
  }
  return values;
}

std::vector<float> one_expert(Role role, int expert, Matrix matrix) {
  std::vector<float> values = numbers({role}, E, matrix);
  const auto size = static_cast<std::ptrdiff_t>(matrix.rows * matrix.columns);
  return {values.begin() + expert * size, values.begin() + (expert + 1) * size};
}

enum class Kind { qwen3, llama4 };

/// A checkpoint of two layers, the first of which is dense.
struct Model {
  TemporaryFolder folder;
  TensorFile file;

  Model(Kind kind, const std::string& prefix, bool fused) {
    const std::string common = R"(, "hidden_size": 72, "num_experts_per_tok": 1, "num_hidden_layers": 2, "hidden_act": "silu")";
    write_file_atomic(
        folder / "config.json",
        kind == Kind::llama4
            ? R"({"model_type": "llama4", "text_config": {"model_type": "llama4_text", "intermediate_size": 8,
                               "num_local_experts": 3, "moe_layers": [1])" +
                  common + "}}"
            : R"({"model_type": "qwen3_moe", "moe_intermediate_size": 8, "num_experts": 3, "mlp_only_layers": [0])" + common +
                  "}");
    if (kind == Kind::qwen3) {
      add_qwen3(prefix + "layers.1.mlp.", fused);
    } else {
      add_llama4(prefix + "layers.1.feed_forward.", fused);
    }
  }

  void add(const std::string& name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    file.add(name, ElementType::fp32, std::move(shape), values);
  }
  void add_experts(const std::string& base) {
    for (int e = 0; e < E; ++e) {
      const std::string expert = fmt::format("{}experts.{}.", base, e);
      add(expert + "gate_proj.weight", {I, H}, one_expert(gate_role, e, {I, H}));
      add(expert + "up_proj.weight", {I, H}, one_expert(up_role, e, {I, H}));
      add(expert + "down_proj.weight", {H, I}, one_expert(down_role, e, {H, I}));
    }
  }
  void add_qwen3(const std::string& base, bool fused) {
    add(base + "gate.weight", {E, H}, numbers({router_role}, 1, {E, H}));
    if (fused) {
      add(base + "experts.gate_up_proj", {E, 2 * I, H}, numbers({gate_role, up_role}, E, {I, H}));
      add(base + "experts.down_proj", {E, H, I}, numbers({down_role}, E, {H, I}));
    } else {
      add_experts(base);
    }
  }
  void add_llama4(const std::string& base, bool fused) {
    add(base + "router.weight", {E, H}, numbers({router_role}, 1, {E, H}));
    add(base + "shared_expert.gate_proj.weight", {S, H}, numbers({shared_gate_role}, 1, {S, H}));
    add(base + "shared_expert.up_proj.weight", {S, H}, numbers({shared_up_role}, 1, {S, H}));
    add(base + "shared_expert.down_proj.weight", {H, S}, numbers({shared_down_role}, 1, {H, S}));
    if (fused) {
      add(base + "experts.gate_up_proj", {E, H, 2 * I}, numbers({gate_role, up_role}, E, {I, H, true}));
      add(base + "experts.down_proj", {E, I, H}, numbers({down_role}, E, {H, I, true}));
    } else {
      add_experts(base);
    }
  }
  Checkpoint open() const {
    file.write(folder / "model.safetensors");
    return Checkpoint(folder.path());
  }
};

using Tensors = std::map<MoeTensor, std::vector<std::byte>>;

/// Everything, and that it comes in order.
Tensors read(const Checkpoint& checkpoint, ElementType type, ExpertRange experts = {}) {
  Tensors tensors;
  read_moe_weights(checkpoint, 1, type, experts, [&](MoeTensor tensor, std::size_t offset, std::span<const std::byte> bytes) {
    std::vector<std::byte>& target = tensors[tensor];
    REQUIRE(offset == target.size());
    REQUIRE(tensors.rbegin()->first == tensor);
    target.insert(target.end(), bytes.begin(), bytes.end());
  });
  const MoeWeightsLayout layout = moe_weights_layout(checkpoint.config().shape, experts);
  for (const MoeTensor tensor : all_moe_tensors) REQUIRE(tensors[tensor].size() == layout.bytes(tensor, type));
  return tensors;
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<float> experts_of(const std::vector<float>& all, ExpertRange experts) {
  const auto size = static_cast<std::ptrdiff_t>(all.size()) / E;
  return {all.begin() + experts.first * size, all.begin() + (experts.first + experts.count) * size};
}

constexpr std::array prefixes = {"", "model.", "language_model.model.", "model.language_model."};

}  // namespace

TEST_CASE("Both spellings of Qwen3, under every prefix, give the same weights") {
  const std::string prefix = GENERATE(from_range(prefixes));
  const bool fused = GENERATE(false, true);
  INFO(prefix << " fused: " << fused);
  const Model model(Kind::qwen3, prefix, fused);
  const Tensors tensors = read(model.open(), ElementType::fp32);
  CHECK(floats(tensors.at(MoeTensor::gate)) == numbers({router_role}, 1, {E, H}));
  CHECK(floats(tensors.at(MoeTensor::gate_up_proj)) == numbers({gate_role, up_role}, E, {I, H}));
  CHECK(floats(tensors.at(MoeTensor::down_proj)) == numbers({down_role}, E, {H, I}));
  CHECK(tensors.at(MoeTensor::shared_gate_up_proj).empty());
}

TEST_CASE("Both spellings of Llama4, under every prefix, give the same weights") {
  const std::string prefix = GENERATE(from_range(prefixes));
  const bool fused = GENERATE(false, true);
  INFO(prefix << " fused: " << fused);
  const Model model(Kind::llama4, prefix, fused);
  const Tensors tensors = read(model.open(), ElementType::fp32);
  CHECK(floats(tensors.at(MoeTensor::gate)) == numbers({router_role}, 1, {E, H}));
  CHECK(floats(tensors.at(MoeTensor::gate_up_proj)) == numbers({gate_role, up_role}, E, {I, H}));
  CHECK(floats(tensors.at(MoeTensor::down_proj)) == numbers({down_role}, E, {H, I}));
  CHECK(floats(tensors.at(MoeTensor::shared_gate_up_proj)) == numbers({shared_gate_role, shared_up_role}, 1, {S, H}));
  CHECK(floats(tensors.at(MoeTensor::shared_down_proj)) == numbers({shared_down_role}, 1, {H, S}));
}

TEST_CASE("Some of the experts") {
  const bool fused = GENERATE(false, true);
  const Kind kind = GENERATE(Kind::qwen3, Kind::llama4);
  const Model model(kind, "model.", fused);
  const Checkpoint checkpoint = model.open();
  for (const ExpertRange asked : {ExpertRange{0, 1}, ExpertRange{1, 2}, ExpertRange{2, 0}, ExpertRange{0, 3}}) {
    const ExpertRange experts = {asked.first, asked.count == 0 ? E - asked.first : asked.count};
    const Tensors tensors = read(checkpoint, ElementType::fp32, asked);
    CHECK(floats(tensors.at(MoeTensor::gate)).size() == E * H);  // the router knows them all
    CHECK(floats(tensors.at(MoeTensor::gate_up_proj)) == experts_of(numbers({gate_role, up_role}, E, {I, H}), experts));
    CHECK(floats(tensors.at(MoeTensor::down_proj)) == experts_of(numbers({down_role}, E, {H, I}), experts));
  }
  for (const ExpertRange wrong : {ExpertRange{-1, 1}, ExpertRange{3, 0}, ExpertRange{1, 3}, ExpertRange{0, -1},
                                  ExpertRange{1, std::numeric_limits<int>::max()}}) {
    CHECK_THROWS_AS(read(checkpoint, ElementType::fp32, wrong), UsageError);
    CHECK_THROWS_WITH(read(checkpoint, ElementType::fp32, wrong), Contains("are not all among the 3 of"));
  }
}

TEST_CASE("Elements become the type that is asked for, with a GPU's bits") {
  const ElementType from = GENERATE(ElementType::bf16, ElementType::fp16, ElementType::fp32);
  const ElementType to = GENERATE(ElementType::bf16, ElementType::fp16, ElementType::fp32);
  INFO(to_string(from) << " to " << to_string(to));
  const Model model(Kind::qwen3, "model.", true);
  // Every exponent, ties and a bit beside them, infinities, NaN; none that is finite and would not stay so.
  std::vector<float> values;
  for (int exponent = -30; exponent < 16; ++exponent) {
    for (const float mantissa : {1.0f, -1.00390625f, 1.01171875f, 1.0000001f, -1.99609375f, 1.00048828125f, 1.0014648f}) {
      values.push_back(std::ldexp(mantissa, exponent));
    }
  }
  for (const float special : {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, std::nanf("")}) values.push_back(special);
  values.resize(E * H, 0.5f);
  const auto bits16 = [&](DType dtype) {
    std::vector<std::uint16_t> bits;
    for (const float value : values) bits.push_back(from_float(value, dtype));
    return bits;
  };
  TensorFile file;
  for (const HostTensor& tensor : model.file.tensors()) {
    const std::vector<std::byte> bytes(tensor.bytes.begin(), tensor.bytes.end());
    if (tensor.name != "model.layers.1.mlp.gate.weight") {
      file.add(tensor.name, tensor.type, tensor.shape, std::vector<float>(bytes.size() / sizeof(float), 1));
    } else if (from == ElementType::fp32) {
      file.add(tensor.name, from, tensor.shape, values);
    } else {
      const DType dtype = from == ElementType::bf16 ? DType::bf16 : DType::fp16;
      const auto bits = bits16(dtype);
      file.add(tensor.name, from, tensor.shape, bits);
      for (std::size_t i = 0; i < bits.size(); ++i) values[i] = to_float(bits[i], dtype);
    }
  }
  file.write(model.folder / "model.safetensors");
  const Checkpoint checkpoint(model.folder.path());
  const std::vector<std::byte> found = read(checkpoint, to).at(MoeTensor::gate);
  std::vector<std::byte> expected;
  if (from == to) {
    const auto bytes = checkpoint.tensor("model.layers.1.mlp.gate.weight").bytes;
    expected.assign(bytes.begin(), bytes.end());
  } else if (to == ElementType::fp32) {
    const auto bytes = std::as_bytes(std::span(values));
    expected.assign(bytes.begin(), bytes.end());
  } else {
    const auto bits = bits16(to == ElementType::bf16 ? DType::bf16 : DType::fp16);
    const auto bytes = std::as_bytes(std::span(bits));
    expected.assign(bytes.begin(), bytes.end());
  }
  CHECK(found == expected);
}

TEST_CASE("A number that the type cannot hold is an error with its place") {
  const Model model(Kind::llama4, "", true);
  const std::string name = "layers.1.feed_forward.experts.gate_up_proj";
  std::vector<float> values(E * H * 2 * I, 1);
  const std::size_t place = (2 * H + 70) * 2 * I + 5;
  values[place] = 65519.0f;  // rounds to fp16's largest number
  SECTION("it fits") {}
  SECTION("infinity was there before") { values[place] = HUGE_VALF; }
  SECTION("it does not") {
    values[place] = -65520.0f;
    values[place + 2] = 1e30f;
  }
  const bool fits = values[place] > 0;
  TensorFile file;
  for (const HostTensor& tensor : model.file.tensors()) {
    const std::vector<float> ones(tensor.bytes.size() / sizeof(float), 1);
    file.add(tensor.name, tensor.type, tensor.shape, tensor.name == name ? values : ones);
  }
  file.write(model.folder / "model.safetensors");
  const Checkpoint checkpoint(model.folder.path());
  CHECK_NOTHROW(read(checkpoint, ElementType::fp32));
  CHECK_NOTHROW(read(checkpoint, ElementType::bf16));
  if (fits) {
    CHECK_NOTHROW(read(checkpoint, ElementType::fp16));
  } else {
    CHECK_THROWS_AS(read(checkpoint, ElementType::fp16), UsageError);
    CHECK_THROWS_WITH(read(checkpoint, ElementType::fp16),
                      Contains(fmt::format("model.safetensors: {}[2, 70, 5]: too large for F16", name)));
  }
}

TEST_CASE("Layers without experts are refused") {
  const Model model(Kind::qwen3, "model.", true);
  const Checkpoint checkpoint = model.open();
  const auto read_layer = [&](int layer) {
    read_moe_weights(checkpoint, layer, ElementType::bf16, {},
                     [](MoeTensor, std::size_t, std::span<const std::byte>) { FAIL(); });
  };
  CHECK_THROWS_WITH(read_layer(0), Contains("config.json: layer 0 is dense, it has no experts; layers that have: 1"));
  CHECK_THROWS_WITH(read_layer(2), Contains("config.json: there is no layer 2; the model has layers 0 to 1"));
  CHECK_THROWS_WITH(read_layer(-1), Contains("there is no layer -1"));
}

TEST_CASE("Weights that are missing or of another shape or type are refused before anything is read") {
  const auto [name, type, shape, message] = GENERATE(table<std::string, ElementType, std::vector<std::int64_t>, std::string>({
      {"model.layers.1.mlp.gate.weight", ElementType::fp32, {H, E}, "expected the shape [3, 72] by config.json, found [72, 3]"},
      {"model.layers.1.mlp.experts.2.down_proj.weight",
       ElementType::fp32,
       {I, H},
       "model.layers.1.mlp.experts.2.down_proj.weight: expected the shape [72, 8] by config.json, found [8, 72]"},
      {"model.layers.1.mlp.experts.1.up_proj.weight",
       ElementType::int32,
       {I, H},
       "up_proj.weight: weights of type I32 cannot be read; allowed: BF16, F16, F32"},
      {"model.layers.1.mlp.experts.1.up_proj.weight",
       ElementType::boolean,
       {},
       "no tensor \"model.layers.1.mlp.experts.1.up_proj.weight\" among its 9; near it: "},
      {"model.layers.1.mlp.gate.weight", ElementType::boolean, {}, "no tensor \"model.layers.1.mlp.gate.weight\" among its 9"},
  }));
  const Model model(Kind::qwen3, "model.", false);
  TensorFile file;
  for (const HostTensor& tensor : model.file.tensors()) {
    const std::vector<std::uint32_t> zeros(tensor.bytes.size() / 4);
    if (tensor.name != name) {
      file.add(tensor.name, tensor.type, tensor.shape, zeros);
    } else if (type != ElementType::boolean) {  // which stands for leaving it out
      file.add(tensor.name, type, shape, zeros);
    }
  }
  file.write(model.folder / "model.safetensors");
  const Checkpoint checkpoint(model.folder.path());
  const auto read_all = [&] {
    read_moe_weights(checkpoint, 1, ElementType::fp32, {}, [](MoeTensor, std::size_t, std::span<const std::byte>) { FAIL(); });
  };
  CHECK_THROWS_AS(read_all(), UsageError);
  CHECK_THROWS_WITH(read_all(), Contains("model.safetensors: ") && Contains(message));
}

TEST_CASE("Weights are read as bf16, fp16 or fp32") {
  const Model model(Kind::qwen3, "", true);
  const Checkpoint checkpoint = model.open();
  CHECK_THROWS_WITH(read(checkpoint, ElementType::fp64), "weights cannot be read as F64; allowed: BF16, F16, F32");
}

TEST_CASE("Pieces are of bounded size") {
  // 264 MiB of zeros that take no room on the disk.
  const TemporaryFolder folder;
  write_file_atomic(folder / "config.json", R"({"model_type": "llama4_text", "hidden_size": 4096, "intermediate_size": 4224,
    "num_local_experts": 1, "num_experts_per_tok": 1, "num_hidden_layers": 1})");
  std::string header = R"({"layers.0.feed_forward.router.weight":{"dtype":"BF16","shape":[1,4096],"data_offsets":[0,8192]})";
  std::int64_t end = 8192;
  const auto add = [&](const std::string& name, const std::string& shape, std::int64_t bytes) {
    header += fmt::format(R"(,"layers.0.feed_forward.{}":{{"dtype":"BF16","shape":{},"data_offsets":[{},{}]}})", name, shape, end,
                          end + bytes);
    end += bytes;
  };
  constexpr std::int64_t matrix = std::int64_t{4224} * 4096 * 2;
  add("experts.gate_up_proj", "[1,4096,8448]", 2 * matrix);
  add("experts.down_proj", "[1,4224,4096]", matrix);
  add("shared_expert.gate_proj.weight", "[4224,4096]", matrix);
  add("shared_expert.up_proj.weight", "[4224,4096]", matrix);
  add("shared_expert.down_proj.weight", "[4096,4224]", matrix);
  const std::string beginning = safetensors_bytes(header + "}");
  write_file_atomic(folder / "model.safetensors", beginning);
  fs::resize_file(folder / "model.safetensors", beginning.size() + static_cast<std::size_t>(end));

  std::map<MoeTensor, std::vector<std::size_t>> pieces;
  read_moe_weights(Checkpoint(folder.path()), 0, ElementType::bf16, {},
                   [&](MoeTensor tensor, std::size_t offset, std::span<const std::byte> bytes) {
                     REQUIRE(offset == std::accumulate(pieces[tensor].begin(), pieces[tensor].end(), std::size_t{0}));
                     pieces[tensor].push_back(bytes.size());
                   });
  constexpr std::size_t most = std::size_t{64} << 20;
  CHECK(pieces[MoeTensor::gate_up_proj] == std::vector<std::size_t>{most, 2 * matrix - most});
  CHECK(pieces[MoeTensor::shared_gate_up_proj] == std::vector<std::size_t>{matrix, matrix});
}

TEST_CASE("Weights are compared bit by bit") {
  const Model model(Kind::llama4, "model.", true);
  const Checkpoint checkpoint = model.open();
  Tensors tensors = read(checkpoint, ElementType::bf16);
  std::size_t asked = 0;
  const auto check = [&](ElementType type) {
    return check_moe_weights(checkpoint, 1, type, {}, [&](MoeTensor tensor, std::size_t offset, std::size_t bytes) {
      asked += bytes;
      REQUIRE(offset + bytes <= tensors.at(tensor).size());
      return tensors.at(tensor).data() + offset;
    });
  };
  CHECK(check(ElementType::bf16) == std::nullopt);
  CHECK(asked == 2 * (E * H + E * 3 * I * H + 3 * S * H));

  const std::size_t element = (1 * H + 71) * I + 3;  // of down_proj
  tensors[MoeTensor::down_proj][2 * element + 1] ^= std::byte{0x80};
  tensors[MoeTensor::down_proj][2 * element + 2] ^= std::byte{1};
  tensors[MoeTensor::shared_down_proj][0] ^= std::byte{1};
  const std::uint16_t bits = float_to_bf16(number(down_role, 1, 71, 3));
  const auto difference = check(ElementType::bf16);
  REQUIRE(difference.has_value());
  CHECK(*difference == fmt::format("down_proj[1, 71, 3]: 0x{:04x} where the checkpoint has 0x{:04x}", bits ^ 0x8000, bits));
}

TEST_CASE("The layer of every golden case is read") {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MOE_TUNE_SOURCE_DIR) / "tests/golden")) {
    if (!entry.is_directory()) continue;
    INFO(entry.path());
    const Checkpoint checkpoint(entry.path());
    std::size_t bytes = 0;
    read_moe_weights(checkpoint, 0, ElementType::fp32, {},
                     [&](MoeTensor, std::size_t, std::span<const std::byte> piece) { bytes += piece.size(); });
    std::size_t expected = 0;
    const MoeWeightsLayout layout = moe_weights_layout(checkpoint.config().shape, {});
    for (const MoeTensor tensor : all_moe_tensors) expected += layout.bytes(tensor, ElementType::fp32);
    CHECK(bytes == expected);
    ++cases;
  }
  CHECK(cases > 0);
}

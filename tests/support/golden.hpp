// The golden fixtures of tests/golden: MoE blocks of transformers with their results. make_fixtures.py says what a case has.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "generator/models.hpp"
#include "runtime/io/safetensors.hpp"
#include "runtime/reference/moe_block.hpp"

namespace moe_tune::test {

/// One case, read into host memory, the weights in the layout of the library.
class GoldenCase {
 public:
  explicit GoldenCase(const std::string& name)
      : shape_(find_model((folder() / name).string())), file_(folder() / name / "model.safetensors") {
    for (const HostTensor& tensor : file_.tensors()) {
      for (const std::string_view suffix : {"gate.weight", "router.weight"}) {
        const std::string& key = tensor.name;
        if (!key.starts_with("golden.") && key.ends_with(fmt::format(".{}", suffix))) {
          prefix_ = key.substr(0, key.size() - suffix.size());
        }
      }
      if (tensor.name.starts_with("golden.")) golden_.emplace(tensor.name.substr(7), joined({tensor.name}));
    }
    weights_ = in_layout(prefix_);
  }

  /// The cases there are; with `part` (_f32_, _bf16_, _f16_, _ties_, qwen3, llama4) those whose name says so.
  static std::vector<std::string> names(std::string_view part = "") {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      const std::string name = entry.path().filename();
      if (entry.is_directory() && fmt::format("_{}_", name).find(part) != std::string::npos) names.push_back(name);
    }
    if (names.empty()) throw std::runtime_error("there are no golden fixtures");
    std::sort(names.begin(), names.end());
    return names;
  }

  const ModelShape& shape() const { return shape_; }
  Storage dtype() const {
    const ElementType type = file_.at("golden.out").type;
    return type == ElementType::fp32 ? Storage::float32 : type == ElementType::bf16 ? Storage::bf16 : Storage::fp16;
  }
  std::int64_t tokens() const { return file_.at("golden.router_logits").shape.at(0); }

  /// A call of the reference, rounding as the case's block did. Lives as long as this object.
  MoeBlockInputs inputs() const {
    MoeBlockInputs in;
    in.shape = shape_;
    in.tokens = tokens();
    in.dtype = in.rounding = dtype();
    in.hidden_states = data("hidden_states");
    in.gate = weights_.at("gate").data();
    in.gate_up_proj = weights_.at("gate_up_proj").data();
    in.down_proj = weights_.at("down_proj").data();
    if (shape_.shared_expert_I > 0) {
      in.shared_gate_up_proj = weights_.at("shared_gate_up_proj").data();
      in.shared_down_proj = weights_.at("shared_down_proj").data();
    }
    return in;
  }

  bool has(const std::string& name) const { return golden_.contains(name); }
  const void* data(const std::string& name) const { return golden_.at(name).data(); }
  std::vector<double> values(const std::string& name) const { return unpack(golden_.at(name)); }
  const std::int32_t* selected_experts() const { return static_cast<const std::int32_t*>(data("selected_experts")); }

  /// gate, gate_up_proj, down_proj, shared_gate_up_proj, shared_down_proj.
  std::map<std::string, std::vector<std::byte>>& weights() { return weights_; }
  std::map<std::string, std::vector<double>> weight_gradients() const {
    std::map<std::string, std::vector<double>> gradients;
    for (const auto& [name, bytes] : in_layout(fmt::format("golden.d.{}", prefix_))) gradients.emplace(name, unpack(bytes));
    return gradients;
  }

 private:
  static std::filesystem::path folder() { return std::filesystem::path(MOE_TUNE_SOURCE_DIR) / "tests/golden"; }

  std::size_t element_bytes() const { return dtype() == Storage::float32 ? 4 : 2; }

  std::vector<double> unpack(const std::vector<std::byte>& bytes) const {
    return TensorView{bytes.data(), dtype()}.values(0, static_cast<std::int64_t>(bytes.size() / element_bytes()));
  }

  std::vector<std::byte> joined(const std::vector<std::string>& keys) const {
    std::vector<std::byte> bytes;
    for (const std::string& key : keys) {
      const auto tensor = file_.at(key).bytes;
      bytes.insert(bytes.end(), tensor.begin(), tensor.end());
    }
    return bytes;
  }

  /// (experts, rows, columns) as (experts, columns, rows).
  std::vector<std::byte> transposed(const std::string& key) const {
    const HostTensor& tensor = file_.at(key);
    const auto rows = static_cast<std::size_t>(tensor.shape.at(1));
    const auto columns = static_cast<std::size_t>(tensor.shape.at(2));
    std::vector<std::byte> bytes(tensor.bytes.size());
    for (std::size_t i = 0; i < bytes.size() / element_bytes(); ++i) {
      const std::size_t matrix = i / (rows * columns) * rows * columns;
      const std::size_t target = matrix + i % columns * rows + (i - matrix) / columns;
      std::memcpy(&bytes[target * element_bytes()], &tensor.bytes[i * element_bytes()], element_bytes());
    }
    return bytes;
  }

  /// The tensors of a block whose checkpoint keys begin so.
  std::map<std::string, std::vector<std::byte>> in_layout(const std::string& prefix) const {
    const std::string experts = prefix + "experts.";
    if (shape_.router == RouterKind::sigmoid) {
      const std::string shared = prefix + "shared_expert.";
      return {{"gate", joined({prefix + "router.weight"})},
              {"gate_up_proj", transposed(experts + "gate_up_proj")},
              {"down_proj", transposed(experts + "down_proj")},
              {"shared_gate_up_proj", joined({shared + "gate_proj.weight", shared + "up_proj.weight"})},
              {"shared_down_proj", joined({shared + "down_proj.weight"})}};
    }
    std::vector<std::string> gate_up = {experts + "gate_up_proj"};
    std::vector<std::string> down = {experts + "down_proj"};
    if (file_.find(gate_up.front()) == nullptr) {
      gate_up.clear();
      down.clear();
      for (int expert = 0; expert < shape_.E; ++expert) {
        const std::string of_expert = fmt::format("{}{}", experts, expert);
        gate_up.push_back(of_expert + ".gate_proj.weight");
        gate_up.push_back(of_expert + ".up_proj.weight");
        down.push_back(of_expert + ".down_proj.weight");
      }
    }
    return {{"gate", joined({prefix + "gate.weight"})}, {"gate_up_proj", joined(gate_up)}, {"down_proj", joined(down)}};
  }

  ModelShape shape_;
  SafetensorsFile file_;
  std::map<std::string, std::vector<std::byte>> golden_;
  std::string prefix_;  ///< of the checkpoint's keys
  std::map<std::string, std::vector<std::byte>> weights_;
};

}  // namespace moe_tune::test

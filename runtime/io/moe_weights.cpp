#include "runtime/io/moe_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "runtime/io/convert_elements.hpp"
#include "runtime/io/weight_parts.hpp"

namespace moe_tune {
namespace {

constexpr std::int64_t piece_bytes = std::int64_t{64} << 20;

/// "[3, 17, 5]" of an element of a tensor.
std::string describe_index(std::int64_t element, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t i = shape.size(); i-- > 0; element /= shape[i]) index[i] = element % shape[i];
  return describe_shape(index);
}

StridedMatrix matrix_of(const WeightPart& part, std::int64_t first_row) {
  const std::int64_t row_stride = part.transposed ? 1 : part.columns;
  const std::int64_t first = part.first + first_row * row_stride;
  return {part.source->bytes.data() + first * element_bits(part.source->type) / 8, part.source->type, row_stride,
          part.transposed ? part.rows : 1};
}

void require_float_type(ElementType type) {
  if (type == ElementType::bf16 || type == ElementType::fp16 || type == ElementType::fp32) return;
  throw UsageError(fmt::format("weights cannot be read as {}; allowed: BF16, F16, F32", to_string(type)));
}

/// As WeightSink; false ends the reading.
using PieceVisitor = std::function<bool(MoeTensor tensor, std::size_t offset, std::span<const std::byte> bytes)>;

class PieceReader {
 public:
  PieceReader(const Checkpoint& checkpoint, ElementType type, const PieceVisitor& visit)
      : checkpoint_(checkpoint), type_(type), visit_(visit) {}

  /// Whether to go on.
  bool read(const WeightPart& part, std::size_t offset) {
    const std::int64_t row_bytes = part.columns * element_bits(type_) / 8;
    const std::int64_t step = std::max<std::int64_t>(1, piece_bytes / row_bytes);
    for (std::int64_t row = 0; row < part.rows; row += step) {
      const std::int64_t rows = std::min(step, part.rows - row);
      const auto bytes = static_cast<std::size_t>(rows * row_bytes);
      if (!visit_(part.target, offset, {piece(part, row, rows, bytes), bytes})) return false;
      offset += bytes;
    }
    return true;
  }

 private:
  const std::byte* piece(const WeightPart& part, std::int64_t row, std::int64_t rows, std::size_t bytes) {
    const StridedMatrix source = matrix_of(part, row);
    if (!part.transposed && source.type == type_) return source.data;
    buffer_.resize(bytes);
    if (const auto place = convert_elements(source, rows, part.columns, type_, buffer_.data())) {
      const std::int64_t element = part.first + (row + place->row) * source.row_stride + place->column * source.column_stride;
      throw UsageError(fmt::format("{}: {}{}: too large for {}; read the weights as another type",
                                   checkpoint_.file_of(part.source->name).string(), part.source->name,
                                   describe_index(element, part.source->shape), to_string(type_)));
    }
    return buffer_.data();
  }

  const Checkpoint& checkpoint_;
  ElementType type_;
  const PieceVisitor& visit_;
  std::vector<std::byte> buffer_;
};

void visit_pieces(const Checkpoint& checkpoint, int layer, ElementType type, ExpertRange experts, const PieceVisitor& visit) {
  require_float_type(type);
  const std::vector<WeightPart> parts = find_weight_parts(checkpoint, layer, experts);
  PieceReader reader(checkpoint, type, visit);
  std::size_t offset = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i == 0 || parts[i].target != parts[i - 1].target) offset = 0;
    if (!reader.read(parts[i], offset)) return;
    offset += static_cast<std::size_t>(parts[i].rows * parts[i].columns * element_bits(type) / 8);
  }
}

}  // namespace

std::string_view to_string(MoeTensor tensor) {
  constexpr std::array names = {"gate", "gate_up_proj", "down_proj", "shared_gate_up_proj", "shared_down_proj"};
  return names.at(static_cast<std::size_t>(tensor));
}

std::size_t MoeWeightsLayout::bytes(MoeTensor tensor, ElementType type) const {
  if (shape(tensor).empty()) return 0;
  std::int64_t bits = element_bits(type);
  for (const std::int64_t dimension : shape(tensor)) bits = checked_mul(bits, dimension, to_string(tensor));
  return static_cast<std::size_t>(bits / 8);
}

MoeWeightsLayout moe_weights_layout(const ModelShape& model, ExpertRange experts) {
  if (experts.first < 0 || experts.first >= model.E || experts.count < 0 || experts.count > model.E - experts.first) {
    throw UsageError(fmt::format("experts [{}, {}) are not all among the {} of {}", experts.first,
                                 std::int64_t{experts.first} + experts.count, model.E, model.name));
  }
  const std::int64_t local = experts.count == 0 ? model.E - experts.first : experts.count;
  const std::int64_t H = model.H, I = model.I, S = model.shared_expert_I;
  MoeWeightsLayout layout{{{{model.E, H}, {local, 2 * I, H}, {local, H, I}, {}, {}}}};
  if (S > 0) {
    layout.shapes[static_cast<std::size_t>(MoeTensor::shared_gate_up_proj)] = {2 * S, H};
    layout.shapes[static_cast<std::size_t>(MoeTensor::shared_down_proj)] = {H, S};
  }
  return layout;
}

void read_moe_weights(const Checkpoint& checkpoint, int layer, ElementType type, ExpertRange experts, const WeightSink& sink) {
  visit_pieces(checkpoint, layer, type, experts, [&](MoeTensor tensor, std::size_t offset, std::span<const std::byte> bytes) {
    sink(tensor, offset, bytes);
    return true;
  });
}

std::optional<std::string> check_moe_weights(const Checkpoint& checkpoint, int layer, ElementType type, ExpertRange experts,
                                             const WeightSource& weights) {
  const MoeWeightsLayout layout = moe_weights_layout(checkpoint.config().shape, experts);
  std::optional<std::string> difference;
  visit_pieces(checkpoint, layer, type, experts, [&](MoeTensor tensor, std::size_t offset, std::span<const std::byte> expected) {
    const std::byte* const found = weights(tensor, offset, expected.size());
    if (found == nullptr || std::memcmp(found, expected.data(), expected.size()) == 0) return true;
    const auto bytes = static_cast<std::size_t>(element_bits(type) / 8);
    const auto differing =
        static_cast<std::size_t>(std::mismatch(expected.begin(), expected.end(), found).first - expected.begin()) / bytes;
    const auto bits_at = [&](const std::byte* data) {
      std::uint32_t bits = 0;  // the host is little-endian, as the files are
      std::memcpy(&bits, data + differing * bytes, bytes);
      return fmt::format("0x{:0{}x}", bits, 2 * bytes);
    };
    difference = fmt::format("{}{}: {} where the checkpoint has {}", to_string(tensor),
                             describe_index(static_cast<std::int64_t>(offset / bytes + differing), layout.shape(tensor)),
                             bits_at(found), bits_at(expected.data()));
    return false;
  });
  return difference;
}

}  // namespace moe_tune

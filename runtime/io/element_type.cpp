#include "runtime/io/element_type.hpp"

#include <array>
#include <cstddef>

namespace moe_tune {
namespace {

struct Row {
  std::string_view spelling;
  int bits;
};

// In the order of the enumeration.
constexpr std::array rows = {
    Row{"BOOL", 8},    Row{"F4", 4},      Row{"F6_E2M3", 6}, Row{"F6_E3M2", 6},     Row{"U8", 8},          Row{"I8", 8},
    Row{"F8_E5M2", 8}, Row{"F8_E4M3", 8}, Row{"F8_E8M0", 8}, Row{"F8_E4M3FNUZ", 8}, Row{"F8_E5M2FNUZ", 8}, Row{"I16", 16},
    Row{"U16", 16},    Row{"F16", 16},    Row{"BF16", 16},   Row{"I32", 32},        Row{"U32", 32},        Row{"F32", 32},
    Row{"C64", 64},    Row{"F64", 64},    Row{"I64", 64},    Row{"U64", 64},
};
static_assert(rows.size() == static_cast<std::size_t>(ElementType::uint64) + 1);

}  // namespace

int element_bits(ElementType type) { return rows.at(static_cast<std::size_t>(type)).bits; }

std::string_view to_string(ElementType type) { return rows.at(static_cast<std::size_t>(type)).spelling; }

std::optional<ElementType> find_element_type(std::string_view spelling) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].spelling == spelling) return static_cast<ElementType>(i);
  }
  return std::nullopt;
}

}  // namespace moe_tune

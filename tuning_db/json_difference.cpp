#include "tuning_db/json_difference.hpp"

namespace moe_tune {

Json json_difference(const Json& full, const Json& known) {
  Json difference;  // null
  if (full.is_object() && known.is_object()) {
    for (const auto& [key, value] : full.items()) {
      const auto found = known.find(key);
      if (found == known.end()) {
        difference[key] = value;
      } else if (Json inner = json_difference(value, *found); !inner.is_null()) {
        difference[key] = std::move(inner);
      }
    }
  } else if (full.is_array() && known.is_array() && full.size() == known.size()) {
    for (size_t i = 0; i < full.size(); ++i) {
      if (Json inner = json_difference(full[i], known[i]); !inner.is_null()) difference[i] = std::move(inner);
    }
  }
  return difference;
}

void add_json_difference(Json& value, const Json& difference) {
  if (value.is_object() && difference.is_object()) {
    for (const auto& [key, inner] : difference.items()) {
      const auto found = value.find(key);
      if (found == value.end()) {
        value[key] = inner;
      } else {
        add_json_difference(*found, inner);
      }
    }
  } else if (value.is_array() && difference.is_array()) {
    for (size_t i = 0; i < value.size() && i < difference.size(); ++i) add_json_difference(value[i], difference[i]);
  }
}

}  // namespace moe_tune

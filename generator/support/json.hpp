// The only door for JSON. Reading is defensive (files may come from anywhere): size, depth, duplicate keys, UTF-8 and number
// ranges are checked, and every error names the file and the place in it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moe_tune {

/// A JSON value that keeps the order of its keys. For building output; file data is read through JsonView.
using Json = nlohmann::ordered_json;

constexpr size_t max_json_bytes = size_t{16} << 20;
constexpr int max_json_depth = 64;
constexpr size_t max_json_token_bytes = size_t{1} << 20;  ///< of a string or number

/// A value inside a JsonDocument, which must outlive it, together with where it stands. Every getter throws UsageError
/// "<file>: <path>: ..." when the value is of another type or out of range.
class JsonView {
 public:
  JsonView(const Json& value, std::string_view source, std::string path)
      : value_(&value), source_(source), path_(std::move(path)) {}

  const Json& raw() const { return *value_; }
  std::string where() const;                            ///< "<file>: entries[3].config"
  [[noreturn]] void fail(std::string_view what) const;  ///< throws UsageError "<where>: <what>"
  bool is_null() const { return value_->is_null(); }
  bool is_object() const { return value_->is_object(); }

  JsonView at(std::string_view key) const;                        ///< a member that must be there
  std::optional<JsonView> find(std::string_view key) const;       ///< a member that may be absent
  std::vector<std::pair<std::string, JsonView>> members() const;  ///< of an object, in file order
  std::vector<JsonView> elements() const;                         ///< of an array

  std::string string() const;
  bool boolean() const;
  double number() const;  ///< an integer or a fraction; always finite
  /// An integer written without fraction or exponent, within [lo, hi].
  template <std::integral T>
  T integer(T lo = std::numeric_limits<T>::min(), T hi = std::numeric_limits<T>::max()) const {
    constexpr auto top = std::numeric_limits<int64_t>::max();
    return static_cast<T>(integer_between(static_cast<int64_t>(lo), std::in_range<int64_t>(hi) ? static_cast<int64_t>(hi) : top));
  }

 private:
  int64_t integer_between(int64_t lo, int64_t hi) const;
  [[noreturn]] void fail_type(std::string_view expected) const;

  const Json* value_;
  std::string_view source_;
  std::string path_;
};

/// A parsed text and its name.
class JsonDocument {
 public:
  JsonDocument(Json value, std::string source) : state_(std::make_unique<State>(State{std::move(value), std::move(source)})) {}

  JsonView root() const { return {state_->value, state_->source, ""}; }

 private:
  struct State {  // on the heap, so that views stay valid when the document is moved
    Json value;
    std::string source;
  };
  std::unique_ptr<State> state_;
};

/// Parses strict JSON. Throws UsageError "<source_name>:<line>:<column>: ..." for a syntax error, a text over max_json_bytes, a
/// string or number over max_json_token_bytes, nesting over max_json_depth (checked before descending), a duplicate key, invalid
/// UTF-8 or a number outside double.
JsonDocument parse_json(std::string_view text, std::string source_name);

/// Values in one member of the object that for_each_json_member() reads.
constexpr int max_json_member_values = 10000;

/// Reads the object that `text` is and calls visit(name, value) for each of its members, in order. Only one of them is held at a
/// time: a large text needs memory for the names of its members and no more. Throws as parse_json does, also when the text is
/// not an object or a member has more than max_json_member_values values.
void for_each_json_member(std::string_view text, std::string_view source_name,
                          const std::function<void(const std::string& name, const JsonView& value)>& visit);

/// parse_json of a file; throws EnvironmentError as read_file does.
JsonDocument read_json_file(const std::filesystem::path& path);

/// The text of `value`: on one line, or indented by `indent` spaces. Invalid UTF-8 in strings becomes U+FFFD.
std::string json_text(const Json& value, int indent = -1);

}  // namespace moe_tune

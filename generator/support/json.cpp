#include "generator/support/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

/// "<source>:<line>:<column>" of a byte offset.
std::string position(std::string_view text, size_t offset, std::string_view source) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("{}:{}:{}", source, line, before.size() - line_start + 1);
}

/// Builds the value while nlohmann's iterative parser walks the text. Written out, because nlohmann's own builder takes the last
/// of two equal keys, has no depth limit, and looks every key up linearly in an ordered object.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Json result;
  std::string error;
  size_t error_offset = 0;

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (!open_.back().keys.insert(name).second) return fail(fmt::format("duplicate key \"{}\"", name));
    open_.back().pending_key = std::move(name);
    return true;
  }

  bool parse_error(size_t offset, const std::string&, const nlohmann::detail::exception& e) override {
    error_offset = offset == 0 ? 0 : offset - 1;  // nlohmann counts the characters read
    const std::string_view text = e.what();       // "[json.exception.x.101] parse error at line 1, column 2: reason"
    size_t start = text.find("] ");
    start = start == std::string_view::npos ? 0 : start + 2;
    if (text.substr(start).starts_with("parse error at ")) start = text.find(": ", start) + 2;
    error = text.substr(start);
    return false;
  }

 private:
  struct Open {
    Json* value;
    std::unordered_set<std::string> keys;
    std::string pending_key;
  };

  bool fail(std::string what) {
    error = std::move(what);
    return false;
  }

  Json* place(Json value) {
    if (open_.empty()) {
      result = std::move(value);
      return &result;
    }
    Open& top = open_.back();
    if (top.value->is_array()) {
      top.value->push_back(std::move(value));
      return &top.value->back();
    }
    auto& members = top.value->get_ref<Json::object_t&>();
    static_cast<Json::object_t::Container&>(members).emplace_back(std::move(top.pending_key), std::move(value));
    return &members.back().second;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() >= max_json_depth) return fail(fmt::format("nested deeper than {} levels", max_json_depth));
    Json* placed = place(std::move(value));
    open_.push_back({placed, {}, {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Open> open_;
};

/// Counts the bytes that the parser has taken, for the position of the errors that the builder itself finds.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

}  // namespace

JsonDocument parse_json(std::string_view text, std::string source_name) {
  if (text.size() > max_json_bytes) {
    throw UsageError(fmt::format("{}: {} bytes of JSON; the limit is {}", source_name, text.size(), max_json_bytes));
  }
  // nlohmann takes a zero byte for the end of the text and would ignore everything after it.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw UsageError(fmt::format("{}: a zero byte is not JSON", position(text, zero, source_name)));
  }
  Builder builder;
  const char* furthest = text.data();
  const bool good =
      Json::sax_parse(CountingIterator(text.data(), &furthest), CountingIterator(text.data() + text.size(), &furthest), &builder);
  if (!good) {
    const size_t offset = builder.error_offset != 0 ? builder.error_offset : static_cast<size_t>(furthest - text.data());
    throw UsageError(fmt::format("{}: {}", position(text, offset, source_name), builder.error));
  }
  return {std::move(builder.result), std::move(source_name)};
}

JsonDocument read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path, max_json_bytes), path.string());
}

std::string json_text(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

std::string JsonView::where() const { return path_.empty() ? std::string(source_) : fmt::format("{}: {}", source_, path_); }

void JsonView::fail(std::string_view what) const { throw UsageError(fmt::format("{}: {}", where(), what)); }

void JsonView::fail_type(std::string_view expected) const {
  std::string found = json_text(*value_);
  constexpr size_t shown = 60;
  if (found.size() > shown) found = found.substr(0, shown) + "...";
  fail(fmt::format("expected {}, found {}", expected, found));
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!value_->is_object()) fail_type("an object");
  for (const auto& [name, value] : value_->get_ref<const Json::object_t&>()) {
    if (name == key) return JsonView(value, source_, path_.empty() ? name : fmt::format("{}.{}", path_, name));
  }
  return std::nullopt;
}

JsonView JsonView::at(std::string_view key) const {
  if (auto found = find(key)) return *std::move(found);
  fail(fmt::format("the key \"{}\" is missing", key));
}

std::vector<std::pair<std::string, JsonView>> JsonView::members() const {
  if (!value_->is_object()) fail_type("an object");
  std::vector<std::pair<std::string, JsonView>> result;
  for (const auto& [name, value] : value_->get_ref<const Json::object_t&>()) {
    result.emplace_back(name, JsonView(value, source_, path_.empty() ? name : fmt::format("{}.{}", path_, name)));
  }
  return result;
}

std::vector<JsonView> JsonView::elements() const {
  if (!value_->is_array()) fail_type("an array");
  std::vector<JsonView> result;
  for (size_t i = 0; i < value_->size(); ++i) result.emplace_back((*value_)[i], source_, fmt::format("{}[{}]", path_, i));
  return result;
}

std::string JsonView::string() const {
  if (!value_->is_string()) fail_type("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

double JsonView::number() const {
  if (!value_->is_number()) fail_type("a number");
  return value_->get<double>();
}

int64_t JsonView::integer_between(int64_t lo, int64_t hi) const {
  if (!value_->is_number_integer()) fail_type("an integer");
  const bool too_large = value_->is_number_unsigned() && !std::in_range<int64_t>(value_->get<uint64_t>());
  if (too_large || value_->get<int64_t>() < lo || value_->get<int64_t>() > hi) {
    fail_type(fmt::format("an integer in [{}, {}]", lo, hi));
  }
  return value_->get<int64_t>();
}

}  // namespace moe_tune

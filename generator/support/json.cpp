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

/// For messages: what files say may be long.
std::string shortened(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;  // not inside of a character
  return std::string(text.substr(0, limit)) + "...";
}

constexpr size_t shown_value = 60;
constexpr size_t shown_path = 200;

/// Where a string or number begins that is longer than max_json_token_bytes. nlohmann would hold several copies of it.
size_t find_long_token(std::string_view text) {
  bool in_string = false;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
      start = i;
    } else if (!in_string && std::string_view(" \t\r\n{}[],:").find(c) != std::string_view::npos) {
      start = i;
    }
    if (i - start > max_json_token_bytes) return start;
  }
  return std::string_view::npos;
}

/// Called with each member of the outermost object, which is not kept then.
using MemberVisitor = std::function<void(const std::string& name, const Json& value)>;

/// Builds the value while nlohmann's iterative parser walks the text. Written out, because nlohmann's own builder takes the last
/// of two equal keys, has no depth limit, and looks every key up linearly in an ordered object.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Json result;
  std::string error;
  size_t error_offset = 0;

  explicit Builder(const MemberVisitor* visit = nullptr) : visit_(visit) {}

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
    if (!open_.back().keys.insert(name).second) return fail(fmt::format("duplicate key \"{}\"", shortened(name, shown_path)));
    open_.back().pending_key = std::move(name);
    return true;
  }

  bool parse_error(size_t offset, const std::string&, const nlohmann::detail::exception& e) override {
    error_offset = offset == 0 ? 0 : offset - 1;  // nlohmann counts the characters read
    const std::string_view text = e.what();       // "[json.exception.x.101] parse error at line 1, column 2: reason"
    size_t start = text.find("] ");
    start = start == std::string_view::npos ? 0 : start + 2;
    if (text.substr(start).starts_with("parse error at ")) start = text.find(": ", start) + 2;
    error = shortened(text.substr(start), shown_path);
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
    if (visit_ != nullptr && !admit(value)) return false;
    place(std::move(value));
    return end_value();
  }

  bool open(Json value) {
    if (open_.size() >= max_json_depth) return fail(fmt::format("nested deeper than {} levels", max_json_depth));
    if (visit_ != nullptr && !admit(value)) return false;
    Json* placed = place(std::move(value));
    open_.push_back({placed, {}, {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return end_value();
  }

  /// Whether a value may follow when members are visited one by one.
  bool admit(const Json& value) {
    if (open_.empty()) return value.is_object() || fail("expected an object");
    return ++member_values_ <= max_json_member_values ||
           fail(fmt::format("more than {} values in one member", max_json_member_values));
  }

  /// Hands a member over when it is complete.
  bool end_value() {
    if (visit_ == nullptr || open_.size() != 1) return true;
    auto& members = static_cast<Json::object_t::Container&>(result.get_ref<Json::object_t&>());
    (*visit_)(members.back().first, members.back().second);
    members.clear();
    member_values_ = 0;
    return true;
  }

  const MemberVisitor* visit_;
  int member_values_ = 0;
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

void parse(std::string_view text, std::string_view source_name, Builder& builder) {
  if (text.size() > max_json_bytes) {
    throw UsageError(fmt::format("{}: {} bytes of JSON; the limit is {}", source_name, text.size(), max_json_bytes));
  }
  // nlohmann takes a zero byte for the end of the text and would ignore everything after it.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw UsageError(fmt::format("{}: a zero byte is not JSON", position(text, zero, source_name)));
  }
  if (const size_t start = find_long_token(text); start != std::string_view::npos) {
    throw UsageError(
        fmt::format("{}: a string or number longer than {} bytes", position(text, start, source_name), max_json_token_bytes));
  }
  const char* furthest = text.data();
  const bool good =
      Json::sax_parse(CountingIterator(text.data(), &furthest), CountingIterator(text.data() + text.size(), &furthest), &builder);
  if (!good) {
    const size_t offset = builder.error_offset != 0 ? builder.error_offset : static_cast<size_t>(furthest - text.data());
    throw UsageError(fmt::format("{}: {}", position(text, offset, source_name), builder.error));
  }
}

}  // namespace

JsonDocument parse_json(std::string_view text, std::string source_name) {
  Builder builder;
  parse(text, source_name, builder);
  return {std::move(builder.result), std::move(source_name)};
}

void for_each_json_member(std::string_view text, std::string_view source_name,
                          const std::function<void(const std::string&, const JsonView&)>& visit) {
  const MemberVisitor with_place = [&](const std::string& name, const Json& value) {
    visit(name, JsonView(value, source_name, name));
  };
  Builder builder(&with_place);
  parse(text, source_name, builder);
}

JsonDocument read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path, max_json_bytes), path.string());
}

std::string json_text(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

std::string JsonView::where() const {
  return path_.empty() ? std::string(source_) : fmt::format("{}: {}", source_, shortened(path_, shown_path));
}

void JsonView::fail(std::string_view what) const { throw UsageError(fmt::format("{}: {}", where(), what)); }

void JsonView::fail_type(std::string_view expected) const {
  fail(fmt::format("expected {}, found {}", expected, shortened(json_text(*value_), shown_value)));
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!value_->is_object()) fail_type("an object");
  for (const auto& [name, value] : value_->get_ref<const Json::object_t&>()) {
    if (name == key) return JsonView(value, source_, path_.empty() ? name : path_ + "." + name);
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
  result.reserve(value_->size());
  for (const auto& [name, value] : value_->get_ref<const Json::object_t&>()) {
    result.emplace_back(name, JsonView(value, source_, path_.empty() ? name : path_ + "." + name));
  }
  return result;
}

std::vector<JsonView> JsonView::elements() const {
  if (!value_->is_array()) fail_type("an array");
  std::vector<JsonView> result;
  result.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    result.emplace_back((*value_)[i], source_, path_ + "[" + std::to_string(i) + "]");
  }
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

#include "tools/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "generator/support/json.hpp"

namespace moe_tune::cli {

namespace {

constexpr std::string_view gap = "  ";

bool is_number(const Value& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}

std::string without_control_characters(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

/// A cell for people.
std::string shown(const Value& value, int decimals) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "yes" : "no";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) {
    return std::isfinite(*number) ? fmt::format("{:.{}f}", *number, decimals) : "-";
  }
  if (const auto* text = std::get_if<std::string>(&value)) return without_control_characters(*text);
  return "-";
}

Json json_value(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* number = std::get_if<double>(&value)) return std::isfinite(*number) ? Json(*number) : Json(nullptr);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return nullptr;
}

/// RFC 4180.
std::string csv_value(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) {
    const Json plain = json_value(value);
    return plain.is_null() ? "" : json_text(plain);
  }
  if (text->find_first_of(",\"\r\n") == std::string::npos) return *text;
  std::string quoted;
  for (const char c : *text) quoted.append(c == '"' ? 2 : 1, c);
  return fmt::format("\"{}\"", quoted);
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

void Table::add_row(std::vector<Value> row) {
  if (row.size() != columns_.size()) throw std::logic_error("a table row has another number of cells than columns");
  rows_.push_back(std::move(row));
}

std::string Table::text(Format format, bool colour) const {
  switch (format) {
    case Format::json:
      return as_json();
    case Format::csv:
      return as_csv();
    case Format::table:
      break;
  }
  return as_table(colour);
}

std::string Table::as_table(bool colour) const {
  std::string header;
  std::vector<std::string> lines(rows_.size());
  for (size_t c = 0; c < columns_.size(); ++c) {
    const Column& column = columns_[c];
    if (column.data_only) continue;
    size_t width = column.name.size();
    bool numeric = false;
    for (const auto& row : rows_) {
      width = std::max(width, shown(row[c], column.decimals).size());
      numeric = numeric || is_number(row[c]);
    }
    const auto padded = [&](const std::string& cell) {
      return numeric ? fmt::format("{:>{}}{}", cell, width, gap) : fmt::format("{:<{}}{}", cell, width, gap);
    };
    header.append(padded(column.name));
    for (size_t r = 0; r < rows_.size(); ++r) lines[r] += padded(shown(rows_[r][c], column.decimals));
  }
  header = without_trailing_spaces(std::move(header));
  std::string text = colour ? fmt::format("\x1b[1m{}\x1b[0m\n", header) : header + "\n";
  for (std::string& line : lines) text += without_trailing_spaces(std::move(line)) + "\n";
  return text;
}

std::string Table::as_json() const {
  std::vector<std::string> objects;
  for (const auto& row : rows_) {
    Json object = Json::object();
    for (size_t c = 0; c < columns_.size(); ++c) object[columns_[c].name] = json_value(row[c]);
    objects.push_back(json_text(object));
  }
  return objects.empty() ? "[]\n" : fmt::format("[\n{}\n]\n", fmt::join(objects, ",\n"));
}

std::string Table::as_csv() const {
  std::vector<std::string> cells;
  for (const Column& column : columns_) cells.push_back(column.name);
  std::string text = fmt::format("{}\n", fmt::join(cells, ","));
  for (const auto& row : rows_) {
    std::transform(row.begin(), row.end(), cells.begin(), csv_value);
    text += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return text;
}

}  // namespace moe_tune::cli

// One row model behind every table that the CLI prints: for people, as JSON, as CSV.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moe_tune::cli {

enum class Format { table, json, csv };

/// A cell; monostate is "not known": "-" in a table, null in JSON, empty in CSV.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// The value of an optional number.
template <class T>
Value optional_value(const std::optional<T>& value) {
  return value ? Value(*value) : Value();
}

struct Column {
  std::string name;        ///< header, JSON key and CSV header
  int decimals = 1;        ///< of fractions in a table; JSON and CSV are exact
  bool data_only = false;  ///< left out of tables for people
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One value per column; anything else is a programming error and throws std::logic_error.
  void add_row(std::vector<Value> row);
  bool empty() const { return rows_.empty(); }

  /// The rows, ending in a newline. JSON is a list of objects, one per line. `colour` (tables only) marks the header with ANSI
  /// codes. Control characters of texts are shown as "?" in tables, so that data from files cannot drive the terminal.
  std::string text(Format format, bool colour = false) const;

 private:
  std::string as_table(bool colour) const;
  std::string as_json() const;
  std::string as_csv() const;

  std::vector<Column> columns_;
  std::vector<std::vector<Value>> rows_;
};

}  // namespace moe_tune::cli

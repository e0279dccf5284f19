#include "runtime/jit/resource_report.hpp"

#include <algorithm>
#include <cctype>

namespace moe_tune {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// The number that stands right before `text` in `line`; 0 when there is none.
int number_before(std::string_view line, std::string_view text) {
  const size_t end = line.find(text);
  if (end == std::string_view::npos) return 0;
  size_t begin = end;
  while (begin > 0 && is_digit(line[begin - 1])) --begin;
  // Nine digits fit an int, and no resource of a kernel comes near.
  if (begin == end || end - begin > 9) return 0;
  return std::stoi(std::string(line.substr(begin, end - begin)));
}

/// C75xx is ptxas's family of codes for a wgmma pipeline that it could not keep asynchronous.
bool has_pipeline_code(std::string_view line) {
  const size_t at = line.find("(C75");
  return at != std::string_view::npos && line.size() > at + 6 && is_digit(line[at + 4]) && is_digit(line[at + 5]) &&
         line[at + 6] == ')';
}

}  // namespace

ResourceReport parse_resource_report(std::string_view log) {
  ResourceReport report;
  const auto keep_largest = [](int& number, int seen) { number = std::max(number, seen); };
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    keep_largest(report.registers, number_before(line, " registers"));
    keep_largest(report.stack_bytes, number_before(line, " bytes stack frame"));
    keep_largest(report.spill_store_bytes, number_before(line, " bytes spill stores"));
    keep_largest(report.spill_load_bytes, number_before(line, " bytes spill loads"));
    keep_largest(report.static_smem_bytes, number_before(line, " bytes smem"));
    if (has_pipeline_code(line)) report.warnings.emplace_back(line);
  }
  return report;
}

}  // namespace moe_tune

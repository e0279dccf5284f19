// Splits a stream of bytes into lines, of a limited length.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace moe_tune {

class LineBuffer {
 public:
  /// As long as the longest JSON text that is parsed.
  static constexpr std::size_t max_line_bytes = std::size_t{16} << 20;

  void append(std::string_view bytes) { buffer_.append(bytes); }

  /// The next whole line, without its newline.
  std::optional<std::string> next() {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end == std::string::npos) {
      searched_ = buffer_.size();
      return std::nullopt;
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    searched_ = 0;
    return line;
  }

  /// Whether the line that has begun is longer than any message.
  bool overflown() const { return buffer_.size() > max_line_bytes; }
  bool empty() const { return buffer_.empty(); }
  void clear() {
    buffer_.clear();
    searched_ = 0;
  }

 private:
  std::string buffer_;
  std::size_t searched_ = 0;  ///< no newline before this
};

}  // namespace moe_tune

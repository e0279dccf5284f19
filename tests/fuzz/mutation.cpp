#include "tests/fuzz/mutation.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace moe_tune::test {
namespace {

using namespace std::string_view_literals;

constexpr std::array words = {"{"sv,
                              "}"sv,
                              "["sv,
                              "]"sv,
                              ","sv,
                              ":"sv,
                              "\""sv,
                              "\\"sv,
                              "\\u0000"sv,
                              "\\ud800"sv,
                              "null"sv,
                              "true"sv,
                              "false"sv,
                              "-1"sv,
                              "0"sv,
                              "3.7"sv,
                              "1e400"sv,
                              "-0.0"sv,
                              "1e-400"sv,
                              "64"sv,
                              "2147483648"sv,
                              "4294967295"sv,
                              "9223372036854775808"sv,
                              "18446744073709551616"sv,
                              "\0"sv,
                              "\xff"sv,
                              "\xc0\x80"sv,
                              "\xed\xa0\x80"sv,
                              "\xef\xbb\xbf"sv,
                              "\"BLOCK_SIZE_M\":"sv,
                              "\"stages\":"sv,
                              "\"forward\":"sv,
                              "\"checksum\":\""sv,
                              "\"family\":\"sm90\""sv,
                              "[[[[[[[[[[[[[[[["sv,
                              "\"; } __global__ void f() { //"sv,
                              "../"sv,
                              "{\"a\":"sv,
                              "\"dtype\":\"F4\","sv,
                              "\"shape\":[4294967296,4294967296],"sv,
                              "\"data_offsets\":[0,24]"sv,
                              "\"__metadata__\":{},"sv,
                              "/a.safetensors"sv,
                              "\"num_hidden_layers\":4,"sv,
                              "\"moe_layers\":[0,3],"sv};

}  // namespace

std::string Mutator::next() {
  std::string text = corpus_[below(corpus_.size())];
  for (size_t i = 1 + below(8); i > 0; --i) mutate(text);
  return text;
}

void Mutator::mutate(std::string& text) {
  const size_t at = below(text.size() + 1);
  const size_t length = std::min(below(32), text.size() - at);
  switch (below(7)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(random_());
      break;
    case 2:
      text.erase(at, length);
      break;
    case 3:
      text.insert(at, text.substr(at, length));
      break;
    case 4:
      text.insert(at, words[below(words.size())]);
      break;
    case 5:
      text.replace(at, length, words[below(words.size())]);
      break;
    default: {
      const std::string& other = corpus_[below(corpus_.size())];
      text = text.substr(0, at) + other.substr(below(other.size() + 1));
    }
  }
}

}  // namespace moe_tune::test

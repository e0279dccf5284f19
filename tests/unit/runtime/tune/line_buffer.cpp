#include "runtime/tune/line_buffer.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;

TEST_CASE("lines come out whole, however their bytes arrive") {
  LineBuffer lines;
  CHECK_FALSE(lines.next());
  lines.append("on");
  CHECK_FALSE(lines.next());
  lines.append("e\ntwo\n\nthr");
  CHECK(lines.next() == "one");
  CHECK(lines.next() == "two");
  CHECK(lines.next() == "");
  CHECK_FALSE(lines.next());
  lines.append("ee\n");
  CHECK(lines.next() == "three");
  CHECK(lines.empty());
}

TEST_CASE("a line without end is noticed") {
  LineBuffer lines;
  lines.append(std::string(LineBuffer::max_line_bytes, 'x'));
  CHECK_FALSE(lines.overflown());
  lines.append("x");
  CHECK(lines.overflown());
}

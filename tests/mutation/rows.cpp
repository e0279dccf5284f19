// Faults in the row operations: rows that are stored by slot_rows, and the gradient of SwiGLU of scaled rows. Rows are of two
// pieces and a chunk, slots without a row and bad ones among them.
#include <catch2/catch.hpp>

#include "tests/mutation/studies.hpp"
#include "tests/mutation/support/rows_subject.hpp"
#include "tests/support/row_operation_matrix.hpp"

namespace moe_tune::test {

Study spread_rows_study() {
  CaseSpec spec = routed_case(row_problem(1032, DType::bf16, 2), 41, {});
  spec.x_padding = 24;
  spec.y_padding = 40;
  // Rows of one chunk: whoever looks past the last of their slots looks past the guard as well.
  const CaseSpec narrow = routed_case(row_problem(8, DType::bf16, 11), 16, {});
  std::vector<RowCall> calls = {
      [=](RowDevice& device) { return PermuteRowsCase(device, narrow, {.slot_rows = SlotRows::all}).run(); }};
  for (const SlotRows slot_rows : {SlotRows::all, SlotRows::past_end}) {
    for (const bool scaled : {false, true}) {
      calls.push_back(
          [=](RowDevice& device) { return PermuteRowsCase(device, spec, {.scaled = scaled, .slot_rows = slot_rows}).run(); });
    }
  }
  return {rows_subject("rows stored by slot_rows", calls),
          {
              {"a row past the last is stored", "if (row >= args.gemm.M) {", "if (row > args.gemm.M) {"},
              {"a row past the last is not reported",
               "if (row >= args.gemm.M) {\n      ptx::set_status(args.gemm.status, abi::status_bad_gather_index);",
               "if (row >= args.gemm.M) {"},
              {"slots without a row are stored", "if (row < 0) continue;\n      char* const target", "char* const target"},
              {"the first slot's rows for all", "ptx::shuffle(piece.row, static_cast<u32>(choice))",
               "ptx::shuffle(piece.row, 0u * static_cast<u32>(choice))"},
              {"the first slot's weight for all", "piece.change.of_lane(static_cast<u32>(choice))",
               "piece.change.of_lane(0u * static_cast<u32>(choice))"},
              {"every lane its own weight", "ptx::shuffle_xor(weight, ptx::lane_index() ^ lane)",
               "ptx::shuffle_xor(weight, 0u * lane)"},
              {"the first slot is left out", "for (int choice = 0; choice < args.slots_per_row",
               "for (int choice = 1; choice < args.slots_per_row"},
              {"slots of the next source row are stored too", "walk.row() < sources && lane < args.slots_per_row",
               "walk.row() < sources", 1, 1, "Equivalent: what lanes past slots_per_row hold is not handed out."},
              {"columns past the row's end are read", "if (column < args.columns) piece.words[i]", "piece.words[i]", 1, 1,
               "What lies between rows, and the guard behind the last one, is there to be read; it is not stored."},
              {"columns past the row's end are stored", "if (piece.column + i * 256 < args.columns)", ""},
              {"both halves of a piece in one place", "target + i * 512", "target + 0 * i"},
              {"rows are read where the first slot has one", "if (!ptx::warp_any(row >= 0)) return piece;",
               "if (ptx::shuffle(row, 0) < 0) return piece;"},
              {"slots past the last row of x", "walk.row() < sources &&", ""},
              {"pieces past the last row of x", "while (piece.source < sources) {", "while (piece.source <= sources) {", 1, 1,
               "Equivalent: no slot of such a piece has a row."},
              {"the piece behind the first is left out",
               "walk.advance();\n    place = load_place(args, walk, sources);\n    MOE_NO_UNROLL",
               "walk.advance();\n    walk.advance();\n    place = load_place(args, walk, sources);\n    MOE_NO_UNROLL"},
              {"a piece goes where the next one should", "store(args, piece);\n      piece = next;",
               "store(args, next);\n      piece = next;"},
              {"a walk does not carry into the next row", "piece_ -= pieces_;\n      ++row_;", "piece_ -= pieces_;"},
          }};
}

Study scaled_swiglu_study() {
  const CaseSpec spec = partial_case(row_problem(520, DType::bf16), 25);
  const std::vector<RowCall> calls = {
      [=](RowDevice& device) { return SwigluGradientCase(device, spec, {.weighted = false, .scaled_input = true}).run(); },
      [=](RowDevice& device) { return SwigluGradientCase(device, spec, {}).run(); }};
  return {rows_subject("the gradient of SwiGLU", calls),
          {
              {"the sum of rows that are scaled here", "if (args.scaled_input) {", "if (!args.scaled_input) {"},
              {"the gate's half alone", "ptx::fused_multiply_add(element.d_up, up.v[j], sum)", "sum"},
              {"the up's half alone", "ptx::fused_multiply_add(element.d_gate, gate.v[j], ptx::fused", "(ptx::fused"},
              {"gradients in each other's place", "{gradient * (up * slope), gradient * silu, silu * up}",
               "{gradient * silu, gradient * (up * slope), silu * up}"},
              {"each lane stores its own sum", "sum += ptx::shuffle_xor(sum, mask);", ";"},
              {"the activation is not scaled", "activation.v[j] = weight * element.activation;",
               "activation.v[j] = element.activation;"},
          }};
}

TEST_CASE("rows stored by slot_rows: planted faults") { check_study(spread_rows_study()); }
TEST_CASE("the gradient of SwiGLU: planted faults") { check_study(scaled_swiglu_study()); }

}  // namespace moe_tune::test

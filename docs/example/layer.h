/* The data of the examples: the first GEMM (gate_up) of a small MoE layer. Every value is -1, 0 or 1, so that sums of up to 256
 * products are exact in bfloat16 and the result can be compared bit for bit. C and C++. */
#ifndef EXAMPLE_LAYER_H
#define EXAMPLE_LAYER_H

#include <stdint.h>

#include "values.h"

enum { EXPERTS = 8, COLUMNS = 512, REDUCTION = 256, TOP_K = 2, TOKENS = 65, ROWS = TOKENS * TOP_K };

typedef struct {
  uint16_t x[TOKENS * REDUCTION]; /* bfloat16 bits, in token order: the GEMM gathers (permute_x) */
  uint16_t w[EXPERTS * COLUMNS * REDUCTION];
  int32_t m_sizes[EXPERTS];     /* rows of each expert; one has none */
  int32_t gather_indices[ROWS]; /* the slot (token * TOP_K + choice) at each sorted row */
} layer;

/* The expert of a slot: two different ones per token, never the last. */
static int expert_of(int slot) {
  return (slot / TOP_K * 3 + slot % TOP_K) % (EXPERTS - 1);
}

static void fill_layer(layer* data) {
  int row = 0;
  for (uint32_t i = 0; i < TOKENS * REDUCTION; ++i) data->x[i] = bfloat16(small_value(i));
  for (uint32_t i = 0; i < EXPERTS * COLUMNS * REDUCTION; ++i) data->w[i] = bfloat16(small_value(i + 0x10000000u));
  for (int expert = 0; expert < EXPERTS; ++expert) {
    const int first = row;
    for (int slot = 0; slot < ROWS; ++slot) {
      if (expert_of(slot) == expert) data->gather_indices[row++] = slot;
    }
    data->m_sizes[expert] = row - first;
  }
}

/* How many elements of y (ROWS, COLUMNS) differ from the definition. */
static int count_wrong(const layer* data, const uint16_t* y) {
  int wrong = 0;
  for (int row = 0; row < ROWS; ++row) {
    const int slot = data->gather_indices[row];
    const uint16_t* x = data->x + slot / TOP_K * REDUCTION;
    for (int column = 0; column < COLUMNS; ++column) {
      const uint16_t* w = data->w + (expert_of(slot) * COLUMNS + column) * REDUCTION;
      float sum = 0;
      for (int k = 0; k < REDUCTION; ++k) sum += from_bfloat16(x[k]) * from_bfloat16(w[k]);
      wrong += from_bfloat16(y[row * COLUMNS + column]) == sum ? 0 : 1; /* counts NaN, too */
    }
  }
  return wrong;
}

#endif

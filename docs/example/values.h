/* bfloat16 numbers, and values to try things with. C and C++. */
#ifndef EXAMPLE_VALUES_H
#define EXAMPLE_VALUES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)(bits >> 16); /* exact for the values used here */
}

/* Of any finite value: to nearest even. */
static inline uint16_t rounded_bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float from_bfloat16(uint16_t value) {
  const uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/* -1, 0 or 1, different at every index. */
static inline float small_value(uint32_t index) {
  index = (index ^ (index >> 15)) * 0x2c1b3c6du;
  index = (index ^ (index >> 12)) * 0x297a2d39u;
  return (float)((index ^ (index >> 15)) % 3u) - 1.0f;
}

#endif

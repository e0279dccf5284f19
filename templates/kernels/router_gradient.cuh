// The gradient of a router, in up to four launches.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
//     logits   d_logits, a row for every token, in the workspace
//     hidden   d_hidden_states = d_logits . weight
//     weight   d_logits^T . hidden_states, each block over a slice of the tokens: partial sums in the workspace
//     sum      d_weight: the partial sums, one after the other
//
// A launch sees all that those before it have stored. Sums are made in a fixed order: reruns give the same bits.
#pragma once

#include "kernels/router_gradient_hidden.cuh"
#include "kernels/router_gradient_logits.cuh"
#include "kernels/router_gradient_sum.cuh"
#include "kernels/router_gradient_weight.cuh"

// Every subject of the study with its mutants.
#pragma once

#include <vector>

#include "tests/mutation/support/subject.hpp"

namespace moe_tune::test {

Study forward_plain_study();
Study forward_gather_study();
Study forward_scatter_study();
Study forward_sm90_study();
Study dx_sm90_study();
Study dw_sm90_study();
Study dw_sm90_accumulated_study();
Study dw_sm80_study();
Study router_few_study();
Study router_many_study();
Study router_gradient_study();
Study spread_rows_study();
Study scaled_swiglu_study();
Study ring_study();
Study store_study();
Study cluster_study();
Study gather_study();
Study queue_study();
Study copier_study();
Study ping_pong_study();

}  // namespace moe_tune::test

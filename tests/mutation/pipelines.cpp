#include <catch2/catch.hpp>

#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {
TEST_CASE("ring") { check_study({pipeline_subject(ring_case()), {}}); }
TEST_CASE("store") { check_study({pipeline_subject(store_case()), {}}); }
TEST_CASE("cluster") { check_study({pipeline_subject(cluster_case()), {}}); }
TEST_CASE("gather") { check_study({pipeline_subject(gather_case()), {}}); }
TEST_CASE("queue") { check_study({pipeline_subject(queue_case()), {}}); }
TEST_CASE("copier") { check_study({pipeline_subject(copier_case()), {}}); }
TEST_CASE("ping_pong") { check_study({pipeline_subject(ping_pong_case()), {}}); }
}  // namespace moe_tune::test

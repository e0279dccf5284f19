moe_tune_test(unit_generator FOLDER unit/generator LINK moe_tune_generator)

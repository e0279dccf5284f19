moe_tune_test(unit_support FOLDER unit/support LINK moe_tune_generator)
moe_tune_test(unit_tuning_db FOLDER unit/tuning_db LINK moe_tune_tuning_db)

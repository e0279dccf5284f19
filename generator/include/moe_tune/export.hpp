// What the shared library exports.
#pragma once

#define MOE_TUNE_API __attribute__((visibility("default")))

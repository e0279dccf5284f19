// What the program may do with its output streams.
#pragma once

namespace moe_tune::cli {

/// Whether stdout is a terminal that may be coloured: not with NO_COLOR set or TERM=dumb.
bool colour_stdout();
/// The same for stderr.
bool colour_stderr();
/// Whether lines on stderr may be rewritten in place.
bool stderr_is_terminal();
/// Characters in a line of that terminal; 80 where it does not say.
int stderr_columns();

}  // namespace moe_tune::cli

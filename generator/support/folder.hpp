// Folders that only this user writes: the trust boundary of everything cached on disk.
#pragma once

#include <filesystem>

namespace moe_tune {

/// Creates `folder` (and missing parents) with mode 0700, or checks the one that is there. Throws EnvironmentError that says
/// what to do when it is a symlink, not a folder, owned by another user, or writable by group or others.
void ensure_private_folder(const std::filesystem::path& folder);

/// Where this user's cached data live: $MOE_TUNE_CACHE_DIR, else $XDG_CACHE_HOME/moe-tune, else $HOME/.cache/moe-tune (the home
/// of the password file when HOME is unset). Nothing is created. Throws EnvironmentError when there is no home.
std::filesystem::path user_cache_folder();

}  // namespace moe_tune

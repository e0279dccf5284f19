// Whole files, in and out: read with limits, written so that nobody ever sees half of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "generator/support/descriptor.hpp"

namespace moe_tune {

struct RegularFile {
  Descriptor fd;
  std::uint64_t size = 0;
};

/// Opens a file for reading. Throws EnvironmentError naming the path when it cannot be opened or is a symlink, FIFO, device or
/// folder: a link or pipe that somebody planted is not followed and cannot block.
RegularFile open_regular_file(const std::filesystem::path& path);

/// `path` with its links followed, for a file that the user named: model caches hold links to shared files. Throws
/// EnvironmentError naming the path when there is nothing.
std::filesystem::path follow_links(const std::filesystem::path& path);

/// The bytes of a file that open_regular_file() opens. Throws EnvironmentError naming the path also when it cannot be read or is
/// larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, size_t max_bytes);

/// Replaces `path` by a file of these bytes, mode 0600: temporary file "<path>.tmp-*" in the same folder, fsync, rename, fsync
/// of the folder. Throws EnvironmentError naming the path; then the old file is as it was and the temporary one is gone. The
/// one exception is a failing fsync of the folder: then the new file is in place and the error says that it may not survive
/// a power failure.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// Removes what killed writers of `path` left behind. Call it only while holding the lock that all writers of `path` take.
void remove_orphan_temporaries(const std::filesystem::path& path);

/// Throws EnvironmentError "<what> <path>: <message of errno>. <advice>".
[[noreturn]] void throw_errno(std::string_view what, const std::filesystem::path& path, std::string_view advice = "");

}  // namespace moe_tune

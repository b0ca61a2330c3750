#pragma once
// Lines for people, on stderr: information from rank 0 alone, warnings and errors from any rank with its
// number.

#include <string>

namespace granule {

/// Said once, when the world is known; before it the process counts as rank 0 of 1.
void set_log_rank(int rank, int num_ranks);

void log_info(const std::string& text);
void log_warning(const std::string& text);
void log_error(const std::string& text);

}  // namespace granule

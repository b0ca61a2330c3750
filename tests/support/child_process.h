#pragma once
// A piece of a test in a process of its own, which may be killed or lose its right to write.

#include <functional>

namespace granule {

/// What a child exits with when `body` threw; the exception's text is on stderr.
inline constexpr int kChildThrew = 125;

/// Runs `body` in a forked child, which exits with 0 behind it, and returns the child's status as waitpid gives it. The
/// child never returns to the test.
int run_in_child(const std::function<void()>& body);

}  // namespace granule

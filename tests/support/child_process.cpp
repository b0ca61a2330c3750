#include "tests/support/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "base/check.h"

namespace granule {

int run_in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  CHECK(child >= 0, "fork");
  if (child == 0) {
    try {
      body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      _exit(kChildThrew);
    }
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child, "waitpid");
  return status;
}

}  // namespace granule

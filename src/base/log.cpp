#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace granule {

namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_logger_mt("granule");
    // On a terminal a progress bar may stand where the line goes: clear it first.
    const std::string clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    made->set_pattern(clear + "[%Y-%m-%d %H:%M:%S] %v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

int log_rank = 0;
int log_num_ranks = 1;

std::string prefixed(const char* kind, const std::string& text) {
  const auto rank = log_num_ranks > 1 ? " (rank " + std::to_string(log_rank) + ")" : "";
  return kind + rank + ": " + text;
}

}  // namespace

void set_log_rank(int rank, int num_ranks) {
  log_rank = rank;
  log_num_ranks = num_ranks;
}

void log_info(const std::string& text) {
  if (log_rank == 0) logger().info("{}", text);
}
void log_warning(const std::string& text) {
  logger().warn("{}", prefixed("warning", text));
}
void log_error(const std::string& text) {
  logger().error("{}", prefixed("error", text));
}

}  // namespace granule

#include "train/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace granule {

namespace {

constexpr double kRedrawSeconds = 0.2;
constexpr double kSmoothingSeconds = 30;
constexpr int kBarWidth = 24;

int terminal_width(int descriptor) {
  struct winsize size {};
  const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void put(int descriptor, std::string_view text) {
  // A terminal that went away must not end the run.
  [[maybe_unused]] const auto written = write(descriptor, text.data(), text.size());
}

}  // namespace

std::string progress_line(int64_t step, int64_t num_steps, double tokens_per_second, double seconds_left,
                          int width) {
  CHECK(num_steps > 0 && step >= 0 && step <= num_steps, "step ", step, " of ", num_steps);
  const double done = static_cast<double>(step) / static_cast<double>(num_steps);
  const auto filled = static_cast<size_t>(done * kBarWidth);
  auto bar = std::string(filled, '=') + (filled < kBarWidth ? ">" : "");
  bar.resize(kBarWidth, ' ');
  auto line =
      join_text("step ", step, "/", num_steps, " [", bar, "] ", static_cast<int>(done * 100), "% | ",
                short_count(tokens_per_second), " tokens/s | ", short_duration(seconds_left), " left");
  if (line.size() > static_cast<size_t>(width)) line.resize(static_cast<size_t>(std::max(width, 0)));
  return line;
}

ProgressBar::ProgressBar(int64_t num_steps, int descriptor)
    : num_steps_(num_steps), descriptor_(descriptor), is_terminal_(isatty(descriptor) == 1) {}

void ProgressBar::measure(int64_t step, int64_t consumed_tokens, double now) {
  const double seconds = now - last_time_;
  const double weight = 1 - std::exp(-seconds / kSmoothingSeconds);
  const auto blend = [&](double& mean, int64_t count) {
    mean += weight * (static_cast<double>(count) / seconds - mean);
  };
  blend(steps_per_second_, step - last_step_);
  blend(tokens_per_second_, consumed_tokens - last_tokens_);
  weight_ += weight * (1 - weight_);
}

void ProgressBar::update(int64_t step, int64_t consumed_tokens, double now) {
  if (!is_terminal_) return;
  if (is_started_) {
    if (now - last_time_ < kRedrawSeconds && step < num_steps_) return;
    if (now > last_time_) measure(step, consumed_tokens, now);
  }
  is_started_ = true;
  last_step_ = step;
  last_tokens_ = consumed_tokens;
  last_time_ = now;
  if (weight_ == 0 || steps_per_second_ == 0) return;
  const double seconds_left = static_cast<double>(num_steps_ - step) / (steps_per_second_ / weight_);
  // One column stays free: a full line would wrap.
  const auto line = progress_line(step, num_steps_, tokens_per_second_ / weight_, seconds_left,
                                  terminal_width(descriptor_) - 1);
  put(descriptor_, "\r\033[K" + line);
  is_drawn_ = true;
}

void ProgressBar::erase() {
  if (is_drawn_) put(descriptor_, "\r\033[K");
  is_drawn_ = false;
}

}  // namespace granule

#pragma once
// One line at the bottom of a terminal: step, tokens a second, time left. Draws nothing where stderr is no
// terminal. Lines of base/log clear it; it comes back with the next update.

#include <cstdint>
#include <string>

namespace granule {

/// `step 120/1000 [===>      ] 12% | 45.2k tokens/s | 3 m 05 s left`, at most `width` characters.
std::string progress_line(int64_t step, int64_t num_steps, double tokens_per_second, double seconds_left,
                          int width);

class ProgressBar {
 public:
  /// Draws on `descriptor` if that is a terminal.
  ProgressBar(int64_t num_steps, int descriptor);
  ~ProgressBar() { erase(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// After a step; `now` in seconds of any steady clock. Redraws a few times a second at most.
  void update(int64_t step, int64_t consumed_tokens, double now);
  void erase();

 private:
  void measure(int64_t step, int64_t consumed_tokens, double now);

  const int64_t num_steps_;
  const int descriptor_;
  const bool is_terminal_;
  bool is_drawn_ = false;
  bool is_started_ = false;
  int64_t last_step_ = 0;
  int64_t last_tokens_ = 0;
  double last_time_ = 0;
  double weight_ = 0;  // of all measurements so far, below 1
  double steps_per_second_ = 0;
  double tokens_per_second_ = 0;
};

}  // namespace granule

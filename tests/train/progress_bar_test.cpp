#include "train/progress_bar.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

/// Both ends of a terminal of the given width.
struct Terminal {
  explicit Terminal(unsigned short width) {
    struct winsize size {
      .ws_row = 24, .ws_col = width
    };
    CHECK(openpty(&screen, &program, nullptr, nullptr, &size) == 0);
    CHECK(fcntl(screen, F_SETFL, O_NONBLOCK) == 0);
  }
  ~Terminal() {
    close(screen);
    close(program);
  }
  /// All that was drawn since the last call.
  std::string drawn() const {
    std::string text;
    char bytes[512];
    for (ssize_t got; (got = read(screen, bytes, sizeof(bytes))) > 0;)
      text.append(bytes, static_cast<size_t>(got));
    return text;
  }
  int screen = -1;
  int program = -1;
};

TEST(ProgressLine, ShowsShareSpeedAndTimeLeft) {
  EXPECT_EQ(progress_line(250, 1000, 45210, 185, 120),
            "step 250/1000 [======>                 ] 25% | 45.2k tokens/s | 3 m 05 s left");
  EXPECT_EQ(progress_line(1000, 1000, 45210, 0, 120),
            "step 1000/1000 [========================] 100% | 45.2k tokens/s | 0 s left");
}

TEST(ProgressLine, IsCutAtTheWidth) {
  EXPECT_EQ(progress_line(250, 1000, 45210, 185, 10), "step 250/1");
}

TEST(ProgressBar, WritesNothingWhereThereIsNoTerminal) {
  const TemporaryDirectory directory;
  const auto path = directory.path("stderr");
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_GE(descriptor, 0);
  {
    ProgressBar bar(10, descriptor);
    for (int step = 1; step <= 10; ++step) bar.update(step, step * 100, step);
    bar.erase();
  }
  close(descriptor);
  EXPECT_EQ(read_text_file(path, 1 << 20), "");
}

TEST(ProgressBar, ShowsTheMeasuredSpeedOnATerminal) {
  const Terminal terminal(100);
  ProgressBar bar(10, terminal.program);
  bar.update(1, 500, 100.0);
  EXPECT_EQ(terminal.drawn(), "") << "one moment has no speed";
  bar.update(2, 1000, 102.0);
  EXPECT_EQ(terminal.drawn(), "\r\033[K" + progress_line(2, 10, 250, 16, 99));
  bar.update(3, 1500, 104.0);
  EXPECT_EQ(terminal.drawn(), "\r\033[K" + progress_line(3, 10, 250, 14, 99))
      << "equal speeds average to themselves";
}

TEST(ProgressBar, RedrawsAtMostAFewTimesASecondButAlwaysAtTheEnd) {
  const Terminal terminal(100);
  ProgressBar bar(4, terminal.program);
  bar.update(1, 1, 10.0);
  bar.update(2, 2, 11.0);
  EXPECT_NE(terminal.drawn(), "");
  bar.update(3, 3, 11.01);
  EXPECT_EQ(terminal.drawn(), "");
  bar.update(4, 4, 11.02);
  EXPECT_NE(terminal.drawn().find("100%"), std::string::npos);
}

TEST(ProgressBar, NeverFillsTheLastColumn) {
  const Terminal terminal(30);
  ProgressBar bar(10, terminal.program);
  bar.update(1, 1, 1.0);
  bar.update(2, 2, 2.0);
  EXPECT_EQ(terminal.drawn().size(), std::string("\r\033[K").size() + 29);
}

TEST(ProgressBar, ErasesItselfOnce) {
  const Terminal terminal(100);
  {
    ProgressBar bar(10, terminal.program);
    bar.update(1, 1, 1.0);
    bar.update(2, 2, 2.0);
    terminal.drawn();
    bar.erase();
    EXPECT_EQ(terminal.drawn(), "\r\033[K");
  }
  EXPECT_EQ(terminal.drawn(), "");
}

}  // namespace
}  // namespace granule

#include "train/chat_loop.h"

#include <stdexcept>
#include <string>

#include "base/text.h"
#include "data/utf8.h"

namespace granule {

namespace {

constexpr const char* kHelp =
    "/reset  forget what was said\n/exit   leave (so does the end of input, or Ctrl-C while you are asked)\n"
    "Ctrl-C while the model answers ends the answer. A line that begins with a space is never a command.\n";

// What a terminal would obey rather than show.
bool is_control(uint32_t code_point) {
  return (code_point < 0x20 && code_point != '\n' && code_point != '\t') ||
         (code_point >= 0x7F && code_point < 0xA0);
}

std::string without_controls(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const auto character = first_character(text);
    shown += is_control(character.code_point) ? "\uFFFD" : text.substr(0, character.size);
    text.remove_prefix(character.size);
  }
  return shown;
}

// One rank's end of the conversation; ranks but 0 neither hear nor speak.
class Loop {
 public:
  Loop(Dialogue& dialogue, Communicator& ranks, ChatTerminal& terminal, Interrupt& interrupt)
      : dialogue_(dialogue), ranks_(ranks), terminal_(terminal), interrupt_(interrupt) {}

  void run() {
    if (terminal_.interactive) speak("/help lists the commands.\n");
    std::string line;
    while (read_line(line)) {
      if (line.starts_with('/')) line.resize(line.size() - trailing_white_space(line));
      if (line == "/exit") return;
      if (line == "/reset") {
        dialogue_.forget();
      } else if (line.starts_with("/")) {
        speak(line == "/help"
                  ? kHelp
                  : "no command " + line + did_you_mean(line, {"/help", "/reset", "/exit"}) + "\n");
      } else if (line.find_first_not_of(" \t\r") != std::string::npos) {
        answer(line);
      }
    }
  }

 private:
  // False at the end. All ranks get rank 0's line.
  bool read_line(std::string& line) {
    std::string heard;
    if (ranks_.rank() == 0) {
      if (terminal_.interactive) speak("> ");
      if (terminal_.descriptor >= 0) interrupt_.wait_for_input(terminal_.descriptor);
      if (!interrupt_.came() && std::getline(terminal_.in, line) && !interrupt_.came()) {
        if (line.ends_with('\r')) line.pop_back();
        heard = '+';
        heard += replace_invalid_utf8(line);
      } else if (terminal_.interactive) {
        speak("\n");
      }
    }
    heard = ranks_.broadcast_bytes(heard, 0);
    if (heard.empty()) return false;
    line = heard.substr(1);
    return true;
  }

  void answer(const std::string& line) {
    try {
      dialogue_.answer(line, [&](std::string_view piece) {
        speak(terminal_.interactive ? without_controls(piece) : std::string(piece));
        return !interrupt_.came();
      });
      speak("\n");
    } catch (const std::invalid_argument& error) {
      speak(std::string("(not sent: ") + error.what() + ")\n");
    }
  }

  void speak(const std::string& text) {
    if (ranks_.rank() == 0) terminal_.out << text << std::flush;
  }

  Dialogue& dialogue_;
  Communicator& ranks_;
  ChatTerminal& terminal_;
  Interrupt& interrupt_;
};

}  // namespace

void chat_loop(Dialogue& dialogue, Communicator& ranks, ChatTerminal& terminal, Interrupt& interrupt) {
  Loop(dialogue, ranks, terminal, interrupt).run();
}

}  // namespace granule

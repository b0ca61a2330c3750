#pragma once
// Talking with a model: a line in, an answer out, until there are no more lines.

#include <istream>
#include <ostream>

#include "comm/communicator.h"
#include "train/dialogue.h"
#include "train/interrupt.h"

namespace granule {

/// Where rank 0 hears and speaks.
struct ChatTerminal {
  std::istream& in;
  std::ostream& out;
  bool interactive;  ///< a person sits there: prompts are shown, control characters of answers are not
  int descriptor = -1;  ///< of `in`, if that is a terminal
};

/// Each line is a turn of the user but for /help, /reset and /exit; the end of `in` ends the loop. An
/// interrupt ends the answer under way, or else the loop. Broken UTF-8 is read as U+FFFD. Collective over
/// `ranks`, the dialogue's.
void chat_loop(Dialogue& dialogue, Communicator& ranks, ChatTerminal& terminal, Interrupt& interrupt);

}  // namespace granule

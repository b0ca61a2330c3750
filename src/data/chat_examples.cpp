#include "data/chat_examples.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "data/chat_file.h"

namespace granule {

namespace {

// The first learned token is a label only if a token stands before it.
int64_t num_labels(const TemplatedChat& chat) {
  return chat.learned.empty() ? 0 : std::count(chat.learned.begin() + 1, chat.learned.end(), true);
}

bool has_answer(const Conversation& turns) {
  return std::any_of(turns.begin(), turns.end(),
                     [](const Turn& turn) { return turn.role == Role::kAssistant; });
}

TemplatedChat render(const ChatTemplate& chat_template, const ChatLine& line) {
  if (!has_answer(line.turns))
    throw InputError(line.place, "has no assistant turn, so there is nothing to learn");
  try {
    return chat_template.render(line.turns);
  } catch (const UserError& error) {
    throw InputError(line.place, error.what());
  }
}

}  // namespace

void ChatExamples::add(const TemplatedChat& chat) {
  CHECK(num_labels(chat) > 0, "an example without a label");
  const auto last = std::find(chat.learned.rbegin(), chat.learned.rend(), true);
  const auto length = chat.learned.rend() - last;
  ids_.insert(ids_.end(), chat.ids.begin(), chat.ids.begin() + length);
  learned_.insert(learned_.end(), chat.learned.begin(), chat.learned.begin() + length);
  begin_.push_back(ids_.size());
}

std::vector<int64_t> ChatExamples::lengths() const {
  std::vector<int64_t> lengths;
  for (int64_t example = 0; example < size(); ++example) lengths.push_back(length(example));
  return lengths;
}

std::span<const int32_t> ChatExamples::ids(int64_t example) const {
  return std::span(ids_).subspan(begin_of(example), static_cast<size_t>(length(example)));
}

LoadedChats load_chat_examples(const std::vector<std::string>& files, const ChatConfig& config,
                               Tokenizer& tokenizer, int64_t max_tokens, int64_t vocab_size) {
  const ChatTemplate chat_template(config, tokenizer);
  LoadedChats loaded;
  auto& counts = loaded.counts;
  const auto add = [&](const ChatLine& line) {
    auto chat = render(chat_template, line);
    check_ids(chat.ids, vocab_size, tokenizer);
    const int64_t all_labels = num_labels(chat);
    if (chat.ids.size() > static_cast<size_t>(max_tokens)) {
      chat.ids.resize(static_cast<size_t>(max_tokens));
      chat.learned.resize(static_cast<size_t>(max_tokens));
    }
    const int64_t labels = num_labels(chat);
    if (labels == 0) {
      ++counts.num_too_long;
      return;
    }
    loaded.examples.add(chat);
    ++counts.num_examples;
    counts.num_truncated += labels < all_labels;
    counts.num_tokens += loaded.examples.length(counts.num_examples - 1);
    counts.num_learned += labels;
  };
  for (const auto& file : files) counts.num_skipped += read_chat_file(file, config, add);
  if (counts.num_examples == 0) {
    throw InputError(join(files, ", "), "no conversation to learn from: ", describe(counts, max_tokens));
  }
  return loaded;
}

std::string describe(const ChatCounts& counts, int64_t max_tokens) {
  return join_text(counts.num_examples, " conversations, ", counts.num_tokens, " tokens, ",
                   counts.num_learned, " of them learned; ", counts.num_truncated, " cut off at ", max_tokens,
                   " tokens, ", counts.num_too_long, " left out because no answer begins before that, ",
                   counts.num_skipped, " broken lines skipped");
}

}  // namespace granule

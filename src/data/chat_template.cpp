#include "data/chat_template.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "base/text.h"

namespace granule {

namespace {

const std::string kPatternKey = "data.chat.pattern.";

// Names in an error message, not more than a screen holds.
std::string added_token_names(const Tokenizer& tokenizer) {
  constexpr size_t kMaxNames = 30;
  auto names = tokenizer.added_names();
  if (names.empty()) return "it has none";
  const size_t num_names = names.size();
  names.resize(std::min(num_names, kMaxNames));
  return join_text("it has ", join(names, " "), num_names > kMaxNames ? " ..." : "");
}

struct BuiltIn {
  const char* name;
  ChatPattern pattern;
};

const std::vector<BuiltIn>& built_in_templates() {
  static const std::vector<BuiltIn> kTemplates = {
      {"deepseek",
       {.begin = "{bos}",
        .system = "{content}\n\n",
        .user = "User: {content}\n\n",
        .user_with_input = "",
        .assistant = "Assistant: {content}{eos}"}},
      {"chatml",
       {.begin = "",
        .system = "{<|im_start|>}system\n{content}{<|im_end|>}\n",
        .user = "{<|im_start|>}user\n{content}{<|im_end|>}\n",
        .user_with_input = "",
        .assistant = "{<|im_start|>}assistant\n{content}{<|im_end|>}\n"}},
      {"alpaca",
       {.begin = "{bos}",
        .system = "{content}\n\n",
        .user =
            "Below is an instruction that describes a task. Write a response that appropriately completes "
            "the request.\n\n### Instruction:\n{content}\n\n",
        .user_with_input =
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\n{content}\n\n### Input:\n{input}\n\n",
        .assistant = "### Response:\n{content}{eos}"}},
  };
  return kTemplates;
}

ChatPattern built_in_pattern(const std::string& name) {
  for (const auto& built_in : built_in_templates()) {
    if (name == built_in.name) return built_in.pattern;
  }
  CHECK(false, "no built-in chat template ", name);
  return {};
}

}  // namespace

std::vector<std::string> built_in_template_names() {
  std::vector<std::string> names;
  for (const auto& built_in : built_in_templates()) names.emplace_back(built_in.name);
  return names;
}

// Gathers text until a token or the border of an answer, then encodes it in one piece.
class ChatTemplate::Writer {
 public:
  /// `own_tokens` are never read in text.
  Writer(Tokenizer& tokenizer, std::span<const int64_t> own_tokens)
      : tokenizer_(tokenizer), own_tokens_(own_tokens) {}

  /// `content` and `input` stand for the parts of those kinds.
  void write(const Parts& parts, bool learned, std::string_view content = "", std::string_view input = "") {
    if (learned != learned_) flush();
    learned_ = learned;
    for (const auto& part : parts) {
      switch (part.kind) {
        case Part::Kind::kText:
          text_ += part.text;
          break;
        case Part::Kind::kContent:
          text_ += content;
          break;
        case Part::Kind::kInput:
          text_ += input;
          break;
        case Part::Kind::kTokens:
          flush();
          append(part.ids);
          if (!part.ids.empty()) before_ = TextBefore::kToken;
          break;
      }
    }
  }

  TemplatedChat finish() {
    flush();
    return std::move(chat_);
  }

 private:
  void flush() {
    if (text_.empty()) return;
    append(tokenizer_.encode(text_, {.with_special = false, .also_special = own_tokens_, .before = before_}));
    before_ = TextBefore::kText;
    text_.clear();
  }
  void append(const std::vector<int64_t>& ids) {
    chat_.ids.insert(chat_.ids.end(), ids.begin(), ids.end());
    chat_.learned.resize(chat_.ids.size(), learned_);
  }

  Tokenizer& tokenizer_;
  std::span<const int64_t> own_tokens_;
  TemplatedChat chat_;
  std::string text_;
  bool learned_ = false;
  TextBefore before_ = TextBefore::kNothing;
};

ChatTemplate::ChatTemplate(const ChatConfig& config, Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  config.check();
  const auto pattern =
      config.chat_template == "custom" ? config.pattern : built_in_pattern(config.chat_template);
  begin_ = parse("begin", pattern.begin);
  system_ = parse("system", pattern.system);
  user_ = parse("user", pattern.user);
  user_with_input_ = parse("user_with_input", pattern.user_with_input);
  split_assistant(pattern.assistant);
  const auto eos = tokenizer.end_of_document();
  if (eos && std::find(stop_ids_.begin(), stop_ids_.end(), *eos) == stop_ids_.end())
    stop_ids_.push_back(*eos);
  own_tokens_ = stop_ids_;
  for (const auto* parts :
       {&begin_, &system_, &user_, &user_with_input_, &before_answer_, &answer_, &after_answer_}) {
    for (const auto& part : *parts) own_tokens_.insert(own_tokens_.end(), part.ids.begin(), part.ids.end());
  }
}

ChatTemplate::Parts ChatTemplate::parse(const std::string& name, const std::string& pattern) const {
  const auto key = kPatternKey + name;
  Parts parts;
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) parts.push_back({Part::Kind::kText, text, {}});
    text.clear();
  };
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const bool doubled = pattern.substr(i, 2) == std::string(2, c);
    if ((c != '{' && c != '}') || doubled) {
      text += c;
      if (c == '{' || c == '}') ++i;
      continue;
    }
    const auto close = c == '{' ? pattern.find('}', i) : std::string::npos;
    if (close == std::string::npos) {
      throw ConfigError(key, pattern, "has a single ", c, " at character ", i, "; write ", c, c,
                        " for a brace");
    }
    end_text();
    parts.push_back(named_part(key, pattern.substr(i + 1, close - i - 1)));
    i = close;
  }
  end_text();
  if (!pattern.empty()) check_places(key, pattern, parts, name != "begin", name == "user_with_input");
  return parts;
}

// Patterns copied from elsewhere spell tokens out.
void ChatTemplate::check_spelling() const {
  for (const auto* parts :
       {&begin_, &system_, &user_, &user_with_input_, &before_answer_, &answer_, &after_answer_}) {
    for (const auto& part : *parts) {
      for (const auto& name : tokenizer_.added_names()) {
        if (part.text.find(name) == std::string::npos || !tokenizer_.is_special(*tokenizer_.find_added(name)))
          continue;
        throw ConfigError("data.chat.pattern", part.text, "spells out the special token ", name,
                          ", which would be learned as letters; write {", name, "}");
      }
    }
  }
}

void ChatTemplate::check_places(const std::string& key, const std::string& pattern, const Parts& parts,
                                int64_t num_contents, int64_t num_inputs) {
  const auto count = [&](Part::Kind kind) {
    return std::count_if(parts.begin(), parts.end(), [&](const Part& part) { return part.kind == kind; });
  };
  const int64_t contents = count(Part::Kind::kContent), inputs = count(Part::Kind::kInput);
  if (contents == num_contents && inputs == num_inputs) return;
  throw ConfigError(key, pattern, "must have {content} ", num_contents, " times and {input} ", num_inputs,
                    " times, has them ", contents, " and ", inputs, " times");
}

ChatTemplate::Part ChatTemplate::named_part(const std::string& key, const std::string& name) const {
  if (name == "content") return {Part::Kind::kContent, "", {}};
  if (name == "input") return {Part::Kind::kInput, "", {}};
  return {Part::Kind::kTokens, "", tokens_named(key, name)};
}

std::vector<int64_t> ChatTemplate::tokens_named(const std::string& key, const std::string& name) const {
  if (name == "bos") return tokenizer_.text_prefix();
  if (name == "eos") {
    if (const auto eos = tokenizer_.end_of_document()) return {*eos};
    throw InputError(tokenizer_.path(), "has no token for {eos} of ", key,
                     ": neither eos_token in a tokenizer_config.json beside it nor <|endoftext|>");
  }
  if (const auto id = tokenizer_.find_added(name)) return {*id};
  throw InputError(tokenizer_.path(), "has no added token \"", name, "\", which ", key,
                   " of the chat template needs", did_you_mean(name, tokenizer_.added_names()), "; ",
                   added_token_names(tokenizer_));
}

void ChatTemplate::split_assistant(const std::string& pattern) {
  auto parts = parse("assistant", pattern);
  const auto content = std::find_if(parts.begin(), parts.end(),
                                    [](const Part& part) { return part.kind == Part::Kind::kContent; });
  const auto stop =
      std::find_if(content, parts.end(), [](const Part& part) { return part.kind == Part::Kind::kTokens; });
  if (stop == parts.end() || stop->ids.empty()) {
    throw ConfigError(
        kPatternKey + "assistant", pattern,
        "must have a token such as {eos} behind {content}: nothing else tells where an answer ends");
  }
  before_answer_.assign(parts.begin(), content);
  answer_.assign(content, stop + 1);
  after_answer_.assign(stop + 1, parts.end());
  stop_ids_ = {stop->ids.back()};

  // Byte-level vocabularies join a space to the word behind it.
  if (before_answer_.empty()) return;
  auto& last = before_answer_.back();
  if (last.kind != Part::Kind::kText || last.text.back() != ' ') return;
  last.text.pop_back();
  answer_lead_ = " ";
  answer_.insert(answer_.begin(), {Part::Kind::kText, answer_lead_, {}});
}

TemplatedChat ChatTemplate::render(const Conversation& turns) const {
  Writer writer(tokenizer_, own_tokens_);
  writer.write(begin_, false);
  for (const auto& turn : turns) write_turn(turn, writer);
  return writer.finish();
}

std::vector<int64_t> ChatTemplate::prompt(const Conversation& turns) const {
  Writer writer(tokenizer_, own_tokens_);
  writer.write(begin_, false);
  for (const auto& turn : turns) write_turn(turn, writer);
  writer.write(before_answer_, false);
  return writer.finish().ids;
}

void ChatTemplate::write_turn(const Turn& turn, Writer& writer) const {
  switch (turn.role) {
    case Role::kSystem:
      if (system_.empty())
        throw UserError(ExitCode::kInput, "the chat template has no place for a system turn");
      writer.write(system_, false, turn.content);
      break;
    case Role::kUser:
      write_user(turn, writer);
      break;
    case Role::kAssistant:
      writer.write(before_answer_, false);
      writer.write(answer_, true, turn.content);
      writer.write(after_answer_, false);
      break;
  }
}

void ChatTemplate::write_user(const Turn& turn, Writer& writer) const {
  if (turn.input.empty()) {
    writer.write(user_, false, turn.content);
  } else if (user_with_input_.empty()) {
    writer.write(user_, false, turn.content + "\n\n" + turn.input);
  } else {
    writer.write(user_with_input_, false, turn.content, turn.input);
  }
}

}  // namespace granule

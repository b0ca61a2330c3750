#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "data/chat_template.h"

namespace granule {

namespace {

constexpr const char* kContent = "message['content']";

// Strings of JSON are strings of Jinja.
std::string literal(const std::string& text) {
  return nlohmann::json(text).dump();
}

}  // namespace

std::string ChatTemplate::jinja_of(const Parts& parts) const {
  std::vector<std::string> terms;
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) terms.push_back(literal(text));
    text.clear();
  };
  for (const auto& part : parts) {
    CHECK(part.kind != Part::Kind::kInput, "messages of transformers have no input");
    text += part.text;
    for (const auto id : part.ids) text += tokenizer_.token_text(id);
    if (part.kind != Part::Kind::kContent) continue;
    end_text();
    terms.emplace_back(kContent);
  }
  end_text();
  return terms.empty() ? "''" : join(terms, " + ");
}

std::string ChatTemplate::jinja() const {
  auto assistant = before_answer_;
  assistant.insert(assistant.end(), answer_.begin(), answer_.end());
  assistant.insert(assistant.end(), after_answer_.begin(), after_answer_.end());
  const auto system =
      system_.empty() ? "raise_exception('the template has no place for a system turn')" : jinja_of(system_);
  return join_text("{{ ", jinja_of(begin_), " }}{% for message in messages %}",                 //
                   "{% if message['role'] == 'system' %}{{ ", system, " }}",                    //
                   "{% elif message['role'] == 'user' %}{{ ", jinja_of(user_), " }}",           //
                   "{% elif message['role'] == 'assistant' %}{{ ", jinja_of(assistant), " }}",  //
                   "{% else %}{{ raise_exception('no role ' + message['role']) }}{% endif %}",  //
                   "{% endfor %}{% if add_generation_prompt %}{{ ", jinja_of(before_answer_),
                   " }}{% endif %}");
}

}  // namespace granule

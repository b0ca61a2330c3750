#include "base/config.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/targets.h"

namespace granule {

namespace {

struct Part {
  std::string name;
  double share = 1;

  void visit(auto&& field) {
    field("name", name, {.required = true}, "");
    field("share", share, {.min = 0, .max = 10}, "");
  }
};

// A field of every type.
struct Everything {
  bool flag = false;
  int64_t count = 3;
  double rate = 0.5;
  std::string mode = "one";
  std::vector<int64_t> sizes;
  std::vector<double> rates;
  std::vector<std::string> names;
  Part part;

  void visit(auto&& field) {
    field("flag", flag, {}, "");
    field("count", count, {.min = -5}, "");
    field("rate", rate, {}, "");
    field("mode", mode, {.choices = {"one", "two"}}, "");
    field("sizes", sizes, {.min = 1}, "");
    field("rates", rates, {}, "");
    field("names", names, {}, "");
    field("part", part, {}, "");
  }
};

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const auto& item : node.items) count += count_nodes(item);
  for (const auto& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

void fuzz_yaml(std::string_view input) {
  const auto [file, overrides] = split_input(input);
  expect_value_or_user_error([&, file = file] {
    CHECK(count_nodes(parse_yaml(std::string(file), "fuzz")) <= 2 * file.size() + 1, "more nodes than text");
  });
  expect_value_or_user_error([&, file = file, overrides = overrides] {
    Everything config;
    ConfigDocument::from_text(std::string(file), "fuzz", lines_of(overrides)).read_into(config);
    const auto printed = print_config(config);
    Everything again;
    ConfigDocument::from_text(printed, "printed").read_into(again);
    CHECK(print_config(again) == printed, "read back as\n", print_config(again), "printed as\n", printed);
  });
}

}  // namespace granule

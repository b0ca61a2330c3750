#include "base/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

struct RouterSection {
  int64_t experts = 8;
  int64_t top_k = 2;

  void visit(auto&& field) {
    field("experts", experts, {.min = 1, .max = 1 << 24}, "experts");
    field("top_k", top_k, {.min = 1}, "chosen experts");
  }
};

struct SourceSection {
  std::string path;
  double weight = 1;

  void visit(auto&& field) {
    field("path", path, {.required = true}, "file");
    field("weight", weight, {.min = 0}, "share");
  }
};

struct Config {
  std::string name = "run";
  std::string mode = "fast";
  bool shuffle = true;
  int64_t steps = 10;
  double lr = 0.5;
  std::vector<int64_t> sizes = {1, 2};
  std::vector<double> betas = {0.9, 0.95};
  std::vector<std::string> words;
  RouterSection router;

  void visit(auto&& field) {
    field("name", name, {}, "any text");
    field("mode", mode, {.choices = {"fast", "exact"}}, "how");
    field("shuffle", shuffle, {}, "whether");
    field("steps", steps, {.min = 0}, "steps");
    field("lr", lr, {.min = 0, .max = 1}, "rate");
    field("sizes", sizes, {.min = 1}, "numbers");
    field("betas", betas, {.min = 0, .max = 1}, "factors");
    field("words", words, {.choices = {"a", "b"}}, "words");
    field("router", router, {}, "The router.");
  }
};

Config read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Config config;
  ConfigDocument::from_text(text, "c.yaml", overrides).read_into(config);
  return config;
}

std::string refusal_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Config, ReadsEveryType) {
  const auto config = read(
      "name: 'a b'\nmode: exact\nshuffle: false\nsteps: 7\nlr: 1e-4\nsizes: [3, 4, 5]\nbetas: []\nwords: [a, "
      "b]\n"
      "router: {experts: 64, top_k: 6}\n");
  EXPECT_EQ(config.name, "a b");
  EXPECT_EQ(config.mode, "exact");
  EXPECT_FALSE(config.shuffle);
  EXPECT_EQ(config.steps, 7);
  EXPECT_EQ(config.lr, 1e-4);
  EXPECT_EQ(config.sizes, (std::vector<int64_t>{3, 4, 5}));
  EXPECT_TRUE(config.betas.empty());
  EXPECT_EQ(config.words, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.router.experts, 64);
  EXPECT_EQ(config.router.top_k, 6);
}

TEST(Config, KeepsDefaultsForWhatIsLeftOut) {
  for (const char* text : {"", "# nothing\n", "router:\n", "router: {}\n", "router: ~\n"}) {
    const auto config = read(text);
    EXPECT_EQ(config.steps, 10) << text;
    EXPECT_EQ(config.betas, (std::vector<double>{0.9, 0.95})) << text;
    EXPECT_EQ(config.router.top_k, 2) << text;
  }
}

TEST(Config, RefusesUnknownKeysAtTheirPlaceWithTheNearest) {
  EXPECT_EQ(refusal_of("steps: 1\nstep: 2\n"), "c.yaml:2:1: step is no known key (did you mean \"steps\"?)");
  EXPECT_EQ(refusal_of("router:\n  topk: 2\n"),
            "c.yaml:2:3: router.topk is no known key (did you mean \"top_k\"?)");
  EXPECT_EQ(refusal_of("zebra:\n  a: 2\n"), "c.yaml:1:1: zebra is no known key");
  EXPECT_EQ(refusal_of("Steps: 1\n"), "c.yaml:1:1: Steps is no known key (did you mean \"steps\"?)");
  EXPECT_EQ(refusal_of("'': 1\n"), "c.yaml:1:1:  is no known key");
}

TEST(Config, RefusesDuplicateKeys) {
  EXPECT_EQ(refusal_of("lr: 1\nlr: 1\n"), "c.yaml:2:1: duplicate key \"lr\"");
}

TEST(Config, RefusesTheWrongKindOfNode) {
  EXPECT_EQ(refusal_of("steps: [1]\n"), "c.yaml:1:1: steps is a list, expected a whole number");
  EXPECT_EQ(refusal_of("steps: {a: 1}\n"), "c.yaml:1:1: steps is a section, expected a whole number");
  EXPECT_EQ(refusal_of("steps:\n"), "c.yaml:1:1: steps is nothing, expected a whole number");
  EXPECT_EQ(refusal_of("name: ~\n"), "c.yaml:1:1: name is nothing, expected text");
  EXPECT_EQ(refusal_of("shuffle:\n"), "c.yaml:1:1: shuffle is nothing, expected true or false");
  EXPECT_EQ(refusal_of("lr:\n"), "c.yaml:1:1: lr is nothing, expected a finite number");
  EXPECT_EQ(refusal_of("sizes: 3\n"), "c.yaml:1:1: sizes is a single value, expected a list [a, b, ...]");
  EXPECT_EQ(refusal_of("sizes:\n"), "c.yaml:1:1: sizes is nothing, expected a list [a, b, ...]");
  EXPECT_EQ(refusal_of("sizes: [1, ~]\n"), "c.yaml:1:12: sizes[1] is nothing, expected a whole number");
  EXPECT_EQ(refusal_of("router: 3\n"), "c.yaml:1:1: router is a single value, expected a section");
  EXPECT_EQ(refusal_of("router: [1]\n"), "c.yaml:1:1: router is a list, expected a section");
  EXPECT_EQ(refusal_of("sizes: {a: 1}\n"), "c.yaml:1:1: sizes is a section, expected a list [a, b, ...]");
  EXPECT_EQ(refusal_of("hello"), "c.yaml:1:1: the config is a single value, expected a section");
  EXPECT_EQ(refusal_of("- steps: 1"), "c.yaml:1:1: the config is a list, expected a section");
}

TEST(Config, RefusesWordsThatAreNoWholeNumber) {
  for (const char* text : {"x",
                           "1.5",
                           "1x",
                           "0x10",
                           "1_000",
                           "1,000",
                           "+5",
                           "--5",
                           "1e-3",
                           "1e",
                           "nan",
                           ".nan",
                           ".inf",
                           "true",
                           "9223372036854775808",
                           "1e300",
                           "9007199254740994.5",
                           "010",
                           "-010",
                           "00"}) {
    EXPECT_EQ(refusal_of(join_text("steps: ", text, "\n")),
              join_text("c.yaml:1:1: steps = \"", text, "\" is not a whole number"));
  }
  EXPECT_EQ(refusal_of("steps: \"5\"\n"), "c.yaml:1:1: steps = \"5\" in quotes is not a whole number");
}

TEST(Config, TakesWholeNumbersHoweverTheyAreWritten) {
  EXPECT_EQ(read("steps: 9223372036854775807").steps, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(read("steps: 0").steps, 0);
  EXPECT_EQ(read("steps: 1e3").steps, 1000);
  EXPECT_EQ(read("steps: 1E3").steps, 1000);
  EXPECT_EQ(read("steps: 2.5e3").steps, 2500);
  EXPECT_EQ(read("steps: 12.0").steps, 12);
  // The last whole number up to which a double skips none.
  EXPECT_EQ(read("steps: 9007199254740992.0").steps, int64_t{1} << 53);
  EXPECT_NE(refusal_of("steps: 1e16"), "accepted");
}

TEST(Config, RefusesWordsThatAreNoFiniteNumber) {
  for (const char* text :
       {"x", "0.5x", ".nan", ".inf", "nan", "inf", "-inf", "1e400", "0,5", "0.5 0.6", "01.5", "0x1"}) {
    EXPECT_EQ(refusal_of(join_text("lr: ", text, "\n")),
              join_text("c.yaml:1:1: lr = \"", text, "\" is not a finite number"));
  }
  EXPECT_EQ(refusal_of("lr: '0.5'\n"), "c.yaml:1:1: lr = \"0.5\" in quotes is not a finite number");
}

TEST(Config, TakesFiniteNumbersHoweverTheyAreWritten) {
  EXPECT_EQ(read("lr: 1").lr, 1);
  EXPECT_EQ(read("lr: .5").lr, 0.5);
  EXPECT_EQ(read("lr: 0.5").lr, 0.5);
  EXPECT_EQ(read("lr: 5e-1").lr, 0.5);
  EXPECT_EQ(read("lr: 0").lr, 0);
  EXPECT_EQ(read("lr: 0.1 # comment").lr, 0.1);
}

TEST(Config, TakesOnlyTrueAndFalse) {
  EXPECT_TRUE(read("shuffle: true").shuffle);
  EXPECT_FALSE(read("shuffle: false").shuffle);
  for (const char* text : {"yes", "no", "on", "off", "True", "FALSE", "1", "0", "y"}) {
    EXPECT_EQ(refusal_of(join_text("shuffle: ", text, "\n")),
              join_text("c.yaml:1:1: shuffle = \"", text, "\" is not true or false"));
  }
  EXPECT_EQ(refusal_of("shuffle: 'true'"), "c.yaml:1:1: shuffle = \"true\" in quotes is not true or false");
}

TEST(Config, TakesAnyWordAsText) {
  for (const char* text : {"12", "true", "yes", "0x10", "a:b", "1e3", "x y"}) {
    EXPECT_EQ(read(join_text("name: ", text, "\n")).name, text);
  }
  EXPECT_EQ(read("name: ''").name, "");
  EXPECT_EQ(read("name: 'null'").name, "null");
}

TEST(Config, RefusesWhatIsOutOfRange) {
  EXPECT_EQ(refusal_of("steps: -1"), "c.yaml:1:1: steps = -1 must be at least 0");
  EXPECT_EQ(refusal_of("lr: 1.5"), "c.yaml:1:1: lr = 1.5 must be between 0 and 1");
  EXPECT_EQ(refusal_of("router: {experts: 16777217}"),
            "c.yaml:1:10: router.experts = 16777217 must be between 1 and 16777216");
  EXPECT_EQ(read("router: {experts: 16777216}").router.experts, 16777216);
  EXPECT_EQ(refusal_of("sizes: [3, 0]"), "c.yaml:1:12: sizes[1] = 0 must be at least 1");
  EXPECT_EQ(refusal_of("betas: [2]"), "c.yaml:1:9: betas[0] = 2 must be between 0 and 1");
}

TEST(Config, RefusesWordsThatAreNoChoice) {
  EXPECT_EQ(refusal_of("mode: exakt"),
            "c.yaml:1:1: mode = \"exakt\" must be one of fast, exact (did you mean \"exact\"?)");
  EXPECT_EQ(refusal_of("words: [a, c]"),
            "c.yaml:1:12: words[1] = \"c\" must be one of a, b (did you mean \"a\"?)");
}

struct NeedsSection {
  SourceSection source;
  void visit(auto&& field) { field("source", source, {}, "a section with a required key"); }
};

std::string refusal_of_source(const std::string& text) {
  NeedsSection config;
  try {
    ConfigDocument::from_text(text, "c.yaml").read_into(config);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Config, NamesWhatIsRequiredAndWhereItIsMissing) {
  EXPECT_EQ(refusal_of_source("source: {path: x}\n"), "accepted");
  EXPECT_EQ(refusal_of_source("# sources\nsource:\n  weight: 1\n"),
            "c.yaml:2:1: source.path is missing and has no default");
  for (const char* text : {"", "source:\n", "source: {}\n"}) {
    EXPECT_NE(refusal_of_source(text).find("source.path is missing and has no default"), std::string::npos)
        << text;
  }
}

TEST(ConfigOverride, ReplacesAddsAndMakesSections) {
  EXPECT_EQ(read("steps: 1", {"steps=5"}).steps, 5);
  EXPECT_EQ(read("", {"steps=5"}).steps, 5);
  EXPECT_EQ(read("", {"router.top_k=3"}).router.top_k, 3);
  EXPECT_EQ(read("router:\n", {"router.top_k=3"}).router.top_k, 3);
  const auto config = read("router:\n  experts: 16\n", {"router.top_k=3", "router.top_k=4", "lr=0.25"});
  EXPECT_EQ(config.router.experts, 16);
  EXPECT_EQ(config.router.top_k, 4) << "the last one counts";
  EXPECT_EQ(config.lr, 0.25);
}

TEST(ConfigOverride, IsYaml) {
  EXPECT_EQ(read("", {"sizes=[4, 5]"}).sizes, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(read("", {"router={experts: 4, top_k: 1}"}).router.experts, 4);
  EXPECT_EQ(read("", {"name=a=b"}).name, "a=b");
  EXPECT_EQ(read("", {"name=\"\""}).name, "");
  EXPECT_EQ(read("", {"name='5'"}).name, "5");
  EXPECT_EQ(read("router: {experts: 4}", {"router="}).router.experts, 8) << "nothing: the defaults";
}

TEST(ConfigOverride, IsRefusedWithItself) {
  EXPECT_EQ(refusal_of("", {"steps"}), "override \"steps\" is not of the form section.key=value");
  EXPECT_EQ(refusal_of("", {"=5"}), "override \"=5\" is not of the form section.key=value");
  EXPECT_EQ(refusal_of("", {""}), "override \"\" is not of the form section.key=value");
  for (const char* key : {".steps", "router.", "router..top_k"}) {
    EXPECT_EQ(refusal_of("", {join_text(key, "=5")}),
              join_text("override \"", key, "=5\": ", key, " names no key of a section"));
  }
  EXPECT_EQ(refusal_of("steps: 1", {"steps.x=5"}),
            "override \"steps.x=5\": steps.x names no key of a section");
  EXPECT_EQ(refusal_of("sizes: [1]", {"sizes.0=5"}),
            "override \"sizes.0=5\": sizes.0 names no key of a section");
  EXPECT_EQ(refusal_of("", {"stepz=5"}), "override stepz: stepz is no known key (did you mean \"steps\"?)");
  EXPECT_EQ(refusal_of("", {"router.topk=5"}),
            "override router.topk: router.topk is no known key (did you mean \"top_k\"?)");
  EXPECT_EQ(refusal_of("steps: 1", {"steps=x"}), "override steps: steps = \"x\" is not a whole number");
  EXPECT_EQ(refusal_of("", {"name='a"}), "override name: a quote, [ or { is never closed");
  EXPECT_EQ(refusal_of("", {"sizes=[1,"}),
            "override \"sizes=[1,\": the list is not closed; a shell wants 'sizes=[a, b]'");
  EXPECT_EQ(refusal_of("router: {top_k: 1}", {"router={top_k: 2}"}),
            "override \"router={top_k: 2}\": would take away all else that the file says of router; name its keys one by "
            "one, as router.top_k=...");
  EXPECT_EQ(refusal_of("", {"name=run #1"}),
            "override \"name=run #1\": what follows \" #\" would be a comment; write 'name=\"...\"'");
  EXPECT_EQ(read("", {"name=\"run #1\""}).name, "run #1");
  EXPECT_EQ(refusal_of("", {"router={top_k: 0}"}),
            "override router:1:2: router.top_k = 0 must be at least 1");
  EXPECT_NE(refusal_of("", {"steps=&a 1"}), "accepted");
}

TEST(ConfigOverride, OfAnEntryLeavesTheOthersTheirPlaces) {
  EXPECT_EQ(refusal_of("router:\n  experts: 0\n", {"router.top_k=3"}),
            "c.yaml:2:3: router.experts = 0 must be between 1 and 16777216");
}

TEST(ConfigDocument, LocatesWhatValidationRefuses) {
  const auto refusal = [](const std::string& text, const ConfigError& thrown,
                          const std::vector<std::string>& overrides = {}) -> std::string {
    Config config;
    try {
      ConfigDocument::from_text(text, "c.yaml", overrides).read_into(config, [&](const Config&) {
        throw thrown;
      });
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  const ConfigError top_k("router.top_k", 9, "must not exceed ", 8);
  EXPECT_EQ(refusal("steps: 1\nrouter:\n  top_k: 9\n", top_k),
            "c.yaml:3:3: router.top_k = 9 must not exceed 8");
  EXPECT_EQ(refusal("steps: 1\nrouter:\n  experts: 8\n", top_k),
            "c.yaml:2:1: router.top_k = 9 must not exceed 8");
  EXPECT_EQ(refusal("steps: 1\n", top_k), "c.yaml: router.top_k = 9 must not exceed 8");
  EXPECT_EQ(refusal("steps: 1\n", top_k, {"router.top_k=9"}),
            "override router.top_k: router.top_k = 9 must not exceed 8");
  EXPECT_EQ(refusal("steps: 1\n", ConfigError::located("ready")), "ready");
}

TEST(ConfigDocument, ValidatesWhatWasRead) {
  Config config;
  int64_t seen = 0;
  ConfigDocument::from_text("steps: 3", "c.yaml").read_into(config, [&](const Config& read) {
    seen = read.steps;
  });
  EXPECT_EQ(seen, 3);
}

TEST(ConfigDocument, ReadsFiles) {
  const TemporaryDirectory directory;
  const auto path = directory.path("c.yaml");
  std::ofstream(path) << "steps: 3\n";
  Config config;
  ConfigDocument(path, {"lr=0.125"}).read_into(config);
  EXPECT_EQ(config.steps, 3);
  EXPECT_EQ(config.lr, 0.125);
  EXPECT_THROW(ConfigDocument(directory.path("none.yaml"), {}), InputError);
}

void expect_round_trip(const Config& config) {
  const auto text = print_config(config);
  const auto again = read(text);
  EXPECT_EQ(again.name, config.name) << text;
  EXPECT_EQ(again.mode, config.mode);
  EXPECT_EQ(again.shuffle, config.shuffle);
  EXPECT_EQ(again.steps, config.steps);
  EXPECT_EQ(again.lr, config.lr);
  EXPECT_EQ(again.sizes, config.sizes);
  EXPECT_EQ(again.betas, config.betas);
  EXPECT_EQ(again.words, config.words);
  EXPECT_EQ(again.router.top_k, config.router.top_k);
  EXPECT_EQ(print_config(again), text);
}

TEST(PrintConfig, IsReadBackAsTheSame) {
  expect_round_trip(Config{});
  Config config;
  config.shuffle = false;
  config.mode = "exact";
  config.steps = std::numeric_limits<int64_t>::max();
  config.sizes = {};
  config.betas = {0.1, 1.0 / 3.0, 1e-300, 5e-324, 1};
  config.words = {"b", "a"};
  expect_round_trip(config);
}

TEST(PrintConfig, KeepsAnyText) {
  std::string control;
  for (int byte = 0; byte < 0x80; ++byte) control += static_cast<char>(byte);
  for (const std::string& name :
       {std::string("null"), std::string("~"), std::string("true"), std::string("5"), std::string(" a "),
        std::string("a: b # c"), std::string("\"'\\"), std::string("\t\n\r\x1b"),
        std::string("Gr\u00fc\u00dfe \u263a"), std::string("- x"), std::string("---"),
        std::string("a\n...\nb"), control}) {
    Config config;
    config.name = name;
    expect_round_trip(config);
  }
}

TEST(PrintConfig, KeepsAnyFiniteNumber) {
  for (const double lr : {0.0, 1e-8, 3e-4, 0.1, 0.30000000000000004, 1.0}) {
    Config config;
    config.lr = lr;
    expect_round_trip(config);
  }
}

TEST(PrintConfig, SpellsOutDefaults) {
  EXPECT_EQ(print_config(RouterSection{}), "experts: 8\ntop_k: 2\n");
  EXPECT_EQ(
      print_config(Config{}),
      "name: \"run\"\nmode: \"fast\"\nshuffle: true\nsteps: 10\nlr: 0.5\nsizes: [1, 2]\nbetas: [0.9, 0.95]\n"
      "words: []\nrouter:\n  experts: 8\n  top_k: 2\n");
}

TEST(DocumentConfig, HasARowPerKey) {
  const auto text = document_config<Config>();
  for (const char* row : {
           "| `name` | text | `\"run\"` |  | any text |\n",
           "| `mode` | text | `\"fast\"` | fast, exact | how |\n",
           "| `shuffle` | bool | `true` |  | whether |\n",
           "| `steps` | int | `10` | at least 0 | steps |\n",
           "| `lr` | float | `0.5` | between 0 and 1 | rate |\n",
           "| `betas` | list | `[0.9, 0.95]` | between 0 and 1 | factors |\n",
           "\n## `router`\nThe router.\n\n| key |",
           "| `router.experts` | int | `8` | between 1 and 16777216 | experts |\n",
       }) {
    EXPECT_NE(text.find(row), std::string::npos) << row << "\nin\n" << text;
  }
}

}  // namespace
}  // namespace granule

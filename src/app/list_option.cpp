#include "app/list_option.h"

#include "train/run_config.h"

namespace granule {

namespace {

bool is_override(const std::string& said) {
  if (said.find('=') == std::string::npos) return false;
  const auto section = said.substr(0, said.find('.'));
  bool known = false;
  RunConfig().visit(
      [&](const char* name, auto&, const FieldRule&, const char*) { known |= section == name; });
  return known;
}

}  // namespace

CLI::Option* add_list_option(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                             std::vector<std::string>& overrides, const std::string& description) {
  const auto sort_out = [&values, &overrides](const std::vector<std::string>& said) {
    for (const auto& one : said) (is_override(one) ? overrides : values).push_back(one);
  };
  return command.add_option_function<std::vector<std::string>>(name, sort_out, description);
}

}  // namespace granule
